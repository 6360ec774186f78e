"""Dependencies of FastAPI that limit a route: they cover it wherever they stand, count apart, and keep their names."""

import asyncio
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response

from zae_limiter import Lease, current_lease
from zae_limiter.blocking import run
from zae_limiter.testing import TurnableClock, memory_limiter
from zae_limiter_asgi import starlette
from zae_limiter_asgi.fastapi import ZaeLimiterMiddleware, rate_limit
from zae_limiter_http.conformance import Ask
from zae_limiter_http.conformance.asgi import replied, scope_of

ONE = Depends(rate_limit("1/minute", key="ip"))


def guarded(app: FastAPI, **words: Any) -> TestClient:
    words.setdefault("limiter", memory_limiter(clock=TurnableClock()))
    app.add_middleware(ZaeLimiterMiddleware, **words)
    return TestClient(app)


async def of_a_dependency(_: Any = ONE) -> None: ...


def _at_a_route(app: FastAPI) -> None:
    app.get("/page", dependencies=[ONE])(_page)


def _below_another_dependency(app: FastAPI) -> None:
    app.get("/page", dependencies=[Depends(of_a_dependency)])(_page)


def _at_a_router(app: FastAPI) -> None:
    router = APIRouter(dependencies=[ONE])
    router.get("/page")(_page)
    app.include_router(router)


def _where_a_router_is_included(app: FastAPI) -> None:
    router = APIRouter()
    router.get("/page")(_page)
    app.include_router(router, dependencies=[ONE])


def _at_the_application(app: FastAPI) -> None:
    app.router.dependencies.append(ONE)
    app.get("/page")(_page)


async def _page() -> str:
    return "in"


PLACES = [_at_a_route, _below_another_dependency, _at_a_router, _where_a_router_is_included, _at_the_application]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("words", [{"on_unmapped": "deny"}, {"default_rule": {"limits": "1/day", "key": "ip"}}])
def test_what_a_dependency_limits_is_covered(place: Any, words: dict[str, Any]) -> None:
    app = FastAPI()
    place(app)
    client = guarded(app, **words)
    answers = [client.get("/page") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].headers["ratelimit"] == '"rpm";r=0;t=60'


def test_a_dependency_covers_its_methods_alone() -> None:
    app = FastAPI()
    posts = rate_limit("1/minute", key="ip", methods=["POST"])
    app.api_route("/page", methods=["GET", "POST"], dependencies=[Depends(posts)])(_page)
    client = guarded(app, on_unmapped="deny")
    assert [client.post("/page").status_code, client.get("/page").status_code] == [200, 403]


def test_a_dependency_covers_a_websocket() -> None:
    app = FastAPI()

    @app.websocket("/ws", dependencies=[ONE])
    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    client = guarded(app, on_unmapped="deny")
    with client.websocket_connect("/ws"):
        pass


def _with_two(first: Any, second: Any, **words: Any) -> TestClient:
    app = FastAPI()
    app.get("/page", dependencies=[Depends(first), Depends(second)])(_page)
    return guarded(app, **words)


@pytest.mark.parametrize("is_stored_first", [False, True])
def test_stored_limits_and_those_of_another_dependency_count_apart(is_stored_first: bool) -> None:
    limiter = memory_limiter(clock=TurnableClock())
    run(limiter.repository.open())
    asyncio.run(limiter.set_resource_defaults("page", "5/minute"))
    two = [rate_limit("3/minute", key="ip"), rate_limit(key="ip")]
    client = _with_two(*(reversed(two) if is_stored_first else two), limiter=limiter)
    assert [client.get("/page").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert asyncio.run(limiter.available("host:testclient", "page")) == {"rpm": 2}
    assert asyncio.run(limiter.available("host:testclient", "page/2", "3/minute")) == {"rpm": 0}


@pytest.mark.parametrize("names", [("first", "second"), (None, None)])
@pytest.mark.parametrize("numbers", [(2, 1), (1, 2)])
def test_a_refusal_names_a_limit_as_a_grant_does(
    names: tuple[str | None, str | None], numbers: tuple[int, int]
) -> None:
    two = [rate_limit(f"{n}/minute", key="ip", name=name) for n, name in zip(numbers, names, strict=True)]
    client = _with_two(*two)
    granted, refused = client.get("/page"), client.get("/page")
    labels = [name or f"rule{place}" for place, name in enumerate(names, 1)]
    assert granted.headers["ratelimit-policy"] == ", ".join(
        f'"{label}.rpm";q={n};w=60' for label, n in zip(labels, numbers, strict=True)
    )
    name = f"{labels[numbers.index(1)]}.rpm"
    assert refused.status_code == 429
    assert refused.headers["ratelimit"] == f'"{name}";r=0;t=60'
    assert refused.json()["violated-policies"] == [name]


class _Within(BaseHTTPMiddleware):
    """Runs what is inside in a task of its own."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        answer: Response = await call_next(request)
        return answer


@pytest.mark.parametrize("inner", [[], [Middleware(_Within)]])
def test_the_lease_of_a_dependency_is_the_current_one_for_its_request_and_no_longer(inner: list[Any]) -> None:
    app = FastAPI(middleware=inner)

    @app.get("/page")
    async def page(lease: Annotated[Lease, Depends(rate_limit("2/minute", key="ip"))]) -> bool:
        return current_lease() is lease

    limiter = memory_limiter(clock=TurnableClock())
    guarded(app, limiter=limiter, rules=[{"key": "ip", "limits": "9/minute"}])

    async def job() -> bytes:
        async with limiter.acquire("job", "api", 1, "1/minute") as lease:
            reply = await replied(app, scope_of(Ask("/page")), Ask("/page"))
            assert current_lease() is lease
            return reply.body

    assert asyncio.run(job()) == b"true"


def test_a_dependency_that_is_taken_for_a_decorator_says_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"write dependencies=\[Depends\(rate_limit.*in zae_limiter_asgi\.starlette"):
        rate_limit("1/minute", key="ip")(_page)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("taken", "told"),
    [
        (rate_limit, r"write Depends\(rate_limit\(\.\.\.\)\)"),
        (starlette.rate_limit, r"for Depends\(\.\.\.\) there is zae_limiter_asgi\.fastapi\.rate_limit"),
        (starlette.rate_limit("1/minute"), r"for Depends\(\.\.\.\) there is zae_limiter_asgi\.fastapi\.rate_limit"),
    ],
)
def test_what_is_no_dependency_is_told_as_the_route_is_made(taken: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        FastAPI().get("/page", dependencies=[Depends(taken)])(_page)


def test_a_decorator_without_parentheses_is_told_as_the_route_is_made() -> None:
    async def page(_: Request) -> str:
        return "in"

    with pytest.raises(TypeError, match=r"write @rate_limit\(\.\.\.\) with parentheses"):
        FastAPI().get("/page")(starlette.rate_limit(page))
