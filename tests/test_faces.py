"""Both faces have the same members with the same arguments: a twin that falls behind is found here."""

import inspect
from typing import Any

import pytest

from zae_limiter import (
    EmbeddedRepository,
    Lease,
    RateLimiter,
    Repository,
    RepositoryProtocol,
    StackManager,
    SyncEmbeddedRepository,
    SyncLease,
    SyncRateLimiter,
    SyncRepository,
    SyncRepositoryProtocol,
    SyncStackManager,
)

TWINS = [
    (RateLimiter, SyncRateLimiter),
    (Lease, SyncLease),
    (RepositoryProtocol, SyncRepositoryProtocol),
    (EmbeddedRepository, SyncEmbeddedRepository),
    (Repository, SyncRepository),
    (StackManager, SyncStackManager),
]


def public(kind: type) -> dict[str, Any]:
    return {name: inspect.getattr_static(kind, name) for name in dir(kind) if not name.startswith("_")}


def arguments(member: Any) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(member).parameters.values()
    return [(each.name, each.kind, each.default) for each in found]


@pytest.mark.parametrize(("core", "twin"), TWINS, ids=lambda kind: kind.__name__)
def test_a_twin_has_every_member_of_its_core(core: type, twin: type) -> None:
    # Slots are data members: a lease keeps its state in them, its twin tells it by properties.
    assert set(public(core)) == set(public(twin))


@pytest.mark.parametrize(("core", "twin"), TWINS, ids=lambda kind: kind.__name__)
def test_a_twin_takes_the_same_arguments_and_answers_at_once(core: type, twin: type) -> None:
    theirs = public(twin)
    for name, member in public(core).items():
        if inspect.isfunction(member):
            assert arguments(member) == arguments(theirs[name]), name
            assert not inspect.iscoroutinefunction(theirs[name]), name
