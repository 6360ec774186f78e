"""A table is brought from schema to schema, and an interrupted migration goes on where it stopped."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.dynamodb.troubled import Death, TroubledClient
from zae_limiter import RateLimiterUnavailable, SyncRepository
from zae_limiter.blocking import run
from zae_limiter.dynamodb.lifecycle import Lifecycle
from zae_limiter.dynamodb.table import Put, Table, record
from zae_limiter.dynamodb.versions import Migration, Versions
from zae_limiter.schema import SCHEMA_VERSION, Key, version_key


def step(version: str) -> Migration:
    async def migrate(table: Table) -> None:
        await table.transact([Put(record(Key("_/DONE", version), None))])

    return Migration(version, f"writes that {version} was here", migrate)


@pytest.fixture
def versions(shaky: SyncRepository) -> Versions:
    return Versions(shaky._core._table, migrations=[step("0.8.0"), step(SCHEMA_VERSION), step("0.9.0"), step("9.0.0")])


def done(client: TroubledClient, table_name: str) -> list[str]:
    items = client.scan(TableName=table_name)["Items"]
    return sorted(item["SK"]["S"] for item in items if item["PK"]["S"] == "_/DONE")


def test_the_migrations_between_are_applied_in_order_and_noted(
    versions: Versions, shaky: SyncRepository, troubled: TroubledClient
) -> None:
    """W41."""
    shaky.set_version_record("0.8.0", "0.8.1", "0.0.1", "someone")
    assert run(versions.migrate()) == ["0.9.0", SCHEMA_VERSION]
    assert done(troubled, shaky.table_name) == ["0.9.0", SCHEMA_VERSION]
    found = shaky.get_version_record()
    assert found is not None
    assert (found["schema_version"], found["lambda_version"], found["client_min_version"], found["updated_by"]) == (
        SCHEMA_VERSION,
        "0.8.1",
        "0.0.1",
        "someone",
    )
    assert run(versions.migrate()) == []


@pytest.mark.parametrize("write", range(4))
def test_a_migration_that_died_goes_on(
    versions: Versions, shaky: SyncRepository, troubled: TroubledClient, write: int
) -> None:
    shaky.set_version_record("0.8.0")
    troubled.die_at(write, after=True)
    with pytest.raises(Death):
        run(versions.migrate())
    troubled.heal()
    run(versions.migrate())
    assert done(troubled, shaky.table_name) == ["0.9.0", SCHEMA_VERSION]
    shaky.open()


class Between:
    """Another process comes so many times between a look at the record and what is written by it."""

    def __init__(self, client: Any, comes: Callable[[], Any], times: int) -> None:
        self._client = client
        self._comes = comes
        self._left = times

    async def once(self, operation: str, parameters: Mapping[str, Any], *, seconds: float) -> Any:
        raise NotImplementedError

    async def call(self, operation: str, parameters: Mapping[str, Any], *, deadline_ns: int) -> Any:
        found = await self._client.call(operation, parameters, deadline_ns=deadline_ns)
        if operation == "GetItem" and self._left:
            self._left -= 1
            self._comes()
        return found


def of_another(shaky: SyncRepository, comes: Callable[[], Any], times: int = 1) -> Lifecycle:
    """The versions of the same table in a process that another one meets."""
    table = shaky._core._table
    client = Between(table.client, comes, times)
    return Lifecycle(Table(client, table.name, clock=table.clock, runtime=table.runtime, timeout=1.0))


def test_what_another_writes_of_the_record_meanwhile_stays(shaky: SyncRepository) -> None:
    meets = of_another(shaky, lambda: shaky.set_version_record(SCHEMA_VERSION, "0.8.1", "99.0.0", "someone"))
    run(meets.record_aggregator("0.8.2"))
    found = shaky.get_version_record()
    assert found is not None
    assert (found["lambda_version"], found["client_min_version"], found["updated_by"]) == ("0.8.2", "99.0.0", "someone")


def test_a_record_that_others_change_all_the_time_is_told(shaky: SyncRepository) -> None:
    authors = iter("abcdefghijklmnopqrstuvwxyz")
    meets = of_another(shaky, lambda: shaky.set_version_record(SCHEMA_VERSION, updated_by=next(authors)), times=26)
    with pytest.raises(RateLimiterUnavailable, match="changed the version record all the time"):
        run(meets.record_aggregator("0.8.2"))


def test_a_table_that_two_prepare_keeps_the_record_of_the_first(
    shaky: SyncRepository, troubled: TroubledClient
) -> None:
    key = {"PK": {"S": version_key().pk}, "SK": {"S": version_key().sk}}
    troubled.delete_item(TableName=shaky.table_name, Key=key)
    meets = of_another(shaky, lambda: shaky.set_version_record(SCHEMA_VERSION, client_min_version="99.0.0"))
    run(meets.prepare_table())
    assert (shaky.get_version_record() or {})["client_min_version"] == "99.0.0"


def test_a_migration_leaves_what_was_written_while_it_went_on(shaky: SyncRepository) -> None:
    async def migrate(_: Table) -> None:
        shaky.set_version_record("0.9.5", "0.8.2", "0.0.2", "another")

    shaky.set_version_record("0.8.0", "0.8.1", "0.0.1", "someone")
    versions = Versions(shaky._core._table, migrations=[Migration("0.9.0", "", migrate)])
    assert run(versions.migrate()) == ["0.9.0"]
    found = shaky.get_version_record() or {}
    assert (found["lambda_version"], found["client_min_version"]) == ("0.8.2", "0.0.2")
    assert found["schema_version"] == SCHEMA_VERSION
