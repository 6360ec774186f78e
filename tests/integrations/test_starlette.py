"""Starlette keeps every check."""

from tests.integrations.drivers.starlette import StarletteDriver
from zae_limiter_http.conformance import Conformance


class TestStarlette(Conformance):
    driver = StarletteDriver
