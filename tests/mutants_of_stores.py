"""The rules of limiter and embedded store: blocks, lent repositories, files, what is swept out."""

from typing import Final

from tests.mutant import Mutant

UNIT: Final = "tests/unit/"
CONFORMANCE: Final = "tests/conformance/"
_BROKEN: Final = UNIT + "embedded/test_broken_files.py::"

OF_STORES: Final = (
    Mutant(
        "limits given with a charge are the leaf's alone",
        "zae_limiter/debits.py",
        "chain = (own, *chain[1:])",
        "chain = tuple(each._replace(limits=own.limits) for each in chain)",
        CONFORMANCE + "test_entities.py::test_limits_given_with_a_charge_are_the_leafs_alone",
    ),
    Mutant(
        "what can never be granted is not sent",
        "zae_limiter/debits.py",
        "return any(debit.amounts.get(limit.name, 0) > limit.burst for",
        "return False and any(debit.amounts.get(limit.name, 0) > limit.burst for",
        CONFORMANCE + "test_charges.py::test_more_than_the_burst_is_never_granted_and_no_wait_is_promised",
    ),
    Mutant(
        "limits are no iterator",
        "zae_limiter/debits.py",
        "if not isinstance(given, Sequence):",
        "if False:",
        CONFORMANCE + "test_mistakes.py::test_each_mistake_is_told_and_nothing_is_written",
    ),
    Mutant(
        "an exception gives a charge back",
        "zae_limiter/acquisition.py",
        'if kind is None or self._options.on_exception == "keep":',
        "if True:",
        CONFORMANCE + "test_leases.py::test_whatever_ends_the_block_gives_all_back",
    ),
    Mutant(
        "an acquisition is for one block at a time",
        "zae_limiter/acquisition.py",
        "        if self._is_entered:",
        "        if False:",
        CONFORMANCE + "test_mistakes.py::test_one_acquisition_is_for_one_block_at_a_time",
    ),
    Mutant(
        "an adjust is at most a hundred years",
        "zae_limiter/lease.py",
        "> bucket.LONGEST_FILL_NS:",
        "> 10**40:",
        CONFORMANCE + "test_leases.py::test_an_adjust_of_more_than_a_hundred_years_is_refused",
    ),
    Mutant(
        "a settle is tried while the breaker is open",
        "zae_limiter/store_calls.py",
        "        if not changes:\n",
        "        if not changes or self._breaker.is_open:\n",
        CONFORMANCE + "test_unavailable.py::test_a_lease_is_settled_although_the_store_is_known_to_be_down",
    ),
    Mutant(
        "blocking code in threads is guarded",
        "zae_limiter/blocking.py",
        "answers_inline=False",
        "answers_inline=True",
        UNIT + "test_blocking.py::test_a_limiter_guards_what_waits_in_a_thread",
    ),
    Mutant(
        "what stands in front of a repository is not passed by",
        "zae_limiter/blocking.py",
        'vars(repository).get("_core") if hasattr(repository, "__dict__") else None',
        'getattr(repository, "_core", None)',
        UNIT + "test_blocking.py::test_what_stands_in_front_of_a_repository_of_ours_is_not_passed_by",
    ),
    Mutant(
        "0 tokens ask for room",
        "zae_limiter/embedded/buckets.py",
        "UNCHECKED if amount is None else limit.fill_ns",
        "UNCHECKED",
        CONFORMANCE + "test_charges.py::test_zero_tokens_ask_for_room",
    ),
    Mutant(
        "the file takes a time in the past for a full bucket",
        "zae_limiter/embedded/buckets.py",
        "then max(full_at, ?1) +",
        "then full_at +",
        CONFORMANCE + "test_charges.py::test_a_bucket_that_was_idle_holds_its_burst_and_no_more",
    ),
    Mutant(
        "usage counts in its hour",
        "zae_limiter/embedded/buckets.py",
        "used = case hour when excluded.hour then used + excluded.used else excluded.used end",
        "used = used + excluded.used",
        CONFORMANCE + "test_entities.py::test_usage_counts_the_first_charge_and_the_hour_of_each",
    ),
    Mutant(
        "debts that meet stay within 64 bits",
        "zae_limiter/embedded/buckets.py",
        "min(bucket.debited(balance.full_at, now_ns, delta, balance.rate), _LATEST_NS)",
        "bucket.debited(balance.full_at, now_ns, delta, balance.rate)",
        CONFORMANCE + "test_mistakes.py::test_debts_that_meet_in_one_bucket_stay_a_debt",
    ),
    Mutant(
        "a bucket in debt is never forgotten",
        "zae_limiter/embedded/retention.py",
        "and full_at + ?6",
        "and ?6",
        UNIT + "embedded/test_retention.py::test_a_bucket_in_debt_is_never_forgotten",
    ),
    Mutant(
        "a sweep comes through more than is added",
        "zae_limiter/embedded/retention.py",
        "_ROWS_SWEPT: Final = 2 * ROWS_WRITTEN",
        "_ROWS_SWEPT: Final = ROWS_WRITTEN // 4",
        UNIT + "embedded/test_retention.py::test_what_never_comes_again_does_not_make_a_file_grow_for_ever",
    ),
    Mutant(
        "months that can be asked for stay whole",
        "zae_limiter/embedded/retention.py",
        'window_start("monthly", first_ns',
        'window_start("daily", first_ns',
        UNIT + "embedded/test_retention.py::test_usage_is_kept_for_ninety_days_and_to_the_start_of_that_month",
    ),
    Mutant(
        "a file that is deleted in use is noticed",
        "zae_limiter/embedded/database.py",
        "files.identity(self.path) != self._identity:",
        "False:",
        UNIT + "embedded/test_broken_files.py::test_a_file_that_is_deleted_in_use_is_told_within_a_second",
    ),
    Mutant(
        "each file has versions of its own",
        "zae_limiter/embedded/database.py",
        "random.randrange(1, 2**40)",
        "1",
        _BROKEN + "test_a_file_that_is_put_in_the_place_of_another_one_is_used_with_what_it_says",
    ),
    Mutant(
        "a child of a fork waits for nobody in its parent",
        "zae_limiter/combining.py",
        "if self._pid != os.getpid():",
        "if False:",
        UNIT + "embedded/test_processes.py::test_a_child_does_not_wait_for_threads_that_stayed_in_its_parent",
    ),
)
