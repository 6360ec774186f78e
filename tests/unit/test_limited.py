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


@pytest.mark.parametrize(
    "function",
    [numbers, letters, Feed().lines, functools.partial(Feed().lines, 2), classmethod(plain), staticmethod(plain)],
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
