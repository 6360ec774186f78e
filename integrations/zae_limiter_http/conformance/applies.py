"""Which drivers a check is about: all, unless `on` names their letters."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

LETTERS: Final = "SALQWGF"
_LETTERS_OF: Final = "zae_limiter_letters"
_CHECK: Final = re.compile(r"test_(c\d+)")


def on(letters: str) -> Callable[[F], F]:
    """Let a check apply to the drivers of these letters alone."""

    def marked(check: F) -> F:
        setattr(check, _LETTERS_OF, letters)
        return check

    return marked


def checks_of(suite: type) -> Iterator[tuple[str, str]]:
    """The checks of a suite: the name of each method, and its first number (`C07`)."""
    for name in dir(suite):
        found = _CHECK.match(name)
        if found and callable(getattr(suite, name)):
            yield name, found[1].upper()


def applies(suite: type, name: str, letter: str) -> bool:
    """Whether a check applies to the driver of a letter."""
    return letter in getattr(getattr(suite, name), _LETTERS_OF, LETTERS)
