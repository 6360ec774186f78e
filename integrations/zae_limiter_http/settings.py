"""The one configuration of the HTTP side, whatever front it comes through; all of its mistakes at once.

Values of a mistake are never shown: a secret may stand beside it.
"""

import difflib
import ipaddress
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Literal

from zae_limiter.exceptions import MissingExtraError
from zae_limiter_http.addresses import LISTS, SINGLES, Addresses, Proxies
from zae_limiter_http.callers import Callers
from zae_limiter_http.rules import RefundOn, Rule, Rules, SettingsError

try:
    from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
    from pydantic import ValidationError as Mistakes
except ImportError as error:
    raise MissingExtraError("asgi", "zae_limiter_http") from error

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
        if self.source not in LISTS and self.source not in SINGLES and not self.source.startswith("x-"):
            raise ValueError(f"source must be one of {', '.join([*LISTS, *SINGLES])}, or a header beginning with x-")
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
        networks = tuple(ipaddress.ip_network(text) for text in self.trusted_proxies)
        return Proxies(self.source, networks, self.trusted_proxies_count)


class Settings(BaseModel):
    """Every setting with its default; `Settings.of(...)` makes one and tells all mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True)

    enabled: bool = True
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
    refund_on: Any = "never"
    proxy: ProxySettings | None = None
    ipv6_prefix: int = Field(64, ge=32, le=128)
    hash_secret: SecretStr | None = None
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
        found["rules"], of_rules = _rules(values.get("rules", ()))
        mistakes += of_rules
        try:
            made = cls(**found)
        except Mistakes as error:
            mistakes = [_told(each) for each in error.errors(include_input=False, include_url=False)] + mistakes
            raise SettingsError(mistakes) from None
        refund = made.refund_on
        if refund not in ("never", "5xx") and not callable(refund):
            mistakes.append("refund_on: must be 'never', '5xx' or a callable of the status")
        if mistakes:
            raise SettingsError(mistakes)
        made.rule_set()
        return made

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
        )

    def refund_of(self, rule: Rule) -> RefundOn:
        """When a charge of this rule is given back: the rule's word, else the setting's."""
        general: RefundOn = self.refund_on
        return general if rule.refund_on is None else rule.refund_on


_CALLABLES = ("exempt_when", "responder", "refund_on")


def imported(value: Any) -> Any:
    """What an import string such as `package.module:name` names; anything else as it is."""
    if not isinstance(value, str) or ":" not in value:
        return value
    module, _, name = value.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError([f"{value!r} cannot be imported: {error}"]) from None


def _rules(values: Any) -> tuple[tuple[Rule, ...], list[str]]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        return (), ["rules: must be a list of rules"]
    found: list[Rule] = []
    mistakes: list[str] = []
    for index, value in enumerate(values):
        if isinstance(value, Mapping):
            rule = Rule(**{str(name): each for name, each in value.items()})
        elif isinstance(value, Rule):
            rule = value
        else:
            mistakes.append(f"rules[{index}]: must be a Rule or a mapping, got {type(value).__name__}")
            continue
        found.append(rule)
        mistakes += [f"rules[{index}].{mistake}" for mistake in rule.mistakes]
    return tuple(found), mistakes


def _told(mistake: Any) -> str:
    place = ""
    for part in mistake["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    if mistake["type"] == "extra_forbidden":
        near = difflib.get_close_matches(place, list(Settings.model_fields), 1)
        return f"{place}: no such setting" + (f"; did you mean {near[0]!r}?" if near else "")
    return f"{place}: {mistake['msg'].removeprefix('Value error, ')}"
