"""Drivers: each builds an application of one framework around the same handlers, and asks it in process.

A further framework adds a driver; the checks stay as they are.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from zae_limiter import RateLimiter
from zae_limiter.testing import TurnableClock, memory_limiter
from zae_limiter_asgi import ZaeLimiterMiddleware

Handler = Callable[[Request], Awaitable[Response]]


class Driver(Protocol):
    """Makes an application of one framework."""

    def __call__(self, handlers: dict[str, Handler]) -> Any: ...


def starlette(handlers: dict[str, Handler]) -> Starlette:
    return Starlette(
        routes=[Route(path, handler, methods=["GET", "POST", "OPTIONS"]) for path, handler in handlers.items()]
    )


def fastapi(handlers: dict[str, Handler]) -> FastAPI:
    app = FastAPI()
    for path, handler in handlers.items():
        app.router.routes.append(Route(path, handler, methods=["GET", "POST", "OPTIONS"]))
    return app


DRIVERS: dict[str, Driver] = {"starlette": starlette, "fastapi": fastapi}


@dataclass
class World:
    """One application behind the limiter, with what the checks turn and look at."""

    driver: Driver
    clock: TurnableClock = field(default_factory=TurnableClock)
    handled: int = 0
    peer: str = "203.0.113.9"
    limiter: RateLimiter = field(init=False)
    client: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.limiter = memory_limiter(clock=self.clock)

    def serve(
        self, handler: Handler | None = None, *, wrap: Callable[[Any], Any] | None = None, **settings: Any
    ) -> None:
        async def counted(request: Request) -> Response:
            self.handled += 1
            return await (handler or plain)(request)

        settings.setdefault("rules", [{"match": "*", "key": "ip", "limits": "2/minute"}])
        limiter = settings.pop("limiter", self.limiter)
        app = self.driver({"/": counted, "/other": counted, "/items/{id}": counted})
        app.add_middleware(ZaeLimiterMiddleware, limiter=limiter, **settings)
        served = wrap(app) if wrap else app
        transport = httpx.ASGITransport(served, raise_app_exceptions=False, client=(self.peer, 1234))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test")

    async def get(self, path: str = "/", method: str = "GET", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.request(method, path, headers=named)

    async def left(self, entity: str, limits: str = "2/minute", resource: str = "http") -> dict[str, int]:
        return await self.limiter.available(entity, resource, limits)


async def plain(request: Request) -> Response:
    return Response("hello", media_type="text/plain", headers={"x-own": "1"})


async def streamed(parts: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(parts)
