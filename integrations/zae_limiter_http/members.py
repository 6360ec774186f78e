"""The policies of a decision as clients see them: one member a limit, parents only where they may be shown."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from zae_limiter.bucket import whole_seconds
from zae_limiter.models import Limit, LimitStatus
from zae_limiter_http.rule import Rule, fixed
from zae_limiter_http.rules import Claim

MOST: Final = 999_999_999_999_999


class Member(NamedTuple):
    """One policy as clients see it."""

    name: str
    status: LimitStatus
    available: int
    is_violated: bool = False
    wait_ns: int | None = 0
    has_policy: bool = True

    @property
    def limit(self) -> Limit:
        """The limit behind the policy."""
        return self.status.limit

    @property
    def shown(self) -> int:
        """The quota left as the field may have it: never negative, at most 15 digits."""
        return max(0, min(self.available, MOST))

    @property
    def effective_seconds(self) -> int | None:
        """The wait of a violated limit, else a time that keeps a client at the sustained rate; None for never."""
        if self.is_violated:
            return None if self.wait_ns is None else max(1, whole_seconds(self.wait_ns))
        return paced_seconds(self.limit, self.available)

    @property
    def reset_seconds(self) -> int:
        """Seconds until the bucket is full."""
        q, w = self.limit.refill_amount, self.limit.refill_period_seconds
        return max(0, -(-(self.limit.burst - self.available) * w // q))


class Policy(NamedTuple):
    """A limit of a rule."""

    rule: Rule
    name: str


def paced_seconds(limit: Limit, available: int) -> int:
    """A time in which a client that uses what is available keeps to the sustained rate; in debt, when one is there."""
    tokens = min(available, MOST) if available > 0 else 1 - available
    return min(-(-tokens * limit.refill_period_seconds // limit.refill_amount), MOST)


def members(
    claims: Sequence[Claim], statuses: Sequence[LimitStatus], *, expose_parent: bool, among: Sequence[Policy] = ()
) -> list[Member]:
    """The policies of a decision in the order of rules and limits; those that are only counted are left out.

    `among` are all policies of the request, where these are not all: a name is the same beside them and alone.
    """
    if len(claims) == 1 and not among and not expose_parent and not claims[0].shadow:
        own = claims[0].charge
        found = [_member(status) for status in statuses if status.entity_id == own.entity_id]
        if len(found) == len(statuses):
            return found
    return _of_several(claims, statuses, among, expose_parent=expose_parent)


def policies(claims: Sequence[Claim], statuses: Sequence[LimitStatus], further: Sequence[Rule] = ()) -> list[Policy]:
    """The policies of a request: what was claimed, and what rules are going to claim as far as they tell."""
    rules = {id(claim.rule): claim.rule for claim in claims}
    known = [Policy(rules[rule_id], name) for rule_id, name in _by_rule(claims, statuses)]
    waiting = [rule for rule in further if not rule.exempt and rule.shadow is not True]
    return known + [Policy(rule, limit.name) for rule in waiting for limit in fixed(rule.limits)]


def _of_several(
    claims: Sequence[Claim], statuses: Sequence[LimitStatus], among: Sequence[Policy], *, expose_parent: bool
) -> list[Member]:
    own = {(claim.charge.entity_id, claim.charge.resource) for claim in claims}
    found = _by_rule(claims, statuses)
    hidden = {
        name for claim in claims for name in {status.limit_name for status in statuses} if claim.is_shadowed(name)
    }
    for status in statuses:
        if (status.entity_id, status.resource) not in own and status.limit_name not in hidden:
            _with_parent(found, status, expose_parent=expose_parent)
    return _named(claims, found, among)


def _by_rule(claims: Sequence[Claim], statuses: Sequence[LimitStatus]) -> dict[tuple[int, str], Member]:
    found: dict[tuple[int, str], Member] = {}
    for claim in claims:
        rule, charge = claim.rule, claim.charge
        limits = fixed(rule.limits) or fixed(charge.limits)
        names = {limit.name for limit in limits} if limits else None
        for status in statuses:
            name = status.limit_name
            if (status.entity_id, status.resource) != (charge.entity_id, charge.resource) or claim.is_shadowed(name):
                continue
            if names is None or name in names:
                found[id(rule), name] = _tighter(found.get((id(rule), name)), _member(status))
    return found


def _member(status: LimitStatus) -> Member:
    wait = status.wait_ns if status.retryable else None
    return Member(status.limit_name, status, status.available, status.exceeded, wait)


def _tighter(first: Member | None, second: Member) -> Member:
    if first is None:
        return second
    if first.is_violated != second.is_violated:
        return first if first.is_violated else second
    return first if first.available <= second.available else second


def _with_parent(found: dict[tuple[int, str], Member], status: LimitStatus, *, expose_parent: bool) -> None:
    if not (expose_parent or status.exceeded):
        return
    shown = _member(status)
    if not expose_parent:
        shown = Member(status.limit_name, status, 0, True, shown.wait_ns)
    for key, member in found.items():
        if key[1] == status.limit_name:
            tighter = _tighter(member, shown)
            found[key] = member._replace(
                available=tighter.available, is_violated=tighter.is_violated, wait_ns=tighter.wait_ns
            )
            return
    if status.exceeded:
        found[0, status.limit_name] = Member(
            status.limit_name, status, 0, True, shown.wait_ns, has_policy=expose_parent
        )


def _named(claims: Sequence[Claim], found: dict[tuple[int, str], Member], among: Sequence[Policy]) -> list[Member]:
    rules = list(dict.fromkeys([*(id(each.rule) for each in among), *(id(claim.rule) for claim in claims)]))
    labels = {id(claim.rule): claim.rule.name for claim in claims}
    names = [name for _, name in dict.fromkeys([*((id(each.rule), each.name) for each in among), *found])]
    named: list[Member] = []
    for (rule_id, name), member in found.items():
        shown = member
        if names.count(name) > 1 and rule_id:
            label = labels[rule_id] or f"rule{rules.index(rule_id) + 1}"
            shown = member._replace(name=f"{label}.{name}")
        named.append(shown)
    return named
