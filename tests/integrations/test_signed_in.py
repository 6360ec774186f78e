"""Checks C71 and C72 with what applications use: sessions in cookies, and tokens of several issuers."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse

from tests.integrations.live import listening
from zae_limiter.testing import TurnableClock, memory_limiter
from zae_limiter_asgi import Rule, ZaeLimiterMiddleware

SECRETS: Final = {"https://one.test": b"one", "https://two.test": b"two"}


class Member(SimpleUser):
    @property
    def identity(self) -> str:
        return self.username


class Holder(BaseUser):
    """Who holds a token that was verified."""

    def __init__(self, issuer: str, subject: str) -> None:
        self.issuer, self.subject = issuer, subject

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def identity(self) -> str:
        return self.subject


class OfSession(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        name = conn.session.get("name")
        return None if name is None else (AuthCredentials(["member"]), Member(name))


class OfToken(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        scheme, _, token = conn.headers.get("authorization", "").partition(" ")
        claims = verified(token) if scheme == "Bearer" else None
        return None if claims is None else (AuthCredentials(["api"]), Holder(claims["iss"], claims["sub"]))


def signed(claims: dict[str, str], secret: bytes) -> str:
    """A JSON Web Token under HS256 (RFC 7519)."""
    parts = [_text(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    told = ".".join(parts)
    return f"{told}.{_text(hmac.digest(secret, told.encode(), hashlib.sha256))}"


def verified(token: str) -> dict[str, str] | None:
    told, _, signature = token.rpartition(".")
    claims: dict[str, str] = json.loads(base64.urlsafe_b64decode(told.partition(".")[2] + "=="))
    right = _text(hmac.digest(SECRETS[claims["iss"]], told.encode(), hashlib.sha256))
    return claims if hmac.compare_digest(right, signature) else None


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


async def home(_: Request) -> PlainTextResponse:
    return PlainTextResponse("home")


async def sign_in(request: Request) -> PlainTextResponse:
    request.session["name"] = request.path_params["name"]
    return PlainTextResponse("in")


async def sign_out(request: Request) -> PlainTextResponse:
    request.session.clear()
    return PlainTextResponse("out")


def guarded(kind: type[Starlette], backend: AuthenticationBackend, *rules: Rule) -> Starlette:
    app = kind()
    for path, view in (("/", home), ("/in/{name}", sign_in), ("/out", sign_out)):
        app.router.add_route(path, view)
    app.add_middleware(ZaeLimiterMiddleware, limiter=memory_limiter(clock=TurnableClock()), rules=rules)
    app.add_middleware(AuthenticationMiddleware, backend=backend)
    app.add_middleware(SessionMiddleware, secret_key="not so secret")
    return app


@pytest.fixture(params=[Starlette, FastAPI])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    rules = Rule("/in/*", exempt=True), Rule("/out", exempt=True), Rule("/", key="user", limits="2/minute")
    with listening(guarded(request.param, OfSession(), *rules), "asgi") as found:
        yield found


def _client(address: str, host: str) -> httpx.Client:
    return httpx.Client(base_url=address, transport=httpx.HTTPTransport(local_address=host))


def test_c71_a_session_has_one_bucket_from_two_addresses_and_a_stranger_the_addresss(address: str) -> None:
    with _client(address, "127.0.0.1") as here, _client(address, "127.0.0.2") as there:
        for client in (here, there):
            client.get("/in/alice")
        assert [client.get("/").status_code for client in (here, there, here, there)] == [200, 200, 429, 429]
        here.get("/in/bob")
        assert here.get("/").status_code == 200
        here.get("/out")
        assert [here.get("/").status_code for _ in range(3)] == [200, 200, 429]
        there.cookies.clear()
        assert there.get("/").status_code == 200
        there.cookies.set("session", "a.forged.one")
        assert [there.get("/").status_code for _ in range(2)] == [200, 429]


def holder(request: Request) -> Any:
    """Issuer and subject of the token that the authentication has verified: a subject is unique within its issuer."""
    user = request.user
    return (user.issuer, user.subject) if user.is_authenticated else None


@pytest.mark.parametrize("kind", [Starlette, FastAPI])
def test_c72_a_subject_of_two_issuers_is_two_callers_and_a_forged_token_is_none(kind: type[Starlette]) -> None:
    with (
        listening(guarded(kind, OfToken(), Rule(key=holder, limits="1/minute")), "asgi") as address,
        httpx.Client(base_url=address) as client,
    ):
        one, two = (signed({"iss": issuer, "sub": "7"}, secret) for issuer, secret in SECRETS.items())
        forged = signed({"iss": "https://one.test", "sub": "7"}, b"guessed")
        tokens = [forged, forged, one, two, one, two]
        statuses = [client.get("/", headers={"authorization": f"Bearer {token}"}).status_code for token in tokens]
        assert statuses == [200, 429, 200, 200, 429, 429]
