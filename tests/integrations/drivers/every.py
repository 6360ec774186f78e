"""All drivers by name."""

from typing import Any, Final

from tests.integrations.drivers.django import DjangoAsgiDriver, DjangoDriver
from tests.integrations.drivers.fastapi import FastAPIDriver
from tests.integrations.drivers.flask import FlaskDriver
from tests.integrations.drivers.litestar import LitestarDriver, LitestarOutsideDriver
from tests.integrations.drivers.quart import QuartDriver
from tests.integrations.drivers.starlette import StarletteDriver

DRIVERS: Final[dict[str, Any]] = {
    "starlette": StarletteDriver,
    "fastapi": FastAPIDriver,
    "litestar": LitestarOutsideDriver,
    "litestar-plugin": LitestarDriver,
    "quart": QuartDriver,
    "django": DjangoDriver,
    "django-asgi": DjangoAsgiDriver,
    "flask": FlaskDriver,
}
BY_LETTER: Final[dict[str, Any]] = {driver.letter: driver for driver in DRIVERS.values()}
"""One driver of each letter."""
