"""The Django side as a user types it: read by both type checkers, never run."""

from typing import Any, ClassVar, assert_type

from django.http import HttpRequest, HttpResponse
from django.views import View

from zae_limiter import Lease, Limit
from zae_limiter.sync_lease import SyncLease
from zae_limiter_django import (
    EXEMPT,
    AsyncLimitedRequest,
    LimitedRequest,
    Rule,
    current_lease,
    limiter_unavailable,
    rate_limit,
    rate_limit_exempt,
    request_limited,
)

ZAE_LIMITER: dict[str, Any] = {
    "store": "dynamodb://my-app?region=eu-central-1",
    "rules": [
        {"match": "/api/*", "key": "user", "limits": "100/minute", "refund_on": "5xx"},
        Rule("view:shop:checkout", key="ip", limits="10/minute", methods=["POST"]),
    ],
}


def tenant(request: HttpRequest) -> str | None:
    return request.headers.get("X-Tenant")


@rate_limit("5/minute", key="ip", methods=["POST"])
def login(request: HttpRequest) -> HttpResponse:
    assert_type(current_lease(), SyncLease | Lease)
    return HttpResponse()


@rate_limit("rows=10000/hour", key=["user", tenant], cost={"rows": 0})
def export(request: LimitedRequest) -> HttpResponse:
    assert_type(request.zae_limiter.lease, SyncLease)
    request.zae_limiter.lease.adjust(rows=10)
    return request.zae_limiter.refused() if request.zae_limiter.limited else HttpResponse()


@rate_limit([Limit.per_minute("tpm", 1_000)], key=lambda _: EXEMPT, block=False)
async def chat(request: AsyncLimitedRequest) -> HttpResponse:
    assert_type(request.zae_limiter.lease, Lease)
    await request.zae_limiter.lease.adjust(tpm=10)
    return HttpResponse(str(request.zae_limiter.statuses[0].available))


@rate_limit_exempt
def health(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@rate_limit("10/minute", name="reports")
class Reports(View):
    rate_limits: ClassVar[Any] = {"GET": "10/minute"}

    @rate_limit(lambda _: "10/minute", max_wait=2, shadow=True)
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


assert_type(login(HttpRequest()), HttpResponse)
assert_type(Reports().rate_limits, Any)
request_limited.connect(tenant)
limiter_unavailable.connect(tenant)
