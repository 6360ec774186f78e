"""Quart keeps every check."""

from tests.integrations.drivers.quart import QuartDriver
from zae_limiter_http.conformance import Conformance


class TestQuart(Conformance):
    driver = QuartDriver
