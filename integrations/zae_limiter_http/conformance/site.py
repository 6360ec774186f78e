"""What a check wants served, in words of no framework: routes, handlers, rules; and what a driver makes of it.

A handler is a coroutine function; a blocking framework runs it with `zae_limiter.blocking.run`.
"""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from zae_limiter.blocking import run

Headers: TypeAlias = Sequence[tuple[str, str]]
Interface: TypeAlias = Literal["asgi", "wsgi"]
Handler: TypeAlias = "Callable[[Call], Awaitable[Answer]]"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler answers: a body, or the parts of a streamed one."""

    status: int = 200
    body: bytes = b"hello"
    headers: Headers = (("x-own", "1"),)
    media_type: str = "text/plain"
    parts: AsyncIterator[bytes] | None = None

    def blocking_parts(self) -> Iterator[bytes]:
        """The parts for a framework without an event loop; closed early, they end like the request."""
        parts: Any = self.parts
        try:
            while True:
                try:
                    yield run(_next(parts))
                except StopAsyncIteration:
                    return
        finally:
            run(parts.aclose())


async def _next(parts: AsyncIterator[bytes]) -> bytes:
    return await anext(parts)


@dataclass(frozen=True, slots=True)
class Call:
    """A request as a handler of a check sees it.

    `passed` is the object that the framework's request carries for the limiter, `find_lease` the framework
    package's `current_lease`; `is_blocking` where the handler runs without an event loop.
    """

    request: Any
    passed: Any
    find_lease: Callable[[], Any]
    is_blocking: bool = False

    @property
    def lease(self) -> Any:
        """The lease of this request."""
        return self.find_lease()

    async def adjust(self, **amounts: int) -> None:
        """Adjust the lease of this request."""
        await self.adjust_of(self.lease, **amounts)

    async def adjust_of(self, lease: Any, **amounts: int) -> None:
        """Adjust a lease that the handler has kept."""
        await _done(lease.adjust(**amounts))

    async def consume(self, **amounts: int) -> None:
        """Charge more under the lease of this request."""
        await _done(self.lease.consume(**amounts))

    async def breathe(self) -> None:
        """Let others run, where there is an event loop."""
        if not self.is_blocking:
            await asyncio.sleep(0)


async def _done(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def plain(call: Call) -> Answer:
    """The handler of a route that names none."""
    return Answer()


@dataclass(frozen=True, slots=True)
class Route:
    """One route: `/items/{id}` is a template, `group` the prefix of a router, blueprint or namespace (`v1`).

    `limited` has the words of a decorator or dependency, whichever is natural; `exempt` marks the view as such.
    A `form` of `class` is a class-based view that is limited on GET, `websocket` an endpoint that calls its handler,
    accepts, sends each text back, and ends with the client. `wrapped` puts a decorator that uses `functools.wraps`
    above or below that of the limiter.
    """

    path: str
    handler: Handler = plain
    methods: tuple[str, ...] = ("GET", "POST", "OPTIONS")
    group: str = ""
    limited: Mapping[str, Any] | None = None
    exempt: bool = False
    form: Literal["async", "sync", "class", "websocket"] = "async"
    wrapped: Literal["", "above", "below"] = ""


def wrapped(view: Any) -> Any:
    """Another decorator around a view, as people write them."""
    if inspect.iscoroutinefunction(view):

        @functools.wraps(view)
        async def later(*args: Any, **words: Any) -> Any:
            return await view(*args, **words)

        return later

    @functools.wraps(view)
    def wrapper(*args: Any, **words: Any) -> Any:
        return view(*args, **words)

    return wrapper


DEFAULT_RULES = ({"match": "*", "key": "ip", "limits": "2/minute"},)


@dataclass(frozen=True, slots=True)
class Site:
    """An application behind the limiter.

    `limiter` is a `RateLimiter` for an ASGI driver and a `SyncRateLimiter` for a WSGI driver, `settings` the
    settings but the rules. `cors` installs CORS as the framework's page tells, for every origin and with our headers
    exposed. `signs_in` installs an authentication that believes the header `X-Name`. `installed` is how often the
    limiter stands in front. `answer_429` is the body of a handler for refusals that the application registers.
    `events` is called with `startup` and `shutdown` by the application's own lifespan.
    """

    limiter: Any
    routes: Sequence[Route]
    rules: Sequence[Any] = DEFAULT_RULES
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    cors: bool = False
    signs_in: bool = False
    installed: int = 1
    answer_429: bytes | None = None
    events: Callable[[str], None] | None = None


class Driver(Protocol):
    """Makes an application of one framework out of a site.

    `letter` says which checks apply: those of the driver it is most like, of `S` Starlette, `A` FastAPI,
    `L` Litestar, `Q` Quart, `W` Django under WSGI, `G` Django under ASGI, `F` Flask.
    """

    letter: ClassVar[str]
    interface: ClassVar[Interface]

    def serving(self, site: Site) -> AbstractContextManager[Any]:
        """The application, for as long as the block lasts."""
        ...
