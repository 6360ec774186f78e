"""A page to look at a store: entities, limits, buckets as they fill, usage, the audit trail.

`create_app` makes the ASGI application; `zae-limiter serve` runs it.
"""

from importlib.util import find_spec

from zae_limiter.exceptions import MissingExtraError

if not all(find_spec(module) for module in ("jinja2", "python_multipart", "starlette", "uvicorn")):
    raise MissingExtraError("dashboard", "the page of a store")

from zae_limiter_dashboard.app import create_app

__all__ = ["create_app"]
