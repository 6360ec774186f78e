"""Mistakes of a configuration: all at once, each with its place; callables by name."""

import html
import json
from typing import Any

import pytest

from zae_limiter_http import Rule, Settings, SettingsError, placed


async def later(request: object) -> str:
    return "anybody"


def nothing() -> str:
    return "5/minute"


def mistakes_of(**values: Any) -> list[str]:
    with pytest.raises(SettingsError) as told:
        Settings.of(values)
    return told.value.mistakes


@pytest.mark.parametrize(
    ("values", "mistake"),
    [
        ({"exempt_when": 3}, "exempt_when: must be a callable or its import string, got int"),
        ({"responder": 3}, "responder: must be a callable or its import string, got int"),
        ({"responder": later}, "responder: must be a plain function; a response does not wait"),
        ({"on_event": "no.such.module:x"}, "on_event: 'no.such.module:x' cannot be imported: No module named 'no'"),
        ({"refund_on": "4xx"}, "refund_on: must be 'never', '5xx' or a callable of the status"),
        ({"rules": 5}, "rules: must be a list of rules"),
        ({"rules": "x"}, "rules: must be a list of rules"),
        ({"rules": [5]}, "rules[0]: must be a Rule or a mapping, got int"),
        ({"default_rule": 5}, "default_rule: must be a Rule or a mapping, got int"),
        ({"default_rule": {"kee": "ip"}}, "default_rule.kee: no such word; did you mean 'key'?"),
        ({"on_unmapped": "limit"}, "on_unmapped: 'limit' needs a default_rule"),
        ({"partition_key": "opaque"}, "partition_key: 'opaque' needs a hash_secret"),
        ({"header_style": ["y"]}, "header_style[0]: Input should be 'draft', 'x', 'ietf06' or 'openai'"),
        ({"ipv6_prefix": 8}, "ipv6_prefix: Input should be greater than or equal to 32"),
        ({"store": "redis://localhost"}, "store: write 'embedded:///path/to/limits.db', 'memory:' or 'dynamodb:"),
        ({"header_style": "x"}, "header_style: must be a list of texts, such as ['one']"),
        ({"exempt_paths": ["health", "/in", "*.css"]}, "exempt_paths: a path begins with a slash; write '/health'"),
        ({"proxy": "xff"}, "proxy: must be a mapping, such as {'source': 'xff', "),
        ({"proxy": {}}, "proxy: set one of trusted_proxies and trusted_proxies_count"),
        (
            {"proxy": {"trusted_proxies": ["10.0.0.0/8"], "trusted_proxies_count": 1}},
            "proxy: set one of trusted_proxies and trusted_proxies_count",
        ),
        (
            {"proxy": {"trusted_proxies": ["*"]}},
            "proxy.trusted_proxies: '*' trusts every client's own words; name the networks of your proxies",
        ),
        (
            {"proxy": {"trusted_proxies": ["10.0.0.1/8"]}},
            "proxy.trusted_proxies: '10.0.0.1/8' is no network such as 10.0.0.0/8: 10.0.0.1/8 has host bits set",
        ),
        (
            {"proxy": {"trusted_proxies_count": 1, "source": "via"}},
            "proxy: source must be one of xff, forwarded, x-real-ip, cf-connecting-ip, true-client-ip, or a header ",
        ),
        (
            {"proxy": {"trusted_proxies_count": 1, "source": "x-forwarded-for"}},
            "proxy: source must be 'xff' for X-Forwarded-For, which is a list",
        ),
        ({"proxy": {"trusted_proxies_count": 1, "source": "x-адрес"}}, "proxy: source must be one of xff, forwarded"),
    ],
)
def test_a_setting_that_cannot_work_is_told(values: dict[str, Any], mistake: str) -> None:
    found = mistakes_of(**values)
    assert len(found) == 1
    assert found[0].startswith(mistake.strip())


@pytest.mark.parametrize(
    ("rule", "mistake"),
    [
        ({"methods": 5}, "methods: must be a list of texts, got int"),
        ({"methods": "GET"}, "methods: must be a list of texts, got str"),
        ({"methods": ["FETCH"]}, "methods: 'FETCH' is no method of HTTP"),
        ({"exempt_when": 3}, "exempt_when: must be a callable"),
        ({"deduct_when": later}, "deduct_when: must be a plain function; a response does not wait"),
        ({"cost_from_response": 3}, "cost_from_response: must be a callable"),
        ({"shadow": 5}, "shadow: must be a list of texts, got int"),
        ({"shadow": ["rpd"], "limits": "5/minute"}, "shadow: no such limit 'rpd'; the rule has rpm"),
        ({"block": "no"}, "block: must be True or False"),
        ({"last": 1}, "last: must be True or False"),
        ({"limits": 5}, "limits: must be a text, a list of limits or a callable, got int"),
        ({"limits": {"rpm": 5}}, "limits: must be a text, a list of limits or a callable, got dict"),
        ({"cost": "x"}, "cost: must be an int of at least 0 (got 'x')"),
        ({"max_wait": -1}, "max_wait: must be a number of seconds from 0 to 3600"),
        (
            {"limits": nothing},
            "limits: a callable is called with the request alone, as nothing() cannot be; a decorator is",
        ),
        ({"key": ["ip", nothing]}, "key: a callable is called with the request alone, as nothing() cannot be"),
        ({"rate": "5/m"}, "rate: no such word; did you mean 'limits'?"),
        ({"match": "api/*"}, "match: a path begins with a slash; write '/api/*'"),
        ({"match": 5}, "match: must be a glob, 'route:<glob>', 'view:<glob>' or a callable"),
        ({"on_unavailable": "maybe"}, "on_unavailable: must be 'allow' or 'block'"),
        ({"refund_on": "4xx"}, "refund_on: must be 'never', '5xx' or a callable of the status"),
        ({"problem": "other"}, "problem: must be 'abnormal-usage'"),
        ({"key": "no.such.module"}, "key: 'no.such.module' cannot be imported: No module named 'no'"),
        ({"cost": "json:nobody"}, "cost: 'json:nobody' cannot be"),
    ],
)
def test_a_word_of_a_rule_that_cannot_work_is_told_with_its_place(rule: dict[str, Any], mistake: str) -> None:
    found = mistakes_of(rules=[{"key": "ip", "name": "fine", "limits": "5/minute"}, rule])
    assert len(found) == 1
    assert found[0].startswith(f"rules[1].{mistake}")


def test_mistakes_of_all_kinds_are_told_at_once() -> None:
    found = mistakes_of(
        rules=[
            {"limits": ["5/minute", "5/month"], "name": "a"},
            {"key": "no.such:thing", "last": 5},
            {"limits": "5/minute", "name": "b"},
            {"limits": "6/minute", "name": "b"},
        ],
        responder="no.such:thing",
        ipv6_prefix=4,
        default_rule={"key": "x"},
    )
    places = [mistake.partition(":")[0] for mistake in found]
    assert sorted(places) == [
        "default_rule.key",
        "ipv6_prefix",
        "responder",
        "rules[0].limits[1]",
        "rules[1].key",
        "rules[1].last",
        "rules[3].limits",
    ]


def test_rules_that_cannot_work_are_told_all_at_once_with_their_places() -> None:
    found = mistakes_of(
        rules=[
            {"limits": "5/minute", "cost": {"tpm": 1}, "name": "a"},
            {"limits": ["5/minute", "5/hour", "9/minute"], "name": "b"},
            {"key": "cookie", "name": "c"},
            {"cost": -1, "name": "d"},
            {"match": "no.such:thing", "name": "e"},
            {"limits": ["5/minute", "5 per fortnight", "x"], "name": "f"},
        ],
        proxy={"trusted_proxies": ["*"]},
    )
    assert [mistake.partition(": ")[0] for mistake in found] == [
        "proxy.trusted_proxies",
        "rules[0].cost.tpm",
        "rules[1].limits",
        "rules[2].key",
        "rules[3].cost",
        "rules[4].match",
        "rules[5].limits[1]",
        "rules[5].limits[2]",
    ]


def test_what_pydantic_lets_pass_is_told_with_the_rest() -> None:
    assert mistakes_of(exempt_when=3, rules=[{"key": "x"}], refund_on=5)[0].startswith("rules[0].key: ")


def test_callables_are_named_by_text_in_rules_and_settings() -> None:
    settings = Settings.of(
        {
            "rules": [
                {"match": "json:loads", "key": ["html.escape", "header:X-Key"], "limits": "json:dumps"},
                Rule("/api.v1/*", resource="a.b"),
                {"match": "view:shop:checkout", "key": "header:X-Key", "resource": "shop.checkout"},
            ],
            "exempt_when": "html.escape",
            "limiter": "html:escape.__name__.upper",
        }
    )
    first, _, third = settings.rules
    assert (first.match, first.limits, first.key) == (json.loads, json.dumps, (html.escape, "header:X-Key"))
    assert (third.match, third.resource) == ("view:shop:checkout", "shop.checkout")
    assert settings.exempt_when is html.escape
    assert settings.limiter() == "ESCAPE"


def test_what_stands_at_a_view_has_no_match() -> None:
    with pytest.raises(SettingsError, match=r"^rate_limit\.match: what stands at a view is about that view"):
        placed("5/minute", {"match": "/elsewhere"})
