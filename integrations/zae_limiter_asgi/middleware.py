"""ZaeLimiterMiddleware: plain ASGI around any application; imports no framework.

It lets a request in or answers it, writes the headers when the response begins, and ends the lease when the
application has returned: with the last byte, a client that left, or a cancellation.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final, Unpack

from zae_limiter.exceptions import ValidationError
from zae_limiter.lease import lend_as_current
from zae_limiter.limiter import RateLimiter
from zae_limiter.stores import open_limiter
from zae_limiter_asgi import routes
from zae_limiter_http import Gate, HttpRequest, Passed, Refusal, Rule, Settings
from zae_limiter_http.words import SettingWords

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KEY: Final = "zae_limiter"


class ZaeLimiterMiddleware:
    """Puts the limiter in front of an ASGI application.

    `store` is an address such as `embedded:///var/lib/app/limits.db`, or `limiter` a limiter made by hand; the
    other words are those of `zae_limiter_http.Settings`. HTTP requests are limited; websocket handshakes pass.

    Raises `SettingsError` with all mistakes, and `ValidationError` where neither store nor limiter is given.
    """

    def __init__(
        self,
        app: App,
        *,
        store: str | None = None,
        limiter: RateLimiter | None = None,
        rules: Sequence[Rule | dict[str, Any]] = (),
        **settings: Unpack[SettingWords],
    ) -> None:
        if (store is None) is (limiter is None):
            raise ValidationError(
                "store", str(store), "give one of store='embedded:///path/to/limits.db' or 'memory:', and limiter=..."
            )
        self.app = app
        self.limiter = limiter if limiter is not None else open_limiter(str(store))
        self.gate = Gate(self.limiter, Settings.of({"rules": tuple(rules), **settings}))
        self._answers_inline = self.limiter.repository.capabilities.answers_inline
        self._opening: asyncio.Lock | None = None
        self._is_open = False
        self._endings: set[asyncio.Future[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._open()
        outer = scope.get(KEY)
        request = facts(scope, self.app if self.gate.asks_for_routes else None)
        entered = await self.gate.enter(request, passed=outer if isinstance(outer, Passed) else None)
        if isinstance(entered, Refusal):
            await answered(send, entered)
            return
        if entered is outer:
            # Another instance of this middleware stands around this one: it writes the headers and ends the leases.
            with lend_as_current(entered.lease):
                await self.app(scope, receive, send)
            return
        scope[KEY] = entered
        state = scope.setdefault("state", {})
        if isinstance(state, MutableMapping):
            state[KEY] = entered
        await self._inside(entered, scope, receive, send)

    async def _inside(self, entered: Passed, scope: Scope, receive: Receive, send: Send) -> None:
        started: list[int] = []

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.append(message["status"])
                headers = self.gate.response_headers(entered, message["status"], _texts(message.get("headers", ())))
                message = {**message, "headers": _octets(headers)}
            await send(message)

        try:
            with lend_as_current(entered.lease):
                await self.app(scope, receive, sending)
        except Exception as error:
            refusal = self.gate.answer(error, entered)
            if refusal is None or started:
                raise
            started.append(refusal.status)
            await answered(send, refusal)
        finally:
            await self._ended(entered, started[0] if started else None)

    async def _ended(self, entered: Passed, status: int | None) -> None:
        if self._answers_inline:
            await self.gate.leave(entered, status=status)
            return
        # Shielded and kept: a server may cancel the request while its lease is being written.
        ending = asyncio.ensure_future(self.gate.leave(entered, status=status))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        await asyncio.shield(ending)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        failures: list[Exception] = []

        async def receiving() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self._open()
                except Exception as error:
                    failures.append(error)
                    raise
            return message

        async def sending(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await self._close()
            await send(message)

        try:
            await self.app(scope, receiving, sending)
        except Exception:
            # An application without a lifespan raises here; servers take that as "none", and the first request opens.
            if not failures:
                raise
            await send({"type": "lifespan.startup.failed", "message": f"the limiter cannot start: {failures[0]}"})

    async def _open(self) -> None:
        if self._is_open:
            return
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if not self._is_open:
                await self.limiter.__aenter__()
                self._is_open = True

    async def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            await self.limiter.__aexit__(None, None, None)


def facts(scope: Scope, app: Any = None) -> HttpRequest:
    """What a rule may know of the request of a scope."""
    client = scope.get("client")
    template, view = routes.matched(app, scope)
    return HttpRequest(
        method=str(scope.get("method", "GET")),
        path=str(scope.get("path", "/")),
        headers=_texts(scope.get("headers", ())),
        peer=str(client[0]) if client else None,
        route=template,
        view=view,
        native=routes.native(scope),
        user_of=_user,
    )


async def answered(send: Send, refusal: Refusal) -> None:
    """Send a refusal as the whole response."""
    headers = _octets(refusal.headers)
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": refusal.body, "more_body": False})


def _texts(headers: Any) -> list[tuple[str, str]]:
    return [(bytes(name).decode("latin-1").lower(), bytes(value).decode("latin-1")) for name, value in headers]


def _octets(headers: Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _user(native: Any) -> Any:
    """The stable identifier of the user that an authentication middleware has put into the scope, or None."""
    scope = getattr(native, "scope", native)
    user = scope.get("user") if isinstance(scope, MutableMapping) else None
    if user is None or not getattr(user, "is_authenticated", False):
        return None
    for name in ("identity", "pk", "id"):
        try:
            found = getattr(user, name, None)
        except NotImplementedError:
            continue
        if found not in (None, ""):
            return found
    return None
