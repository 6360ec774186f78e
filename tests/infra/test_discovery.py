"""What is deployed is found by its tags, over all pages, on both faces."""

import asyncio
from collections.abc import Callable

import pytest

from tests.infra.cloudformation import Endpoint, Stack
from zae_limiter import __version__
from zae_limiter.exceptions import InfrastructureAccessError
from zae_limiter.infra.discovery import InfrastructureDiscovery
from zae_limiter.infra.sync_discovery import SyncInfrastructureDiscovery
from zae_limiter.infra.tags import managed_tags
from zae_limiter.models import LimiterInfo
from zae_limiter.schema import SCHEMA_VERSION

Find = Callable[[str | None], list[LimiterInfo]]


@pytest.fixture(params=["async", "blocking"])
def find(request: pytest.FixtureRequest, endpoint: Endpoint) -> Find:
    """Asks for limiters of a type on one face."""

    async def found(stack_type: str | None) -> list[LimiterInfo]:
        discovery = InfrastructureDiscovery("eu-central-1", endpoint.url)
        try:
            return await discovery.list_limiters(stack_type)
        finally:
            await discovery.close()

    def found_blocking(stack_type: str | None) -> list[LimiterInfo]:
        discovery = SyncInfrastructureDiscovery("eu-central-1", endpoint.url)
        try:
            return discovery.list_limiters(stack_type)
        finally:
            discovery.close()

    if request.param == "blocking":
        return found_blocking
    return lambda stack_type: asyncio.run(found(stack_type))


def standing(endpoint: Endpoint, name: str, status: str = "CREATE_COMPLETE", **tags: str) -> None:
    endpoint.stacks[name] = Stack(name, status, tags=managed_tags(name) | tags)


def test_limiters_are_found_on_all_pages_by_name(endpoint: Endpoint, find: Find) -> None:
    for name in ("web", "api", "jobs"):
        standing(endpoint, name)
    endpoint.stacks["other"] = Stack("other", "CREATE_COMPLETE", tags={"ManagedBy": "somebody"})
    endpoint.stacks["plain"] = Stack("plain", "CREATE_COMPLETE")
    standing(endpoint, "gone", "DELETE_COMPLETE")
    endpoint.page_size = 1
    found = find(None)

    assert [info.stack_name for info in found] == ["api", "jobs", "web"]
    assert (found[0].region, found[0].version, found[0].schema_version) == ("eu-central-1", __version__, SCHEMA_VERSION)
    assert found[0].is_healthy


def test_one_type_is_asked_for(endpoint: Endpoint, find: Find) -> None:
    standing(endpoint, "api")
    standing(endpoint, "api-load", **{"zae-limiter:type": "load-test"})

    assert [info.stack_name for info in find("limiter")] == ["api"]
    assert [info.stack_name for info in find("load-test")] == ["api-load"]


def test_how_a_stack_stands_is_told(endpoint: Endpoint, find: Find) -> None:
    standing(endpoint, "a", "UPDATE_ROLLBACK_COMPLETE")
    standing(endpoint, "b", "UPDATE_IN_PROGRESS")
    found = find(None)

    assert [(info.is_failed, info.is_in_progress) for info in found] == [(True, False), (False, True)]


def test_a_failure_is_never_taken_for_none(endpoint: Endpoint, find: Find) -> None:
    endpoint.refusals = [("DescribeStacks", 403, "AccessDenied", "User is not authorized")]

    with pytest.raises(InfrastructureAccessError, match="cloudformation:DescribeStacks"):
        find(None)
