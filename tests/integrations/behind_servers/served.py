"""The application that a server of a test serves: the site of the table, by the driver that the environment names.

Its clock stands still, so that a real server answers to the byte what was answered in process.
"""

import atexit
import contextlib
import importlib
import os
from typing import Any

from tests.integrations.answers import ROUTES, RULES
from zae_limiter.stores import open_limiter, open_sync_limiter
from zae_limiter.testing import TurnableClock
from zae_limiter_http.conformance import Route, Site

MODULE, NAME = os.environ["SERVED_DRIVER"].split(":")
# A client on this machine may stand for a proxy, of which others tell whom it speaks for.
PROXY = {"source": "xff", "trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"]}
_kept = contextlib.ExitStack()
atexit.register(_kept.close)


def _application() -> Any:
    if MODULE.endswith(".django"):
        # Its models can be imported once the project is there.
        importlib.import_module("tests.integrations.django.project")
    driver = getattr(importlib.import_module(MODULE), NAME)()
    opened = open_limiter if driver.interface == "asgi" else open_sync_limiter
    limiter: Any = opened(os.environ["SERVED_STORE"], clock=TurnableClock())
    if driver.interface == "wsgi":
        limiter.__enter__()
    routes = [*ROUTES]
    if driver.letter in "SALQ":
        routes.append(Route("/ws", form="websocket"))
    rules = [*RULES, {"match": "/ws", "name": "ws", "key": "ip", "limits": "1/day"}]
    installed = int(os.environ["SERVED_INSTALLED"])
    # A machine with much to do may take its time, and still no answer may be another.
    site = Site(limiter, routes, rules, {"proxy": PROXY, "limiter_timeout": 60}, installed=installed)
    return _kept.enter_context(driver.serving(site))


app = _application()
