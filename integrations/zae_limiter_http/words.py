"""The settings as keyword arguments, so that type checkers know them where a framework takes them.

What they mean, their defaults and their checks are those of `settings.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict


class SettingWords(TypedDict, total=False):
    """Every setting but the rules and where to count, as a caller writes it, and the files to read besides."""

    toml_file: str | Path | None
    env_file: str | Path | None

    enabled: bool
    header_style: Sequence[Literal["draft", "x", "ietf06", "openai"]]
    ratelimit_dialect: Literal["draft11", "editors", "both"]
    ratelimit_members: Literal["all", "tightest"]
    retry_after_format: Literal["delta", "http-date"]
    retry_after_jitter_seconds: int
    reset_format: Literal["epoch", "delta", "http-date"]
    expose_limits: bool
    expose_parent: bool
    partition_key: Literal["none", "resource", "opaque"]
    cors_expose: bool
    exempt_methods: Sequence[str]
    exempt_paths: Sequence[str]
    exempt_when: Callable[[Any], Any] | str | None
    on_unavailable: Literal["allow", "block"] | None
    unavailable_retry_after: int
    limiter_timeout: float
    on_error: Literal["raise", "deny", "allow"]
    on_unmapped: Literal["pass", "limit", "warn", "deny"] | None
    default_rule: Any
    on_event: Callable[[Any], Any] | str | None
    refund_on: Literal["never", "5xx"] | Callable[[int], bool] | str
    proxy: Mapping[str, Any] | None
    ipv6_prefix: int
    hash_secret: str | None
    websocket_close_code: int
    responder: Callable[[Any, Any], tuple[bytes, str] | None] | str | None
    html_template: str | None
