"""The world of one check: an application behind the limiter, with what the check turns and looks at."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import http_sfv

from zae_limiter.testing import (
    FaultyRepository,
    TurnableClock,
    faulty_limiter,
    memory_limiter,
    sync_faulty_limiter,
    sync_memory_limiter,
)
from zae_limiter_http.conformance.asgi import AsgiCaller, scope_of
from zae_limiter_http.conformance.asking import PEER, Ask, Reply
from zae_limiter_http.conformance.site import DEFAULT_RULES, Answer, Call, Driver, Handler, Route, Site, plain
from zae_limiter_http.conformance.wsgi import WsgiCaller

PATHS = ("/", "/other", "/items/{id}")


class World:
    """Serves a site through a driver and asks it; every reply's RateLimit fields are parsed."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.clock = TurnableClock()
        self.handled = 0
        self.peer: str | None = PEER
        self._is_asgi = driver.interface == "asgi"
        self._caller = AsgiCaller() if self._is_asgi else WsgiCaller()
        self.limiter: Any = (memory_limiter if self._is_asgi else sync_memory_limiter)(clock=self.clock)
        self._served = contextlib.ExitStack()
        self._app: Any = None

    def close(self) -> None:
        """End the application, the limiter and the event loop."""
        self._served.close()
        self.done(self.limiter.close())
        self._caller.close()

    def with_faults(self) -> FaultyRepository:
        """Put a limiter in place whose store fails when told; returns the store."""
        self.done(self.limiter.close())
        self.limiter, store = (faulty_limiter if self._is_asgi else sync_faulty_limiter)(clock=self.clock)
        return store

    def serve(
        self,
        handler: Handler = plain,
        *,
        routes: Sequence[Route] | None = None,
        rules: Sequence[Any] = DEFAULT_RULES,
        cors: bool = False,
        signs_in: bool = False,
        installed: int = 1,
        answer_429: bytes | None = None,
        events: Callable[[str], None] | None = None,
        **settings: Any,
    ) -> None:
        """Serve one handler at a few paths, or the routes; the other words are those of `Site` and of the settings."""
        self._served.close()
        found = routes if routes is not None else [Route(path, handler) for path in PATHS]
        counted = [replace(route, handler=self._counted(route.handler)) for route in found]
        site = Site(self.limiter, counted, rules, settings, cors, signs_in, installed, answer_429, events)
        self._app = self._served.enter_context(self.driver.serving(site))

    def _counted(self, handler: Handler) -> Handler:
        async def counted(call: Call) -> Answer:
            self.handled += 1
            return await handler(call)

        return counted

    def get(self, path: str = "/", method: str = "GET", **headers: str) -> Reply:
        """Ask with headers written as words: `x_api_key="..."`."""
        return self.ask(Ask(path, method, [(name.replace("_", "-"), value) for name, value in headers.items()]))

    def ask(self, ask: Ask) -> Reply:
        """Ask once."""
        return self.ask_at_once([ask])[0]

    def ask_at_once(self, asks: Sequence[Ask]) -> list[Reply]:
        """Ask everything at once."""
        sent = [replace(ask, peer=self.peer) if ask.peer == PEER else ask for ask in asks]
        replies = self._caller.ask(self._app, sent)
        for reply in replies:
            for name in ("ratelimit", "ratelimit-policy"):
                if reply.header(name) is not None:
                    parsed(reply.told(name))
        return replies

    def connect(self, path: str, *, texts: Sequence[str] = (), extensions: Sequence[str] = ()) -> list[Any]:
        """Open a websocket, send texts, and leave: all messages of the application."""
        scope = scope_of(Ask(path, peer=self.peer))
        scope.pop("method")
        scope.update(type="websocket", scheme="ws", subprotocols=[], extensions={name: {} for name in extensions})
        messages: list[Any] = [{"type": "websocket.connect"}]
        messages += [{"type": "websocket.receive", "text": text} for text in texts]
        return self._asgi.run(self._app, scope, [*messages, {"type": "websocket.disconnect", "code": 1000}])

    def live(self) -> list[Any]:
        """Run the application's lifespan from start to end: all messages of the application."""
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        return self._asgi.run(self._app, scope, [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    @property
    def _asgi(self) -> AsgiCaller:
        assert isinstance(self._caller, AsgiCaller), "only ASGI knows connections that are no requests"
        return self._caller

    def done(self, value: Any) -> Any:
        """The result of a call of the limiter, awaited where it has to be."""
        return self._caller.done(value)

    def left(self, entity: str, limits: str = "2/minute", resource: str = "http") -> dict[str, int]:
        """What an entity has left."""
        found: dict[str, int] = self.done(self.limiter.available(entity, resource, limits))
        return found


def parsed(value: str) -> dict[str, dict[str, Any]]:
    """The members of a RateLimit field by name, by RFC 9651; the text must be the canonical one."""
    found = http_sfv.List()  # type: ignore[attr-defined]
    found.parse(value.encode())
    assert str(found) == value, f"not canonical: {value}"
    members: dict[str, dict[str, Any]] = {}
    for item in found:
        assert type(item.value) is str, f"the name of a policy is a String: {value}"
        members[item.value] = dict(item.params)
        for key, each in item.params.items():
            expected = bytes if key == "pk" else str if key == "qu" else int
            assert type(each) is expected, f"{key} is no {expected.__name__}: {value}"
    return members
