"""Lending a repository to the other face: in threads, with the remedy where that cannot be, and to nobody else."""

import threading
from typing import Any

import pytest

from zae_limiter import EmbeddedRepository, RateLimiter, SyncEmbeddedRepository, SyncRateLimiter
from zae_limiter.blocking import core_of, in_threads, is_blocking
from zae_limiter.runtimes import AsyncRuntime

LIMITS = "10/minute"


class Handwritten:
    """A blocking store that notes in which threads it was called."""

    def __init__(self, kept: Any) -> None:
        self._kept = kept
        self.threads: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._kept, name)
        if not callable(value):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            self.threads[name] = threading.get_ident()
            return value(*args, **kwargs)

        return call


async def test_blocking_code_never_holds_up_the_event_loop() -> None:
    store: Any = Handwritten(SyncEmbeddedRepository())
    async with RateLimiter(store) as limiter:
        await limiter.set_system_defaults(LIMITS)
        async with limiter.acquire("someone", "api", 1) as lease:
            await lease.adjust(rpm=1)
        assert await limiter.available("someone", "api") == {"rpm": 8}
        assert await limiter.is_available()
    asked = store.threads
    assert {"open", "debit", "settle", "resolve", "read", "ping", "set_system_defaults", "close"} <= asked.keys()
    # Only what tells from memory is asked here.
    here = {name for name, thread in asked.items() if thread == threading.get_ident()}
    assert here == {"remembered"}


async def test_a_limiter_guards_what_waits_in_a_thread() -> None:
    blocking = SyncEmbeddedRepository()
    assert blocking.capabilities.answers_inline
    limiter = RateLimiter(blocking)
    assert not limiter.repository.capabilities.answers_inline
    assert limiter.repository.capabilities.supports_audit_logging


async def test_what_is_asked_of_a_lent_repository_can_be_awaited() -> None:
    async with RateLimiter(SyncEmbeddedRepository()) as limiter:
        await limiter.repository.register_namespace("tenant")
        tenant = await limiter.repository.namespace("tenant")
        await tenant.create_entity("someone")
        assert await limiter.get_entity("someone") is None
        other = await limiter.namespace("tenant")
        assert (await other.get_entity("someone")) is not None


async def test_an_asynchronous_repository_is_taken_as_it_is() -> None:
    repository = EmbeddedRepository()
    assert RateLimiter(repository).repository is repository


class HandedOn:
    """An asynchronous store behind plain functions, as a decorator may leave them."""

    def __init__(self, kept: Any) -> None:
        self._kept = kept

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._kept, name)
        if not callable(value) or name == "remembered":
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            return value(*args, **kwargs)

        return call


def test_a_plain_function_that_hands_on_a_coroutine_is_told_on_the_blocking_face() -> None:
    store: Any = HandedOn(EmbeddedRepository())
    with pytest.raises(TypeError, match=r"is awaited.*SyncEmbeddedRepository"):
        SyncRateLimiter(store).get_entity("someone")


async def test_a_plain_function_that_hands_on_a_coroutine_is_awaited_on_the_async_face() -> None:
    store: Any = HandedOn(EmbeddedRepository())
    async with RateLimiter(store) as limiter, limiter.acquire("someone", "api", 1, LIMITS):
        assert await limiter.available("someone", "api", LIMITS) == {"rpm": 9}


def test_the_blocking_face_names_the_remedy_for_an_asynchronous_repository() -> None:
    store: Any = EmbeddedRepository()
    with pytest.raises(TypeError, match=r"EmbeddedRepository is awaited.*SyncEmbeddedRepository.*or RateLimiter"):
        SyncRateLimiter(store)


@pytest.mark.parametrize("wrong", ["limits.db", None, EmbeddedRepository, SyncEmbeddedRepository, object()])
@pytest.mark.parametrize("face", [RateLimiter, SyncRateLimiter])
def test_what_is_no_repository_is_told_at_once(face: Any, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"repository must keep RepositoryProtocol.*open_limiter"):
        face(wrong)


def test_a_store_may_have_a_core_of_its_own_that_is_none_of_ours() -> None:
    store: Any = Handwritten(SyncEmbeddedRepository())
    store._core = object()
    with SyncRateLimiter(store) as limiter, limiter.acquire("someone", "api", 1, LIMITS):
        assert limiter.available("someone", "api", LIMITS) == {"rpm": 9}


def test_what_stands_in_front_of_a_repository_of_ours_is_not_passed_by() -> None:
    store: Any = Handwritten(SyncEmbeddedRepository())
    with SyncRateLimiter(store) as limiter, limiter.acquire("someone", "api", 1, LIMITS):
        pass
    assert {"open", "debit", "close"} <= store.threads.keys()


def test_a_repository_of_ours_lends_its_core() -> None:
    repository = SyncEmbeddedRepository()
    assert core_of(repository) is repository._core
    assert is_blocking(repository)
    assert not is_blocking(repository._core)
    assert in_threads(repository._core, AsyncRuntime()) is repository._core
