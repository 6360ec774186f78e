"""One way to take a rule of admission away."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """A rule, how it is taken away, and the test that must notice."""

    rule: str
    path: str
    old: str
    new: str
    test: str
