"""Any name that is allowed may be used, whatever DynamoDB calls its own; no record grows with the number of them."""

import pytest

from tests.dynamodb.troubled import TroubledClient
from zae_limiter import Limit, SyncRateLimiter, SyncRepository, ValidationError
from zae_limiter.testing import TurnableClock

AWKWARD = ["PK", "SK", "L", "LS", "ttl", "a", "w", "n", "q", "window", "entity_id", "total_events", "a.b-c_d"]
LONGEST = "x" * 64


def test_resources_and_limits_may_be_called_like_attributes(shaky: SyncRepository, clock: TurnableClock) -> None:
    """W5, W26."""
    limits = [Limit.per_minute(name, 5) for name in [*AWKWARD, LONGEST]]
    with SyncRateLimiter(shaky, clock=clock) as limiter:
        for resource in [*AWKWARD, "openai/gpt-4", LONGEST]:
            limiter.set_limits("user", limits, resource)
            with limiter.acquire("user", resource, dict.fromkeys([*AWKWARD, LONGEST], 1)):
                pass
            assert set(limiter.available("user", resource).values()) == {4}
        assert limiter.list_resources_with_entity_configs() == sorted([*AWKWARD, "openai/gpt-4", LONGEST])


def test_no_record_grows_with_the_number_of_those_who_have_limits(
    shaky: SyncRepository, troubled: TroubledClient
) -> None:
    """W26."""
    for number in range(30):
        shaky.set_limits(f"user-{number}", [Limit.per_minute("rpm", 5)], f"resource-{number % 3}")
        shaky.set_resource_defaults(f"resource-{number}", [Limit.per_minute("rpm", 5)])
    items = troubled.scan(TableName=shaky.table_name)["Items"]
    assert max(len(str(item)) for item in items) < 1_000
    assert len(shaky.list_resources_with_defaults()) == 30


@pytest.mark.parametrize("wrong", ["a#b", "", "a\n", "x" * 2_049])
def test_a_name_that_cannot_be_is_told_before_anything_is_asked(
    shaky: SyncRepository, troubled: TroubledClient, wrong: str
) -> None:
    """W25."""
    before = len(troubled.calls)
    limits = [Limit.per_minute("rpm", 5)]
    for call in (
        lambda: shaky.create_entity(wrong),
        lambda: shaky.create_entity("user", parent_id=wrong),
        lambda: shaky.create_entity("user", principal=wrong),
        lambda: shaky.update_entity(wrong),
        lambda: shaky.get_entity(wrong),
        lambda: shaky.delete_entity(wrong),
        lambda: shaky.get_children(wrong),
        lambda: shaky.set_limits(wrong, limits),
        lambda: shaky.set_limits("user", limits, wrong),
        lambda: shaky.set_limits("user", limits, principal=wrong),
        lambda: shaky.get_limits(wrong),
        lambda: shaky.delete_limits("user", wrong),
        lambda: shaky.set_resource_defaults(wrong, limits),
        lambda: shaky.delete_resource_defaults(wrong),
        lambda: shaky.get_buckets(wrong),
        lambda: shaky.get_buckets("user", wrong),
        lambda: shaky.get_bucket("user", "api", wrong),
        lambda: shaky.batch_get_buckets([("user", wrong)]),
        lambda: shaky.get_resource_buckets(wrong),
        lambda: shaky.reset_buckets("user", wrong),
        lambda: shaky.get_usage_snapshots(wrong),
        lambda: shaky.resolve_limits("user", wrong),
        lambda: shaky.list_entities_with_custom_limits(wrong),
        lambda: shaky.list_entities_with_custom_limits("api", cursor=wrong or "#"),
        lambda: shaky.delete_namespace(wrong),
        lambda: shaky.get_namespace(wrong),
    ):
        with pytest.raises(ValidationError):
            call()
    for limit in (0, True, "1"):
        for page in (shaky.list_entities_with_custom_limits, shaky.get_audit_events):
            with pytest.raises(ValidationError):
                page("api", limit)  # type: ignore[arg-type]
    assert len(troubled.calls) == before
