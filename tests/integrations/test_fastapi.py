"""FastAPI keeps every check."""

from tests.integrations.drivers.fastapi import FastAPIDriver
from zae_limiter_http.conformance import Conformance


class TestFastAPI(Conformance):
    driver = FastAPIDriver
