"""The settings of the shop; where it keeps its data and counts may be told in the environment."""

import os
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(os.environ.get("SHOP_FOLDER", Path(__file__).parents[1]))

DEBUG = os.environ.get("SHOP_DEBUG") == "1"
SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "for the example alone")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
ASGI_APPLICATION = "shop.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES: dict[str, Any] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FOLDER / "shop.sqlite3",
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 10},
    }
}

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "rest_framework",
    "rest_framework.authtoken",
    "zae_limiter_django",
    "shop",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "zae_limiter_django.ZaeLimiterMiddleware",
]
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_THROTTLE_CLASSES": ["zae_limiter_django.throttling.ZaeThrottle"],
    "EXCEPTION_HANDLER": "zae_limiter_django.throttling.exception_handler",
}

ZAE_LIMITER: dict[str, Any] = {
    "store": os.environ.get("ZAE_LIMITER_STORE", f"embedded://{FOLDER}/limits.db"),
    "exempt_when": "shop.staff.is_staff",
    "rules": [
        {"match": "/health", "exempt": True},
        {"match": "/api/*", "key": "ip", "limits": "600/minute", "name": "api-by-address"},
        {"match": "throttle:*", "key": "user", "limits": "30/hour; 1000/day", "name": "api"},
        {"match": "view:checkout", "key": "user", "limits": "3/hour", "methods": ["POST"], "name": "checkout"},
    ],
}
