"""Marks: short, of their own for each write and process, drawn anew after a fork, and counted around."""

import itertools
import multiprocessing
from typing import Any

from zae_limiter.dynamodb.marks import Marks


def test_marks_are_eight_characters_and_none_comes_twice() -> None:
    marks = Marks()
    found = [marks.next() for _ in range(10_000)]
    assert {len(mark) for mark in found} == {8}
    assert len(set(found)) == 10_000
    assert len({mark[:4] for mark in found}) == 1


def test_processes_draw_marks_of_their_own() -> None:
    assert len({Marks().next()[:4] for _ in range(50)}) >= 49


def test_the_counter_comes_round_after_24_bits() -> None:
    marks = Marks()
    marks._count = itertools.count(2**24 - 1)
    last, first = marks.next(), marks.next()
    marks._count = itertools.count(0)
    assert first == marks.next()
    assert last != first


def _draw(marks: Marks, answers: Any) -> None:
    answers.put([marks.next() for _ in range(3)])


def test_a_child_draws_marks_of_its_own() -> None:
    context = multiprocessing.get_context("fork")
    marks, answers = Marks(), context.Queue()
    before = marks.next()
    children = [context.Process(target=_draw, args=(marks, answers)) for _ in range(2)]
    for child in children:
        child.start()
    drawn = [answers.get(timeout=60) for _ in children]
    for child in children:
        child.join(60)
    after = marks.next()
    assert before[:4] == after[:4], "the parent goes on with its own"
    assert len({before[:4], *(found[0][:4] for found in drawn)}) == 3
    assert all(len(set(found)) == 3 for found in drawn)
