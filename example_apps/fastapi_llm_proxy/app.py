"""A proxy in front of language models: users with API keys, organisations above them, tokens counted as they stream.

The models are stand-ins that repeat the prompt; everything around them is what a real proxy needs.
"""

import asyncio
import contextlib
import html
import json
import os
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from zae_limiter import EntityExistsError, Lease, Limit, RateLimiter, current_lease, open_limiter
from zae_limiter_asgi.fastapi import RATE_LIMITED_RESPONSES, Rule, ZaeLimiterMiddleware

STORE: Final = os.environ.get("ZAE_LIMITER_STORE", "embedded:///tmp/zae-limiter-llm-proxy.db")
REQUESTS_A_MINUTE: Final = int(os.environ.get("LLM_PROXY_RPM", "3"))
PATIENCE_SECONDS: Final = float(os.environ.get("LLM_PROXY_TIMEOUT", "1"))
RESERVED_TOKENS: Final = 50
USERS: Final = {"key-alice": "alice", "key-bob": "bob"}
ORGANISATION: Final = "acme"


def plan(requests: int, tokens: int) -> list[Limit]:
    """What somebody may ask of one model each minute."""
    return [Limit.per_minute("rpm", requests), Limit.per_minute("tpm", tokens, unit="tokens")]


# For each model what a user has by default, and what the users of the organisation have together.
MODELS: Final = {
    "tiny-model": (plan(REQUESTS_A_MINUTE, 600), plan(100, 20_000)),
    "large-model": (plan(1, 200), plan(5, 1_000)),
}


def user_of(request: Request) -> str | None:
    """The user behind an API key; None for a key that nobody was given."""
    return USERS.get(request.headers.get("x-api-key", ""))


def is_from_a_stranger(request: Request) -> bool:
    """Whether a request for a model comes without a key of a user."""
    return request.url.path.startswith("/v1/") and user_of(request) is None


async def prepare(limiter: RateLimiter) -> None:
    """Store who there is and the plans of the models, unless an earlier start has done so."""
    for user in USERS.values():
        with contextlib.suppress(EntityExistsError):
            await limiter.create_entity(f"custom:{user}", name=user, parent_id=ORGANISATION, cascade=True)
    for model, (of_a_user, of_the_organisation) in MODELS.items():
        if not await limiter.get_resource_defaults(model):
            await limiter.set_resource_defaults(model, of_a_user)
            await limiter.set_limits(ORGANISATION, of_the_organisation, resource=model)


@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Prepare the store once; the middleware has opened it by then."""
    await prepare(limiter)
    yield


limiter = open_limiter(STORE, timeout=PATIENCE_SECONDS)
app = FastAPI(title="A proxy in front of language models", lifespan=lifespan)
app.add_middleware(
    ZaeLimiterMiddleware,
    limiter=limiter,
    limiter_timeout=PATIENCE_SECONDS,
    rules=[
        Rule("/health", exempt=True),
        # Whoever tries keys is counted by address: a new key each time would else be a new bucket each time.
        Rule(is_from_a_stranger, key="ip", limits="10/minute", name="strangers", last=True),
        *(
            Rule(f"/v1/models/{model}/chat", key=user_of, resource=model, cost={"rpm": 1, "tpm": RESERVED_TOKENS})
            for model in MODELS
        ),
    ],
)


def signed_in(request: Request) -> str:
    """The user who asks; the application's own 401 for a stranger."""
    user = user_of(request)
    if user is None:
        raise HTTPException(401, "this API key was given to nobody", {"WWW-Authenticate": 'ApiKey realm="models"'})
    return user


@app.get("/health")
async def health() -> dict[str, bool]:
    """Whether the store answers; never limited."""
    return {"ok": await limiter.is_available()}


@app.post("/v1/models/{model}/chat", responses=RATE_LIMITED_RESPONSES)
async def chat(request: Request, model: str, _: Annotated[str, Depends(signed_in)]) -> StreamingResponse:
    """Answer a prompt as server-sent events; what it took in truth is settled with the last of them."""
    if model not in MODELS:
        raise HTTPException(404, f"there is {', '.join(MODELS)}")
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
        for model in MODELS:
            available = await limiter.available(f"custom:{user}", model)
            cells = "".join(f"<td>{available[name]}</td>" for name in ("rpm", "tpm"))
            rows.append(f"<tr><th>{html.escape(user)}</th><td>{model}</td>{cells}</tr>")
    heads = "<tr><th></th><th>model</th><th>requests</th><th>tokens</th></tr>"
    table = f"<table>{heads}{''.join(rows)}</table>"
    return f"<!doctype html><title>What is left</title><h1>What is left this minute</h1>{table}"
