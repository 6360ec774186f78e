"""The template's policies in front of a table: who may charge cannot set limits, a tenant reaches its own namespace.

Weak point W35: permissions that were no IAM actions, and tenants that could write each other's registry.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest

from tests.conformance.faces import Awaited
from tests.dynamodb.tables import fresh_name
from tests.infra.gate import Gate, guarded
from tests.infra.policies import Asked, allows
from tests.infra.template import TABLE_ARN, Resolved
from tests.infra.uses import CHANGING, CHARGING, GOVERNING, READING, READING_ALL, WIDE, prepare
from zae_limiter import RateLimiter, RateLimiterUnavailable, Repository, SyncRateLimiter, SyncRepository
from zae_limiter.exceptions import InfrastructureAccessError
from zae_limiter.infra.template import parameters_of
from zae_limiter.models import StackOptions

TEMPLATE = Resolved(parameters_of(StackOptions(), "limits"))


@pytest.fixture
def gate(dynamodb_endpoint: str) -> Iterator[Gate]:
    with guarded(dynamodb_endpoint, fresh_name(), TABLE_ARN) as made:
        yield made


@pytest.fixture
async def owner(gate: Gate, dynamodb_endpoint: str) -> AsyncIterator[RateLimiter]:
    """Whoever owns the table: behind no gate, and with two namespaces in it."""
    repository = Repository(gate.table_name, endpoint_url=dynamodb_endpoint, timeout=30.0)
    await repository.create_table()
    await repository.register_namespaces(["tenant", "other"])
    for name in ("default", "tenant", "other"):
        await prepare(await RateLimiter(repository, timeout=30.0).namespace(name))
    yield RateLimiter(repository)
    await repository.delete_table()
    await repository.close()


class Guest:
    """A limiter behind the gate, in one namespace, under one policy of the template."""

    def __init__(self, gate: Gate, face: str) -> None:
        self._gate = gate
        self._face = face
        self._made: list[Any] = []

    async def enter(self, policy: str, namespace: str = "default", tags: Mapping[str, str] | None = None) -> Any:
        """A limiter of its own, with nothing remembered."""
        self._gate.statements = TEMPLATE.statements(policy)
        self._gate.tags = dict(tags or {})
        options: dict[str, Any] = {"endpoint_url": self._gate.url, "namespace": namespace, "timeout": 30.0}
        limiter: Any
        if self._face == "async":
            limiter = RateLimiter(Repository(self._gate.table_name, **options), timeout=30.0)
        else:
            limiter = Awaited(SyncRateLimiter(SyncRepository(self._gate.table_name, **options), timeout=30.0))
        self._made.append(limiter)
        await limiter.repository.open()
        return limiter

    async def leave(self) -> None:
        for limiter in self._made:
            await limiter.repository.close()


@pytest.fixture(params=["async", "blocking"])
async def guest(request: pytest.FixtureRequest, gate: Gate, owner: RateLimiter) -> AsyncIterator[Guest]:
    made = Guest(gate, request.param)
    yield made
    await made.leave()


async def refuses(gate: Gate, limiter: Any, uses: Mapping[str, Any]) -> None:
    """None of these is let through, and each says which action it lacks."""
    for name, use in uses.items():
        gate.denied.clear()
        with pytest.raises(InfrastructureAccessError, match="access denied: allow the role dynamodb:") as failure:
            await use(limiter)
        assert f"allow the role {gate.denied[0].action} " in str(failure.value), name


async def test_who_may_acquire_can_charge_in_every_way_and_change_nothing(
    gate: Gate, guest: Guest, owner: RateLimiter
) -> None:
    limiter = await guest.enter("AcquireOnlyPolicy")
    for use in CHARGING.values():
        await use(limiter)

    assert gate.denied == []
    assert "dynamodb:PartiQLUpdate" in {asked.action for asked in gate.passed}
    before = await owner.get_system_defaults()
    await refuses(gate, limiter, CHANGING)
    await refuses(gate, limiter, GOVERNING_THAT_WRITES)
    assert await owner.get_system_defaults() == before
    assert await owner.get_limits("ada", "api") == WIDE


GOVERNING_THAT_WRITES = {name: use for name, use in GOVERNING.items() if name != "prepare_table"}


async def test_who_may_acquire_cannot_write_what_is_no_bucket(gate: Gate) -> None:
    statements = TEMPLATE.statements("AcquireOnlyPolicy")

    for key in ("ns/ENTITY#ada", "ns/SYSTEM", "ns/RESOURCE#api", "_/NAMESPACES", "_/VERSION", "ns/AUDIT#ada"):
        for action in ("UpdateItem", "PartiQLUpdate", "PutItem", "DeleteItem", "BatchWriteItem"):
            assert not allows(statements, Asked(f"dynamodb:{action}", TABLE_ARN, (key,)), {})
    assert allows(statements, Asked("dynamodb:UpdateItem", TABLE_ARN, ("ns/BUCKET#ada#api",)), {})
    assert not allows(statements, Asked("dynamodb:UpdateItem", TABLE_ARN), {})
    assert not allows(statements, Asked("dynamodb:UpdateItem", f"{TABLE_ARN}-other", ("ns/BUCKET#ada#api",)), {})


@pytest.mark.parametrize("denied_whole", [True, False], ids=["the batch is denied", "each statement is denied"])
async def test_a_role_that_lacks_batches_charges_one_by_one_and_says_so_once(
    gate: Gate, guest: Guest, caplog: pytest.LogCaptureFixture, denied_whole: bool
) -> None:
    limiter = await guest.enter("AcquireOnlyPolicy")
    gate.denied_whole = denied_whole
    assert gate.statements is not None
    gate.statements = [
        {**each, "Action": [action for action in each["Action"] if action != "dynamodb:PartiQLUpdate"]}
        for each in gate.statements
    ]
    for use in CHARGING.values():
        await use(limiter)

    assert {asked.action for asked in gate.denied} == {"dynamodb:PartiQLUpdate"}
    assert len(gate.denied) <= 25
    assert [record.getMessage() for record in caplog.records].count(
        "the role lacks dynamodb:PartiQLUpdate: each charge is a call of its own"
    ) == 1


async def test_a_reader_sees_everything_and_writes_nothing(gate: Gate, guest: Guest) -> None:
    limiter = await guest.enter("ReadOnlyPolicy")
    for use in READING_ALL.values():
        await use(limiter)

    assert gate.denied == []
    with pytest.raises(RateLimiterUnavailable, match="access denied: allow the role dynamodb:UpdateItem"):
        await CHARGING["acquire"](limiter)
    await refuses(gate, limiter, CHANGING)
    await refuses(gate, limiter, GOVERNING_THAT_WRITES)


async def test_an_administrator_may_do_all_of_it(gate: Gate, guest: Guest) -> None:
    limiter = await guest.enter("FullAccessPolicy")
    for use in (CHARGING | READING_ALL | CHANGING | GOVERNING).values():
        await use(limiter)

    assert gate.denied == []


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        ("NamespaceAcquirePolicy", CHARGING),
        ("NamespaceReadOnlyPolicy", READING),
        ("NamespaceFullAccessPolicy", CHARGING | READING | CHANGING),
    ],
)
async def test_a_tenant_does_in_its_own_namespace_what_its_policy_says_and_nothing_in_another(
    gate: Gate, guest: Guest, owner: RateLimiter, policy: str, allowed: Mapping[str, Any]
) -> None:
    registered = {each["name"]: each["namespace_id"] for each in await owner.repository.list_namespaces()}
    tags = {"zael_namespace_id": registered["tenant"]}
    own = await guest.enter(policy, "tenant", tags)
    for use in allowed.values():
        await use(own)
    assert gate.denied == []
    gate.passed.clear()

    foreign = await guest.enter(policy, "other", tags)
    with pytest.raises((RateLimiterUnavailable, InfrastructureAccessError), match="access denied"):
        await CHARGING["acquire"](foreign)
    with pytest.raises(InfrastructureAccessError, match="access denied"):
        await foreign.get_system_defaults()
    await refuses(gate, foreign, CHANGING)
    await refuses(gate, foreign, GOVERNING_THAT_WRITES)
    assert {key.partition("/")[0] for asked in gate.passed for key in asked.keys} == {"_"}


async def test_a_role_without_the_tag_reaches_no_namespace(gate: Gate, guest: Guest) -> None:
    limiter = await guest.enter("NamespaceFullAccessPolicy", "tenant")

    with pytest.raises((RateLimiterUnavailable, InfrastructureAccessError), match="access denied"):
        await CHARGING["acquire"](limiter)


@pytest.mark.parametrize("policy", ["NamespaceAcquirePolicy", "NamespaceReadOnlyPolicy", "NamespaceFullAccessPolicy"])
def test_a_tenant_can_neither_scan_nor_write_the_registry(policy: str) -> None:
    """No leading keys satisfy every rule for all of them: a scan needs a rule of its own against it."""
    statements, tags = TEMPLATE.statements(policy), {"zael_namespace_id": "mine"}

    for resource in (TABLE_ARN, f"{TABLE_ARN}/index/listing"):
        for action in ("Scan", "PartiQLSelect", "Query"):
            assert not allows(statements, Asked(f"dynamodb:{action}", resource), tags)
    for key in ("_/NAMESPACES", "_/NAMESPACE_IDS", "_/VERSION", "_/ROLLUP", "theirs/SYSTEM", "minefield/SYSTEM"):
        for action in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLUpdate"):
            assert not allows(statements, Asked(f"dynamodb:{action}", TABLE_ARN, ("mine/SYSTEM", key)), tags)
