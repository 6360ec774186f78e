"""How the repository on DynamoDB is made, opened and closed, and what is said when that fails."""

from collections.abc import Mapping
from typing import Any

import aioboto3
import boto3
import pytest

from tests.dynamodb.canned import Answer, Canned, failure
from tests.dynamodb.tables import fresh_name
from tests.dynamodb.troubled import TroubledClient
from tests.patience import PATIENCE
from zae_limiter import (
    IncompatibleSchemaError,
    InfrastructureAccessError,
    InfrastructureNotFoundError,
    Limit,
    NamespaceNotFoundError,
    RateLimiterUnavailable,
    ValidationError,
    VersionMismatchError,
)
from zae_limiter.repository import Repository
from zae_limiter.repository_builder import RepositoryBuilder
from zae_limiter.schema import SCHEMA_VERSION, get_table_definition
from zae_limiter.stores import open_sync_limiter
from zae_limiter.sync_repository import SyncRepository

RPM = Limit.per_minute("rpm", 10)
KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}


def test_making_one_reaches_nothing_and_an_address_tells_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZAE_LIMITER_NAMESPACE", raising=False)
    made = Repository("my-app", "eu-central-1", endpoint_url="http://127.0.0.1:1")
    assert not made.is_open
    assert (made.table_name, made.stack_name, made.namespace_name) == ("my-app", "my-app", "default")
    assert made.address == "dynamodb://my-app?region=eu-central-1&endpoint_url=http://127.0.0.1:1"
    assert Repository("my-app", namespace="api").address == "dynamodb://my-app?namespace=api"
    assert SyncRepository("my-app").address == "dynamodb://my-app"


def test_what_is_not_given_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "NAME": "from-env",
        "REGION": "eu-west-1",
        "NAMESPACE": "api",
        "ENDPOINT_URL": "http://x",
    }.items():
        monkeypatch.setenv(f"ZAE_LIMITER_{name}", value)
    assert Repository().address == "dynamodb://from-env?region=eu-west-1&namespace=api&endpoint_url=http://x"
    given = SyncRepository("mine", "eu-north-1", endpoint_url="http://y", namespace="other")
    assert given.address == "dynamodb://mine?region=eu-north-1&namespace=other&endpoint_url=http://y"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"name": None}, "name"),
        ({"name": "a"}, "name"),
        ({"name": "a/b/c"}, "name"),
        ({"name": "table\n"}, "name"),
        ({"namespace": "a#b"}, "namespace"),
        ({"config_cache_ttl": -1}, "config_cache_ttl"),
        ({"config_cache_ttl": True}, "config_cache_ttl"),
        ({"timeout": 0}, "timeout"),
        ({"connections": 0}, "connections"),
        ({"bucket_ttl_multiplier": 1.5}, "bucket_ttl_multiplier"),
        ({"bucket_ttl_multiplier": 10**20}, "bucket_ttl_multiplier"),
        ({"session": object(), "client": object()}, "client"),
    ],
)
def test_what_cannot_be_is_told_with_its_field(
    options: Mapping[str, Any], field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZAE_LIMITER_NAME", raising=False)
    with pytest.raises(ValidationError) as caught:
        Repository(**{"name": "my-app", **options})
    assert caught.value.field == field


async def test_a_table_is_created_once_opened_and_deleted(repository: Any) -> None:
    assert not repository.is_open
    await repository.create_table()
    await repository.open()
    await repository.open()
    assert repository.is_open
    assert repository.namespace_id
    assert await repository.ping()
    record = await repository.get_version_record()
    assert (record["schema_version"], record["client_min_version"]) == (SCHEMA_VERSION, "0.0.0")
    assert repository.capabilities.supports_infrastructure_management
    await repository.delete_table()
    await repository.delete_table()
    assert not await repository.ping()
    with pytest.raises(InfrastructureNotFoundError):
        await repository.create_entity("user")


def test_a_table_that_others_have_made_is_prepared(dynamodb_endpoint: str) -> None:
    name = fresh_name()
    client = boto3.client("dynamodb", endpoint_url=dynamodb_endpoint or None)
    client.create_table(**get_table_definition(name))
    client.get_waiter("table_exists").wait(TableName=name)
    made = SyncRepository(name, endpoint_url=dynamodb_endpoint, timeout=PATIENCE)
    with pytest.raises(IncompatibleSchemaError, match="prepare_table"):
        made.open()
    made.prepare_table()
    made.prepare_table()
    made.open()
    assert [each["name"] for each in made.list_namespaces()] == ["default"]
    made.delete_table()
    made.close()
    client.close()


def test_however_a_table_is_opened_its_default_namespace_is_the_same(dynamodb_endpoint: str) -> None:
    """W21: a constructor took the name `default` for the id, and saw nothing of what was set through `connect`."""
    options: dict[str, Any] = {"endpoint_url": dynamodb_endpoint or None, "timeout": PATIENCE}
    name = fresh_name()
    made = SyncRepository(name, **options)
    made.create_table()
    with made:
        with SyncRepository.connect(name, **options) as connected:
            connected.set_limits("user", [RPM], "api")
            identity = connected.namespace_id
            assert identity != "default"
        with SyncRepository(name, **options) as constructed:
            assert constructed.get_limits("user", "api") == [RPM]
            assert constructed.namespace_id == identity
        # As a user of Locust opens it.
        with open_sync_limiter(made.address, timeout=5.0) as limiter:
            assert limiter.get_limits("user", "api") == [RPM]
        made.delete_table()


async def test_what_was_closed_is_opened_again(repository: Any) -> None:
    await repository.open()
    await repository.close()
    assert not repository.is_open
    await repository.create_entity("user")
    assert repository.is_open


async def test_connecting_says_what_is_missing(dynamodb_endpoint: str) -> None:
    with pytest.raises(InfrastructureNotFoundError) as missing:
        await Repository.connect(fresh_name(), endpoint_url=dynamodb_endpoint, timeout=PATIENCE)
    assert "create it first" in str(missing.value)
    name = fresh_name()
    made = Repository(name, endpoint_url=dynamodb_endpoint, timeout=PATIENCE)
    await made.create_table()
    with pytest.raises(NamespaceNotFoundError):
        await Repository.connect(name, endpoint_url=dynamodb_endpoint, namespace="tenant", timeout=PATIENCE)
    with pytest.raises(NamespaceNotFoundError):
        SyncRepository.connect(name, endpoint_url=dynamodb_endpoint, namespace="tenant", timeout=PATIENCE)
    async with await Repository.connect(name, endpoint_url=dynamodb_endpoint, timeout=PATIENCE) as opened:
        assert opened.is_open
    await made.delete_table()
    await made.close()


async def test_a_table_of_another_schema_or_for_later_clients_is_not_opened(repository: Any) -> None:
    """W41."""
    await repository.set_version_record("2.0.0")
    with pytest.raises(IncompatibleSchemaError, match="upgrade the library"):
        await repository.open()
    with pytest.raises(IncompatibleSchemaError):
        await repository.migrate()
    await repository.set_version_record(SCHEMA_VERSION, client_min_version="99.0.0", updated_by="someone")
    with pytest.raises(VersionMismatchError, match=r"99\.0\.0"):
        # The first call looks too, not only `open`.
        await repository.set_limits("user", [RPM])
    await repository.set_version_record("0.9.0", "1.2.3")
    with pytest.raises(IncompatibleSchemaError, match="migrate"):
        await repository.open()
    assert await repository.migrate() == []
    assert (await repository.get_version_record())["lambda_version"] == "1.2.3"
    await repository.open()


def test_a_foreign_table_is_told_from_one_of_ours(dynamodb_endpoint: str) -> None:
    client = boto3.client("dynamodb", endpoint_url=dynamodb_endpoint or None)
    name = fresh_name()
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    made = SyncRepository(name, endpoint_url=dynamodb_endpoint, timeout=PATIENCE)
    with pytest.raises((InfrastructureAccessError, IncompatibleSchemaError)):
        made.open()
    made.close()
    client.delete_table(TableName=name)
    client.close()


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (
            failure("AccessDeniedException", "User is not authorized"),
            InfrastructureAccessError,
            "dynamodb:BatchGetItem",
        ),
        (
            failure("UnrecognizedClientException", "bad token"),
            InfrastructureAccessError,
            "credentials are not accepted",
        ),
        (failure("ExpiredTokenException", "expired"), InfrastructureAccessError, "credentials are expired"),
        (failure("ResourceNotFoundException"), InfrastructureNotFoundError, "create it first"),
        (failure("InternalServerError", status=500), RateLimiterUnavailable, "AWS failed"),
        (failure("ThrottlingException"), RateLimiterUnavailable, "throttled"),
    ],
)
def test_no_access_and_wrong_credentials_are_told_from_an_outage(
    answer: Answer, error: type[Exception], words: str
) -> None:
    timeout = 0.3 if error is RateLimiterUnavailable else PATIENCE
    with Canned(answer) as server:
        made = SyncRepository(
            "my-app", "eu-central-1", endpoint_url=server.url, session=boto3.Session(**KEYS), timeout=timeout
        )
        with pytest.raises(error, match=words):
            made.open()
        assert not made.ping()
        made.close()


async def test_a_session_of_the_callers_makes_the_client(dynamodb_endpoint: str) -> None:
    options: dict[str, Any] = {"endpoint_url": dynamodb_endpoint, "timeout": PATIENCE}
    name = fresh_name()
    made = Repository(name, "eu-west-1", session=aioboto3.Session(**KEYS), **options)
    await made.create_table()
    with SyncRepository(name, "eu-west-1", session=boto3.Session(**KEYS), **options) as twin:
        assert twin.is_open
    await made.delete_table()
    await made.close()


def test_a_client_of_the_callers_is_not_closed(troubled: TroubledClient, shaky: SyncRepository) -> None:
    with SyncRepository(shaky.table_name, client=troubled, timeout=PATIENCE) as made:
        assert made.is_open
    assert "close" not in troubled.calls
    assert shaky.ping()


async def test_a_copy_for_another_namespace_leaves_the_client_to_its_source(repository: Any) -> None:
    await repository.register_namespaces(["one", "two"])
    copy = await repository.namespace("one", on_unavailable="allow", bucket_ttl_multiplier=3)
    await copy.close()
    assert await copy.resolve_on_unavailable() == "allow"
    assert await repository.resolve_on_unavailable() == "block"
    assert copy.namespace_id != repository.namespace_id
    assert copy.address.endswith(copy.namespace_name) or "namespace=one" in copy.address
    assert copy.get_cache_stats().ttl_seconds == 60


@pytest.mark.parametrize(
    "wrong", [{"bucket_ttl_multiplier": "2"}, {"bucket_ttl_multiplier": True}, {"on_unavailable": "x"}]
)
def test_what_a_copy_cannot_be_is_told_before_anything_is_asked(
    troubled: TroubledClient, shaky: SyncRepository, wrong: dict[str, Any]
) -> None:
    shaky.register_namespace("one")
    before = len(troubled.calls)
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        shaky.namespace("one", **wrong)
    assert len(troubled.calls) == before


async def test_a_builder_stores_what_is_to_be_stored(repository: Any, dynamodb_endpoint: str) -> None:
    await repository.set_system_defaults([RPM])
    await repository.register_namespace("tenant")
    builder = Repository.builder(repository.table_name, endpoint_url=dynamodb_endpoint)
    built = await builder.on_unavailable("allow").audit_retention_days(7).config_cache_ttl(5).timeout(PATIENCE).build()
    assert isinstance(builder, RepositoryBuilder)
    assert await built.get_system_defaults() == ([RPM], "allow")
    assert await built.get_audit_retention() == 7
    assert built.get_cache_stats().ttl_seconds == 5
    await built.close()
    twin_builder = SyncRepository.builder(repository.table_name, endpoint_url=dynamodb_endpoint)
    with (
        twin_builder.namespace("tenant")
        .bucket_ttl_multiplier(2)
        .connections(3)
        .on_unavailable("block")
        .timeout(PATIENCE)
        .build() as twin
    ):
        assert twin.namespace_name == "tenant"
        assert twin.get_system_defaults() == ([], "block")
    with pytest.raises(ValidationError):
        builder.on_unavailable("perhaps")  # type: ignore[arg-type]
    with pytest.raises(NamespaceNotFoundError):
        await builder.namespace("nowhere").build()
    with pytest.raises(ValidationError):
        twin_builder.namespace("tenant").audit_retention_days(0).build()
