"""The one view that writes: the form that changes the limits of a level."""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from zae_limiter import Limit, RateLimiter, ValidationError
from zae_limiter.naming import DEFAULT_RESOURCE
from zae_limiter_dashboard.shown import in_path, limit_lines, limits_in
from zae_limiter_dashboard.views import limiter_of, message

_PRINCIPAL: Final = "dashboard"


async def change_limits(request: Request) -> Response:
    """Set the limits of the level that the form names; an empty text removes them."""
    if not request.app.state.writable:
        text = "this page only shows; 'zae-limiter serve --write' lets it change"
        return await message(request, "Read-only", text, status=403)
    form = await request.form()
    if "limits" not in form:
        # Not the same as an empty text, which removes what is set.
        return await message(request, "Nothing was changed", "The form lacks its limits.", status=400)
    given = {name: str(form.get(name, "")).strip() for name in ("entity_id", "resource", "limits")}
    try:
        limits = limits_in(given["limits"])
        now = limit_lines(await _limits_now(limiter_of(request), given["entity_id"], given["resource"]))
        if "before" in form and str(form["before"]).split() != now.split():
            text = f"These limits have been changed meanwhile: {'; '.join(now.splitlines()) or 'none are set now'}."
            again = {**given, "before": now}
            return await message(
                request, "Nothing was changed", f"{text} Saving replaces them.", status=409, form=again
            )
        place = await _change(limiter_of(request), given["entity_id"], given["resource"], limits)
    except ValidationError as error:
        again = {**given, "before": str(form.get("before", ""))}
        return await message(request, "Nothing was changed", str(error), status=400, form=again)
    return RedirectResponse(f"{place}?saved", status_code=303)


async def _limits_now(limiter: RateLimiter, entity_id: str, resource: str) -> Sequence[Limit]:
    if entity_id:
        return await limiter.get_limits(entity_id, resource or DEFAULT_RESOURCE)
    if resource:
        return await limiter.get_resource_defaults(resource)
    return (await limiter.get_system_defaults())[0]


async def _change(limiter: RateLimiter, entity_id: str, resource: str, limits: Sequence[Limit]) -> str:
    """Change one level; the path of its page."""
    if entity_id:
        level = resource or DEFAULT_RESOURCE
        if limits:
            await limiter.set_limits(entity_id, limits, level, _PRINCIPAL)
        else:
            await limiter.delete_limits(entity_id, level, _PRINCIPAL)
        return f"/entities/{in_path(entity_id)}"
    if resource:
        if limits:
            await limiter.set_resource_defaults(resource, limits, _PRINCIPAL)
        else:
            await limiter.delete_resource_defaults(resource, _PRINCIPAL)
        return f"/resources/{in_path(resource)}"
    _, on_unavailable = await limiter.get_system_defaults()
    await limiter.set_system_defaults(limits, on_unavailable, _PRINCIPAL)
    return "/"
