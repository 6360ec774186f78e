"""What the decorator `limited` is put on: functions; whatever it could not charge for is told at once."""

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from zae_limiter import ValidationError
from zae_limiter.testing import memory_limiter, sync_memory_limiter


async def numbers() -> AsyncIterator[int]:
    yield 1


def letters() -> Iterator[str]:
    yield "a"


class Feed:
    def lines(self, many: int = 1) -> Iterator[str]:
        yield from "a" * many


def plain(*_: object) -> None: ...


class Caller:
    async def __call__(self, *_: object) -> str:
        return "called"


class Reader:
    def __call__(self, *_: object) -> Iterator[str]:
        yield "a"


@pytest.mark.parametrize(
    "function",
    [
        numbers,
        letters,
        Feed().lines,
        functools.partial(Feed().lines, 2),
        Reader(),
        functools.partial(Reader(), 2),
        classmethod(plain),
        staticmethod(plain),
    ],
)
@pytest.mark.parametrize("make", [memory_limiter, sync_memory_limiter])
def test_what_is_no_function_of_this_kind_is_told_when_it_is_decorated(make: Any, function: Any) -> None:
    with pytest.raises(ValidationError, match=r"no generator can be limited.* Put @limited below @classmethod"):
        make().limited(entity_id="someone", resource="api", limits="10/minute")(function)


def test_a_method_of_a_class_is_charged_below_its_own_decorator() -> None:
    limiter = sync_memory_limiter()

    class Mailer:
        @classmethod
        @limiter.limited(entity_id="someone", resource="api", limits="10/minute")
        def send(cls) -> str:
            return cls.__name__

    assert Mailer.send() == Mailer().send() == "Mailer"
    assert limiter.available("someone", "api", "10/minute") == {"rpm": 8}


@pytest.mark.anyio
@pytest.mark.parametrize("called", [Caller(), functools.partial(Caller(), 2)])
async def test_an_object_that_is_called_is_told_apart_by_its_call(called: Any) -> None:
    with pytest.raises(ValidationError, match=r"SyncRateLimiter\.limited plain ones"):
        sync_memory_limiter().limited(entity_id="someone", resource="api", limits="10/minute")(called)
    limiter = memory_limiter()
    assert await limiter.limited(entity_id="someone", resource="api", limits="10/minute")(called)() == "called"
    assert await limiter.available("someone", "api", "10/minute") == {"rpm": 9}
