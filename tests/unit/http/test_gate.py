"""Beyond a hard refusal: limits that only count, handlers that decide, requests that no rule covers, late prices."""

import logging
from typing import Any

import pytest

from zae_limiter import RateLimitExceeded, SyncRateLimiter, ValidationError
from zae_limiter.testing import TurnableClock, sync_faulty_limiter, sync_memory_limiter
from zae_limiter_http import Event, HttpRequest, Refusal, Rule, Settings, SettingsError, SyncGate, SyncPassed

IP = "ip4:203.0.113.9"


class Site:
    """A gate with what it tells."""

    def __init__(self, *rules: Any, limiter: SyncRateLimiter | None = None, **settings: Any) -> None:
        self.limiter = limiter or sync_memory_limiter(clock=TurnableClock())
        self.gate = SyncGate(self.limiter, Settings.of({"rules": rules, "on_event": self.hear, **settings}))
        self.heard: list[Event] = []

    def hear(self, event: Event) -> None:
        self.heard.append(event)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.heard]

    def ask(self, path: str = "/", method: str = "GET", peer: str = "203.0.113.9") -> SyncPassed | Refusal:
        return self.gate.enter(HttpRequest(method, path, peer=peer))

    def let_in(self, path: str = "/", method: str = "GET") -> SyncPassed:
        inside = self.ask(path, method)
        assert isinstance(inside, SyncPassed)
        return inside

    def done(self, status: int = 200, headers: Any = ()) -> dict[str, str]:
        """One request from its beginning to its end."""
        inside = self.let_in()
        sent = dict(self.gate.response_headers(inside, status, headers))
        self.gate.leave(inside, status=status)
        return sent

    def left(self, resource: str, limits: str) -> dict[str, int]:
        return self.limiter.available(IP, resource, limits)


def test_a_shadowed_rule_counts_and_tells_and_never_refuses(caplog: pytest.LogCaptureFixture) -> None:
    site = Site(
        Rule(key="ip", limits="1/minute", name="new", shadow=True), Rule(key="ip", limits="3/minute", name="old")
    )
    with caplog.at_level(logging.INFO, "zae_limiter.http"):
        fields = [site.done() for _ in range(3)]

    assert [each["RateLimit"] for each in fields] == ['"rpm";r=2;t=40', '"rpm";r=1;t=20', '"rpm";r=0;t=20']
    assert site.kinds == ["shadowed", "shadowed"]
    assert [rule.name for rule in site.heard[0].rules] == ["new"]
    assert site.left("new", "1/minute") == {"rpm": 0}
    assert "limit rpm of new would have refused a request" in caplog.text
    assert IP not in caplog.text
    assert isinstance(site.ask(), Refusal)
    assert site.kinds == ["shadowed", "shadowed", "limited"]


def test_single_limits_may_be_shadowed() -> None:
    site = Site(Rule(key="ip", limits="rpm=1/minute; rpd=2/day", shadow=["rpm"]))
    site.done()
    assert site.done()["RateLimit"] == '"rpd";r=0;t=43200'
    assert site.left("http", "rpm=1/minute; rpd=2/day") == {"rpm": 0, "rpd": 0}
    refused = site.ask()
    assert isinstance(refused, Refusal)
    assert b'"violated-policies":["rpd"]' in refused.body
    assert site.kinds == ["shadowed", "limited"]


def test_a_request_that_is_charged_for_nothing_is_told_nothing() -> None:
    assert Site(Rule(key="ip", limits=lambda _: [])).done() == {}
    assert Site(Rule(key="ip", limits="5/minute", exempt_when=lambda _: True)).done() == {}


def test_a_shadow_is_switched_at_run_time() -> None:
    switch = {"shadow": True}
    site = Site(Rule(key="ip", limits="1/minute", shadow=lambda _: switch["shadow"]))
    site.done()
    site.let_in()
    switch["shadow"] = False
    assert isinstance(site.ask(), Refusal)


def test_a_shadowed_limit_with_costs_by_name() -> None:
    site = Site(Rule(key="ip", limits="rpm=9/minute; tpm=10/minute", cost={"rpm": 1, "tpm": 8}, shadow=["tpm"]))
    site.done()
    site.done()
    assert site.left("http", "rpm=9/minute; tpm=10/minute") == {"rpm": 7, "tpm": 2}


def test_of_two_rules_over_one_bucket_the_strict_one_refuses() -> None:
    site = Site(
        Rule("/a*", key="ip", limits="1/minute", resource="db", shadow=True),
        Rule(key="ip", limits="1/minute", resource="db"),
    )
    site.done()
    assert isinstance(site.ask("/a"), Refusal)


def test_without_block_the_handler_decides() -> None:
    site = Site(Rule(key="ip", limits="1/minute", block=False))
    assert not site.let_in().limited
    inside = site.let_in()

    assert inside.limited
    assert inside.refusal is not None
    assert inside.refusal.status == 429
    assert dict(site.gate.response_headers(inside, 200, []))["RateLimit"] == '"rpm";r=0;t=60'
    assert site.kinds == ["limited"]


def test_a_rule_that_waits_gets_its_room() -> None:
    clock = TurnableClock()
    site = Site(Rule(key="ip", limits="1/minute", max_wait=61), limiter=sync_memory_limiter(clock=clock))
    site.done()
    inside = site.let_in()
    assert not inside.limited
    assert clock.now_ns() >= 60_000_000_000
    strict = Site(Rule(key="ip", limits="1/minute", max_wait=59), limiter=sync_memory_limiter(clock=clock))
    strict.done()
    assert isinstance(strict.ask(), Refusal)


@pytest.mark.parametrize(
    ("settings", "outcome", "kinds"),
    [
        ({}, "pass", []),
        ({"on_unmapped": "pass"}, "pass", []),
        ({"on_unmapped": "warn"}, "pass", ["unmapped"]),
        ({"on_unmapped": "deny"}, "403", ["unmapped"]),
        ({"default_rule": Rule(key="ip", limits="1/minute", name="rest")}, "limited", []),
        ({"on_unmapped": "limit", "default_rule": {"key": "ip", "limits": "1/minute", "name": "rest"}}, "limited", []),
        ({"on_unmapped": "pass", "default_rule": {"key": "ip", "limits": "1/minute"}}, "pass", []),
    ],
)
def test_requests_that_no_rule_covers(settings: dict[str, Any], outcome: str, kinds: list[str]) -> None:
    site = Site(Rule("/api/*", key="ip", limits="9/minute"), Rule("/free", exempt=True), **settings)
    entered = site.ask("/elsewhere")

    assert site.kinds == kinds
    if outcome == "403":
        assert isinstance(entered, Refusal)
        assert (entered.status, b"Forbidden" in entered.body) == (403, True)
    else:
        assert isinstance(entered, SyncPassed)
        assert bool(entered.statuses) is (outcome == "limited")
    for path, method in (("/free", "GET"), ("/api/x", "GET"), ("/elsewhere", "OPTIONS")):
        assert isinstance(site.ask(path, method), SyncPassed)
    assert site.kinds == kinds


def test_an_unmapped_route_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    site = Site(Rule("/api/*", limits="9/minute"), on_unmapped="warn")
    for _ in range(3):
        site.gate.enter(HttpRequest("GET", "/x/42", peer="203.0.113.9", route="/x/{id}"))
    assert [record.getMessage() for record in caplog.records] == ["no rule covers GET /x/{id}; it passes unlimited"]


@pytest.mark.parametrize("status", [200, 401])
def test_a_charge_may_depend_on_the_response(status: int) -> None:
    site = Site(Rule(key="ip", limits="5/minute", deduct_when=lambda response: response.status_code == 401))
    sent = site.done(status)
    assert site.left("http", "5/minute") == {"rpm": 5 if status == 200 else 4}
    assert sent["RateLimit"] == ('"rpm";r=5;t=60' if status == 200 else '"rpm";r=4;t=48')


@pytest.mark.parametrize(("told", "left"), [("30", 70), ("0", 100), ("", 90)])
def test_the_response_may_tell_the_cost(told: str, left: int) -> None:
    def cost(response: Any) -> int | None:
        return int(response.headers["x-rows"]) if "X-Rows" in response.headers else None

    site = Site(Rule(key="ip", limits="rows=100/hour", cost={"rows": 10}, cost_from_response=cost))
    site.done(headers=[("X-Rows", told)] if told else [])
    assert site.left("http", "rows=100/hour") == {"rows": left}


def test_the_response_may_tell_the_cost_of_each_limit() -> None:
    site = Site(Rule(key="ip", limits="rpm=9/minute; tpm=100/minute", cost_from_response=lambda _: {"tpm": 40}))
    inside = site.let_in()
    site.gate.response_headers(inside, 200, [], native=object())
    site.gate.response_headers(inside, 200, [])
    site.gate.leave(inside, status=200)
    assert site.left("http", "rpm=9/minute; tpm=100/minute") == {"rpm": 8, "tpm": 60}


@pytest.mark.parametrize("status", [200, 503])
def test_one_rule_of_several_gives_back(status: int) -> None:
    site = Site(
        Rule(key="ip", limits="5/minute", name="a", refund_on="5xx"),
        Rule(key="ip", limits="5/minute", name="b"),
        Rule(key="ip", limits="5/minute", name="c", refund_on=lambda seen: seen == 503),
    )
    site.done(status)
    left = [site.left(name, "5/minute")["rpm"] for name in "abc"]
    assert left == ([5, 4, 5] if status == 503 else [4, 4, 4])


def test_every_lease_ends_where_a_callable_for_refunds_fails() -> None:
    site = Site(
        Rule(key="ip", limits="rows=50/minute", name="a", cost={"rows": 5}, refund_on=lambda seen: seen / 0 > 1)
    )
    inside = site.let_in()
    inside.lease.adjust(rows=10)
    own = Rule(key="ip", limits="rows=50/minute", name="b", cost={"rows": 5})
    site.gate.enter(inside.request, passed=inside, only=(own,))
    inside.lease.adjust(rows=20)
    with pytest.raises(ZeroDivisionError):
        site.gate.leave(inside, status=200)
    assert [site.left(name, "rows=50/minute")["rows"] for name in "ab"] == [35, 25]


def test_what_a_handler_released_is_not_given_back_twice() -> None:
    site = Site(
        Rule(key="ip", limits="rows=50/minute", name="a", cost={"rows": 5}, refund_on="5xx"),
        Rule(key="ip", limits="5/minute", name="b"),
    )
    inside = site.let_in()
    inside.lease.release(rows=4)
    site.gate.leave(inside, status=500)
    assert site.left("a", "rows=50/minute") == {"rows": 50}


def test_a_refund_reaches_the_parents_of_its_own_charge_alone() -> None:
    site = Site(
        Rule(key=lambda _: "ann", limits="rows=10/minute", name="a", cost={"rows": 3}, refund_on="5xx"),
        Rule(key=lambda _: "ann", limits="rows=10/minute", name="b", cost={"rows": 2}),
    )
    site.limiter.create_entity("org")
    site.limiter.create_entity("custom:ann", parent_id="org", cascade=True)
    for name in "ab":
        site.limiter.set_limits("org", "rows=100/minute", resource=name)
    site.done(500)
    left = [site.limiter.available("org", name)["rows"] for name in "ab"]
    assert left == [100, 98]


def test_a_request_that_a_later_rule_refuses_is_charged_for_none() -> None:
    site = Site(Rule(key="ip", limits="9/minute", name="all"))
    view = Rule(key="ip", limits="1/minute", name="view")
    for outcome in (SyncPassed, Refusal):
        inside = site.let_in()
        entered = site.gate.enter(inside.request, passed=inside, only=[view])
        assert isinstance(entered, outcome)
        site.gate.leave(inside, status=429 if outcome is Refusal else 200)
    assert site.left("all", "9/minute") == {"rpm": 8}


def test_rules_that_meet_only_in_a_request_say_which_they_are() -> None:
    site = Site(
        Rule("/a*", key="ip", limits=lambda _: "5/minute", resource="db", name="few"),
        Rule(key="ip", limits="9/minute", resource="db", name="many"),
    )
    site.let_in("/b")
    with pytest.raises(SettingsError, match=r"rules few and many meet in one request .*resource db.*give one of them"):
        site.ask("/a")
    assert site.kinds == ["failed"]


def test_a_rule_that_cannot_work_alone_keeps_its_own_error() -> None:
    site = Site(Rule(key="ip"))
    with pytest.raises(ValidationError, match="no limits are set"):
        site.ask()


def test_limits_that_nobody_has_stored_are_told_with_their_remedy_beside_other_rules_too() -> None:
    site = Site(Rule(key="ip", limits="9/minute"), Rule(key="ip", resource="report"))
    with pytest.raises(ValidationError, match=r"no limits are set .*: zae-limiter resource set-defaults report -l rpm"):
        site.ask()


def test_an_outage_is_told() -> None:
    limiter, store = sync_faulty_limiter(clock=TurnableClock())
    store.fail()
    blocked = Site(Rule(key="ip", limits="9/minute"), limiter=limiter)
    assert isinstance(blocked.ask(), Refusal)
    allowed = Site(Rule(key="ip", limits="9/minute", on_unavailable="allow"), limiter=limiter)
    assert allowed.let_in().degraded
    assert (blocked.kinds, allowed.kinds) == (["unavailable"], ["degraded"])


def test_a_listener_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    site = Site(Rule(key="ip", limits="1/minute"))

    def fail(event: Event) -> None:
        raise OSError(event.kind)

    site.gate.listeners.insert(0, fail)
    site.done()
    assert isinstance(site.ask(), Refusal)
    assert site.kinds == ["limited"]
    assert "a listener failed at 'limited'" in caplog.text


def test_an_error_of_the_application_is_told_when_the_request_ends() -> None:
    site = Site(Rule(key="ip", limits="1/minute"))
    inside = site.let_in()
    with pytest.raises(RateLimitExceeded) as raised:
        inside.lease.consume(rpm=1)
    assert site.gate.answer(raised.value, inside) is not None
    assert site.kinds == []
    site.gate.leave(inside, status=429)
    assert site.kinds == ["limited"]


def test_rules_whose_limits_differ_count_apart_unless_they_are_named() -> None:
    site = Site(
        Rule("/v1/*", key="ip", limits="9/minute", methods=["POST"]),
        Rule("/v1/*", key="ip", limits="90/minute"),
        Rule("/v2/*", key="ip", limits="90/minute"),
        Rule("*", key="ip", limits="80/minute", methods=["PUT"]),
        Rule("*", key="ip", limits="70/minute", methods=["PUT"]),
        Rule("*", key="ip", limits="60/minute", methods=["PUT"]),
    )
    posted = site.let_in("/v1/x", "POST")
    assert [(status.resource, status.limit.capacity) for status in posted.statuses] == [("http", 9), ("http/v1", 90)]
    put = site.let_in("/v2/x", "PUT")
    assert [(status.resource, status.limit.capacity) for status in put.statuses] == [
        ("http/v1", 90),
        ("http/PUT", 80),
        ("http/2", 70),
        ("http/3", 60),
    ]
