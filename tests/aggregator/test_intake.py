"""What a batch answers: only what failed is named, and nothing is lost when a batch is poisoned."""

import logging
from typing import Any

import pytest

from tests.aggregator.pump import Pump
from tests.aggregator.streams import SnapshotTable, audit_record, bucket_record
from tests.aggregator.test_archive import Objects
from zae_limiter.aggregator.archive import Archive
from zae_limiter.aggregator.handler import BatchFailedError, answer_of
from zae_limiter.aggregator.intake import Intake, Report
from zae_limiter.aggregator.snapshots import Snapshots
from zae_limiter.blocking import run
from zae_limiter.runtimes import BlockingRuntime
from zae_limiter.testing import TurnableClock


def intake(table: SnapshotTable, objects: Objects | None = None) -> Intake:
    clock = TurnableClock()
    return Intake(
        Snapshots(table, "table", clock=clock),
        windows=("hourly",),
        runtime=BlockingRuntime(),
        archive=None if objects is None else Archive(objects, "archive", clock=clock),
    )


def poisoned(number: int) -> dict[str, Any]:
    record = bucket_record(number, None, {"rpm": 1}, entity="poison")
    record["dynamodb"]["NewImage"] = {"u.rpm": {"S": "not a number"}}
    return record


def test_a_poisoned_record_is_named_and_the_others_are_counted() -> None:
    """Weak point W43: errors were swallowed, and what failed was never tried again."""
    table = SnapshotTable()
    records = [bucket_record(1, None, {"rpm": 1}), poisoned(2), bucket_record(3, {"rpm": 1}, {"rpm": 3})]

    report = run(intake(table).take(records))

    assert answer_of(report) == {"batchItemFailures": [{"itemIdentifier": records[1]["dynamodb"]["SequenceNumber"]}]}
    assert list(table.usage().values()) == [{"rpm": 3}]


def test_a_poisoned_record_is_given_up_alone() -> None:
    table = SnapshotTable()
    records = [bucket_record(1, None, {"rpm": 1}), poisoned(2), bucket_record(3, {"rpm": 1}, {"rpm": 3})]
    aggregator = intake(table)
    pump = Pump(lambda event: answer_of(run(aggregator.take(event["Records"]))))

    pump.deliver(records)

    assert pump.given_up == [[records[1]]]
    assert list(table.usage().values()) == [{"rpm": 3}]
    assert table.written == 1


def test_a_write_that_fails_names_the_first_record_of_its_group() -> None:
    table = SnapshotTable()
    table.accidents = [None, "before"]
    records = [
        bucket_record(1, None, {"rpm": 1}),
        bucket_record(2, None, {"rpm": 1}, entity="other"),
        bucket_record(3, {"rpm": 1}, {"rpm": 5}),
    ]

    report = run(intake(table).take(records))

    assert [failure.sequence for failure in report.failures] == [records[0]["dynamodb"]["SequenceNumber"]]
    assert report.snapshots == 1


def test_a_batch_of_which_nothing_could_be_done_counts_as_an_error() -> None:
    table = SnapshotTable()
    table.accidents = ["before"]

    report = run(intake(table).take([bucket_record(1, None, {"rpm": 1})]))

    with pytest.raises(BatchFailedError, match=r"1 failures, the first at record 0+1: NotWritten.*delivered again"):
        answer_of(report)


def test_a_batch_that_comes_again_names_what_fails_and_is_no_error() -> None:
    records = [bucket_record(1, None, {"rpm": 1}), poisoned(2)]
    aggregator = intake(SnapshotTable())

    answers = [answer_of(run(aggregator.take(records))) for _ in range(2)]

    assert answers == [{"batchItemFailures": [{"itemIdentifier": records[1]["dynamodb"]["SequenceNumber"]}]}] * 2


def test_a_record_without_a_number_fails_the_batch_for_it_cannot_be_named() -> None:
    report = run(intake(SnapshotTable()).take([bucket_record(1, None, {"rpm": 1}), {"dynamodb": {"Keys": 1}}, {}]))

    assert report.snapshots == 1
    with pytest.raises(BatchFailedError):
        answer_of(report)


def test_expired_events_are_left_alone_without_an_archive() -> None:
    report = run(intake(SnapshotTable()).take([audit_record(1)]))

    assert report == Report(counted=1, snapshots=0, objects=0, failures=())


def test_an_archive_that_fails_does_not_keep_usage_from_being_counted() -> None:
    table, objects = SnapshotTable(), Objects()
    objects.refusal = "NoSuchBucket"

    report = run(intake(table, objects).take([audit_record(1), bucket_record(2, None, {"rpm": 1})]))

    assert report.snapshots == 1
    assert [failure.sequence for failure in report.failures] == [f"{1:021}"]


def test_the_log_tells_what_was_counted_in_a_line_that_machines_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "zae_limiter.aggregator")
    report = run(intake(SnapshotTable(), Objects()).take([audit_record(1), bucket_record(2, None, {"rpm": 1})]))

    assert answer_of(report) == {"batchItemFailures": []}
    assert [record.getMessage() for record in caplog.records] == [
        '{"counted": 2, "snapshots": 1, "objects": 1, "failures": 0}'
    ]
