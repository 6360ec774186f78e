"""FastAPI: routes of FastAPI itself with dependencies, a router for each group."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from fastapi import APIRouter, Depends, FastAPI

from tests.integrations.drivers.starlette import endpoint, guarded, lifespan, websocket
from zae_limiter_asgi import rate_limit, rate_limit_exempt
from zae_limiter_http.conformance import Interface, Route, Site, wrapped


class FastAPIDriver:
    letter: ClassVar[str] = "A"
    interface: ClassVar[Interface] = "asgi"

    @contextmanager
    def serving(self, site: Site) -> Iterator[Any]:
        app = FastAPI(lifespan=lifespan(site))
        routers = {route.group: APIRouter(prefix=f"/{route.group}" if route.group else "") for route in site.routes}
        for route in site.routes:
            _add(routers[route.group], route)
        for router in routers.values():
            app.include_router(router)
        yield guarded(app, site)


def _add(router: APIRouter, route: Route) -> None:
    if route.form == "websocket":
        router.add_api_websocket_route(route.path, websocket(route))
        return
    view = endpoint(route)
    if route.wrapped:
        view = wrapped(view)
    if route.exempt:
        view = rate_limit_exempt(view)
    limits = [Depends(rate_limit(**route.limited))] if route.limited is not None else []
    router.add_api_route(route.path, view, methods=list(route.methods), dependencies=limits)
