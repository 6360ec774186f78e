"""A project of Django for tests: configured once a process, changed by `override_settings`, with URLs of each test."""

import itertools
import sys
import tempfile
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import django
from django.conf import settings
from django.test.utils import override_settings
from django.urls import path

AUTHENTICATION: Final = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
LIMITER: Final = "zae_limiter_django.ZaeLimiterMiddleware"
_NUMBERS: Final = itertools.count()

if not settings.configured:
    settings.configure(
        SECRET_KEY="of-tests-alone",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="tests.integrations.django.project",
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
            "corsheaders",
            "rest_framework",
            "zae_limiter_django",
        ],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(Path(tempfile.mkdtemp()) / "of-tests.sqlite3"),
            }
        },
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        ZAE_LIMITER={"store": "memory:"},
    )
    django.setup()

urlpatterns: list[Any] = []


@contextmanager
def project(urls: Sequence[Any], limiter: Any, **changed: Any) -> Iterator[None]:
    """These URLs behind the limiter, with these values of ZAE_LIMITER and other settings changed."""
    module: Any = types.ModuleType(f"urls_of_a_test_{next(_NUMBERS)}")
    module.urlpatterns = [*urls]
    sys.modules[module.__name__] = module
    changed.setdefault("MIDDLEWARE", [LIMITER])
    try:
        with override_settings(ROOT_URLCONF=module.__name__, ZAE_LIMITER=limiter, **changed):
            yield
    finally:
        del sys.modules[module.__name__]


def at(route: str, view: Any, name: str | None = None) -> Any:
    """One URL."""
    return path(route, view, name=name)
