"""A report on an application: each route with the rules that apply to it, and what is wrong; plain data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

Weight: TypeAlias = Literal["wrong", "note"]


@dataclass(frozen=True, slots=True)
class AppliedRule:
    """A rule as it applies to a route; `when` names the conditions that only a request can answer."""

    place: str
    entity: str
    resource: str
    limits: str
    cost: str
    when: str = ""


@dataclass(frozen=True, slots=True)
class RouteReport:
    """A route, its rules, why it is exempt if it is, and which of its rules are at odds over a bucket."""

    path: str
    methods: tuple[str, ...]
    view: str | None
    rules: tuple[AppliedRule, ...] = ()
    exempt: str | None = None
    is_own: bool = True
    at_odds: tuple[str, ...] = ()

    @property
    def is_covered(self) -> bool:
        """Whether some rule speaks of this route."""
        return bool(self.rules) or self.exempt is not None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, or a note, with what to do about it."""

    number: str
    text: str
    remedy: str
    weight: Weight = "wrong"


@dataclass(frozen=True, slots=True)
class Report:
    """What the doctor says of an application."""

    framework: str
    store: str | None
    routes: tuple[RouteReport, ...] = ()
    findings: tuple[Finding, ...] = field(default=())

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong; notes may be there."""
        return all(finding.weight == "note" for finding in self.findings)

    def as_dict(self) -> Mapping[str, Any]:
        """The same as JSON takes it."""
        return {**asdict(self), "is_well": self.is_well}
