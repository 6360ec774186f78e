"""Takes the rules of admission away, one by one, from a copy of the tree, and expects a test to fail for each.

`python -m tests.mutants` prints the table; it ends with 1 when a rule could be taken away unnoticed.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from tests.aggregator.rules import RULES
from tests.mutant import Mutant
from tests.mutants_of_stores import OF_STORES
from tests.mutants_on_dynamodb import ON_DYNAMODB
from tests.time_limit import at_most

ROOT: Final = Path(__file__).parents[1]
_LONGEST: Final = 300

_BUCKET: Final = "zae_limiter/bucket.py"
_DECISION: Final = "zae_limiter/decision.py"
_UNIT: Final = "tests/unit/"
_CONFORMANCE: Final = "tests/conformance/"

MUTANTS: Final = (
    Mutant(
        "spans round down",
        _BUCKET,
        "    return (max(now, full_at)) + tokens * rate[1] // rate[0]",
        "    return (max(now, full_at)) - (-tokens * rate[1] // rate[0])",
        _UNIT + "test_bucket.py::test_a_burst_of_n_at_n_a_minute_admits_exactly_n_at_one_instant",
    ),
    Mutant(
        "a time in the past is a full bucket",
        _BUCKET,
        "    return (max(now, full_at)) + tokens",
        "    return full_at + tokens",
        _UNIT + "test_bucket.py::test_no_window_admits_more_than_burst_and_rate_by_clocks_that_differ",
    ),
    Mutant(
        "a credit for several debits is less by 1 ns for each beyond the first",
        _BUCKET,
        "span(tokens, rate) - (debits - 1)",
        "span(tokens, rate)",
        _UNIT + "test_bucket.py::test_a_credit_of_several_debits_gives_back_no_more_than_they_took",
    ),
    Mutant(
        "available is exact",
        _BUCKET,
        "    return ((span(burst, rate) - used + 1) * amount - 1) // period",
        "    return ((span(burst, rate) - used) * amount) // period",
        _UNIT + "test_bucket.py::test_a_full_bucket_of_burst_2_at_60_a_second_has_2",
    ),
    Mutant(
        "one more millisecond near the edge",
        _BUCKET,
        "((wait_ns + 1_000) // 1_000_000 + 1)",
        "(-(-wait_ns // 1_000_000))",
        _UNIT + "test_bucket.py::test_a_wait_is_told_in_whole_milliseconds_rounded_up",
    ),
    Mutant(
        "a balance is carried over as an exact ratio",
        _BUCKET,
        "    return at - (-max(0, full_at - at) * old[0] * new[1] // (old[1] * new[0]))",
        "    return at + max(0, full_at - at) * old[0] // old[1] * new[1] // new[0]",
        _UNIT + "test_carry_over.py::test_ten_and_twenty_a_minute_in_turn_admit_no_more_than_the_larger_burst_and_rate",
    ),
    Mutant(
        "the time of the last carry-over",
        _DECISION,
        "    at = max(now_ns, balance.carried_at)\n    return bucket.carried_over",
        "    at = now_ns\n    return bucket.carried_over",
        _UNIT + "test_carry_over.py::test_two_clocks_a_second_apart_mint_nothing_by_changing_the_rate_to_and_fro",
    ),
    Mutant(
        "a carry-over never steps back",
        _DECISION,
        "balance.carried_at if balance.rate == limit.rate else max(now_ns, balance.carried_at)",
        "balance.carried_at if balance.rate == limit.rate else now_ns",
        _UNIT + "test_carry_over.py::test_the_time_of_a_carry_over_never_steps_back",
    ),
    Mutant(
        "a limit that is not named any more stays",
        _DECISION,
        "after.append({**image, **changed})",
        "after.append(changed)",
        _UNIT + "test_carry_over.py::test_a_limit_that_callers_drop_in_turn_does_not_come_back_full",
    ),
    Mutant(
        "tokens above a new burst come back at the faster rate",
        _DECISION,
        "    return min(plain, at - now_ns + in_old)",
        "    return plain",
        _UNIT + "test_carry_over.py::test_tokens_above_a_new_burst_come_back_at_the_faster_rate",
    ),
    Mutant(
        "a refusal writes the carry-over into a faster rate",
        _DECISION,
        "bucket.is_faster(limit.rate, balance.rate)",
        "bucket.is_faster(balance.rate, limit.rate)",
        _UNIT + "test_carry_over.py::test_a_refusal_writes_the_carry_over_only_into_a_faster_rate",
    ),
    Mutant(
        "an unknown limit is told",
        "zae_limiter/debits.py",
        '        if name not in known:\n            raise ValidationError("consume"',
        '        if not known:\n            raise ValidationError("consume"',
        _CONFORMANCE + "test_charges.py::test_an_unknown_limit_is_told_and_nothing_is_written",
    ),
    Mutant(
        "no more is given back than is held",
        "zae_limiter/lease.py",
        "if each.holds(name) + amount < 0:",
        "if False:",
        _CONFORMANCE + "test_leases.py::test_no_more_can_be_given_back_than_is_held",
    ),
    Mutant(
        "a lease tells how many debits a credit gives back",
        "zae_limiter/embedded/buckets.py",
        "change.debits.get(name, 1)",
        "1",
        _CONFORMANCE + "test_leases.py::test_a_roll_back_of_several_debits_mints_nothing",
    ),
    Mutant(
        "what was granted to nobody is given back",
        "zae_limiter/store_calls.py",
        "        if isinstance(outcome, Granted):\n            await",
        "        if not isinstance(outcome, Granted):\n            await",
        _CONFORMANCE + "test_unavailable.py::test_a_cancellation_at_any_wait_loses_and_mints_nothing",
    ),
    Mutant(
        "a settle is shielded",
        "zae_limiter/store_calls.py",
        "await self.runtime.shielded(self._settle(changes))",
        "await self._settle(changes)",
        _CONFORMANCE + "test_unavailable.py::test_a_cancellation_at_any_wait_loses_and_mints_nothing",
    ),
    Mutant(
        "a work's end that cannot be written is not raised",
        "zae_limiter/store_calls.py",
        "        except STORE_FAILURES as error:\n            failures = [error] * len(changes)",
        "        except STORE_FAILURES as error:\n            raise error",
        _CONFORMANCE + "test_unavailable.py::test_a_settle_that_fails_neither_raises_nor_gives_back",
    ),
    Mutant(
        "one bucket that fails does not open the breaker",
        "zae_limiter/breaker.py",
        "(len(self._buckets) > 1 or lasted)",
        "True",
        _UNIT + "test_breaker.py::test_the_failures_of_one_bucket_do_not_open_it_at_once",
    ),
    Mutant(
        "a write is conditioned on the rate",
        "zae_limiter/embedded/buckets.py",
        "when amount = excluded.amount and period = excluded.period and",
        "when",
        _CONFORMANCE + "test_charges.py::test_a_bucket_keeps_its_tokens_when_its_rate_changes_and_the_charge_fits",
    ),
    Mutant(
        "a write is conditioned on the configuration of a shared file",
        "zae_limiter/embedded/buckets.py",
        "if is_shared and not rows:",
        "if False:",
        _CONFORMANCE
        + "test_entities.py::test_a_lowered_limit_is_in_force_in_another_process_although_the_charge_would_fit",
    ),
    Mutant(
        "charges that go together go by one configuration",
        "zae_limiter/embedded/buckets.py",
        "debits[0].version or self._place",
        "self._place",
        _CONFORMANCE + "test_entities.py::test_charges_that_go_together_go_by_one_configuration",
    ),
    Mutant(
        "a charge by an older configuration is resolved again",
        "zae_limiter/embedded/buckets.py",
        "if version != self._place.config_version:",
        "if False:",
        _CONFORMANCE + "test_entities.py::test_a_debit_of_an_older_configuration_is_to_be_resolved_again",
    ),
    Mutant(
        "a resolution is of the version that was in force when its reading began",
        "zae_limiter/embedded/repository.py",
        "self._fetched, fresh=fresh, version=version)",
        "self._fetched, fresh=fresh)",
        _UNIT + "embedded/test_versions.py::test_every_level_of_a_cascade_goes_by_the_same_version",
    ),
    Mutant(
        "a remembered configuration that says no is looked at again",
        "zae_limiter/acquisition.py",
        "deadline_ns, fresh=True)",
        "deadline_ns)",
        _CONFORMANCE + "test_entities.py::test_what_another_process_has_set_is_not_refused_by_what_is_remembered",
    ),
    Mutant(
        "a credit creates no bucket",
        "zae_limiter/embedded/buckets.py",
        "elif delta < 0 and balance is not None:",
        "elif delta < 0:\n                balance = balance or Balance(now_ns, rates[name])",
        _CONFORMANCE + "test_leases.py::test_a_credit_creates_no_bucket",
    ),
    Mutant(
        "names are matched in full",
        "zae_limiter/naming.py",
        "_IDENTIFIER.fullmatch(value)",
        "_IDENTIFIER.match(value)",
        _UNIT + "test_naming.py",
    ),
    Mutant(
        "what was read before a change is not remembered after it",
        "zae_limiter/config_cache.py",
        "            if generation == self._generation:\n                self._remember",
        "            if True:\n                self._remember",
        _UNIT + "test_config_cache.py::test_what_was_read_before_a_change_is_not_remembered_after_it",
    ),
    *ON_DYNAMODB,
    *OF_STORES,
    *(Mutant(*rule) for rule in RULES),
)


def outcome(mutant: Mutant) -> str:
    """`caught`, `SURVIVED`, or why neither can be said of the mutant."""
    text = (ROOT / mutant.path).read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        return f"NOT TRIED: the text stands there {text.count(mutant.old)} times"
    with tempfile.TemporaryDirectory() as folder:
        copy = copied(Path(folder))
        (copy / mutant.path).write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        found = tried(copy, mutant.test)
    return {"failed": "caught", "passed": "SURVIVED"}.get(found, found)


def copied(folder: Path) -> Path:
    """The tree in a folder of its own."""
    for part in ("zae_limiter", "integrations", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def tried(copy: Path, *tests: str, seconds: float = _LONGEST) -> str:
    """What becomes of tests in a copy of the tree: `passed`, `failed`, or what kept them from either.

    `failed` is a test that ran and found something; a fixture that breaks, or no end in time, is none.
    """
    report = copy / "report.xml"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}", *tests]
    # An editable installation finds the real tree: the copy has to come first.
    paths = os.pathsep.join((str(copy), str(copy / "integrations")))
    with (
        subprocess.Popen(
            command,
            cwd=copy,
            env={**os.environ, "PYTHONPATH": paths},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process,
        at_most(seconds, process),
    ):
        code = process.wait()
    if code == -signal.SIGKILL:
        return f"NO END after {seconds:g} s"
    counts = ElementTree.parse(report).getroot().find("testsuite") if report.exists() else None
    if code not in (0, 1) or counts is None:
        return f"DID NOT RUN: pytest ended with {code}"
    if counts.get("failures") != "0":
        return "failed"
    if counts.get("errors") != "0":
        return "BROKE before or after the test"
    return "SKIPPED" if counts.get("tests") == counts.get("skipped") else "passed"


def main(arguments: Sequence[str]) -> int:
    """Try every mutant, or those whose rule has the given words in it."""
    chosen = [mutant for mutant in MUTANTS if " ".join(arguments) in mutant.rule]
    width = max((len(mutant.rule) for mutant in chosen), default=0)
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        found = tried(copied(Path(folder)), *sorted({mutant.test for mutant in chosen})) if chosen else "passed"
    if found != "passed":
        print(f"although no rule was taken away, {found}: see to it first")
        return 1
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        for mutant, found in zip(chosen, executor.map(outcome, chosen), strict=True):
            missed += found != "caught"
            print(f"{mutant.rule:{width}}  {found:8}  {mutant.test}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} caught")
    return 1 if missed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
