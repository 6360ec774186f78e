"""Usage equals the charges made, in whatever pieces, however often and with whatever accidents records arrive."""

import contextlib
import random
from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.aggregator.pump import Pump
from tests.aggregator.streams import NOON, SnapshotTable, bucket_record
from zae_limiter.aggregator.handler import answer_of
from zae_limiter.aggregator.intake import Intake
from zae_limiter.aggregator.records import BucketChange, MalformedRecordError, change_of
from zae_limiter.aggregator.rollup import grouped, rest_of, update_of
from zae_limiter.aggregator.snapshots import Snapshots
from zae_limiter.blocking import run
from zae_limiter.runtimes import BlockingRuntime
from zae_limiter.schema import EVENTS, usage_key
from zae_limiter.testing import TurnableClock
from zae_limiter.windows import WINDOWS, window_start

HISTORIES: Final = 5_000
PARTS: Final = 4
LIMITS: Final = ("rpm", "tpm", "a.b-c")
BUCKETS: Final = (("ada", "api"), ("ada", "chat"), ("bob", "api"))


def intake_of(table: SnapshotTable) -> Intake:
    snapshots = Snapshots(table, "table", clock=TurnableClock())
    return Intake(snapshots, windows=WINDOWS, runtime=BlockingRuntime())


class History:
    """Charges on a few buckets, which come and go, as records, and what was charged in each window."""

    def __init__(self, chance: random.Random) -> None:
        self.records: list[dict[str, Any]] = []
        self.charged: dict[tuple[str, str], dict[str, int]] = {}
        self._chance = chance
        self._now = NOON + chance.randrange(86_400 * 40)
        self._images: dict[tuple[str, str], dict[str, int] | None] = {}
        for _ in range(chance.randrange(1, 30)):
            self._now += chance.choice((0, 0, 1, 600, 3_599, 86_400))
            self._step(chance.choice(BUCKETS))

    def _step(self, bucket: tuple[str, str]) -> None:
        old = self._images.get(bucket)
        kind = self._chance.random()
        new: dict[str, int] | None
        if old is not None and kind < 0.1:
            new = None
        elif old and kind < 0.2:
            gone = self._chance.choice(sorted(old))
            new = {limit: count for limit, count in old.items() if limit != gone}
        else:
            new = dict(old or {})
            for limit in self._chance.sample(LIMITS, self._chance.randrange(3)):
                amount = self._chance.choice((1, 1, 7, 5_000, -3))
                new[limit] = new.get(limit, 0) + amount
                self._count(bucket, limit, amount)
        self._images[bucket] = new
        record = bucket_record(len(self.records) + 1, old, new, at=self._now, entity=bucket[0], resource=bucket[1])
        self.records.append(record)

    def _count(self, bucket: tuple[str, str], limit: str, amount: int) -> None:
        for window in WINDOWS:
            key = usage_key("ns", *bucket, window, window_start(window, self._now))
            used = self.charged.setdefault((key.pk, key.sk), {})
            used[limit] = used.get(limit, 0) + amount

    def expected(self) -> dict[tuple[str, str], dict[str, int]]:
        found = {key: {limit: n for limit, n in used.items() if n} for key, used in self.charged.items()}
        return {key: used for key, used in found.items() if used}


class LeaseLostError(BaseException):
    """Whoever reads the shard ends in the middle of it; another begins again where it last said how far it was."""


class Function:
    """The function with the accidents of its store and its own."""

    def __init__(self, chance: random.Random, table: SnapshotTable, seen: dict[str, int]) -> None:
        self._chance = chance
        self._table = table
        self._intake = intake_of(table)
        self._seen = seen
        self.calls_left = 0

    def __call__(self, event: Mapping[str, Any]) -> dict[str, Any]:
        self._table.accidents = [self._chance.choice((None, None, None, "before", "after")) for _ in range(6)]
        for accident in filter(None, self._table.accidents):
            self._seen[accident] += 1
        answer = answer_of(run(self._intake.take(event["Records"])))
        self.calls_left -= 1
        if self.calls_left == 0:
            self._seen["lease lost"] += 1
            raise LeaseLostError
        if self._chance.random() < 0.2:
            self._seen["answer lost"] += 1
            raise TimeoutError("the function did its work, and its end was never heard of")
        return answer


def deliver(history: History, table: SnapshotTable, chance: random.Random, seen: dict[str, int]) -> None:
    """Deliver a history in pieces, each of them thrice, whatever happens on the way."""
    function = Function(chance, table, seen)
    for start in range(0, len(history.records), 10):
        for calls in (chance.randrange(1, 6), chance.randrange(1, 6), 0):
            function.calls_left = calls
            with contextlib.suppress(LeaseLostError):
                Pump(function, batch_size=chance.randrange(1, 11), attempts=1_000).deliver(
                    history.records[start : start + 10]
                )


def nothing_seen() -> dict[str, int]:
    return {"before": 0, "after": 0, "answer lost": 0, "lease lost": 0}


@pytest.mark.parametrize("part", range(PARTS))
def test_usage_equals_the_charges_made_over_histories_with_repeats_bisected_batches_and_lost_answers(
    part: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Weak point W43: what came twice was counted twice."""
    caplog.set_level("CRITICAL", "zae_limiter.aggregator")
    chance = random.Random(f"usage {part}")
    seen = nothing_seen()
    for number in range(HISTORIES // PARTS):
        history, table = History(chance), SnapshotTable()
        deliver(history, table, chance, seen)

        assert table.usage() == history.expected(), f"history {number}"
    assert min(seen.values()) > HISTORIES / PARTS / 2, seen


class GuardedByLast(SnapshotTable):
    """A table that takes a group when its last record is missing, whatever else of it is in already."""

    def _write(self, parameters: Mapping[str, Any]) -> None:
        values = parameters["ExpressionAttributeValues"]
        super()._write({**parameters, "ExpressionAttributeValues": {**values, ":first": values[":last"]}})


def test_a_guard_on_the_last_record_would_be_wrong_in_many_of_these_histories(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What shows that the histories have in them what the guard is for."""
    caplog.set_level("CRITICAL", "zae_limiter.aggregator")
    chance = random.Random("a guard on the last record")
    histories, wrong = 200, 0
    for _ in range(histories):
        history, table = History(chance), GuardedByLast()
        deliver(history, table, chance, nothing_seen())
        wrong += table.usage() != history.expected()

    assert wrong > histories / 8


def test_a_guard_on_the_last_record_of_a_group_would_lose_what_an_earlier_group_has_left() -> None:
    table = SnapshotTable()
    first = bucket_record(1, None, {"rpm": 1})
    second = bucket_record(2, {"rpm": 1}, {"rpm": 3})
    third = bucket_record(3, {"rpm": 3}, {"rpm": 7})
    intake = intake_of(table)

    run(intake.take([first, second]))
    run(intake.take([first, second, third]))

    assert set(map(tuple, (used.items() for used in table.usage().values()))) == {(("rpm", 7),)}


def test_the_change_of_a_bucket_is_new_minus_old() -> None:
    def used(old: dict[str, int] | None, new: dict[str, int] | None) -> Mapping[str, int] | None:
        change = change_of(bucket_record(1, old, new))
        assert change is None or isinstance(change, BucketChange)
        return change and change.used

    assert used({"rpm": 5, "tpm": 100}, {"rpm": 6, "tpm": 70}) == {"rpm": 1, "tpm": -30}
    assert used(None, {"rpm": 4}) == {"rpm": 4}
    assert used({"rpm": 4}, None) is None
    assert used({"rpm": 4, "gone": 9}, {"rpm": 5}) == {"rpm": 1}
    assert used({"rpm": 4}, {"rpm": 4, "new": 2}) == {"new": 2}
    assert used({"rpm": 4}, {"rpm": 4}) is None


def test_a_change_counts_in_the_window_of_its_record() -> None:
    late = change_of(bucket_record(1, None, {"rpm": 1}, at=NOON + 3_599))
    later = change_of(bucket_record(2, {"rpm": 1}, {"rpm": 2}, at=NOON + 3_600))
    assert isinstance(late, BucketChange)
    assert isinstance(later, BucketChange)

    groups = grouped([late, later], ("hourly", "daily"))

    assert [(group.snapshot.window, group.snapshot.start, len(group.changes)) for group in groups] == [
        ("hourly", "2026-01-01T12:00:00Z", 1),
        ("daily", "2026-01-01T00:00:00Z", 2),
        ("hourly", "2026-01-01T13:00:00Z", 1),
    ]


def test_only_what_is_missing_is_added() -> None:
    changes = [change_of(bucket_record(number, {"rpm": number}, {"rpm": number + 1})) for number in (9, 10, 11)]
    (group,) = grouped([change for change in changes if isinstance(change, BucketChange)], ("daily",))

    rest = rest_of(group, f"{10:040}")

    assert rest is not None
    assert [change.sequence for change in rest.changes] == [f"{11:040}"]
    assert rest_of(group, f"{11:040}") is None
    assert rest_of(group, f"{8:040}") == group


def test_a_record_that_stands_in_a_batch_twice_counts_once() -> None:
    table = SnapshotTable()
    first, second = bucket_record(1, None, {"rpm": 1}), bucket_record(2, {"rpm": 1}, {"rpm": 3})

    run(intake_of(table).take([first, second, first, second]))

    assert list(table.usage().values()) == [{"rpm": 3}] * len(WINDOWS)


def test_a_snapshot_tells_how_many_changes_of_limits_it_holds() -> None:
    table = SnapshotTable()
    first, second = bucket_record(1, None, {"rpm": 1, "tpm": 5}), bucket_record(2, {"rpm": 1, "tpm": 5}, {"rpm": 3})

    for batch in ([first], [first, second]):
        run(intake_of(table).take(batch))

    assert [item[EVENTS] for item in table.items.values()] == [3] * len(WINDOWS)


def test_sequence_numbers_of_more_digits_than_a_number_holds_are_compared_as_numbers() -> None:
    short, long = (change_of(bucket_record(number, None, {"rpm": 1})) for number in (9, 10**39))
    assert isinstance(short, BucketChange)
    assert isinstance(long, BucketChange)

    assert short.sequence < long.sequence
    assert len(short.sequence) == len(long.sequence) == 40


def test_a_snapshot_is_kept_for_its_days_after_its_window_is_over() -> None:
    change = change_of(bucket_record(1, None, {"rpm": 1}))
    assert isinstance(change, BucketChange)
    (group,) = grouped([change], ("monthly",))

    update = update_of(group, "table", 90)

    february = NOON - 43_200 + 31 * 86_400
    assert update["ExpressionAttributeValues"][":ttl"] == {"N": str(february + 90 * 86_400)}


@pytest.mark.parametrize(
    "changed",
    [
        {"SequenceNumber": "x1"},
        {"SequenceNumber": "1" * 41},
        {"Keys": {"PK": {"S": "ns/OTHER#x"}, "SK": {"S": "#BUCKET"}}},
        {"Keys": {"PK": {"S": "ns/BUCKET#user#api"}}},
        {"NewImage": {"u.rpm": {"S": "one"}}},
        {"ApproximateCreationDateTime": None},
    ],
)
def test_a_record_that_cannot_be_read_is_malformed(changed: dict[str, Any]) -> None:
    record = bucket_record(1, None, {"rpm": 1})
    record["dynamodb"] |= changed

    with pytest.raises(MalformedRecordError, match="no record of a table's stream"):
        change_of(record)


@pytest.mark.parametrize("sort_key", ["#META", "#CONFIG#api", "#USAGE#api#2026-01-01T00:00:00Z#daily", "child"])
def test_a_record_of_another_kind_is_passed_over(sort_key: str) -> None:
    record = bucket_record(1, None, {"rpm": 1})
    record["dynamodb"]["Keys"]["SK"]["S"] = sort_key

    assert change_of(record) is None
