"""The gate of frameworks that serve a request in a thread: the same decisions, no event loop."""

import pytest

from zae_limiter import SyncEmbeddedRepository, SyncRateLimiter
from zae_limiter.testing import TurnableClock
from zae_limiter_http import HttpRequest, Refusal, Rule, Settings, SettingsError, SyncGate, SyncPassed, placed


def gate_of(*rules: Rule, **settings: object) -> SyncGate:
    clock = TurnableClock()
    limiter = SyncRateLimiter(SyncEmbeddedRepository(":memory:", clock=clock), clock=clock)
    limiter.repository.open()
    return SyncGate(limiter, Settings.of({"rules": rules, **settings}))


def asked(gate: SyncGate) -> SyncPassed | Refusal:
    return gate.enter(HttpRequest("GET", "/", peer="203.0.113.9"))


def let_in(gate: SyncGate) -> SyncPassed:
    inside = asked(gate)
    assert isinstance(inside, SyncPassed)
    return inside


def test_it_lets_in_counts_down_and_refuses() -> None:
    gate = gate_of(Rule(key="ip", limits="2/minute"))

    first = let_in(gate)
    assert gate.response_headers(first, 200, []) == [
        ("RateLimit-Policy", '"rpm";q=2;w=60'),
        ("RateLimit", '"rpm";r=1;t=30'),
    ]
    gate.leave(first, status=200)
    gate.leave(let_in(gate), status=200)

    refused = asked(gate)
    assert isinstance(refused, Refusal)
    assert (refused.status, dict(refused.headers)["Retry-After"]) == (429, "30")


def test_the_handler_adjusts_its_lease_without_awaiting() -> None:
    gate = gate_of(Rule(key="ip", limits="rows=100/hour", cost={"rows": 0}))
    inside = let_in(gate)
    inside.lease.adjust(rows=40)
    assert [status.available for status in inside.statuses] == [60]
    gate.leave(inside, status=200)

    assert gate.limiter.available("ip4:203.0.113.9", "http", "rows=100/hour") == {"rows": 60}


def test_a_rule_of_a_view_is_charged_besides_and_once() -> None:
    gate = gate_of(Rule(key="ip", limits="9/minute"))
    view = placed("1/minute", {"key": "ip", "name": "login"})
    inside = let_in(gate)

    assert gate.enter(inside.request, passed=inside, only=[view]) is inside
    assert gate.enter(inside.request, passed=inside, only=[view]) is inside
    assert isinstance(gate.enter(let_in(gate).request, passed=let_in(gate), only=[view]), Refusal)


def test_coroutine_functions_are_told_with_their_places() -> None:
    async def later(_: object) -> str:
        return "x"

    with pytest.raises(SettingsError) as told:
        gate_of(
            Rule(key=["user", later]),
            Rule(cost=later, limits="9/minute", name="b"),
            exempt_when=later,
            on_event=later,
            default_rule=Rule(key=later),
        )
    assert [mistake.partition(":")[0] for mistake in told.value.mistakes] == [
        "exempt_when",
        "on_event",
        "default_rule.key",
        "rules[0].key",
        "rules[1].cost",
    ]


def test_it_can_be_switched_off_while_it_serves() -> None:
    gate = gate_of(Rule(key="ip", limits="1/minute"))
    let_in(gate)
    assert isinstance(asked(gate), Refusal)

    gate.enabled = False
    assert let_in(gate).is_exempt
    gate.enabled = True
    assert isinstance(asked(gate), Refusal)


def test_a_lease_error_of_the_application_is_answered() -> None:
    gate = gate_of(Rule(key="ip", limits="2/minute"))
    inside = let_in(gate)
    with pytest.raises(Exception, match="rpm") as raised:
        inside.lease.consume(rpm=2)
    answered = gate.answer(raised.value, inside)
    assert answered is not None
    assert answered.status == 429
    assert gate.answer(ValueError("its own"), inside) is None


def test_the_rules_of_a_view_are_charged_with_the_others_or_not_at_all() -> None:
    gate = gate_of(Rule(key="ip", limits="9/minute"))
    view = placed("1/minute", {"key": "ip", "name": "login"})
    posted = placed("1/minute", {"key": "ip", "name": "posted", "methods": ["POST"]})
    request = HttpRequest("GET", "/", peer="203.0.113.9")

    inside = gate.enter(request, also=[view, posted])
    assert isinstance(inside, SyncPassed)
    assert [status.resource for status in inside.statuses] == ["http", "login"]
    assert isinstance(gate.enter(request, also=[view]), Refusal)
    assert gate.limiter.available("ip4:203.0.113.9", "http", "9/minute") == {"rpm": 8}
    exempt = gate.enter(request, also=[view, Rule(exempt=True)])
    assert isinstance(exempt, SyncPassed)
    assert exempt.is_exempt


def test_a_handler_may_adjust_the_lease_of_a_request_that_nobody_pays_for() -> None:
    gate = gate_of(Rule("/status", exempt=True), Rule(limits="rows=100/hour"))
    exempt = gate.enter(HttpRequest("GET", "/status"))
    assert isinstance(exempt, SyncPassed)
    exempt.lease.adjust(rows=40)
    gate.leave(exempt, status=200)
    gate.enabled = False
    let_in(gate).lease.adjust(rows=40)
    assert gate.response_headers(exempt, 200, []) == []


def test_a_refusal_puts_its_fields_on_an_answer_of_the_application() -> None:
    gate = gate_of(Rule(key="ip", limits="1/minute"))
    let_in(gate)
    refused = asked(gate)
    assert isinstance(refused, Refusal)
    own = [("Content-Type", "text/plain"), ("Vary", "Cookie, accept"), ("cache-control", "public")]
    assert refused.fields_on(own) == [
        ("Content-Type", "text/plain"),
        ("Vary", "Cookie, Accept, HX-Request"),
        ("Cache-Control", "no-store"),
        ("Retry-After", "60"),
        ("RateLimit-Policy", '"rpm";q=1;w=60'),
        ("RateLimit", '"rpm";r=0;t=60'),
    ]
    assert refused.detail == 'Rate limit "rpm" exceeded. Retry in 60 seconds.'
    assert "ip4" in str(refused.error)
    assert "ip4" not in repr(refused)


def test_a_block_is_charged_each_time_and_ends_before_the_request() -> None:
    gate = gate_of(Rule(key="ip", limits="rows=100/hour", cost={"rows": 1}))
    page = placed("rows=50/hour", {"key": "ip", "name": "page", "cost": {"rows": 10}, "refund_on": "5xx"})
    inside = let_in(gate)
    for status in (200, 200, 500):
        block = gate.enter_block(inside, page)
        assert isinstance(block, SyncPassed)
        assert [each.resource for each in inside.lease.statuses] == ["page"]
        gate.leave(block, status=status)
    assert [each.resource for each in inside.lease.statuses] == ["http"]
    assert gate.limiter.available("ip4:203.0.113.9", "page", "rows=50/hour") == {"rows": 30}
    fields = dict(gate.response_headers(inside, 200, []))
    assert fields["RateLimit-Policy"] == '"rule1.rows";q=100;w=3600, "page.rows";q=50;w=3600'
    assert isinstance(gate.enter_block(inside, placed("1/hour", {"cost": 2})), Refusal)
