"""What users of FastAPI write: handlers, lifespans, routers, websockets, an OpenAPI document."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from zae_limiter.testing import TurnableClock, memory_limiter
from zae_limiter_asgi.fastapi import (
    RATE_LIMITED_RESPONSES,
    Lease,
    Rule,
    ZaeLimiterMiddleware,
    current_lease,
    install_exception_handlers,
    limiter_lifespan,
    rate_limit,
)

ONE = rate_limit("1/minute", key="ip")


def guarded(app: FastAPI, **words: Any) -> TestClient:
    words.setdefault("limiter", memory_limiter(clock=TurnableClock()))
    app.add_middleware(ZaeLimiterMiddleware, **words)
    return TestClient(app)


def test_refusals_of_handlers_pass_what_stands_inside_the_middleware() -> None:
    app = FastAPI()
    install_exception_handlers(app)
    seen: list[int] = []

    @app.middleware("http")
    async def outer(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        seen.append(response.status_code)
        return response

    @app.get("/")
    async def page(lease: Annotated[Lease, Depends(rate_limit("2/minute", key="ip"))]) -> str:
        await lease.consume(rpm=1)
        return "in"

    app.user_middleware.reverse()
    client = guarded(app)
    assert [client.get("/").status_code for _ in range(2)] == [200, 429]
    refused = client.get("/")
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers.get_list("retry-after") == ["30"]
    assert seen == [200, 429, 429]


def test_a_handler_of_the_applications_own_stands() -> None:
    from zae_limiter_asgi.fastapi import RateLimitExceeded

    app = FastAPI()

    @app.exception_handler(RateLimitExceeded)
    async def answer(request: Request, error: RateLimitExceeded) -> PlainTextResponse:
        return PlainTextResponse("own", 429)

    install_exception_handlers(app)

    @app.get("/", dependencies=[Depends(ONE)])
    async def page() -> str:
        return "in"

    client = guarded(app)
    client.get("/")
    refused = client.get("/")
    assert (refused.text, refused.headers["retry-after"]) == ("own", "60")


def test_a_foreign_error_of_the_limiter_is_raised_where_nobody_knows_the_request() -> None:
    app = FastAPI()
    install_exception_handlers(app)
    limiter = memory_limiter(clock=TurnableClock())

    @app.get("/")
    async def page() -> str:
        async with limiter.acquire("a", "b", 2, "1/minute"):
            return "in"

    with pytest.raises(Exception, match="rpm"):
        TestClient(app).get("/")


async def _lives(app: FastAPI, limiter: Any, told: list[str]) -> None:
    async with app.router.lifespan_context(app):
        told.append(f"serving {limiter.repository.is_open}")


@pytest.mark.anyio
async def test_a_lifespan_with_a_limiter_goes_around_the_applications_own() -> None:
    limiter = memory_limiter()
    told: list[str] = []

    @asynccontextmanager
    async def own(_: FastAPI) -> AsyncIterator[dict[str, int]]:
        told.append(f"starting {limiter.repository.is_open}")
        yield {"a": 1}
        told.append(f"stopping {limiter.repository.is_open}")

    await _lives(FastAPI(lifespan=limiter_lifespan(limiter, own)), limiter, told)
    await _lives(FastAPI(lifespan=limiter_lifespan(limiter)), limiter, told)
    assert told == ["starting True", "serving True", "stopping True", "serving True"]
    assert not limiter.repository.is_open


def test_dependencies_of_an_application_a_router_and_a_route_are_charged_each_once() -> None:
    app = FastAPI(dependencies=[Depends(rate_limit("9/minute", key="ip", name="app"))])
    router = APIRouter(prefix="/r", dependencies=[Depends(rate_limit("8/minute", key="ip", name="router"))])

    @router.get("/x", dependencies=[Depends(rate_limit("7/minute", key="ip", name="route"))])
    async def page() -> str:
        return ",".join(f"{each.resource} {each.available}" for each in current_lease().statuses)

    app.include_router(router, dependencies=[Depends(rate_limit("9/minute", key="ip", name="app"))])
    response = guarded(app).get("/r/x")
    assert response.headers["ratelimit"] == '"app.rpm";r=8;t=54, "router.rpm";r=7;t=53, "route.rpm";r=6;t=52'


def test_the_same_path_below_two_mounts_and_prefixes_is_told_apart() -> None:
    app, sub = FastAPI(), FastAPI()

    @sub.get("/users/{user_id}", dependencies=[Depends(ONE)])
    async def below(user_id: str) -> str:
        return user_id

    for prefix in ("/v1", "/v2"):
        router = APIRouter()

        @router.get("/users/{user_id}", dependencies=[Depends(ONE)])
        async def user(user_id: str) -> str:
            return user_id

        app.include_router(router, prefix=prefix)
    app.mount("/sub", sub)
    app.mount("/bus", sub)
    client = guarded(app)
    paths = [f"/{place}/users/{user}" for place in ("v1", "v2", "sub", "bus") for user in (1, 2)]
    assert [client.get(path).status_code for path in paths] == [200, 429] * 4


def test_c82_a_body_that_is_no_json_is_charged_by_rules_and_not_by_dependencies() -> None:
    app = FastAPI()

    @app.post("/", dependencies=[Depends(ONE)])
    async def page(body: dict[str, int]) -> str:
        return "in"

    sent = {"content": b"{", "headers": {"content-type": "application/json"}}
    client = guarded(app)
    assert {client.post("/", **sent).status_code for _ in range(3)} == {422}  # type: ignore[arg-type]
    rules = [Rule(key="ip", limits="2/minute")]
    strict = TestClient(ZaeLimiterMiddleware(app, limiter=memory_limiter(), rules=rules))
    assert [strict.post("/", **sent).status_code for _ in range(3)] == [422, 422, 429]  # type: ignore[arg-type]


def test_headers_of_a_dependency_are_there_whatever_the_endpoint_does() -> None:
    app = FastAPI()
    limited = Depends(rate_limit("9/minute", key="ip", name="any"))

    @app.get("/own", dependencies=[limited])
    async def own() -> Response:
        return Response("x", headers={"X-Own": "1"})

    @app.get("/error", dependencies=[limited])
    async def error() -> None:
        raise HTTPException(418)

    @app.get("/field", dependencies=[limited])
    async def field(number: int) -> int:
        return number

    client = guarded(app)
    answers = [client.get(path) for path in ("/own", "/error", "/field")]
    assert [(each.status_code, each.headers["ratelimit"][:9]) for each in answers] == [
        (200, '"rpm";r=8'),
        (418, '"rpm";r=7'),
        (422, '"rpm";r=6'),
    ]


def test_a_dependency_needs_the_middleware() -> None:
    app = FastAPI()
    app.get("/", dependencies=[Depends(ONE)])(lambda: "in")
    with pytest.raises(RuntimeError, match="rate_limit needs ZaeLimiterMiddleware"):
        TestClient(app).get("/")


def test_a_dependency_may_be_overridden_in_tests() -> None:
    app = FastAPI()
    app.get("/", dependencies=[Depends(ONE)])(lambda: "in")
    app.dependency_overrides[ONE] = lambda: None
    assert {TestClient(app).get("/").status_code for _ in range(3)} == {200}


def test_a_websocket_route_takes_a_dependency_too() -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def chat(socket: WebSocket, lease: Annotated[Lease, Depends(rate_limit("1/minute", key="ip"))]) -> None:
        await socket.accept()
        await socket.send_text(str(lease.consumed))
        await socket.close()

    client = guarded(app)
    with client.websocket_connect("/ws") as socket:
        assert socket.receive_text() == "{'rpm': 1}"
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/ws"):
        pass
    assert denied.value.status_code == 429
    assert denied.value.headers["retry-after"] == "60"


def test_c103_the_openapi_document_tells_of_refusals() -> None:
    app = FastAPI(responses=RATE_LIMITED_RESPONSES)
    app.get("/")(lambda: "in")
    document = app.openapi()
    responses = document["paths"]["/"]["get"]["responses"]
    for status in ("429", "503"):
        assert "application/problem+json" in responses[status]["content"]
        assert responses[status]["headers"]["Retry-After"]["schema"] == {"type": "integer", "minimum": 1}
    references = [value for value in _values(document) if isinstance(value, str) and value.startswith("#/")]
    for reference in references:
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def _values(found: Any) -> list[Any]:
    if isinstance(found, dict):
        return [each for name, value in found.items() for each in ([value] if name == "$ref" else _values(value))]
    return [each for value in found for each in _values(value)] if isinstance(found, list) else []


@pytest.mark.anyio
async def test_without_a_lifespan_a_test_client_works_all_the_same() -> None:
    app = FastAPI()
    app.get("/")(lambda: "in")
    app.add_middleware(ZaeLimiterMiddleware, store="memory:", rules=[Rule(key="ip", limits="1/day")])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert [(await client.get("/")).status_code for _ in range(2)] == [200, 429]
