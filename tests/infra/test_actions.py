"""The template's policies allow what the library's own calls need: no less, no more, and nothing that IAM lacks."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from tests.dynamodb.tables import fresh_name
from tests.infra.gate import guarded
from tests.infra.template import TABLE_ARN, Resolved
from tests.infra.uses import CHANGING, CHARGING, GOVERNING, NOT_A_USE, READING, READING_ALL, Use, prepare
from zae_limiter import RateLimiter, Repository
from zae_limiter.aggregator.stream import roll_up
from zae_limiter.infra.template import parameters_of
from zae_limiter.models import StackOptions

EVERYTHING = StackOptions(
    create_iam_roles=True, enable_tracing=True, kms_key_arn="arn:aws:kms:eu-central-1:123456789012:key/1"
)
TEMPLATE = Resolved(parameters_of(EVERYTHING, "limits"))
GROUPS: Mapping[str, Mapping[str, Use]] = {
    "charging": CHARGING,
    "reading": READING,
    "reading all": READING_ALL,
    "changing": CHANGING,
    "governing": GOVERNING,
}
USED_FOR = {
    "AcquireOnlyPolicy": ("charging",),
    "ReadOnlyPolicy": ("reading", "reading all"),
    "FullAccessPolicy": (*GROUPS, "counting"),
    "NamespaceAcquirePolicy": ("charging",),
    "NamespaceReadOnlyPolicy": ("reading",),
    "NamespaceFullAccessPolicy": ("charging", "reading", "changing"),
}
Kinds = set[tuple[str, str]]
"""Actions, each with the kind of thing that it is for."""


async def asked_by_group(endpoint: str) -> dict[str, Kinds]:
    """What the library's calls ask for, by what they are for."""
    found: dict[str, Kinds] = {}
    name = fresh_name()
    with guarded(endpoint, name, TABLE_ARN) as gate:
        owner = Repository(name, endpoint_url=endpoint, timeout=30.0)
        await owner.create_table()
        await prepare(RateLimiter(owner, timeout=30.0))
        for group, uses in GROUPS.items():
            gate.passed.clear()
            async with Repository(name, endpoint_url=gate.url, timeout=30.0) as repository:
                for use in uses.values():
                    await use(RateLimiter(repository, timeout=30.0))
            found[group] = {(each.action, kind_of(each.resource)) for each in gate.passed}
        gate.passed.clear()
        roll_up(name, endpoint_url=gate.url)
        found["counting"] = {(each.action, kind_of(each.resource)) for each in gate.passed}
        await owner.delete_table()
        await owner.close()
    return found


def kind_of(resource: str) -> str:
    rest = resource.removeprefix(TABLE_ARN)
    return rest.split("/")[1] if rest else "table"


def allowed_by(policy: str) -> Kinds:
    """What a policy allows of DynamoDB, in the same words; only queries and scans are of an index."""
    found = {
        (action, kind_of(resource))
        for statement in TEMPLATE.statements(policy)
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
        if action.startswith("dynamodb:")
    }
    return {each for each in found if each[1] != "index" or each[0] in ("dynamodb:Query", "dynamodb:Scan")}


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


async def test_each_policy_allows_what_its_uses_ask_for_and_nothing_else(dynamodb_endpoint: str) -> None:
    """Weak point W35, from the library's side: what it sends is what decides."""
    found = await asked_by_group(dynamodb_endpoint)

    needed = {policy: Kinds().union(*(found[group] for group in groups)) for policy, groups in USED_FOR.items()}
    allowed = {policy: allowed_by(policy) for policy in USED_FOR}
    missing = {(policy, *each) for policy in USED_FOR for each in needed[policy] - allowed[policy]}
    needless = {(policy, *each) for policy in USED_FOR for each in allowed[policy] - needed[policy]}
    assert (missing, needless) == (set(), set())


def test_every_call_of_a_limiter_and_its_repository_is_a_use() -> None:
    """Without it, a call that is added later would ask for what no policy allows, and no test would say so."""
    calls = {
        name
        for each in (RateLimiter, Repository)
        for name in dir(each)
        if not name.startswith("_") and callable(getattr(each, name))
    }
    named = {name.partition(", of")[0] for uses in GROUPS.values() for name in uses}
    used = {part.strip() for name in named for part in name.split(",")}

    assert calls - used - NOT_A_USE == set()
    assert used & NOT_A_USE == set()
    assert calls >= NOT_A_USE


def actions() -> set[str]:
    """Every action that the template allows or denies."""

    def named(part: Any) -> set[str]:
        parts = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        own = listed(part["Action"]) if isinstance(part, dict) and "Effect" in part else []
        return set(own).union(*map(named, parts))

    return named(TEMPLATE.resources())


def real_actions() -> dict[str, set[str]]:
    """The actions of each service as AWS lists them for its policy editor; the linter brings the list."""
    listing = files("cfnlint.data.AdditionalSpecs").joinpath("Policies.json").read_text(encoding="utf-8")
    return {service: {each.lower() for each in told["Actions"]} for service, told in json.loads(listing).items()}


def test_every_action_is_one_that_iam_knows() -> None:
    """Weak point W35: `dynamodb:TransactWriteItems` is no action, however much it looks like one."""
    real = real_actions()
    told = {action: action.partition(":")[::2] for action in actions() - {"s3:*"}}

    assert "transactwriteitems" not in real["dynamodb"]
    assert {action for action, (service, name) in told.items() if name.lower() not in real[service]} == set()
    assert {service for service, _ in told.values()} == {"dynamodb", "kms", "logs", "s3", "sqs", "sts", "xray"}
