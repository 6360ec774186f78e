"""Django keeps every check, under WSGI and under ASGI."""

from collections.abc import Mapping
from typing import ClassVar

from tests.integrations.drivers.django import DjangoAsgiDriver, DjangoDriver
from zae_limiter_http.conformance import Conformance


class TestDjango(Conformance):
    driver = DjangoDriver
    exceptions: ClassVar[Mapping[str, str]] = {
        "C85": "Django has no handler for 429; that of its REST framework has its own tests"
    }


class TestDjangoUnderAsgi(Conformance):
    driver = DjangoAsgiDriver
