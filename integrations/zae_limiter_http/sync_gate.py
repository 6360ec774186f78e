"""SyncGate: the blocking twin of Gate, one line a method, for frameworks that serve a request in a thread."""

from collections.abc import Sequence
from typing import Any, Final

from zae_limiter.blocking import run
from zae_limiter.models import LimitStatus
from zae_limiter.sync_lease import SyncLease
from zae_limiter.sync_limiter import SyncRateLimiter
from zae_limiter_http.events import Listener
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.gate import Gate
from zae_limiter_http.headers import Fields
from zae_limiter_http.passed import Passed
from zae_limiter_http.refusal import Refusal
from zae_limiter_http.rule import Rule, SettingsError
from zae_limiter_http.settings import Settings


class SyncPassed:
    """The blocking twin of `Passed`."""

    __slots__ = ("_core",)

    def __init__(self, core: Passed) -> None:
        self._core = core

    @property
    def request(self) -> HttpRequest:
        """The facts of the request."""
        return self._core.request

    @property
    def is_exempt(self) -> bool:
        """Whether the request passed uncharged."""
        return self._core.is_exempt

    @property
    def degraded(self) -> bool:
        """Whether the store could not be used and the request was let pass."""
        return self._core.degraded

    @property
    def limited(self) -> bool:
        """Whether a rule with `block=False` would have refused."""
        return self._core.limited

    @property
    def refusal(self) -> Refusal | None:
        """The answer that the handler may give where `limited` is true."""
        return self._core.refusal

    @property
    def awaits_price(self) -> bool:
        """Whether the response has a say in what the request costs."""
        return self._core.awaits_price

    @property
    def lease(self) -> SyncLease:
        """The lease of the innermost rule that was charged; one that charges nothing where no rule was."""
        return SyncLease(self._core.lease)

    @property
    def statuses(self) -> list[LimitStatus]:
        """How every limit that was charged stands; see `Passed.statuses`."""
        return self._core.statuses


class SyncGate:
    """The blocking twin of `Gate`.

    Callables of its settings and rules are plain functions here, unless the facts of its requests run others to
    their end (`runs_coroutines`); `SettingsError` names those that are not.
    """

    def __init__(self, limiter: SyncRateLimiter, settings: Settings, *, runs_coroutines: bool = False) -> None:
        mistakes = [] if runs_coroutines else [f"{place}: {NEEDS_PLAIN}" for place in settings.async_words()]
        if mistakes:
            raise SettingsError(mistakes)
        self.limiter = limiter
        self._core = Gate(limiter._core, settings)

    @property
    def enabled(self) -> bool:
        """Whether requests are limited at all; may be changed while requests are served."""
        return self._core.enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._core.enabled = value

    @property
    def listeners(self) -> list[Listener]:
        """Who is told the events."""
        return self._core.listeners

    @property
    def asks_for_routes(self) -> bool:
        """Whether any rule looks at the template or the view of a request."""
        return self._core.asks_for_routes

    def enter(
        self,
        request: HttpRequest,
        *,
        passed: SyncPassed | None = None,
        only: Sequence[Rule] | None = None,
        also: Sequence[Rule] = (),
    ) -> SyncPassed | Refusal:
        """Charge what the rules say; see `Gate.enter`."""
        core = None if passed is None else passed._core
        entered = run(self._core.enter(request, passed=core, only=only, also=also))
        if isinstance(entered, Refusal):
            return entered
        return SyncPassed(entered) if passed is None else passed

    def enter_block(self, inside: SyncPassed, rule: Rule) -> SyncPassed | Refusal:
        """Charge a rule for a block within a request; see `Gate.enter_block`."""
        entered = run(self._core.enter_block(inside._core, rule))
        return entered if isinstance(entered, Refusal) else SyncPassed(entered)

    def answer(self, error: BaseException, inside: SyncPassed) -> Refusal | None:
        """The refusal for an error of the application, if it is one of the limiter's; see `Gate.answer`."""
        return self._core.answer(error, inside._core)

    def granted_fields(self, inside: SyncPassed, status: int) -> Fields:
        """The fields of the limits, where no header of the response is merged with; see `Gate.granted_fields`."""
        return self._core.granted_fields(inside._core, status)

    def response_headers(
        self, inside: SyncPassed, status: int, existing: Sequence[tuple[str, str]], *, native: Any = None
    ) -> Fields:
        """The headers of a response with those of the limits among them; see `Gate.response_headers`."""
        return self._core.response_headers(inside._core, status, existing, native=native)

    def leave(self, inside: SyncPassed, *, status: int | None) -> None:
        """End every lease once; see `Gate.leave`."""
        run(self._core.leave(inside._core, status=status))


NEEDS_PLAIN: Final = "is a coroutine function; requests are served in threads here, so give a plain function"
