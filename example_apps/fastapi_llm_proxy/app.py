"""A proxy in front of language models: users with API keys, organisations above them, tokens counted as they stream.

The model is a stand-in that repeats the prompt; everything around it is what a real proxy needs.
"""

import asyncio
import html
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from zae_limiter import Lease, Limit, RateLimiter, current_lease, open_limiter
from zae_limiter_asgi import Rule, ZaeLimiterMiddleware

STORE: Final = os.environ.get("ZAE_LIMITER_STORE", "embedded:///tmp/zae-limiter-llm-proxy.db")
REQUESTS_A_MINUTE: Final = int(os.environ.get("LLM_PROXY_RPM", "3"))
RESERVED_TOKENS: Final = 50
USERS: Final = {"key-alice": "alice", "key-bob": "bob"}
ORGANISATION: Final = "acme"


def user_of(request: Request) -> str | None:
    """The user behind an API key; None for a key that nobody was given, which is limited by its address."""
    return USERS.get(request.headers.get("x-api-key", ""))


async def prepare(limiter: RateLimiter) -> None:
    """Store who there is and the limits of the plan, unless an earlier start has done so."""
    for user in USERS.values():
        if await limiter.get_entity(f"custom:{user}") is None:
            await limiter.create_entity(f"custom:{user}", name=user, parent_id=ORGANISATION, cascade=True)
    if await limiter.get_resource_defaults("tiny-model"):
        return
    plan = [
        Limit.per_minute("rpm", REQUESTS_A_MINUTE),
        Limit.per_minute("tpm", 600, unit="tokens"),
    ]
    await limiter.set_resource_defaults("tiny-model", plan)
    organisation = [Limit.per_minute("rpm", 100), Limit.per_minute("tpm", 20_000, unit="tokens")]
    await limiter.set_limits(ORGANISATION, organisation, resource="tiny-model")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Prepare the store once; the middleware has opened it by then."""
    await prepare(limiter)
    yield


limiter = open_limiter(STORE)
app = FastAPI(title="A proxy in front of language models", lifespan=lifespan)
app.add_middleware(
    ZaeLimiterMiddleware,
    limiter=limiter,
    rules=[
        Rule("/health", exempt=True),
        Rule("/v1/chat", key=user_of, resource="tiny-model", cost={"rpm": 1, "tpm": RESERVED_TOKENS}),
    ],
)


@app.get("/health")
async def health() -> dict[str, bool]:
    """Whether the store answers; never limited."""
    return {"ok": await limiter.is_available()}


@app.post("/v1/chat")
async def chat(request: Request) -> StreamingResponse:
    """Answer a prompt as server-sent events; what it took in truth is settled with the last of them."""
    try:
        prompt = str((await request.json())["prompt"])
    except (ValueError, KeyError, TypeError) as error:
        raise HTTPException(422, "send a JSON object with a prompt") from error
    return StreamingResponse(_events(prompt.split()[:500], current_lease()), media_type="text/event-stream")


async def _events(words: list[str], lease: Lease) -> AsyncIterator[str]:
    used = 0
    try:
        for word in words:
            used += 1
            yield f"data: {json.dumps({'token': word})}\n\n"
            await asyncio.sleep(0)
        yield f"data: {json.dumps({'used': used})}\n\n"
    finally:
        # Also for a client that left half-way: it pays for what was made, no more.
        await lease.adjust(tpm=used - RESERVED_TOKENS)


@app.get("/", response_class=HTMLResponse)
async def left() -> str:
    """A page that shows what is left for everybody."""
    rows: list[str] = []
    for user in USERS.values():
        available: dict[str, Any] = await limiter.available(f"custom:{user}", "tiny-model")
        cells = "".join(f"<td>{available[name]}</td>" for name in ("rpm", "tpm"))
        rows.append(f"<tr><th>{html.escape(user)}</th>{cells}</tr>")
    table = f"<table><tr><th></th><th>requests</th><th>tokens</th></tr>{''.join(rows)}</table>"
    return f"<!doctype html><title>What is left</title><h1>What is left this minute</h1>{table}"
