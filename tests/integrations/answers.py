"""The table of requests that every framework answers alike: one site, and what is asked of it in turn."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from zae_limiter_http.conformance import Answer, Ask, Call, Reply, Route

BROWSER: Final = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
# What we set on an answer; other headers are the framework's or the server's.
OURS: Final = frozenset({"retry-after", "ratelimit", "ratelimit-policy"})
OURS_OF_A_REFUSAL: Final = OURS | {
    "cache-control",
    "content-length",
    "content-type",
    "hx-reswap",
    "hx-trigger",
    "vary",
}


async def adjusted(call: Call) -> Answer:
    await call.adjust(tpm=500)
    return Answer(body=b"adjusted")


async def streamed(call: Call) -> Answer:
    lease = call.lease

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        await call.adjust_of(lease, tpm=250)
        yield b"two"

    return Answer(parts=parts())


async def endless(call: Call) -> Answer:
    """Streams until somebody ends it."""
    await call.adjust(tpm=200)

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(1_000_000):
            yield b"x" * 1_024
            await call.breathe()

    return Answer(parts=parts())


async def moved(call: Call) -> Answer:
    return Answer(302, b"", headers=[("location", "/elsewhere")])


async def public(call: Call) -> Answer:
    return Answer(headers=[("cache-control", "public, max-age=60")])


async def inner(call: Call) -> Answer:
    return Answer(headers=[("ratelimit", '"inner";r=1;t=1')])


async def missing(call: Call) -> Answer:
    return Answer(404, b"no such thing")


async def demanding(call: Call) -> Answer:
    await call.consume(rpd=9)
    return Answer()


TOKENS: Final = {"key": "ip", "limits": "tpm=1000/day", "cost": {"tpm": 100}}
ROUTES: Final = [
    Route("/plain"),
    Route("/items/{id}"),
    Route("/adjusted", adjusted),
    Route("/streamed", streamed),
    Route("/endless", endless),
    Route("/moved", moved),
    Route("/public", public),
    Route("/inner", inner),
    Route("/missing", missing),
    Route("/demanding", demanding),
    Route("/exempt", exempt=True),
    Route("/limited", limited={"limits": "1/day", "key": "ip"}),
    Route("/users", group="v1"),
    Route("/users", group="v2"),
    Route("/many"),
]
RULES: Final[list[dict[str, Any]]] = [
    *({"match": f"/{name}", "name": name, **TOKENS} for name in ("adjusted", "streamed", "endless")),
    *({"match": f"/{name}", "name": name, "key": "ip", "limits": "2/day"} for name in ("plain", "moved", "public")),
    *({"match": f"/{name}", "name": name, "key": "ip", "limits": "4/day+6"} for name in ("inner", "missing")),
    {"match": "/demanding", "name": "demanding", "key": "ip", "limits": "10/day", "cost": 2},
    {"match": "/items/*", "name": "items", "key": "ip", "limits": "1/day; hits=5/hour", "cost": {"rpd": 1, "hits": 2}},
    {"match": "/v?/*", "resource": "route", "key": "ip", "limits": "1/day"},
    {"match": "/many", "name": "many", "key": "ip", "limits": "20/day"},
    {"match": "/exempt", "name": "exempt", "key": "ip", "limits": "1/day"},
]


def _ask(path: str, method: str = "GET", **headers: str) -> Ask:
    return Ask(path, method, [(name.replace("_", "-"), value) for name, value in headers.items()])


TABLE: Final[Sequence[Ask]] = [
    *[_ask("/plain") for _ in range(3)],
    *[_ask("/plain", accept=media) for media in (BROWSER, "text/plain", "image/png", "nonsense", "application/json")],
    _ask("/plain", accept="application/json;q=0.5,text/html;q=0.4"),
    _ask("/plain", "HEAD"),
    _ask("/plain", hx_request="true"),
    *[_ask("/items/1"), _ask("/items/2"), _ask("/items/3", accept="text/html")],
    *[_ask(f"/{name}") for name in ("adjusted", "adjusted", "streamed", "streamed")],
    *[_ask(f"/{name}") for name in ("moved", "public", "public", "inner", "missing", "missing")],
    *[_ask("/demanding"), *[_ask("/exempt")] * 3],
    *[_ask("/limited", accept=media) for media in ("*/*", "*/*", "text/plain")],
    *[_ask(path) for path in ("/v1/users", "/v1/users", "/v2/users", "/v2/users")],
    _ask("/plain", "POST", accept="text/plain"),
]


def told(reply: Reply) -> tuple[int, bytes, list[tuple[str, str]]]:
    """What has to be the same: status, body, and the headers that we set."""
    ours = OURS_OF_A_REFUSAL if reply.status in (429, 503) else OURS
    return reply.status, reply.body, sorted(pair for pair in reply.headers if pair[0] in ours)
