"""Passed: a request that was let through, with what it holds; the application finds it on its request object."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from zae_limiter.lease import Lease, lend_as_current
from zae_limiter.models import LimitStatus
from zae_limiter_http.facts import HttpRequest
from zae_limiter_http.refusal import Refusal
from zae_limiter_http.rule import Rule
from zae_limiter_http.rules import Claim

if TYPE_CHECKING:
    from zae_limiter_http.events import Event
    from zae_limiter_http.gate import Gate


class Grant(NamedTuple):
    """A lease, and what was claimed with it."""

    lease: Lease
    claims: tuple[Claim, ...]


class Passed:
    """A request that was let through.

    `is_exempt` says that nobody pays for it, `degraded` that the store could not be used. `limited` is true where
    a rule with `block=False` would have refused: `refusal` is the answer that the handler may give then. `blocks` are
    all that were entered within it, `entered` those that may be open still.
    """

    __slots__ = (
        "at_view",
        "awaits_price",
        "blocks",
        "claims_refused",
        "degraded",
        "entered",
        "events",
        "gate",
        "grants",
        "is_exempt",
        "is_free",
        "is_refused",
        "lent",
        "limited",
        "own",
        "refusal",
        "request",
        "seen",
        "statuses_refused",
    )

    def __init__(self, request: HttpRequest, gate: "Gate | None" = None) -> None:
        self.request = request
        self.gate = gate
        self.is_exempt = False
        self.is_free = False
        self.degraded = False
        self.limited = False
        self.refusal: Refusal | None = None
        self.grants: list[Grant] = []
        self.seen: set[str] = set()
        self.at_view: list[Rule] = []
        self.own: Sequence[Rule] = ()
        self.claims_refused: list[Claim] = []
        self.statuses_refused: list[LimitStatus] = []
        self.events: list[Event] = []
        self.awaits_price = False
        self.is_refused = False
        self.blocks: list[Passed] = []
        self.entered: list[Passed] = []
        self.lent: lend_as_current | None = None

    @property
    def lease(self) -> Lease:
        """The lease of the innermost rule that was charged; one that charges nothing where no rule was."""
        while self.entered:
            block = self.entered[-1].lease
            if block.is_open:
                return block
            self.entered.pop()
        if not self.grants:
            raise RuntimeError("the request was refused; it has no lease")
        return self.grants[-1].lease

    @property
    def leases(self) -> list[Lease]:
        """Every lease that the request holds, those of blocks left out."""
        return [grant.lease for grant in self.grants]

    @property
    def claims(self) -> list[Claim]:
        """What was claimed and granted, that of the blocks last."""
        found = [claim for grant in self.grants for claim in grant.claims]
        # A block in a loop claims the same again and again, which says nothing new.
        of_blocks = {(id(claim.rule), claim.charge[:2]): claim for block in self.blocks for claim in block.claims}
        return [*found, *of_blocks.values()]

    @property
    def statuses(self) -> list[LimitStatus]:
        """How every limit that was charged stands, as the leases know without asking."""
        found = [status for grant in self.grants for status in grant.lease.statuses]
        for block in self.blocks:
            found += block.statuses
        return found

    def __repr__(self) -> str:
        words = [word for word in ("is_exempt", "degraded", "limited") if getattr(self, word)]
        return f"Passed({', '.join(words)})"
