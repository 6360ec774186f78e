"""What changes and reads of the configuration cost: a figure that changes here changes in the docs.

For transactions DynamoDB Local tells fewer units than AWS bills, which are two for each record.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.dynamodb.metered import Cost, MeteredClient
from tests.dynamodb.tables import fresh_name
from tests.patience import PATIENCE, PatientBlockingRuntime
from zae_limiter import Limit, SyncRepository
from zae_limiter.testing import TurnableClock

RPM = [Limit.per_minute("rpm", 10)]


@pytest.fixture
def metered(dynamodb_endpoint: str) -> Iterator[MeteredClient]:
    client = MeteredClient(dynamodb_endpoint)
    yield client
    client.close()


@pytest.fixture
def repository(metered: MeteredClient, clock: TurnableClock) -> Iterator[SyncRepository]:
    made = SyncRepository(
        fresh_name(), client=metered, clock=clock, runtime=PatientBlockingRuntime(clock), timeout=PATIENCE
    )
    made.create_table()
    made.create_entity("user", parent_id="parent")
    made.set_limits("user", RPM, "api")
    metered.taken()
    yield made
    made.delete_table()


CHANGES: dict[str, tuple[Callable[[SyncRepository], Any], Cost]] = {
    "create_entity": (lambda made: made.create_entity("other"), Cost(2, 4.0, 2.0, 1.0)),
    "update_entity": (lambda made: made.update_entity("user", name="x"), Cost(2, 4.0, 2.0, 2.0)),
    "get_entity": (lambda made: made.get_entity("user"), Cost(1, 0.0, 0.0, 1.0)),
    "get_children": (lambda made: made.get_children("parent"), Cost(2, 0.0, 0.0, 2.0)),
    "set_limits": (lambda made: made.set_limits("user", RPM, "api"), Cost(2, 4.0, 2.0, 3.0)),
    "get_limits": (lambda made: made.get_limits("user", "api"), Cost(1, 0.0, 0.0, 1.0)),
    "delete_limits": (lambda made: made.delete_limits("user", "api"), Cost(2, 2.0, 2.0, 3.0)),
    "set_resource_defaults": (lambda made: made.set_resource_defaults("api", RPM), Cost(2, 2.0, 2.0, 1.0)),
    "set_system_defaults": (lambda made: made.set_system_defaults(RPM), Cost(2, 2.0, 2.0, 1.0)),
    "get_audit_events": (lambda made: made.get_audit_events("user"), Cost(1, 0.0, 0.0, 1.0)),
    "register_namespace": (lambda made: made.register_namespace("tenant"), Cost(2, 2.0, 0.0, 1.0)),
}


@pytest.mark.parametrize(("work", "cost"), CHANGES.values(), ids=CHANGES)
def test_a_change_costs_what_the_docs_say(
    repository: SyncRepository, metered: MeteredClient, work: Callable[[SyncRepository], Any], cost: Cost
) -> None:
    work(repository)
    assert metered.taken() == cost


def test_the_limits_in_force_are_read_in_one_batch_and_then_remembered(
    repository: SyncRepository, metered: MeteredClient, clock: TurnableClock
) -> None:
    """W33."""
    clock.turn(11)
    repository.invalidate_config_cache()
    repository.resolve("user", "api")
    cold = metered.taken()
    assert (cold.calls, cold.written) == (1, 0.0)
    assert cold.read <= 3.0
    repository.resolve("user", "api")
    assert metered.taken() == Cost()


def test_a_repository_is_opened_by_one_read(repository: SyncRepository, metered: MeteredClient) -> None:
    other = SyncRepository(repository.table_name, client=metered, timeout=PATIENCE)
    other.open()
    assert metered.taken() == Cost(1, 0.0, 0.0, 2.0)
