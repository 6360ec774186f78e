"""The rules of counting and archiving, with their files, their words and their tests: to be taken away one by one."""

from typing import Final

_RECORDS: Final = "zae_limiter/aggregator/records.py"
_ROLLUP: Final = "zae_limiter/aggregator/rollup.py"
_ARCHIVE: Final = "zae_limiter/aggregator/archive.py"
_INTAKE: Final = "zae_limiter/aggregator/intake.py"
_HANDLER: Final = "zae_limiter/aggregator/handler.py"
_TESTS: Final = "tests/aggregator/"
_GUARD: Final = "test_rollup.py::test_a_guard_on_the_last_record_of_a_group_would_lose_what_an_earlier_group_has_left"

RULES: Final[tuple[tuple[str, str, str, str, str], ...]] = (
    (
        "a group is added on the condition that all of it is missing",
        _ROLLUP,
        '":first": {"S": group.changes[0].sequence}',
        '":first": {"S": group.changes[-1].sequence}',
        _TESTS + _GUARD,
    ),
    (
        "a snapshot keeps the last record that is in it",
        _ROLLUP,
        '":last": {"S": group.changes[-1].sequence}',
        '":last": {"S": group.changes[0].sequence}',
        _TESTS + _GUARD,
    ),
    (
        "what is in a snapshot already is not added again",
        _ROLLUP,
        "if change.sequence > stored)",
        "if change.sequence >= stored)",
        _TESTS + "test_rollup.py::test_only_what_is_missing_is_added",
    ),
    (
        "a record that stands in a batch twice counts once",
        _ROLLUP,
        "found.setdefault(snapshot, {})[change.sequence] = change",
        "found.setdefault(snapshot, {})[change.sequence + str(len(found[snapshot]))] = change",
        _TESTS + "test_rollup.py::test_a_record_that_stands_in_a_batch_twice_counts_once",
    ),
    (
        "a change is new less old",
        _RECORDS,
        "count - old.get(limit, 0) for",
        "count for",
        _TESTS + "test_rollup.py::test_the_change_of_a_bucket_is_new_minus_old",
    ),
    (
        "a limit that is gone counts nothing",
        _RECORDS,
        "for limit, count in new.items()}",
        "for limit, count in (dict.fromkeys(old, 0) | new).items()}",
        _TESTS + "test_rollup.py::test_the_change_of_a_bucket_is_new_minus_old",
    ),
    (
        "a change counts in the window of its own record",
        _ROLLUP,
        "window_start(window, change.at_seconds)",
        "window_start(window, next(iter(changes)).at_seconds)",
        _TESTS + "test_rollup.py::test_a_change_counts_in_the_window_of_its_record",
    ),
    (
        "sequence numbers compare as numbers",
        _RECORDS,
        "return sequence.zfill(DIGITS)",
        "return sequence",
        _TESTS + "test_rollup.py::test_sequence_numbers_of_more_digits_than_a_number_holds_are_compared_as_numbers",
    ),
    (
        "only what the ttl removed is archived",
        _RECORDS,
        "if sk.startswith(AUDIT_SK) and is_expiry(record):",
        "if sk.startswith(AUDIT_SK):",
        _TESTS + "test_archive.py::test_only_what_the_ttl_removed_is_archived",
    ),
    (
        "an object is written on the condition that nobody wrote it meanwhile",
        _ARCHIVE,
        '{"IfMatch": answer["ETag"]}',
        "{}",
        _TESTS + "test_archive.py::test_what_another_adds_meanwhile_to_an_object_that_is_there_is_kept",
    ),
    (
        "an event that is in the archive is not written again",
        _ARCHIVE,
        "    if set(lines) == known:",
        "    if not lines:",
        _TESTS + "test_archive.py::test_a_write_whose_answer_was_lost_is_not_written_again",
    ),
    (
        "a record that cannot be read fails alone",
        _INTAKE,
        "                failures.append(Failure(_number(record), error))\n                continue",
        "                raise error",
        _TESTS + "test_intake.py::test_a_poisoned_record_is_named_and_the_others_are_counted",
    ),
    (
        "a batch of which something stands is no error as a whole",
        _HANDLER,
        "not report.standing",
        "not report.snapshots",
        _TESTS + "test_intake.py::test_a_batch_that_comes_again_names_what_fails_and_is_no_error",
    ),
)
