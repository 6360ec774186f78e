"""`zae-limiter simulate` and `top`: what would be refused, and what is busy."""

import json

import pytest

from tests.cli.conftest import Run, rows
from zae_limiter.cli.simulate import Simulation, simulated
from zae_limiter.cli.top import Row, busiest, looks_at
from zae_limiter.models import BucketState, limits_from_text
from zae_limiter.sync_limiter import SyncRateLimiter
from zae_limiter.testing import TurnableClock, sync_memory_limiter

SECOND = 1_000_000_000


def test_a_burst_is_granted_and_then_the_rate() -> None:
    found = simulated(limits_from_text("60/minute"), 1, [number * SECOND // 2 for number in range(240)])

    assert (found.requests, found.granted) == (240, 60 + 119)
    assert found.refused_by == {"rpm": 61}
    assert found.first_refusal_seconds == pytest.approx(59.5)
    assert found.longest_wait_seconds == pytest.approx(0.501)


def test_nothing_is_refused_below_the_rate() -> None:
    assert simulated(limits_from_text("60/minute"), 1, [0, SECOND]) == Simulation(2, 2, 0, {}, None, 0.0)


def test_a_simulation_is_shown(run: Run) -> None:
    shown = run("simulate", "100/minute+20; 1000/day", "--rate", "5/second", "--for", "2m", "-c", "rpm=1", "--json")
    assert run("simulate", "100/minute", "--rate", "1/minute").exit_code == 0
    assert shown.exit_code == 1

    found = json.loads(run("simulate", "100/minute+120", "--rate", "5/second", "--for", "2m", "--json").stdout)
    assert found["requests"] == found["granted"] + found["refused"] == 600


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("100/minute", "--rate", "1/second", "--for", "0s"), 2),
        (("100/minute", "--rate", "1/second", "--for", "soon"), 2),
        (("100/minute", "--rate", "1/day", "--for", "1h"), 2),
        (("100/minute", "--rate", "1000/second", "--for", "1d"), 2),
        (("100/minute", "--rate", "often"), 1),
        (("100/minute", "--rate", "1/second", "-c", "tpm=1"), 1),
    ],
)
def test_a_simulation_that_cannot_be_done_is_told(run: Run, arguments: tuple[str, ...], code: int) -> None:
    assert run("simulate", *arguments).exit_code == code


def state(entity: str, tokens: int, at_ms: int) -> BucketState:
    return BucketState(entity, "api", "rpm", tokens * 1000, at_ms, 60_000, 60_000, 60_000, 60_000)


def test_what_is_used_most_comes_first() -> None:
    found = busiest({}, [state("calm", 50, 0), state("busy", 0, 0)], 2)

    assert [(row.entity_id, row.is_empty) for row in found] == [("busy", True), ("calm", False)]
    assert found[1] == Row("calm", "api", "rpm", 50, 60, 16.7, None, False)
    assert len(busiest({}, [state("calm", 50, 0), state("busy", 0, 0)], 1)) == 1


def test_what_is_taken_between_two_looks_is_reckoned() -> None:
    before = {("user-1", "api", "rpm"): state("user-1", 30, 1_000)}

    # One token a second comes back: 30 + 10 - 35 were taken in ten seconds.
    assert busiest(before, [state("user-1", 35, 11_000)], 9)[0].taken_per_second == pytest.approx(0.5)
    assert busiest(before, [state("user-1", 60, 100_000)], 9)[0].taken_per_second == 0
    assert busiest(before, [state("user-1", 35, 1_000)], 9)[0].taken_per_second is None


def test_looks_follow_one_another(clock: TurnableClock) -> None:
    limiter: SyncRateLimiter
    with sync_memory_limiter(clock=clock) as limiter:
        limiter.set_resource_defaults("api", "60/minute")
        with limiter.acquire("user-1", "api", 30):
            pass
        looks = looks_at(limiter, ["api"], most=5, looks=2, pause=lambda: clock.turn(10))
        taken = [rows[0].taken_per_second for rows in looks]

    assert taken == [None, 0.0]


def test_top_is_printed_once_when_piped(run: Run) -> None:
    assert run("top").exit_code == 1
    run("resource", "set-defaults", "api", "-l", "rph:10/hour")
    run("acquire", "user-1", "api", "-c", "10")

    assert rows(run("top"))[0][:5] == ["user-1", "api", "rph", "0", "10"]
    assert rows(run("top", "api"))[0][-1] == "empty"


def test_top_says_where_buckets_of_limits_in_code_are_seen(run: Run) -> None:
    assert run("acquire", "user-1", "login", "--limits", "5/minute").exit_code == 0
    for words in (["top"], ["top", "login"]):
        assert "zae-limiter usage list -r" in run(*words).stderr
    assert "no bucket of login has stored limits" in run("top", "login").stderr
    assert json.loads(run("top", "login", "--json").stdout) == []
    assert rows(run("usage", "list", "-r", "login"))[0][2:4] == ["user-1", "login"]
