"""The application: its routes, what guards them, and the limiter that lives as long as it does.

What a page shows is in `views.py`.
"""

import contextlib
import hashlib
import hmac
import ipaddress
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.types import ASGIApp, Receive, Scope, Send

from zae_limiter import RateLimiter, ZAELimiterError
from zae_limiter.exceptions import InfrastructureError
from zae_limiter_dashboard import views
from zae_limiter_dashboard.changes import change_limits

_HERE: Final = Path(__file__).parent
_HOST: Final = re.compile(r"(?P<name>\[[^\]]*\]|[^:]*)(:[0-9]*)?")
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    # Not "no-referrer": browsers then send forms of this very page without an origin.
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


def create_app(
    limiter: RateLimiter, *, writable: bool = False, token: str | None = None, is_local: bool = False
) -> Starlette:
    """The page over a limiter's store; it is opened when the server starts and closed when it stops.

    Nothing can be changed unless `writable`. With a `token` nothing is shown to whoever does not have it: it is
    given once as `?token=...` and kept in a cookie. One that `is_local` answers under the names of this machine
    alone: a site that has its own name point here would else read it through the visitor's browser.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with limiter:
            yield

    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=select_autoescape(), undefined=StrictUndefined
    )
    routes = [
        Route("/", views.overview),
        Route("/find", views.find),
        Route("/buckets", views.buckets_part),
        Route("/resources/{resource:path}", views.resource_page),
        Route("/entities/{entity_id:path}", views.entity_page),
        Route("/limits", change_limits, methods=["POST"]),
        Mount("/static", StaticFiles(directory=_HERE / "static")),
    ]
    environment.filters.update(views.FILTERS)
    told = {ZAELimiterError: _told, InfrastructureError: _unreached, 404: _not_found}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=told)
    app.state.limiter = limiter
    app.state.writable = writable
    app.state.templates = Jinja2Templates(env=environment)
    app.add_middleware(Guard, token=token, is_local=is_local)
    return app


class Guard:
    """Lets in who has the token, refuses what comes through another site, and sets the headers of every answer."""

    def __init__(self, app: ASGIApp, *, token: str | None, is_local: bool) -> None:
        self._app = app
        self._token = token
        self._is_local = is_local
        # A digest: any token is a value of a cookie then, and pages on other ports of a host keep cookies of their own.
        self._kept = "" if token is None else hashlib.sha256(token.encode()).hexdigest()
        self._cookie = f"zae_limiter_{self._kept[:16]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        request = Request(scope)
        refusal = self._name_refused(request) or self._token_refused(request) or _foreign_form(request)
        await (refusal or self._app)(scope, receive, guarded)

    def _name_refused(self, request: Request) -> Response | None:
        if not self._is_local or is_loopback(_name_asked_for(request)):
            return None
        return PlainTextResponse("this page answers as localhost alone\n", 421)

    def _token_refused(self, request: Request) -> Response | None:
        if self._token is None:
            return None
        given = request.query_params.get("token")
        if given is not None and hmac.compare_digest(given.encode(), self._token.encode()):
            answer = RedirectResponse(request.url.remove_query_params("token"), status_code=303)
            secure = request.url.scheme == "https"
            answer.set_cookie(self._cookie, self._kept, httponly=True, samesite="strict", secure=secure)
            return answer
        kept = request.cookies.get(self._cookie, "")
        if hmac.compare_digest(kept.encode(), self._kept.encode()):
            return None
        return PlainTextResponse("open the address that 'zae-limiter serve' printed; it has the token\n", 401)


def _name_asked_for(request: Request) -> str:
    # Not that of the URL: where the header is none that Starlette reads, this has the server's own address, and
    # browsers look up more names than Starlette reads.
    match = _HOST.fullmatch(request.headers.get("host", ""))
    return "" if match is None else match["name"].lower()


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own, which no other machine reaches."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _foreign_form(request: Request) -> Response | None:
    if request.method in {"GET", "HEAD"}:
        return None
    headers = Headers(scope=request.scope)
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] == headers.get("host"):
        return None
    return PlainTextResponse("a form of another site is not taken\n", 403)


async def _told(request: Request, error: Exception) -> Response:
    return await views.message(request, "This cannot be shown", str(error), status=400)


async def _unreached(request: Request, error: Exception) -> Response:
    return await views.message(request, "The store does not answer", f"{error}. Load this page again.", status=503)


async def _not_found(request: Request, _: Exception) -> Response:
    return await views.message(request, "Nothing is here", f"There is no page {request.url.path}.", status=404)
