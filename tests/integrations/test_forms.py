"""The forms users write: dependencies, routes, lifespan, a configuration that cannot work."""

import asyncio
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI

from zae_limiter.testing import memory_limiter
from zae_limiter_asgi import Lease, Rule, SettingsError, ZaeLimiterMiddleware, current_lease, rate_limit

pytestmark = pytest.mark.anyio


def _client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


def _app(rules: list[Rule] | None = None) -> FastAPI:
    app = FastAPI()
    app.add_middleware(ZaeLimiterMiddleware, limiter=memory_limiter(), rules=rules or [])
    return app


async def test_a_dependency_limits_its_route_alone_and_the_middleware_writes_its_headers() -> None:
    app = _app()

    @app.get("/login", dependencies=[Depends(rate_limit("2/minute", key="ip"))])
    async def login() -> str:
        return "in"

    @app.get("/free")
    async def free() -> str:
        return "free"

    async with _client(app) as client:
        answers = [await client.get("/login") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[0].headers["ratelimit"] == '"rpm";r=1;t=30'
        assert answers[2].headers["content-type"] == "application/problem+json"
        assert "ratelimit" not in (await client.get("/free")).headers


async def test_a_dependency_gives_its_lease_and_settles_it_at_the_end() -> None:
    app = _app()
    limits = rate_limit("tpm=1000/minute", key="ip", cost={"tpm": 100})

    @app.get("/chat")
    async def chat(lease: Annotated[Lease, Depends(limits)]) -> dict[str, bool]:
        await lease.adjust(tpm=50)
        return {"same": current_lease() is lease}

    async with _client(app) as client:
        response = await client.get("/chat")
        assert response.json() == {"same": True}
        assert response.headers["ratelimit"].startswith('"tpm";r=850;')
        assert (await client.get("/chat")).headers["ratelimit"].startswith('"tpm";r=700;')


async def test_c74_and_c75_a_route_is_known_by_its_whole_template() -> None:
    app = _app([Rule("route:/v?/users/{user_id}", key="ip", resource="route", limits="1/minute")])
    for version in ("v1", "v2"):
        router = APIRouter(prefix=f"/{version}")

        @router.get("/users/{user_id}")
        async def user(user_id: str) -> str:
            return user_id

        app.include_router(router)

    async with _client(app) as client:
        paths = ["/v1/users/1", "/v1/users/2", "/v2/users/1", "/v2/users/2", "/v1/other"]
        assert [(await client.get(path)).status_code for path in paths] == [200, 429, 200, 429, 404]


async def test_current_lease_is_each_requests_own() -> None:
    app = _app([Rule(key=lambda request: request.query_params["who"], limits="9/minute")])

    @app.get("/")
    async def who() -> str:
        lease = current_lease()
        await asyncio.sleep(0)
        assert current_lease() is lease
        return lease.statuses[0].entity_id

    @app.get("/sync")
    def sync() -> str:
        return current_lease().statuses[0].entity_id

    async with _client(app) as client:
        asked = [client.get(f"{path}?who={name}") for name in "abc" for path in ("/", "/sync")]
        answers = [response.json() for response in await asyncio.gather(*asked)]
        assert answers == [f"custom:{name}" for name in "aabbcc"]
    with pytest.raises(RuntimeError, match="no lease is open"):
        current_lease()


async def test_a_limiter_is_opened_with_the_lifespan_and_closed_after_it(tmp_path: Any) -> None:
    app = FastAPI()
    guarded = ZaeLimiterMiddleware(app, store=f"embedded://{tmp_path}/limits.db", rules=[Rule(limits="9/minute")])
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    outbox: list[Any] = []

    async def send(message: Any) -> None:
        outbox.append((message["type"], guarded.limiter.repository.is_open))

    await inbox.put({"type": "lifespan.startup"})
    await inbox.put({"type": "lifespan.shutdown"})
    await guarded({"type": "lifespan", "state": {}, "asgi": {}}, inbox.get, send)
    assert outbox == [("lifespan.startup.complete", True), ("lifespan.shutdown.complete", False)]


async def test_a_limiter_that_cannot_start_fails_the_start_up() -> None:
    guarded = ZaeLimiterMiddleware(FastAPI(), store="embedded:///no/such/folder/limits.db")
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    await guarded({"type": "lifespan", "state": {}, "asgi": {}}, receive, send)
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert "create it first" in sent[0]["message"]


def test_c96_every_mistake_is_told_at_once_with_its_place() -> None:
    with pytest.raises(SettingsError) as failure:
        ZaeLimiterMiddleware(
            FastAPI(),
            store="memory:",
            rules=[
                Rule(key="ipp", limits="5/month"),
                {"limits": ["1/minute"], "cost": {"nope": 1, "rpm": -1}, "metods": ["GET"]},
            ],
            header_stile=["x"],  # type: ignore[call-arg]
            proxy={"trusted_proxies": ["*"]},
            responder="no.such.module:name",
            hash_secret="very-secret",
        )
    told = failure.value.mistakes
    for place in (
        "rules[0].key",
        "rules[0].limits",
        "rules[1].cost.nope",
        "rules[1].cost.rpm",
        "rules[1].metods: no such word; did you mean 'methods'?",
        "header_stile: no such setting; did you mean 'header_style'?",
        "proxy.trusted_proxies",
        "responder",
    ):
        assert any(mistake.startswith(place) for mistake in told), (place, told)
    assert "very-secret" not in str(failure.value)


def test_two_rules_that_would_fight_over_one_bucket_are_told() -> None:
    for words in ({}, {"last": True}, {"methods": ["POST"]}):
        rules = [Rule(limits="5/minute", name="api", **words), Rule(limits="6/minute", resource="api")]
        with pytest.raises(SettingsError, match=r"rules\[1\].limits: 'rpm' of resource 'api' is another in rules\[0\]"):
            ZaeLimiterMiddleware(FastAPI(), store="memory:", rules=rules)


def test_a_store_or_a_limiter_must_be_named() -> None:
    with pytest.raises(SettingsError, match="store: say where to count"):
        ZaeLimiterMiddleware(FastAPI())


async def test_an_application_without_lifespan_starts_all_the_same() -> None:
    async def only_http(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"

    guarded = ZaeLimiterMiddleware(only_http, store="memory:")
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(AssertionError):
        await guarded({"type": "lifespan", "state": {}, "asgi": {}}, receive, send)
    assert sent == []
