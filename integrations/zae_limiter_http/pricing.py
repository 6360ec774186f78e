"""What a response changes about the price of its request: the cost it tells, charges it does not deserve, refunds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zae_limiter.blocking import run
from zae_limiter.lease import Lease
from zae_limiter_http.passed import Grant, Passed
from zae_limiter_http.responses import HttpResponse
from zae_limiter_http.rule import RefundOn, Rule
from zae_limiter_http.rules import Claim


def price(inside: Passed, status: int, headers: Sequence[tuple[str, str]], native: Any) -> None:
    """Correct what was charged by the response that begins, once a request."""
    if not inside.awaits_price:
        return
    inside.awaits_price = False
    response: Any = native
    for lease, claims in inside.grants:
        for claim in claims:
            rule = claim.rule
            if not rule.has_price:
                continue
            if response is None:
                response = HttpResponse(status, headers)
            _price(lease, claim, response)


def _price(lease: Lease, claim: Claim, response: Any) -> None:
    rule, charge, _ = claim
    charged = lease.charged(charge)
    if rule.deduct_when is not None and not rule.deduct_when(response):
        owed: Mapping[str, int] = dict.fromkeys(charged, 0)
    else:
        cost = rule.cost_from_response(response) if rule.cost_from_response is not None else None
        if cost is None:
            return
        owed = cost if isinstance(cost, Mapping) else {name: cost for name, amount in charged.items() if amount}
    changes = {name: amount - charged.get(name, 0) for name, amount in owed.items()}
    # Collected until the lease ends, so nothing waits here, whichever face the limiter has.
    run(lease.adjust_charge(charge, **changes))


async def end(grant: Grant, status: int | None, refund_of: Callable[[Rule], RefundOn], *, is_refused: bool) -> None:
    """End a lease: settle it, or give back what its rules give back for this status.

    A request that a later rule refused is charged for none.
    """
    lease, claims = grant
    try:
        refunded = [claim for claim in claims if _is_refunded(refund_of(claim.rule), status)]
    except BaseException:
        # What the application says of refunds has failed: what was adjusted is written all the same.
        await lease.settle()
        raise
    if claims and (len(refunded) == len(claims) or (is_refused and status == 429)):
        await lease.roll_back()
        return
    for claim in refunded:
        await lease.adjust_charge(claim.charge, **{name: -n for name, n in lease.charged(claim.charge).items()})
    await lease.settle()


def _is_refunded(refund: Any, status: int | None) -> bool:
    if refund == "never":
        return False
    seen = 500 if status is None else status
    return seen >= 500 if refund == "5xx" else bool(refund(seen))
