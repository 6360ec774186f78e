"""Pages for people with a session: signing in, buying, and an export that costs by the rows it has sent."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Final

from django.contrib.auth import authenticate, login
from django.contrib.auth.decorators import login_required
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.views.decorators.http import require_POST

from zae_limiter_django import LimitedRequest, rate_limit

ROWS_AT_ONCE: Final = 100


def health(request: HttpRequest) -> JsonResponse:
    """Whether the shop is open; never limited."""
    return JsonResponse({"ok": True})


@require_POST
@rate_limit("5/minute", key="ip", name="login")
def sign_in(request: HttpRequest) -> JsonResponse:
    """Begin a session; guessing passwords is limited by address."""
    user = authenticate(request, username=request.POST.get("name"), password=request.POST.get("password"))
    if user is None:
        return JsonResponse({"detail": "no such name or password"}, status=401)
    login(request, user)
    return JsonResponse({"name": user.get_username()})


@require_POST
@login_required
def checkout(request: HttpRequest) -> JsonResponse:
    """Buy what is in the cart of the session; a rule of the settings limits it by the name of its URL."""
    request.session["orders"] = request.session.get("orders", 0) + 1
    return JsonResponse({"orders": request.session["orders"]})


@login_required
@rate_limit("rows=10000/hour", key="user", cost={"rows": ROWS_AT_ONCE}, name="export")
def export(request: LimitedRequest) -> StreamingHttpResponse:
    """Every order as CSV, `?rows=` of them. The first rows are charged ahead, all others as they are sent."""
    asked = request.GET.get("rows", "1000")
    wanted = max(1, min(int(asked), 100_000)) if re.fullmatch("[0-9]{1,9}", asked) else 1000
    lease = request.zae_limiter.lease

    def lines() -> Iterator[str]:
        for first in range(0, wanted, ROWS_AT_ONCE):
            rows = range(first, min(first + ROWS_AT_ONCE, wanted))
            lease.adjust(rows=len(rows) - (0 if first else ROWS_AT_ONCE))
            yield "".join(f"{number},product-{number % 7},{number % 3 + 1}\n" for number in rows)

    async def awaited_lines() -> AsyncIterator[str]:
        for line in lines():
            yield line

    body = awaited_lines() if isinstance(request, ASGIRequest) else lines()
    return StreamingHttpResponse(body, content_type="text/csv")
