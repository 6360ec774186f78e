"""Delivers the records of a stream as Lambda's event source mapping does, with the accidents that Lambda has.

The rules are those of AWS's "Process DynamoDB records with Lambda" and "Lambda event filtering":
filters before the function, batches in order, a partial answer tried again from its lowest failed record,
a failed batch bisected, given up after so many tries or when it is too old.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Record = Mapping[str, Any]
Invoke = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass
class Pump:
    """One event source mapping: what it is asked to do, and the batches that it gave up."""

    invoke: Invoke
    patterns: Sequence[Mapping[str, Any]] = ()
    batch_size: int = 100
    attempts: int = 4
    given_up: list[Sequence[Record]] = field(default_factory=list)

    def deliver(self, records: Sequence[Record]) -> None:
        """Deliver every record that a pattern lets through, in batches."""
        wanted = [record for record in records if not self.patterns or any_matches(self.patterns, record)]
        for start in range(0, len(wanted), self.batch_size):
            self._deliver(wanted[start : start + self.batch_size], self.attempts)

    def _deliver(self, batch: Sequence[Record], attempts: int) -> None:
        while batch:
            try:
                answer = self.invoke({"Records": batch})
            except Exception:  # noqa: BLE001 - whatever a function raises, its batch has failed
                if len(batch) > 1:
                    # Bisecting costs no try.
                    half = len(batch) // 2
                    self._deliver(batch[:half], attempts)
                    batch = batch[half:]
                    continue
                failed = batch
            else:
                failed = batch[_lowest(batch, answer) :]
            if failed is not batch and len(failed) < len(batch):
                batch = failed
                continue
            attempts -= 1
            if not failed:
                return
            if attempts == 0:
                self.given_up.append(failed[:1])
                batch, attempts = failed[1:], self.attempts
                continue
            batch = failed


def _lowest(batch: Sequence[Record], answer: Mapping[str, Any]) -> int:
    """Where the batch is taken up again: at its lowest failed record; its end when there is none."""
    numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
    failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
    unknown = set(failed) - set(numbers)
    # An identifier that is none of the batch's makes Lambda deliver all of it again.
    assert not unknown, unknown
    return min((numbers.index(number) for number in failed), default=len(batch))


def any_matches(patterns: Sequence[Mapping[str, Any]], record: Record) -> bool:
    """Whether one of the filter patterns matches the record."""
    return any(matches(pattern, record) for pattern in patterns)


def matches(pattern: Any, value: Any) -> bool:
    """Whether a part of a pattern matches: mappings by all of their keys, lists by one of their rules."""
    if isinstance(pattern, Mapping):
        return isinstance(value, Mapping) and all(matches(rule, value.get(key)) for key, rule in pattern.items())
    return any(_rule_matches(rule, value) for rule in pattern)


def _rule_matches(rule: Any, value: Any) -> bool:
    if not isinstance(rule, Mapping):
        return bool(rule == value)
    if set(rule) == {"prefix"}:
        return isinstance(value, str) and value.startswith(rule["prefix"])
    if set(rule) == {"exists"}:
        return (value is not None) is rule["exists"]
    raise NotImplementedError(f"no rule that this knows: {rule}")
