"""The ASGI side as a user types it: read by both type checkers, never run."""

from typing import Annotated, assert_type

from fastapi import Depends, FastAPI, Request
from starlette.applications import Starlette
from starlette.middleware import Middleware

from zae_limiter import Limit, RateLimiter
from zae_limiter_asgi import EXEMPT, Lease, Rule, ZaeLimiterMiddleware, current_lease, rate_limit

app = FastAPI()
app.add_middleware(
    ZaeLimiterMiddleware,
    store="embedded:///var/lib/app/limits.db",
    rules=[
        Rule("/health", exempt=True),
        Rule("/v1/chat/*", key="header:X-API-Key", resource="gpt-4", cost={"rpm": 1}),
        Rule("/v1/*", key=["user", "ip"], limits="100/minute; 5000/day", methods=["POST"], refund_on="5xx"),
        {"match": "/old/*", "limits": [Limit.per_minute("rpm", 10)]},
    ],
    header_style=("draft", "x"),
)


def tenant(request: Request) -> str | None:
    return request.headers.get("x-tenant")


async def tokens(request: Request) -> dict[str, int]:
    return {"tpm": len(await request.body())}


Chat = Annotated[Lease, Depends(rate_limit("rpm=20/minute; tpm=40000/minute", key="user", cost={"rpm": 1, "tpm": 500}))]


@app.post("/login", dependencies=[Depends(rate_limit("5/minute", key="ip"))])
async def login() -> None:
    assert_type(current_lease(), Lease)


@app.post("/chat")
async def chat(lease: Chat) -> None:
    await lease.adjust(tpm=-200)


def starlette(limiter: RateLimiter) -> Starlette:
    rules = [
        Rule("/status", key=lambda request: EXEMPT if request.client is None else "status"),
        Rule(key=tenant, cost=tokens, limits="tpm=90000/minute", max_wait=2, on_unavailable="allow", last=True),
    ]
    return Starlette(middleware=[Middleware(ZaeLimiterMiddleware, limiter=limiter, rules=rules)])
