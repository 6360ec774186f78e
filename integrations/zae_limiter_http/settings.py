"""The one configuration of the HTTP side, whatever front it comes through; all of its mistakes at once.

Values of a mistake are never shown: a secret may stand beside it.
"""

import difflib
import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from zae_limiter.exceptions import MissingExtraError, ValidationError
from zae_limiter.stores import check_address
from zae_limiter_http.addresses import LISTS, SINGLES, Addresses, Network, Proxies
from zae_limiter_http.buckets import Buckets, clashes
from zae_limiter_http.callers import Callers, is_async
from zae_limiter_http.headers import Style
from zae_limiter_http.imports import imported, rule_of
from zae_limiter_http.rule import RefundOn, Rule, SettingsError
from zae_limiter_http.rules import Rules

try:
    from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
    from pydantic import ValidationError as Mistakes
except ImportError as error:
    raise MissingExtraError("asgi", "zae_limiter_http") from error

_IN_OTHER_WORDS: Final = {
    "tuple_type": "must be a list of texts, such as ['one']",
    "model_type": "must be a mapping, such as {'source': 'xff', 'trusted_proxies': ['10.0.0.0/8']}",
}
_OWN_HEADER = re.compile(r"x-[a-z0-9-]+")
HeaderStyle = Literal["draft", "x", "ietf06", "openai"]


class ProxySettings(BaseModel):
    """Which header tells the client's address, and which proxies are believed."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    source: str = "xff"
    trusted_proxies: tuple[str, ...] = ()
    trusted_proxies_count: int = Field(0, ge=0, le=32)

    @model_validator(mode="after")
    def _one_mode(self) -> "ProxySettings":
        if bool(self.trusted_proxies) == bool(self.trusted_proxies_count):
            raise ValueError("set one of trusted_proxies and trusted_proxies_count")
        if self.source == "x-forwarded-for":
            # As one value, a list of several hops is no address, and all callers would share the proxy's bucket.
            raise ValueError("source must be 'xff' for X-Forwarded-For, which is a list")
        if self.source not in LISTS and self.source not in SINGLES and not _OWN_HEADER.fullmatch(self.source):
            raise ValueError(
                f"source must be one of {', '.join([*LISTS, *SINGLES])}, or a header beginning with x-, in lower case"
            )
        return self

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if text == "*":
                raise ValueError("'*' trusts every client's own words; name the networks of your proxies")
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                raise ValueError(f"{text!r} is no network such as 10.0.0.0/8: {error}") from None
        return value

    def proxies(self) -> Proxies:
        """The same as the address reader takes it."""
        networks = tuple(_plain(ipaddress.ip_network(text)) for text in self.trusted_proxies)
        return Proxies(self.source, networks, self.trusted_proxies_count)


def _plain(network: Network) -> Network:
    """A network of IPv4 that is written as one of IPv6, as addresses are read."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is None or network.prefixlen < 96:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - 96))


class Settings(BaseModel):
    """Every setting with its default; `Settings.of(...)` makes one and tells all mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True)

    enabled: bool = True
    store: str | None = None
    limiter: Any = None
    rules: tuple[Any, ...] = ()
    header_style: tuple[HeaderStyle, ...] = ("draft",)
    ratelimit_dialect: Literal["draft11", "editors", "both"] = "draft11"
    ratelimit_members: Literal["all", "tightest"] = "all"
    retry_after_format: Literal["delta", "http-date"] = "delta"
    retry_after_jitter_seconds: int = Field(0, ge=0, le=3_600)
    reset_format: Literal["epoch", "delta", "http-date"] = "epoch"
    expose_limits: bool = False
    expose_parent: bool = False
    partition_key: Literal["none", "resource", "opaque"] = "none"
    cors_expose: bool = False
    exempt_methods: tuple[str, ...] = ("OPTIONS",)
    exempt_paths: tuple[str, ...] = ()
    exempt_when: Any = None
    on_unavailable: Literal["allow", "block"] | None = None
    unavailable_retry_after: int = Field(5, ge=1, le=86_400)
    limiter_timeout: float = Field(1.0, gt=0, le=60)
    on_error: Literal["raise", "deny", "allow"] = "raise"
    on_unmapped: Literal["pass", "limit", "warn", "deny"] | None = None
    default_rule: Any = None
    on_event: Any = None
    refund_on: Any = "never"
    proxy: ProxySettings | None = None
    ipv6_prefix: int = Field(64, ge=32, le=128)
    hash_secret: SecretStr | None = None
    websocket_close_code: int = Field(1013, ge=1000, le=4999)
    responder: Any = None
    html_template: str | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Settings":
        """The settings of a mapping; `SettingsError` with every mistake and its place."""
        found: dict[str, Any] = {}
        mistakes: list[str] = []
        for name, value in values.items():
            try:
                found[name] = imported(value) if name in _CALLABLES else value
            except SettingsError as error:
                mistakes += [f"{name}: {mistake}" for mistake in error.mistakes]
        found["rules"] = _rules(values.get("rules", ()), mistakes)
        if found.get("default_rule") is not None:
            found["default_rule"] = _rule("default_rule", found["default_rule"], mistakes)
        mistakes += clashes(found["rules"])
        try:
            made = cls(**found)
        except Mistakes as error:
            mistakes = [_told(each) for each in error.errors(include_input=False, include_url=False)] + mistakes
            raise SettingsError(mistakes) from None
        mistakes += made._mistakes()
        if mistakes:
            raise SettingsError(mistakes)
        return made

    def _mistakes(self) -> list[str]:
        """What is wrong with values that pydantic lets pass."""
        mistakes: list[str] = []
        if self.store is not None:
            try:
                check_address(self.store)
            except ValidationError as error:
                mistakes.append(f"store: {error.reason}")
        odd = [glob for glob in self.exempt_paths if not glob.startswith(("/", "*", "?", "["))]
        mistakes += [f"exempt_paths: a path begins with a slash; write '/{glob}'" for glob in odd]
        if self.store is not None and self.limiter is not None:
            mistakes.append("store, limiter: give one of the two")
        if self.refund_on not in ("never", "5xx") and not callable(self.refund_on):
            mistakes.append("refund_on: must be 'never', '5xx' or a callable of the status")
        for name in ("exempt_when", "responder", "on_event"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                mistakes.append(f"{name}: must be a callable or its import string, got {type(value).__name__}")
        waiting = [name for name in ("responder", "refund_on") if is_async(getattr(self, name))]
        mistakes += [f"{name}: must be a plain function; a response does not wait" for name in waiting]
        if self.on_unmapped == "limit" and self.default_rule is None:
            mistakes.append("on_unmapped: 'limit' needs a default_rule")
        if self.partition_key == "opaque" and self.hash_secret is None:
            mistakes.append("partition_key: 'opaque' needs a hash_secret")
        return mistakes

    @property
    def is_limiter_made_here(self) -> bool:
        """Whether the limiter is made from these settings, so that nobody else closes it."""
        return self.limiter is None or callable(self.limiter)

    def rule_set(self) -> Rules:
        """The rules, ready to be asked."""
        proxies = self.proxy.proxies() if self.proxy else Proxies()
        secret = self.hash_secret.get_secret_value() if self.hash_secret else None
        callers = Callers(Addresses(proxies, ipv6_prefix=self.ipv6_prefix), secret)
        return Rules(
            self.rules,
            callers=callers,
            exempt_methods=self.exempt_methods,
            exempt_paths=self.exempt_paths,
            exempt_when=self.exempt_when,
            buckets=self.buckets(),
        )

    def buckets(self) -> Buckets:
        """Which bucket each rule counts in."""
        return Buckets(self.rules if self.default_rule is None else (*self.rules, self.default_rule))

    def style(self) -> Style:
        """Which header fields are written, and how."""
        return Style(
            self.header_style,
            self.ratelimit_dialect,
            self.ratelimit_members,
            self.retry_after_format,
            self.retry_after_jitter_seconds,
            self.reset_format,
            self.expose_parent,
            self.partition_key,
            self.hash_secret.get_secret_value() if self.hash_secret else None,
            self.cors_expose,
        )

    def async_words(self) -> list[str]:
        """The places of coroutine functions, which a framework that serves requests in threads cannot call."""
        found = [name for name in ("exempt_when", "on_event") if is_async(getattr(self, name))]
        if self.default_rule is not None:
            found += [f"default_rule.{word}" for word in self.default_rule.async_words()]
        return found + [
            f"rules[{index}].{word}" for index, rule in enumerate(self.rules) for word in rule.async_words()
        ]

    def refund_of(self, rule: Rule) -> RefundOn:
        """When a charge of this rule is given back: the rule's word, else the setting's."""
        general: RefundOn = self.refund_on
        return general if rule.refund_on is None else rule.refund_on


_CALLABLES = ("exempt_when", "responder", "refund_on", "limiter", "on_event")


def _rules(values: Any, mistakes: list[str]) -> tuple[Rule, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        mistakes.append("rules: must be a list of rules")
        return ()
    found = [_rule(f"rules[{index}]", value, mistakes) for index, value in enumerate(values)]
    # A stand-in keeps the places of the others.
    return tuple(Rule(exempt=True) if rule is None else rule for rule in found)


def _rule(place: str, value: Any, mistakes: list[str]) -> Rule | None:
    try:
        rule = rule_of(value)
    except SettingsError as error:
        mistakes += [f"{place}{mistake}" for mistake in error.mistakes]
        return None
    mistakes += [f"{place}.{mistake}" for mistake in rule.mistakes]
    return rule


def _told(mistake: Any) -> str:
    place = ""
    for part in mistake["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    if mistake["type"] == "extra_forbidden":
        model = Settings if len(mistake["loc"]) == 1 else ProxySettings
        near = difflib.get_close_matches(str(mistake["loc"][-1]), list(model.model_fields), 1)
        return f"{place}: no such setting" + (f"; did you mean {near[0]!r}?" if near else "")
    text = _IN_OTHER_WORDS.get(mistake["type"]) or mistake["msg"].removeprefix("Value error, ")
    return f"{place}: {text}"
