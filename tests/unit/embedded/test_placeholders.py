"""Placeholders with numbers mean the same over a connection that puts their parameters in turn."""

import contextlib
import sqlite3
from typing import Any

import pytest

from zae_limiter.embedded.placeholders import InTurn


@pytest.mark.parametrize(
    ("sql", "parameters", "row"),
    [
        ("select 1", (), (1,)),
        ("select ?, ?", ("a", "b"), ("a", "b")),
        ("select ?1, ?2, ?1", ("a", "b"), ("a", "b", "a")),
        ("select ?2 || ?1 || ?11", [str(number) for number in range(11)], ("1010",)),
        ("select :a || :b || :a", {"a": "x", "b": "y"}, ("xyx",)),
        ("select ?2", ("unused", None), (None,)),
    ],
)
def test_a_statement_answers_the_same(sql: str, parameters: Any, row: tuple[Any, ...]) -> None:
    with contextlib.closing(sqlite3.connect(":memory:", factory=InTurn)) as connection:
        assert connection.execute(sql, parameters).fetchall() == [row]
