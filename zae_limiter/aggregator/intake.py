"""Takes in one batch of records, repeated or cut as it may be, and tells what failed.

Written once for the Lambda function and for whoever reads the stream without one.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from zae_limiter.aggregator.archive import Archive, bundled
from zae_limiter.aggregator.records import BucketChange, ExpiredEvent, MalformedRecordError, Record, change_of
from zae_limiter.aggregator.rollup import grouped
from zae_limiter.aggregator.snapshots import Snapshots
from zae_limiter.ports import Runtime


class Failure(NamedTuple):
    """The first record that something was not done for, by its number as it was delivered, and why."""

    sequence: str
    error: Exception


class Report(NamedTuple):
    """What became of a batch: records that count, snapshots and archive objects written, what failed.

    `standing` is how many snapshots and objects hold all that the batch has for them, from now or from before.
    """

    counted: int
    snapshots: int
    objects: int
    failures: tuple[Failure, ...]
    standing: int = 0


class Intake:
    """Counts the changes of a batch in the windows given, and archives its expired events if there is an archive."""

    def __init__(
        self, snapshots: Snapshots, *, windows: Sequence[str], runtime: Runtime, archive: Archive | None = None
    ) -> None:
        self._snapshots = snapshots
        self._windows = tuple(windows)
        self._runtime = runtime
        self._archive = archive

    async def take(self, records: Sequence[Record]) -> Report:
        """Do what the records ask for; what fails does not keep the rest from being done.

        The changes of one snapshot stand or fall together: had a later one been written, an earlier that failed
        would look as if it were in.
        """
        changes: list[BucketChange] = []
        expired: list[ExpiredEvent] = []
        failures: list[Failure] = []
        for record in records:
            try:
                change = change_of(record)
            except MalformedRecordError as error:
                failures.append(Failure(_number(record), error))
                continue
            if isinstance(change, BucketChange):
                changes.append(change)
            elif change is not None:
                expired.append(change)
        groups = grouped(changes, self._windows)
        bundles = bundled(expired) if self._archive is not None else []
        steps = [self._snapshots.add(group) for group in groups]
        if self._archive is not None:
            steps += [self._archive.add(bundle) for bundle in bundles]
        firsts = [group.changes[0].sequence for group in groups] + [bundle.events[0].sequence for bundle in bundles]
        outcomes = await self._runtime.together(steps)
        delivered = {_number(record).zfill(len(firsts[0])): _number(record) for record in records} if firsts else {}
        for first, outcome in zip(firsts, outcomes, strict=True):
            if isinstance(outcome.error, Exception):
                failures.append(Failure(delivered[first], outcome.error))
            elif outcome.error is not None:
                raise outcome.error
        written = [outcome.value for outcome in outcomes]
        return Report(
            len(changes) + len(expired),
            written[: len(groups)].count(True),
            written[len(groups) :].count(True),
            tuple(failures),
            sum(outcome.error is None for outcome in outcomes),
        )


def _number(record: Record) -> str:
    told: Any = record.get("dynamodb") if isinstance(record, dict) else None
    number = told.get("SequenceNumber") if isinstance(told, dict) else None
    return number if isinstance(number, str) else ""
