"""Writes of buckets as DynamoDB takes them: one condition for each branch, no value unused, no name said twice."""

import itertools
import re
from typing import Any

import pytest

from tests.dynamodb.fake_table import FakeTable
from zae_limiter.aws_errors import ConditionFailed
from zae_limiter.dynamodb.expressions import Branch, Part, Update, fits_statement, statement, update_item
from zae_limiter.schema import Key, ListingKey

NOW = 1_800_000_000_000_000_000
SECOND = 1_000_000_000
RATE, OTHER = (1, 6_000_000_000), (1, 3_000_000_000)
KEY = Key("ns/BUCKET#someone#api", "#BUCKET")
LISTED = ListingKey("ns/LIST#00", "BUCKET#someone#api#")


def part(branch: Branch, name: str = "rpm") -> Part:
    tokens = -1 if branch is Branch.CREDIT else 1
    return Part(name, RATE, branch, tokens, 6 * SECOND, NOW + 54 * SECOND, OTHER)


def update(*parts: Part, mark: str = "aaaaaaaa", ttl: int | None = 1, **more: Any) -> Update:
    return Update(KEY, parts, NOW, mark, ttl, **more)


@pytest.mark.parametrize("branches", list(itertools.combinations(Branch, 3)))
@pytest.mark.parametrize("ttl", [None, 7])
@pytest.mark.parametrize(("listed", "carried_at"), [(LISTED, None), (None, (0, NOW)), (None, (5, NOW))])
def test_every_name_and_every_value_is_used(
    branches: tuple[Branch, ...], ttl: int | None, listed: ListingKey | None, carried_at: tuple[int, int] | None
) -> None:
    parts = [part(branch, f"limit{number}") for number, branch in enumerate(branches)]
    sent = update_item(update(*parts, ttl=ttl, listed=listed, carried_at=carried_at), "table")
    text = f"{sent['UpdateExpression']} {sent['ConditionExpression']}"
    used = set(re.findall(r"[#:]\w+", text))
    assert used == {*sent["ExpressionAttributeNames"], *sent["ExpressionAttributeValues"]}
    changed = re.findall(r"(?:SET|ADD|REMOVE|,) (#\w+)", sent["UpdateExpression"].replace("if_not_exists(", "("))
    assert len(changed) == len(set(changed)), "a path that is named twice is refused"


def test_numbers_are_sent_as_they_are() -> None:
    sent = update_item(update(part(Branch.DRAINING)), "table")
    numbers = [value["N"] for value in sent["ExpressionAttributeValues"].values() if "N" in value]
    assert all(re.fullmatch(r"-?[1-9]\d*", number) for number in numbers)


def _item(**attributes: Any) -> dict[str, Any]:
    return {"PK": {"S": KEY.pk}, "SK": {"S": KEY.sk}, **attributes}


def bucket(full_at: int, rate: str = "1:6000000000") -> dict[str, Any]:
    told = {"f.rpm": {"N": str(full_at)}, "r.rpm": {"S": rate}, "u.rpm": {"N": "1"}}
    return _item(**told, w={"S": "zzzzzzzz"}, ttl={"N": "1"})


LATE = NOW + 54 * SECOND
HOLDS = {
    Branch.DRAINING: [(NOW, True), (LATE, True), (NOW - 1, False), (LATE + 1, False), (None, False)],
    Branch.FULL: [(NOW - 1, True), (None, True), (NOW, False)],
    Branch.OWED: [(NOW, True), (LATE + 1, True), (NOW - 1, False), (None, False)],
    Branch.ROOM: [(NOW - 1, True), (LATE, True), (LATE + 1, False), (None, False)],
    Branch.NEW_ROOM: [(NOW - 1, True), (LATE, True), (None, True), (LATE + 1, False)],
    Branch.CREDIT: [(NOW - 1, True), (LATE + 1, True), (None, False)],
    Branch.REMOVED: [(LATE - 1, True), (LATE, False), (None, False)],
}


@pytest.mark.parametrize(
    ("branch", "full_at", "holds"), [(branch, *each) for branch, found in HOLDS.items() for each in found]
)
def test_each_branch_writes_only_where_it_is_right(branch: Branch, full_at: int | None, *, holds: bool) -> None:
    assert _is_written(update(part(branch)), None if full_at is None else bucket(full_at)) is holds


@pytest.mark.parametrize("branch", sorted(set(Branch) - {Branch.CARRIED, Branch.REMOVED}))
def test_no_branch_writes_in_another_rate(branch: Branch) -> None:
    for full_at in (NOW - 1, NOW, LATE):
        assert not _is_written(update(part(branch)), bucket(full_at, "1:3000000000"))


def test_a_carry_over_rests_on_the_old_balance_its_rate_and_the_last_carry_over() -> None:
    first, later = update(part(Branch.CARRIED), carried_at=(0, NOW)), update(part(Branch.CARRIED), carried_at=(5, NOW))
    old = bucket(LATE, "1:3000000000")
    assert _is_written(first, old)
    assert not _is_written(first, bucket(LATE + 1, "1:3000000000"))
    assert not _is_written(first, bucket(LATE))
    assert not _is_written(first, {**old, "a": {"N": "5"}})
    assert _is_written(later, {**old, "a": {"N": "5"}})
    assert not _is_written(later, {**old, "a": {"N": "6"}})
    assert not _is_written(later, old)


def test_no_write_goes_over_its_own_mark_or_a_later_time_to_live() -> None:
    assert not _is_written(update(part(Branch.DRAINING), mark="zzzzzzzz"), bucket(NOW))
    assert _is_written(update(part(Branch.DRAINING), ttl=2), bucket(NOW))
    assert not _is_written(update(part(Branch.DRAINING), ttl=0), bucket(NOW))


def _is_written(write: Update, item: dict[str, Any] | None) -> bool:
    """Whether the write is made; a batch, where it can say it, says the same."""
    table, batch = FakeTable(), FakeTable()
    for each in (table, batch):
        if item is not None:
            each.items[KEY.pk, KEY.sk] = item
    written = True
    try:
        table.execute("UpdateItem", update_item(write, "table"))
    except ConditionFailed:
        written = False
    if item is not None and fits_statement(write, "table"):
        told = statement(write, "table")
        (answer,) = batch.execute("BatchExecuteStatement", {"Statements": [told]})["Responses"]
        assert ("Item" in answer and "Error" not in answer) is written
        assert batch.items == table.items
    return written


def test_names_are_quoted_in_statements() -> None:
    told = statement(update(part(Branch.DRAINING, 'a"b')), 'ta"ble')
    assert told["Statement"].startswith('UPDATE "ta""ble" SET "w"=?')
    assert '"f.a""b"' in told["Statement"]
    assert told["Statement"].count("?") == len(told["Parameters"])


def test_what_a_statement_cannot_say_is_told_before() -> None:
    assert fits_statement(update(part(Branch.DRAINING)), "table")
    assert not fits_statement(update(part(Branch.NEW_ROOM)), "table")
    many = [part(Branch.DRAINING, "limit" * 12 + str(number)) for number in range(30)]
    assert not fits_statement(update(*many), "table")
