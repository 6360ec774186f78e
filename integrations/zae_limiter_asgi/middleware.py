"""ZaeLimiterMiddleware: plain ASGI around any application; imports no framework.

It lets a request in or answers it, writes the headers when the response begins, and ends the lease when the
application has returned: with the last byte, a client that left, or a cancellation.
"""

import asyncio
import contextlib
import copy
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final, Unpack

from zae_limiter.combining import left_running
from zae_limiter.lease import lend_as_current
from zae_limiter.limiter import RateLimiter
from zae_limiter_asgi import litestar_views, marks, routes, websocket
from zae_limiter_asgi.client import ClientGone, Inbox
from zae_limiter_asgi.facts import AsgiRequest, Scope, octets, texts
from zae_limiter_asgi.lifespan import Lifespan
from zae_limiter_asgi.opening import Opening
from zae_limiter_http import Gate, Passed, RateLimiterUnavailable, Refusal, Rule, limiter_of, read_settings
from zae_limiter_http.merging import MERGED
from zae_limiter_http.words import SettingWords

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

KEY: Final = "zae_limiter"
# Where a refusal stands that the application answers itself, by an exception handler of its own.
REFUSAL: Final = "zae_limiter.refusal"
_TOO_MANY: Final = 429
_MERGED: Final = frozenset(name.encode() for name in MERGED)


class ZaeLimiterMiddleware:
    """Puts the limiter in front of an ASGI application.

    `store` is an address such as `embedded:///var/lib/app/limits.db`, or `limiter` a limiter made by hand; the
    other words are those of `zae_limiter_http.Settings`. Limited are HTTP requests and websocket handshakes.
    What is not given here is read from variables such as `ZAE_LIMITER_STORE`. Without store and limiter an
    application in debug mode counts in a file of the current folder.

    Raises `SettingsError` with all mistakes.
    """

    def __init__(
        self,
        app: App,
        *,
        store: str | None = None,
        limiter: RateLimiter | Callable[[], RateLimiter] | str | None = None,
        rules: Sequence[Rule | dict[str, Any]] = (),
        **settings: Unpack[SettingWords],
    ) -> None:
        self.app = app
        read = read_settings({"store": store, "limiter": limiter, "rules": rules or None, **settings})
        self.limiter = limiter_of(read, development=_is_debugged(app))
        self.settings = read
        self.gate = Gate(self.limiter, read)
        self.opening = Opening(self.limiter)
        self._close_code = read.websocket_close_code
        self._answers_inline = self.limiter.repository.capabilities.answers_inline
        routes.prepare(app)
        self._inner: Any = None
        self.words: dict[str, Any] = {"store": store, "limiter": limiter, "rules": rules, **settings}
        self._endings: set[asyncio.Future[None]] = set()

    def around(self, app: App) -> "ZaeLimiterMiddleware":
        """The same limiter and rules around another application."""
        another = copy.copy(self)
        another.app, another._inner = app, None
        return another

    def _join(self, scope: Scope) -> None:
        """Have the limiter of the middleware that the framework has made of the same words for another route."""
        first: ZaeLimiterMiddleware = litestar_views.first_of_its_words(self, self.words, scope)
        self.limiter, self.settings, self.gate, self.opening = first.limiter, first.settings, first.gate, first.opening

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "websocket":
            await self._websocket(scope, receive, send)
        elif kind == "lifespan":
            await Lifespan(self.opening, receive, send).run(self.app, scope)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        inbox = Inbox(receive)
        try:
            await self._answered(scope, inbox, send)
        finally:
            inbox.close()

    async def _answered(self, scope: Scope, inbox: Inbox, send: Send) -> None:
        try:
            entered = await self._entered(scope, inbox)
        except ClientGone:
            return
        if isinstance(entered, Refusal):
            await answered(send, entered)
        elif entered is scope.get(KEY):
            # Another instance of this middleware stands around this one: it writes the headers and ends the leases.
            with _lent(entered):
                await self.app(scope, inbox.receive, send)
        else:
            _lend(scope, entered)
            await self._inside(entered, scope, inbox.receive, send)

    async def _entered(self, scope: Scope, inbox: Inbox) -> Passed | Refusal:
        if self._inner is None:
            self._inner = routes.application_in(self.app) or self.app
            self._join(scope)
        if not self.opening.is_open:
            await self._reached()
        gate = self.gate
        looks = gate.asks_for_routes or gate.asks_for_cover or marks.are_in_use()
        looks = looks or litestar_views.is_litestar(self._inner, scope)
        view = routes.matched(self._inner, scope) if looks else routes.NOWHERE
        outer = scope.get(KEY)
        passed = outer if isinstance(outer, Passed) else None
        request = AsgiRequest(scope, view, self._inner)
        return await gate.enter(request, passed=passed, also=view.rules, own=view.own, waiting=inbox.waited)

    async def _reached(self) -> None:
        """Open the limiter where no lifespan has; what is only away for now is each request's own to answer."""
        with contextlib.suppress(RateLimiterUnavailable, TimeoutError):
            async with asyncio.timeout(self.settings.limiter_timeout):
                await self.opening.open()

    async def _inside(self, entered: Passed, scope: Scope, receive: Receive, send: Send) -> None:
        status: int | None = None
        held: Refusal | None = None

        async def sending(message: Message) -> None:
            nonlocal status, held
            if held is not None:
                return
            if message["type"] == "http.response.start":
                held = _unanswered(scope, message["status"])
                if held is not None:
                    return
                headers = self._headers(entered, scope, message["status"], message.get("headers", ()))
                # Begun is the response only now: what the application says of its price may have failed.
                status = message["status"]
                message = {**message, "headers": headers}
            await send(message)

        try:
            with _lent(entered):
                await self.app(scope, receive, sending)
        except Exception as error:
            refusal = refusal_of(error, scope)
            if refusal is None or status is not None:
                raise
            held = refusal
        finally:
            await self._ended(entered, held.status if held is not None else status)
            if isinstance(entered.request, AsgiRequest) and not self.gate.listeners:
                entered.request.let_go()
        if held is not None:
            await answered(send, held)

    def _headers(self, entered: Passed, scope: Scope, status: int, headers: Any) -> list[tuple[bytes, bytes]]:
        existing = list(headers)
        refusal = scope.get(REFUSAL) or _told_to_a_handler(entered, status)
        if isinstance(refusal, Refusal) and refusal.status == status:
            return octets(refusal.fields_on(texts(existing)))
        if not entered.awaits_price and _MERGED.isdisjoint([name.lower() for name, _ in existing]):
            return existing + octets(self.gate.granted_fields(entered, status))
        return octets(self.gate.response_headers(entered, status, texts(existing)))

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        connect = await receive()
        inbox = Inbox(receive)
        try:
            await self._shaken(connect, scope, inbox, send)
        finally:
            inbox.close()

    async def _shaken(self, connect: Message, scope: Scope, inbox: Inbox, send: Send) -> None:
        try:
            entered = await self._entered(scope, inbox)
        except ClientGone:
            return
        if isinstance(entered, Refusal):
            await websocket.denied(scope, send, entered, self._close_code)
            return
        is_outer = entered is scope.get(KEY)
        _lend(scope, entered)
        fields = [] if is_outer else self._headers(entered, scope, 200, ())
        handshake = websocket.Handshake(connect, inbox.receive, send, fields)
        try:
            with _lent(entered):
                await self.app(scope, handshake.receive, handshake.send)
        except Exception as error:
            refusal = refusal_of(error, scope)
            if refusal is None or handshake.status is not None:
                raise
            handshake.status = refusal.status
            await websocket.denied(scope, send, refusal, self._close_code)
        finally:
            if not is_outer:
                # What refuses further in closes a handshake as bare as any other, where the server knows no answers.
                is_refused = entered.is_refused and handshake.status == websocket.CLOSED
                await self._ended(entered, _TOO_MANY if is_refused else handshake.status)

    async def _ended(self, entered: Passed, status: int | None) -> None:
        if self._answers_inline:
            await self.gate.leave(entered, status=status)
            return
        # Shielded and kept: a server may cancel the request while its lease is being written.
        ending = asyncio.ensure_future(self.gate.leave(entered, status=status))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        await left_running(ending)


def refusal_of(error: BaseException, scope: Scope) -> Refusal | None:
    """The answer to an error of the limiter that came from inside an application; None for any other error.

    It is left in the scope: whoever answers instead, the fields of the limiter go on the answer.
    """
    known = scope.get(REFUSAL)
    if isinstance(known, Refusal) and known.error is error:
        return known
    inside = scope.get(KEY)
    refusal = inside.gate.answer(error, inside) if isinstance(inside, Passed) and inside.gate else None
    if refusal is not None:
        scope[REFUSAL] = refusal
    return refusal


async def answered(send: Send, refusal: Refusal) -> None:
    """Send a refusal as the whole response."""
    await send({"type": "http.response.start", "status": refusal.status, "headers": octets(refusal.headers)})
    await send({"type": "http.response.body", "body": refusal.body, "more_body": False})


def _told_to_a_handler(entered: Passed, status: int) -> Refusal | None:
    """The refusal of what a handler has asked for, where the application itself answers it as such."""
    if status != _TOO_MANY:
        return None
    refused = next((lease.refused for lease in entered.leases if lease.refused is not None), None)
    return entered.gate.answer(refused, entered) if refused is not None and entered.gate else None


def _unanswered(scope: Scope, status: int) -> Refusal | None:
    """The refusal of a request that a mounted application would answer as an error of its own."""
    refusal = scope.get(REFUSAL)
    return refusal if isinstance(refusal, Refusal) and status == 500 else None


def _lend(scope: Scope, entered: Passed) -> None:
    scope[KEY] = entered
    state = scope.setdefault("state", {})
    if isinstance(state, MutableMapping):
        state[KEY] = entered


def _lent(entered: Passed) -> lend_as_current:
    """A block in which `current_lease()` finds the lease of a request, and a dependency may put its own there."""
    entered.lent = lend_as_current(entered.lease)
    return entered.lent


def _is_debugged(app: Any) -> bool:
    for _ in range(32):
        if getattr(app, "debug", False) is True:
            return True
        app = getattr(app, "app", None)
    return False
