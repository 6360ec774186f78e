"""The commands of `manage.py`: what they show, and how they fail."""

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.http import HttpRequest, HttpResponse
from django.test import Client

from tests.integrations.django.project import at, project
from zae_limiter.testing import sync_faulty_limiter, sync_memory_limiter
from zae_limiter_django import rate_limit

RULES = [
    {"key": "ip", "limits": "5/minute; 50/day"},
    {"match": "/x/*", "key": "ip", "limits": "1/minute", "resource": "route", "name": "other"},
]
IP = "ip4:127.0.0.1"


def _item(request: HttpRequest, pk: int) -> HttpResponse:
    return HttpResponse()


def _told(*command: str) -> list[str]:
    out = io.StringIO()
    call_command(*command, stdout=out, stderr=out, no_color=True)
    return out.getvalue().splitlines()


def test_the_check_reaches_the_store() -> None:
    with project([], {"store": "memory:", "rules": RULES}):
        assert _told("zae_limiter_check")[-1] == "memory: answers; 2 rules in ZAE_LIMITER."


def test_the_check_fails_for_a_mistake_and_for_a_store_that_is_not_there() -> None:
    with project([], {"store": "memory:", "rulez": []}), pytest.raises(SystemCheckError, match="E002"):
        _told("zae_limiter_check")
    missing = {"store": "embedded:///no/such/folder/limits.db"}
    with project([], missing), pytest.raises(CommandError, match="needs the folder"):
        _told("zae_limiter_check")


def test_the_check_fails_for_a_store_that_does_not_answer() -> None:
    limiter, store = sync_faulty_limiter()

    async def fails(**_: float) -> bool:
        return False

    broken: Any = store
    broken.ping = fails
    with project([], {"limiter": limiter}), pytest.raises(CommandError, match="does not answer"):
        _told("zae_limiter_check")


def test_what_an_entity_has_left_is_shown_and_made_full_again() -> None:
    limiter = sync_memory_limiter()
    urls = [at("page/<int:pk>", rate_limit("2/minute", key="ip")(_item))]
    with project(urls, {"limiter": limiter, "rules": RULES}):
        assert Client().get("/page/1").status_code == 200
        assert _told("zae_limiter_show", IP) == [
            "http       rpd  49 left",
            "http       rpm  4 left",
            "page/_pk_  rpm  1 left",
        ]
        assert _told("zae_limiter_show", IP, "http") == ["http  rpd  49 left", "http  rpm  4 left"]
        with pytest.raises(CommandError, match="say --yes"):
            _told("zae_limiter_reset", IP)
        assert _told("zae_limiter_reset", IP, "http", "--yes") == ["1 bucket is full again"]
        assert _told("zae_limiter_show", IP, "http") == ["http  rpd  50 left", "http  rpm  5 left"]
        with pytest.raises(CommandError, match="no limit is known here"):
            _told("zae_limiter_show", IP, "unknown")


def test_an_entity_that_cannot_be_is_an_error_of_the_command() -> None:
    limiter: Any = sync_memory_limiter()
    with project([], {"limiter": limiter}), pytest.raises(CommandError, match="entity"):
        _told("zae_limiter_show", "not valid!")


def test_a_request_that_nobody_has_sent_is_told_and_costs_nothing() -> None:
    urls = [at("page/<int:pk>", rate_limit("2/minute", key="header:X-Tenant")(_item), "item")]
    limiter = sync_memory_limiter()
    with project(urls, {"limiter": limiter, "rules": RULES, "exempt_paths": ["/free"]}):
        command = ("zae_limiter_simulate", "/page/1", "--header", "X-Tenant: acme", "--peer", "203.0.113.7")
        told = _told(*command)
        assert told == _told(*command)
        assert told[0] == "view item, route /page/<int:pk>"
        assert told[1] == "a rule: ip4:203.0.113.7 for http: rpm 5 left, rpd 50 left"
        assert [line.partition(" for ")[2] for line in told[2:]] == ["page/_pk_: rpm 2 left"] * 2
        assert _told("zae_limiter_simulate", "/free") == ["no view: only rules of the path apply", "exempt"]
        assert _told("zae_limiter_simulate", "/page/1", "--method", "OPTIONS")[1] == "exempt"
        with pytest.raises(CommandError, match="write NAME:VALUE"):
            _told("zae_limiter_simulate", "/page/1", "--header", "nonsense")
        with pytest.raises(CommandError, match=r"'http://\[' is no path: Invalid IPv6 URL"):
            _told("zae_limiter_simulate", "http://[")
    with project(urls, {"store": "memory:"}):
        assert _told("zae_limiter_simulate", "/other")[1] == "no rule covers it"


def test_a_throttle_inside_of_a_view_is_asked_as_well() -> None:
    with project([], {"store": "memory:"}):
        from rest_framework.views import APIView

        from zae_limiter_django.throttling import ZaeThrottle

        class Upload(APIView):
            throttle_classes = (ZaeThrottle,)
            throttle_scope = "uploads"

    rules = [
        {"match": f"throttle:{scope}", "key": "ip", "limits": "2/day", "name": scope} for scope in ("uploads", "x")
    ]
    with project([at("upload", Upload.as_view())], {"store": "memory:", "rules": rules}):
        told = _told("zae_limiter_simulate", "/upload")
    assert told[1:] == [f"uploads: {IP} for uploads: rpd 2 left"]
