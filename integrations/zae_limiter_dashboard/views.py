"""What each page shows: read from the limiter, put into a template. What changes limits is in `changes.py`."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from zae_limiter import AuditEvent, Limit, RateLimiter
from zae_limiter.naming import DEFAULT_RESOURCE
from zae_limiter_dashboard.charts import usage_of
from zae_limiter_dashboard.shown import (
    PAGE,
    buckets_shown,
    details_text,
    in_path,
    limit_lines,
    limit_text,
    paged,
    query_with,
    seconds_between_looks,
    when,
)

_MOST_LEVELS: Final = 100
FILTERS: Final = {
    "details": details_text,
    "in_path": in_path,
    "lines": limit_lines,
    "rate": limit_text,
    "when": when,
}
"""What the templates turn values into text with."""


def limiter_of(request: Request) -> RateLimiter:
    """The limiter that the application was made for."""
    limiter: RateLimiter = request.app.state.limiter
    return limiter


def page(request: Request, template: str, facts: Mapping[str, Any], *, status: int = 200) -> Response:
    """An answer from a template, with what every page shows."""
    repository = limiter_of(request).repository
    parts = urlsplit(repository.address)
    shared = {
        "store": f"{parts.netloc}{parts.path}" or parts.scheme,
        "address": repository.address,
        "namespace": repository.namespace_name,
        "writable": request.app.state.writable,
        "is_saved": "saved" in request.query_params,
        "turned": functools.partial(query_with, request.query_params),
    }
    answer: Response = request.app.state.templates.TemplateResponse(
        request, template, {**shared, **facts}, status_code=status
    )
    return answer


async def message(
    request: Request, title: str, text: str, *, status: int, form: Mapping[str, str] | None = None
) -> Response:
    """A page that says one thing; with what was sent in a form, so that it can be put right."""
    return page(request, "message.html", {"title": title, "text": text, "form": form}, status=status)


async def overview(request: Request) -> Response:
    """The limits of the system and of each resource."""
    limiter = limiter_of(request)
    limits, on_unavailable = await limiter.get_system_defaults()
    custom = [name for name in await limiter.list_resources_with_entity_configs() if name != DEFAULT_RESOURCE]
    names = sorted({*await limiter.list_resources_with_defaults(), *custom})
    resources = paged(names, request.query_params.get("page", ""))
    facts = {
        "title": "Overview",
        "limits": limits,
        "on_unavailable": on_unavailable or "block",
        "resources": resources,
        "limits_of": {name: await limiter.get_resource_defaults(name) for name in resources.rows},
        "custom": set(custom),
        **await _trail(request, "$SYSTEM"),
    }
    return page(request, "overview.html", facts)


async def find(request: Request) -> Response:
    """Go to the entity or the resource that was asked for."""
    name = request.query_params.get("name", "").strip()
    kind = "resources" if request.query_params.get("kind") == "resource" else "entities"
    return RedirectResponse(f"/{kind}/{in_path(name)}" if name else "/", status_code=303)


async def resource_page(request: Request) -> Response:
    """One resource: its limits, its buckets, its usage, who has limits of their own."""
    limiter, resource = limiter_of(request), request.path_params["resource"]
    limits = await limiter.get_resource_defaults(resource)
    system, _ = await limiter.get_system_defaults()
    cursor = request.query_params.get("custom") or None
    custom, following = await limiter.list_entities_with_custom_limits(resource, PAGE, cursor)
    states = await limiter.repository.get_resource_buckets(resource)
    facts = {
        "title": resource,
        "resource": resource,
        "limits": limits,
        "inherited": system,
        "custom": custom,
        "custom_after": following,
        "buckets": paged(buckets_shown(states), request.query_params.get("page", "")),
        "seconds": seconds_between_looks(len(states)),
        "usage": await usage_of(limiter, request.query_params.get("window", ""), resource=resource),
        **await _trail(request, f"$RESOURCE:{resource}"),
    }
    return page(request, "resource.html", facts)


async def entity_page(request: Request) -> Response:
    """One entity: who it is, its limits, buckets, usage, children and what was changed."""
    limiter, entity_id = limiter_of(request), request.path_params["entity_id"]
    entity = await limiter.get_entity(entity_id)
    states = await limiter.repository.get_buckets(entity_id)
    own, is_whole = await _own_limits(limiter, entity_id, {state.resource for state in states})
    facts = {
        "title": entity_id,
        "entity_id": entity_id,
        "entity": entity,
        "own": own,
        "own_is_whole": is_whole,
        "children": paged(await limiter.get_children(entity_id), request.query_params.get("children", "")),
        "buckets": paged(buckets_shown(states), request.query_params.get("page", "")),
        "seconds": seconds_between_looks(len(states)),
        "usage": await usage_of(limiter, request.query_params.get("window", ""), entity_id=entity_id),
        **await _trail(request, entity_id),
    }
    return page(request, "entity.html", facts)


async def buckets_part(request: Request) -> Response:
    """The buckets of an entity or a resource as they stand now, for the page that shows them filling."""
    repository, asked = limiter_of(request).repository, request.query_params
    if "entity" in asked:
        of, states = "entity", await repository.get_buckets(asked["entity"])
    else:
        of, states = "resource", await repository.get_resource_buckets(asked.get("resource", ""))
    buckets = paged(buckets_shown(states), asked.get("page", ""))
    return page(request, "buckets.html", {"of": of, "buckets": buckets})


async def _own_limits(
    limiter: RateLimiter, entity_id: str, used: set[str]
) -> tuple[list[tuple[str, Sequence[Limit]]], bool]:
    """The limits of an entity by resource: nothing lists these, so those it used are asked first, then others."""
    others = sorted(set(await limiter.list_resources_with_entity_configs()) - used - {DEFAULT_RESOURCE})
    names = [DEFAULT_RESOURCE, *sorted(used), *others]
    asked = names[:_MOST_LEVELS]
    found = [(name, await limiter.get_limits(entity_id, name)) for name in asked]
    return [(name, limits) for name, limits in found if limits], len(asked) == len(names)


async def _trail(request: Request, subject: str) -> dict[str, Any]:
    """One page of what was changed, and the event after which it goes on."""
    start = request.query_params.get("after") or None
    events: list[AuditEvent] = await limiter_of(request).get_audit_events(subject, PAGE + 1, start)
    following = events[PAGE - 1].event_id if len(events) > PAGE else None
    return {"events": events[:PAGE], "events_after": following, "events_start": start}
