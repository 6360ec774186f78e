"""Many change the same things at once: all of it is done, or one of them is told, and nothing is half done."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from zae_limiter import EntityExistsError, Limit, SyncRepository
from zae_limiter.runtimes import BlockingRuntime

RPM = Limit.per_minute("rpm", 10)


@pytest.fixture
def patient(shaky: SyncRepository, dynamodb_endpoint: str) -> Iterator[SyncRepository]:
    """The same table for threads, with time and a pause that lets others through."""
    made = SyncRepository(shaky.table_name, endpoint_url=dynamodb_endpoint, timeout=30.0, runtime=BlockingRuntime())
    made.open()
    yield made
    made.close()


def at_once(work: Callable[[int], Any], count: int = 8) -> list[Any]:
    with ThreadPoolExecutor(count) as executor:
        return list(executor.map(work, range(count)))


def test_a_name_that_many_register_has_one_id(patient: SyncRepository) -> None:
    assert len(set(at_once(lambda _: patient.register_namespace("tenant")))) == 1
    assert patient.list_orphan_namespaces() == []
    at_once(lambda _: patient.delete_namespace("tenant"))
    assert len(patient.list_orphan_namespaces()) == 1


def test_one_of_those_who_create_an_entity_does(patient: SyncRepository) -> None:
    def created(number: int) -> bool:
        try:
            patient.create_entity("user", str(number), parent_id="parent")
        except EntityExistsError:
            return False
        return True

    assert sum(at_once(created)) == 1
    assert len(patient.get_audit_events("user")) == 1
    at_once(lambda number: patient.update_entity("user", metadata={"by": str(number)}))
    assert len(patient.get_audit_events("user")) == 9


def test_limits_that_many_set_and_delete_are_listed_as_they_are_stored(patient: SyncRepository) -> None:
    """W24."""
    at_once(lambda number: patient.set_limits(f"user-{number}", [RPM], "api"))
    assert len(patient.list_entities_with_custom_limits("api")[0]) == 8
    at_once(lambda _: patient.delete_limits("user-0", "api"))
    assert len([event for event in patient.get_audit_events("user-0") if event.action == "limits_deleted"]) == 1
    at_once(lambda number: patient.delete_entity(f"user-{number}"))
    assert patient.list_entities_with_custom_limits("api") == ([], None)
    assert patient.list_resources_with_entity_configs() == []


def test_an_entity_that_many_delete_is_told_deleted_once(patient: SyncRepository) -> None:
    patient.create_entity("user")
    patient.set_limits("user", [RPM], "api")
    at_once(lambda _: patient.delete_entity("user"), 4)
    assert [event.action for event in patient.get_audit_events("user")].count("entity_deleted") == 1
    assert patient.get_entity("user") is None
