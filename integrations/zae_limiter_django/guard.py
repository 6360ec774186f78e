"""Guard: the gate of a process or of an event loop, as Django's middleware, views and throttles need it.

Whether a step blocks or is awaited is told apart here.
"""

import asyncio
import functools
import logging
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

from asgiref.sync import async_to_sync

from zae_limiter.blocking import run
from zae_limiter.combining import left_running
from zae_limiter.exceptions import InfrastructureError
from zae_limiter.lease import lend_as_current
from zae_limiter.limiter import RateLimiter
from zae_limiter.sync_limiter import SyncRateLimiter
from zae_limiter_django.bodies import AwaitedBody, lent_parts, when_closed
from zae_limiter_django.facts import facts, resolved
from zae_limiter_django.limits import KEY, WRITTEN_OUTSIDE, RequestLimits
from zae_limiter_django.responses import RefusedResponse, write_fields
from zae_limiter_django.signals import BY_KIND
from zae_limiter_django.translations import Translated
from zae_limiter_django.views import EXEMPT_VIEW, beginnings, rules_of
from zae_limiter_http import Gate, Passed, Refusal, Rule, Settings
from zae_limiter_http.events import Event
from zae_limiter_http.merging import MERGED

T = TypeVar("T")

CANCELLED_BY_THE_CLIENT: Final = 499
"""The status of a request whose client left before there was one; what it has used it has used."""

logger = logging.getLogger("zae_limiter.django")


class Guard:
    """Lets requests in, or refuses them; `is_async` where they are served on an event loop."""

    def __init__(self, settings: Settings, limiter: RateLimiter | SyncRateLimiter, *, is_async: bool) -> None:
        core = limiter._core if isinstance(limiter, SyncRateLimiter) else limiter
        self.settings = settings
        self.is_async = is_async
        self.limiter = core
        self._exempt_methods = frozenset(method.upper() for method in settings.exempt_methods)
        self.gate = Gate(core, settings, texts=Translated())
        self.gate.listeners.append(self._told)
        # Where no rule and no view asks for it, no URL is resolved before Django does it.
        self._beginnings = ("",) if self.gate.asks_for_routes else tuple(dict.fromkeys(beginnings()))
        self.answers_inline = core.repository.capabilities.answers_inline
        # A store that answers inline is opened by its first charge, within the deadline of that charge.
        self._is_open = self.answers_inline
        self._opening: Any = asyncio.Lock() if is_async else threading.Lock()
        self._endings: set[asyncio.Future[None]] = set()

    def blocking(self, step: Coroutine[Any, Any, T]) -> T:
        """Run a step of this guard to its end from code that blocks."""
        return async_to_sync(_awaited)(step) if self.is_async else run(step)

    def begin(self, request: Any) -> RequestLimits[Any]:
        """Put what will be known of a request at its place on it."""
        limits: RequestLimits[Any] = RequestLimits(self, facts(request, is_async=self.is_async))
        limits._is_written_outside = hasattr(request, WRITTEN_OUTSIDE)
        setattr(request, KEY, limits)
        return limits

    async def enter(self, limits: RequestLimits[Any]) -> RefusedResponse | None:
        """Charge the rules of the settings and those of the view, all or none; a response where that is refused."""
        known = limits._facts
        also: Sequence[Rule] = ()
        native = known.native
        if native.path_info[1:].startswith(self._beginnings) or hasattr(native, "urlconf"):
            match = resolved(native)
            if match is not None:
                known.place(match)
                also = rules_of(match.func, known.method)
        refused = await self._let_in(limits, also=also)
        if refused is not None:
            limits._facts.native = None  # as in `_left`
        return refused

    async def _let_in(
        self, limits: RequestLimits[Any], *, only: Sequence[Rule] | None = None, also: Sequence[Rule] = ()
    ) -> RefusedResponse | None:
        if not self._is_open:
            await self._open()
        entered = await self.gate.enter(limits._facts, only=only, also=also)
        if isinstance(entered, Refusal):
            limits._refusals.append(entered)
            limits._is_ended = True
            return RefusedResponse(entered)
        limits._passed = entered
        return None

    async def enter_alone(self, limits: RequestLimits[Any], rule: Rule) -> RefusedResponse | None:
        """Charge the rule of a view that no middleware stands around."""
        is_exempt = limits._facts.method in self._exempt_methods
        return await self._let_in(limits, only=EXEMPT_VIEW if is_exempt else (rule,))

    async def enter_further(self, limits: RequestLimits[Any], rules: Sequence[Rule]) -> Refusal | None:
        """Charge rules besides those that were charged already; a refusal gives these back when the request ends."""
        passed = limits._passed
        further = [rule for rule in rules if rule.identity not in passed.seen]
        if passed.is_free or not further:
            return None
        entered = await self.gate.enter(limits._facts, passed=passed, only=further)
        if isinstance(entered, Refusal):
            limits._refusals.append(entered)
            return entered
        return None

    async def at_view(self, limits: RequestLimits[Any], rules: Sequence[Rule]) -> RefusedResponse | None:
        """Charge the rules of a view that was not known when the request came in."""
        passed = limits._passed
        if rules is EXEMPT_VIEW:
            if not passed.is_free:
                passed.is_exempt = passed.is_free = True
                await _rolled_back(passed)
            return None
        match = limits._facts.native.resolver_match
        if limits._facts.view is None and match is not None:
            limits._facts.place(match)
        refusal = await self.enter_further(limits, rules)
        lend_as_current(passed.lease).__enter__()  # until the middleware ends its own block
        return None if refusal is None else RefusedResponse(refusal)

    async def _open(self) -> None:
        """Reach the store before the first charge; what becomes of a request without it is its rules' to say."""
        try:
            if self.is_async:
                async with self._opening:
                    await self._reach()
            else:
                with self._opening:
                    await self._reach()
        except InfrastructureError as error:
            logger.error("the store cannot be opened: %s", error)

    async def _reach(self) -> None:
        if not self._is_open:
            await self.limiter.__aenter__()
            self._is_open = True

    def _told(self, event: Event) -> Any:
        """Turn an event of the gate into the signal for it."""
        signal = BY_KIND.get(event.kind)
        if signal is None or not signal.has_listeners():
            return None
        rule = event.rules[0] if event.rules else None
        send = signal.asend_robust if self.is_async else signal.send_robust
        return send(sender=type(self), request=event.request.native, exc=event.error, rule=rule)

    def answer(self, limits: RequestLimits[Any], error: BaseException) -> RefusedResponse | None:
        """The response to an error of a view that is one of the limiter's, such as a refused `lease.consume`."""
        refusal = self.gate.answer(error, limits._passed)
        return None if refusal is None else RefusedResponse(refusal)

    async def finish(self, limits: RequestLimits[Any], response: Any) -> None:
        """Write the fields of the limits on a response, and end the lease with its last byte."""
        refusal = limits.refusal
        if refusal is not None and response.status_code == refusal.status:
            if not isinstance(response, RefusedResponse):
                write_fields(response, refusal.fields_on(list(response.items())))
        elif not isinstance(response, RefusedResponse):
            try:
                limits._fields = self._fields(limits._passed, response)
            except BaseException:
                # What the project says of the price may fail; its answer is an error then.
                await self.end(limits, None)
                raise
            if not limits._is_written_outside:
                write_fields(response, limits._fields)
            if response.streaming:
                self._hold_open(limits, response)
                return
        await self.end(limits, response.status_code)

    def _fields(self, passed: Passed, response: Any) -> list[tuple[str, str]]:
        if passed.awaits_price or not MERGED.isdisjoint(map(str.lower, response.headers)):
            existing = list(response.items())
            return self.gate.response_headers(passed, response.status_code, existing, native=response)
        return self.gate.granted_fields(passed, response.status_code)

    async def end(self, limits: RequestLimits[Any], status: int | None) -> None:
        """End the leases of a request; a second call does nothing."""
        if not limits._is_ended:
            limits._is_ended = True
            ending = self._left(limits, status)
            if not self.is_async or self.answers_inline:
                await ending
            else:
                # Shielded and kept: Django cancels the request of a client that left, as its lease is being written.
                await left_running(self._kept(ending))

    async def _left(self, limits: RequestLimits[Any], status: int | None) -> None:
        await self.gate.leave(limits._passed, status=status)
        # The request holds its limits: without the way back both are gone at once, and no collector has to come.
        limits._facts.native = None

    def _kept(self, step: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        ending = asyncio.ensure_future(step)
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        return ending

    def _hold_open(self, limits: RequestLimits[Any], response: Any) -> None:
        status = response.status_code
        close = functools.partial(self._close, limits, status)
        if getattr(response, "is_async", False):
            if self.is_async:
                end = functools.partial(self.end, limits, status)
                response.streaming_content = AwaitedBody(limits, response.streaming_content, end, close)
        elif not hasattr(response, "file_to_stream"):
            # A file is left as it is: the server may send it without reading it.
            response.streaming_content = lent_parts(limits, iter(response.streaming_content))
        when_closed(response, close)

    def _close(self, limits: RequestLimits[Any], status: int) -> None:
        """End the leases of a request, from wherever its response is closed."""
        if limits._is_ended:
            return
        if not self.is_async or self.answers_inline:
            run(self.end(limits, status))
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            async_to_sync(self.end)(limits, status)
        else:
            self._kept(self.end(limits, status))


async def _rolled_back(passed: Passed) -> None:
    for lease in passed.leases:
        await lease.roll_back()


async def _awaited(step: Coroutine[Any, Any, T]) -> T:
    return await step
