"""A request on its way: who is logged in, what a streamed body costs, what is told to whom, what a cache keeps."""

import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client

from tests.integrations.django.project import AUTHENTICATION, LIMITER, at, project
from tests.integrations.django.test_settings import CACHES, HEADERS
from zae_limiter.testing import faulty_limiter, memory_limiter, sync_faulty_limiter, sync_memory_limiter
from zae_limiter_django import current_lease, limiter_unavailable, rate_limit, request_limited, request_shadowed
from zae_limiter_http.conformance import Ask
from zae_limiter_http.conformance.wsgi import environ_of

ROWS = rate_limit("rows=1000/day", key="ip", cost={"rows": 0}, resource="export")
IP = "ip4:127.0.0.1"


def _hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


async def _hello_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


_ASKED: list[weakref.ref[HttpRequest]] = []


def _remembered(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> Any:
        _ASKED.append(weakref.ref(request))
        return get_response(request)

    return middleware


@pytest.mark.parametrize("view", [_hello, _hello_async])
def test_a_request_that_is_answered_or_refused_is_gone_without_a_collector(
    view: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("ERROR", "django.request")  # a message that is kept keeps its request
    settings = {"store": "memory:", "rules": [{"key": "ip", "limits": "1/day"}]}
    answered: list[str] = []

    def start_response(status: str, *_: Any) -> Any:
        answered.append(status)

    gc.disable()
    try:
        with project([at("page", view)], settings, MIDDLEWARE=[f"{__name__}._remembered", LIMITER]):
            application = WSGIHandler()
            for _ in range(2):
                body: Any = application(environ_of(Ask("/page")), start_response)
                body.close()
                del body
                assert _ASKED.pop()() is None
            assert answered == ["200 OK", "429 Too Many Requests"]
    finally:
        gc.enable()


@pytest.fixture
def user() -> Iterator[User]:
    call_command("migrate", verbosity=0)
    found = User.objects.create_user("ada", password="ada")
    yield found
    found.delete()


def _by_users_own_words(request: Any) -> str | None:
    return f"{request.user.pk}" if request.user.is_authenticated else None


@pytest.mark.parametrize("key", ["user", _by_users_own_words])
@pytest.mark.parametrize("view", [_hello, _hello_async])
def test_c71_a_user_of_a_session_in_the_database_is_the_key_wherever_it_is_read(
    user: User, key: Any, view: Any
) -> None:
    rules = [{"key": key, "limits": "2/day"}]
    middleware = [*AUTHENTICATION, LIMITER]
    with project([at("page", view)], {"store": "memory:", "rules": rules}, MIDDLEWARE=middleware):
        client, others = Client(), AsyncClient()
        client.force_login(user)
        others.force_login(user)
        assert client.get("/page", REMOTE_ADDR="198.51.100.1").status_code == 200
        assert async_to_sync(others.get)("/page").status_code == 200
        assert client.get("/page", REMOTE_ADDR="198.51.100.2").status_code == 429
        assert async_to_sync(others.get)("/page").status_code == 429
        assert async_to_sync(AsyncClient().get)("/page").status_code == 200


@ROWS
def _plain_export(request: Any) -> StreamingHttpResponse:
    def rows() -> Iterator[bytes]:
        for _ in range(3):
            current_lease().adjust(rows=100)
            yield b"row"

    return StreamingHttpResponse(rows())


@ROWS
async def _async_export(request: Any) -> StreamingHttpResponse:
    async def rows() -> AsyncIterator[bytes]:
        for _ in range(3):
            await request.zae_limiter.lease.adjust(rows=100)
            yield b"row"

    return StreamingHttpResponse(rows())


def test_a_stream_under_wsgi_costs_what_it_adjusts() -> None:
    limiter = sync_memory_limiter()
    with project([at("export", _plain_export)], {"limiter": limiter}):
        response = Client().get("/export")
        assert response.headers["RateLimit"] == '"rows";r=1000;t=86400'
        assert response.getvalue() == b"rowrowrow"
    assert limiter.available(IP, "export", "rows=1000/day") == {"rows": 700}


async def _streamed(client: AsyncClient) -> bytes:
    response: Any = await client.get("/export")
    return b"".join([part async for part in response.streaming_content])


def test_an_async_stream_under_asgi_costs_what_it_adjusts() -> None:
    limiter = memory_limiter()
    with project([at("export", _async_export)], {"limiter": limiter}):
        assert async_to_sync(_streamed)(AsyncClient()) == b"rowrowrow"
    assert async_to_sync(limiter.available)(IP, "export", "rows=1000/day") == {"rows": 700}


def test_a_stream_that_is_closed_early_costs_what_it_has_adjusted() -> None:
    limiter = sync_memory_limiter()
    with project([at("export", _plain_export)], {"limiter": limiter}):
        response: Any = Client().get("/export")
        next(iter(response.streaming_content))
        response.close()
        response.close()
    assert limiter.available(IP, "export", "rows=1000/day") == {"rows": 900}


def test_a_file_is_sent_as_a_file_and_ends_its_lease(tmp_path: Path) -> None:
    limiter = sync_memory_limiter()
    leases: list[Any] = []
    (tmp_path / "file").write_bytes(b"content")

    @ROWS
    def download(request: Any) -> FileResponse:
        request.zae_limiter.lease.adjust(rows=10)
        leases.append(request.zae_limiter.lease)
        return FileResponse((tmp_path / "file").open("rb"))

    with project([at("file", download)], {"limiter": limiter}):
        environ = {**environ_of(Ask("/file")), "wsgi.file_wrapper": FileWrapper}
        file: Any = WSGIHandler()(environ, lambda *_: lambda _: None)
        assert isinstance(file, FileWrapper)
        assert (b"".join(file), leases[0].is_open) == (b"content", True)
        file.close()
    assert leases[0].is_open is False
    assert limiter.available("ip4:203.0.113.9", "export", "rows=1000/day") == {"rows": 990}


@pytest.mark.parametrize("is_async", [False, True])
def test_receivers_hear_of_refusals_and_of_a_store_that_is_down(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[tuple[str, str | None]] = []

    def hear_limited(sender: Any, request: Any, exc: Any, rule: Any, **_: Any) -> None:
        heard.append((f"limited by {rule.name}", type(exc).__name__))
        raise ZeroDivisionError

    def hear_unavailable(sender: Any, request: Any, exc: Any, **_: Any) -> None:
        heard.append(("unavailable", None if exc is None else type(exc).__name__))

    request_limited.connect(hear_limited)
    limiter_unavailable.connect(hear_unavailable)
    limiter, store = (faulty_limiter if is_async else sync_faulty_limiter)()
    rules = [{"key": "ip", "limits": "1/day", "name": "all"}]
    client: Any = async_to_sync(AsyncClient().get) if is_async else Client().get
    urls = [at("page", _hello_async if is_async else _hello)]
    with project(urls, {"limiter": limiter, "rules": rules}):
        assert [client("/page").status_code for _ in range(2)] == [200, 429]
        store.fail()
        assert client("/page").status_code == 503
    with project(urls, {"limiter": limiter, "rules": rules, "on_unavailable": "allow"}):
        assert client("/page").status_code == 200
    assert heard == [
        ("limited by all", "RateLimitExceeded"),
        ("unavailable", "RateLimiterUnavailable"),
        ("unavailable", None),
    ]
    assert request_limited.disconnect(hear_limited)
    assert limiter_unavailable.disconnect(hear_unavailable)
    # Django logs what a receiver did wrong; the address of the caller is not among it.
    assert "127.0.0.1" not in caplog.text


@pytest.mark.parametrize("is_async", [False, True])
def test_outside_a_cache_every_client_gets_its_own_fields(is_async: bool) -> None:
    rules = [{"key": "ip", "limits": "9/day"}]
    client: Any = async_to_sync(AsyncClient().get) if is_async else Client().get
    changed = {
        "MIDDLEWARE": [HEADERS, *CACHES, LIMITER],
        "CACHES": {"default": {"BACKEND": _LOCAL, "LOCATION": f"{is_async}"}},
    }
    with project([at("page", _hello)], {"store": "memory:", "rules": rules}, **changed):
        fresh, cached = client("/page"), client("/page")
        assert (fresh.content, cached.content) == (b"hello", b"hello")
        assert fresh.headers["RateLimit"] == '"rpd";r=8;t=76800'
        assert "RateLimit" not in cached.headers


_LOCAL = "django.core.cache.backends.locmem.LocMemCache"


def test_c52_a_refused_consume_in_a_view_is_the_standard_answer() -> None:
    @rate_limit("tpd=100/day", key="ip", cost={"tpd": 10}, resource="chat")
    def view(request: Any) -> HttpResponse:
        request.zae_limiter.lease.consume(tpd=1_000)
        raise AssertionError

    limiter = sync_memory_limiter()
    for middleware in ([LIMITER], []):
        with project([at("page", view)], {"limiter": limiter}, MIDDLEWARE=middleware):
            answer = Client().get("/page")
        assert (answer.status_code, answer.json()["retryable"]) == (429, False)
    assert limiter.available(IP, "chat", "tpd=100/day") == {"tpd": 80}


def test_an_error_of_a_view_is_its_own() -> None:
    def view(request: Any) -> HttpResponse:
        raise ZeroDivisionError

    for middleware in ([LIMITER], []):
        with project([at("page", rate_limit("1/day", key="ip")(view))], {"store": "memory:"}, MIDDLEWARE=middleware):
            with pytest.raises(ZeroDivisionError):
                Client().get("/page")
            assert Client().get("/page").status_code == 429


@pytest.mark.parametrize("is_async", [False, True])
def test_a_view_decides_where_its_rule_does_not_block(is_async: bool) -> None:
    lenient = rate_limit("1/day", key="ip", block=False)

    def answered(request: Any) -> HttpResponse:
        limits = request.zae_limiter
        if not limits.limited:
            with pytest.raises(RuntimeError, match="nothing was refused"):
                limits.refused()
            return HttpResponse("granted")
        return limits.refused() if "strict" in request.GET else HttpResponse("limited")

    async def answered_async(request: Any) -> HttpResponse:
        return answered(request)

    client: Any = async_to_sync(AsyncClient().get) if is_async else Client().get
    limiter = memory_limiter() if is_async else sync_memory_limiter()
    with project([at("page", lenient(answered_async if is_async else answered))], {"limiter": limiter}):
        assert [client("/page").content for _ in range(2)] == [b"granted", b"limited"]
        strict = client("/page?strict")
    assert (strict.status_code, strict.headers["RateLimit"]) == (429, '"rpd";r=0;t=86400')


def test_a_response_may_change_its_price() -> None:
    failed = rate_limit("1/day", key="ip", deduct_when=lambda response: response.status_code == 401)

    def login(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=401 if "wrong" in request.GET else 200)

    with project([at("login", failed(login))], {"store": "memory:"}):
        assert [Client().get("/login").status_code for _ in range(3)] == [200, 200, 200]
        assert [Client().get("/login?wrong").status_code for _ in range(2)] == [401, 429]


def test_a_rule_in_shadow_counts_and_tells_and_never_refuses() -> None:
    told: list[Any] = []

    def hear(sender: Any, rule: Any, **_: Any) -> None:
        told.append(rule.name)

    request_shadowed.connect(hear)
    rules = [{"key": "ip", "limits": "1/day", "shadow": True, "name": "tried"}]
    with project([at("page", _hello)], {"store": "memory:", "rules": rules}):
        assert [Client().get("/page").status_code for _ in range(3)] == [200, 200, 200]
    assert (told, request_shadowed.disconnect(hear)) == (["tried", "tried"], True)
