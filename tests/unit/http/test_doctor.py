"""What the doctor says of what a reader has found; and where a file lies."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from zae_limiter.exceptions import ValidationError
from zae_limiter.testing import memory_limiter
from zae_limiter_http import Rule, Settings
from zae_limiter_http.doctor import FoundRoute, Report, Subject, examine
from zae_limiter_http.doctor.coverage import sample_path
from zae_limiter_http.doctor.disks import network_disk
from zae_limiter_http.doctor.findings import findings
from zae_limiter_http.doctor.table import printed


def _report(subject: Subject, workers: int | None = None) -> Report:
    return examine(object(), workers=workers, readers=[lambda _: None, lambda _: subject])


def _subject(*routes: FoundRoute, **words: Any) -> Subject:
    words.setdefault("store", "embedded:///var/lib/app/limits.db")
    words.setdefault("rules", [Rule(key="ip", limits="9/minute")])
    return Subject("Test", Settings.of(words), routes=routes)


def _numbers(subject: Subject, workers: int | None = None) -> list[str]:
    return [finding.number for finding in _report(subject, workers).findings]


def test_an_application_without_a_limiter_is_told() -> None:
    assert _numbers(Subject("Test")) == ["D02"]


def test_every_mistake_of_a_configuration_is_a_finding() -> None:
    assert _numbers(Subject("Test", mistakes=("rules[0].key: no such kind", "store: what"))) == ["D01", "D01"]


def test_nothing_is_wrong_with_what_is_well() -> None:
    report = _report(_subject(FoundRoute("/a", ("GET",))))
    assert (report.findings, report.is_well) == ((), True)


@pytest.mark.parametrize(
    ("outside", "inside", "numbers"),
    [
        ((), ("CORSMiddleware",), ["D03"]),
        (("CORSMiddleware",), (), []),
        (("UpdateCacheMiddleware",), (), ["D04"]),
        (("ZaeLimiterHeaderMiddleware", "UpdateCacheMiddleware"), (), []),
        ((), ("AuthenticationMiddleware",), ["D05"]),
        (("AuthenticationMiddleware",), (), []),
    ],
)
def test_the_order_of_middleware_is_looked_at(
    outside: tuple[str, ...], inside: tuple[str, ...], numbers: list[str]
) -> None:
    subject = _subject(rules=[Rule(key=["user", "ip"], limits="9/minute")])
    assert _numbers(replace(subject, outside=outside, inside=inside)) == numbers


def test_addresses_that_two_places_trust_are_told() -> None:
    subject = replace(_subject(proxy={"trusted_proxies_count": 1}), outside=("ProxyFix",))
    assert _numbers(subject) == ["D06"]
    by_network = _subject(proxy={"trusted_proxies": ["10.0.0.0/8"]})
    assert _numbers(replace(by_network, outside=("ProxyFix",))) == []
    assert _numbers(_subject(proxy={"trusted_proxies": ["0.0.0.0/0"]})) == ["D06"]


def test_a_key_that_clients_choose_is_told_and_another_is_not() -> None:
    chosen = [Rule(key=lambda request: request.headers["x-tenant"], limits="9/minute")]
    assert _numbers(_subject(rules=chosen)) == ["D07"]
    verified = [Rule(key=lambda request: request.state.tenant, limits="9/minute")]
    assert _numbers(_subject(rules=verified)) == []


def test_a_header_as_key_without_a_secret_is_a_note() -> None:
    by_header = [Rule(key=["header:X-API-Key", "ip"], limits="9/minute")]
    report = _report(_subject(rules=by_header))
    assert ([finding.number for finding in report.findings], report.is_well) == (["D08"], True)
    assert _numbers(_subject(rules=by_header, hash_secret="secret")) == []


def test_a_store_that_is_not_named_is_told_unless_a_limiter_is_handed_in() -> None:
    assert _numbers(_subject(store=None)) == ["D09"]
    assert _numbers(replace(_subject(store=None), is_debugged=True)) == []
    handed_in = _report(_subject(store=None, limiter=memory_limiter()))
    assert (handed_in.findings, handed_in.store) == ((), "memory:")


@pytest.mark.parametrize(("workers", "is_well"), [(None, True), (1, True), (4, False)])
def test_memory_is_wrong_with_several_workers(workers: int | None, is_well: bool) -> None:
    report = _report(_subject(store="memory:"), workers)
    assert ([finding.number for finding in report.findings], report.is_well) == (["D10"], is_well)


def test_the_number_of_workers_is_read_where_servers_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    assert "with 3 workers 3 times" in _report(_subject(store="memory:")).findings[0].text


def test_a_route_that_no_rule_covers_is_told_and_one_of_the_framework_is_not() -> None:
    routes = [FoundRoute("/a", ("GET",)), FoundRoute("/docs", ("GET",), is_own=False), FoundRoute("/b/{x}", ("POST",))]
    report = _report(_subject(*routes, rules=[Rule("/b/*", key="ip", limits="9/minute")]))
    assert [(finding.number, finding.text) for finding in report.findings] == [("D12", "No rule covers GET /a.")]
    many = [FoundRoute(f"/{name}", ("GET",)) for name in "abcdefg"]
    assert "and 2 more" in _report(_subject(*many, rules=[])).findings[0].text


def test_a_rule_that_matches_no_route_is_a_note() -> None:
    rules = [Rule("/v2/*", limits="9/minute"), Rule(limits="8/minute", name="all"), Rule(lambda _: True, exempt=True)]
    report = _report(_subject(FoundRoute("/a", ("GET",)), rules=rules))
    assert ([finding.number for finding in report.findings], report.is_well) == (["D13"], True)


def test_the_table_tells_which_rules_apply_and_under_which_conditions() -> None:
    def staff(_: Any) -> bool:
        return False

    rules = [
        Rule("/health", exempt=True),
        Rule("/v1/*", key=["user", staff], cost={"rpm": 2}, methods=["POST"], name="writes", exempt_when=staff),
        Rule("/v1/last", limits="9/minute", last=True),
        Rule(staff, limits=staff, cost=staff, resource=staff, key="ip"),
    ]
    routes = [
        FoundRoute("/health", ("GET", "HEAD")),
        FoundRoute("/v1/{x}", ("GET", "POST"), "m.view", (Rule(limits="1/second", resource="route"),)),
        FoundRoute("/v1/last", ("GET",)),
        FoundRoute("/gone", ("GET",)),
    ]
    report = _report(_subject(*routes, rules=rules, exempt_paths=["/gone"]))
    health, users, last, gone = report.routes
    assert (health.exempt, health.methods, gone.exempt) == ("rules[0]", ("GET",), "exempt_paths '/gone'")
    told = [(rule.place, rule.entity, rule.resource, rule.limits, rule.cost, rule.when) for rule in users.rules]
    assert told == [
        ("rules[1] writes", "user, staff()", "writes", "as stored", "rpm=2", "POST, unless staff()"),
        ("rules[3]", "ip", "staff()", "staff()", "staff()", "if staff()"),
        ("view", "auto", "v1/_x_", "1/second", "1 request", ""),
    ]
    assert [rule.place for rule in last.rules] == ["rules[2]"]


def test_where_it_is_switched_off_everything_is_exempt() -> None:
    report = _report(_subject(FoundRoute("/a", ("GET",)), enabled=False))
    assert report.routes[0].exempt == "enabled=False"


@pytest.mark.parametrize(
    ("template", "path"),
    [("/a/{x:int}/b", "/a/1/b"), ("/a/<int:x>", "/a/1"), ("^a/(?P<x>[0-9]+)/$", "/a/1/"), ("", "/")],
)
def test_a_template_has_a_sample(template: str, path: str) -> None:
    assert sample_path(template) == path


def test_a_report_is_printed_plainly_into_a_pipe_and_in_colour_on_a_terminal(capsys: Any) -> None:
    report = _report(_subject(FoundRoute("/a", ("GET",)), FoundRoute("/b", ("GET",)), rules=[Rule("/a", exempt=True)]))
    printed(report)
    plain = capsys.readouterr().out
    assert "\x1b" not in plain
    assert "exempt" in plain
    assert "D12 No rule covers GET /b.\n    Add a rule" in plain
    console = Console(force_terminal=True, width=120, record=True, color_system="standard")
    printed(report, console)
    assert "\x1b[" in console.export_text(styles=True)
    printed(_report(_subject()))
    assert "Nothing is wrong." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("store", "found"),
    [
        ("embedded:///mnt/share/limits.db", "nfs4"),
        ("embedded:///mnt/my%20disk/limits.db", "cifs"),
        ("embedded:///mnt/shared/limits.db", None),
        ("embedded:///var/limits.db", None),
        ("memory:", None),
    ],
)
def test_a_network_disk_is_known_by_the_mounts(tmp_path: Path, store: str, found: str | None) -> None:
    mounts = tmp_path / "mounts"
    lines = ["/dev/a / ext4 rw 0 0", "srv:/x /mnt/share nfs4 rw 0 0", "//srv/y /mnt/my\\040disk cifs rw 0 0"]
    mounts.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert network_disk(store, mounts) == found
    assert network_disk(store, tmp_path / "absent") is None


def test_a_store_on_a_network_disk_is_a_finding() -> None:
    found = findings(_subject(), (), workers=None, disk_of={"embedded:///var/lib/app/limits.db": "nfs4"}.get)
    assert [(finding.number, "(nfs4)" in finding.text) for finding in found] == [("D11", True)]


def test_what_nobody_can_read_is_told() -> None:
    with pytest.raises(ValidationError, match="must be an application of Starlette"):
        examine(object(), readers=[])
    with pytest.raises(ValidationError, match="DJANGO_SETTINGS_MODULE"):
        examine(readers=[])


def test_every_number_is_documented() -> None:
    root = Path(__file__).parents[3]
    source = (root / "integrations/zae_limiter_http/doctor/findings.py").read_text(encoding="utf-8")
    page = (root / "docs/guide/doctor.md").read_text(encoding="utf-8")
    numbers = set(re.findall(r'"(D\d\d)"', source))
    assert len(numbers) == 14
    assert [number for number in sorted(numbers) if f"\n| {number} | " not in page] == []


def test_rules_that_count_in_one_bucket_with_other_numbers_are_told() -> None:
    at_view = Rule(limits="5/minute", resource="login", key="ip")
    routes = [FoundRoute("/login", ("POST",), rules=(at_view,)), FoundRoute("/other", ("GET",))]
    report = _report(_subject(*routes, rules=[Rule(key="ip", resource="login", limits="100/minute")]))
    assert [finding.number for finding in report.findings] == ["D14"]
    assert (
        "On POST /login rules[0] and view have other numbers for 'rpm' of resource 'login'" in report.findings[0].text
    )
    apart = _report(_subject(*routes, rules=[Rule(key="ip", resource="route", limits="all=100/minute")]))
    assert apart.findings == ()


def test_what_becomes_of_a_route_without_a_rule_is_shown() -> None:
    route = FoundRoute("/a", ("GET",))
    by_default = _report(_subject(route, rules=[], default_rule=Rule(key="ip", limits="9/minute")))
    assert [rule.place for rule in by_default.routes[0].rules] == ["default_rule"]
    denied = _report(_subject(route, rules=[], on_unmapped="deny"))
    assert [rule.limits for rule in denied.routes[0].rules] == ["denied"]
    assert by_default.findings == denied.findings == ()


def test_rules_of_settings_that_count_apart_are_shown_with_their_own_resource() -> None:
    rules = [Rule(key="ip", limits="9/minute"), Rule("/v1/*", key="ip", limits="2/minute")]
    report = _report(_subject(FoundRoute("/v1/a", ("GET",)), rules=rules))
    first, second = (rule.resource for rule in report.routes[0].rules)
    assert (first, first == second, report.findings) == ("http", False, ())


def test_a_rule_by_route_and_a_view_s_own_count_apart_as_they_do_in_requests() -> None:
    at_view = Rule(limits="5/minute", resource="route", key="ip")
    route = FoundRoute("/login", ("POST",), rules=(at_view,))
    report = _report(_subject(route, rules=[Rule(key="ip", resource="route", limits="100/minute")]))
    assert [rule.resource for rule in report.routes[0].rules] == ["login", "login/2"]
    assert report.findings == ()
