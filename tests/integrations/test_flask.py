"""Flask keeps every check."""

from tests.integrations.drivers.flask import FlaskDriver
from zae_limiter_http.conformance import Conformance


class TestFlask(Conformance):
    driver = FlaskDriver
