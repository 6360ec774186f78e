"""What a gate tells of a request to whoever listens: for logs, alarms and the signals of frameworks."""

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.refusal import Refusal
from zae_limiter_http.rule import Rule

logger = logging.getLogger("zae_limiter.http")

Kind: TypeAlias = Literal["limited", "shadowed", "unavailable", "degraded", "unmapped", "failed"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a request.

    `kind` is "limited" (refused, or left to the handler by `block=False`), "shadowed" (would have been refused),
    "unavailable" (refused for want of a store), "degraded" (let pass without one), "unmapped" (no rule covers it)
    or "failed" (a rule cannot work). `error` has entities in it: for code, never to be shown.
    """

    kind: Kind
    request: HttpRequest
    rules: tuple[Rule, ...] = ()
    error: Exception | None = field(default=None, repr=False)
    refusal: Refusal | None = None


Listener: TypeAlias = Callable[[Event], Any]


async def told(listeners: Sequence[Listener], event: Event) -> None:
    """Tell everybody who listens; one that fails is logged, and nobody else notices."""
    for listener in listeners:
        try:
            found = event.request.ask(listener, event)
            if inspect.isawaitable(found):
                await found
        except Exception:
            logger.exception("a listener failed at %r", event.kind)
