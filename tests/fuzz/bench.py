"""What a run of schedules is about: the store and its processes, limits, entities, and all that has to happen."""

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.conformance.faces import Store
from zae_limiter import Limit
from zae_limiter.testing import TurnableClock

PLANS: Final[tuple[tuple[Limit, ...], ...]] = (
    (Limit.per_minute("rpm", 10), Limit.per_hour("tph", 70)),
    (Limit.per_minute("rpm", 20), Limit.per_hour("tph", 70)),
    (Limit.per_minute("rpm", 7, 15),),
    (Limit.per_second("rpm", 3, 9), Limit.per_hour("tph", 35, 50), Limit.per_day("d", 12)),
)
PARENTS: Final = {"leaf": "child", "child": "parent"}
ENTITIES: Final = ("other", "parent", "child", "leaf")
RESOURCES: Final = ("api", "mail")
ACTIONS: Final = (
    "charge",
    "charge with own limits",
    "charge several",
    "begin",
    "consume",
    "adjust",
    "release",
    "settle",
    "roll back",
    "wait as told",
    "come back too early",
    "turn",
    "step the clock",
    "change the system's limits",
    "change a resource's limits",
    "change an entity's limits",
    "remove an entity's limits",
    "reset",
)
HAPPENINGS: Final = ("grant", "refusal", "refusal for good", "carry-over", "debt")
LOSSES: Final = ("answer lost to a debit", "answer lost to a settle")


@dataclass
class Bench:
    """One store for a whole run of schedules: the limiters of its processes, their clocks, and what happened."""

    store: Store
    limiters: Sequence[Any]
    clocks: Sequence[TurnableClock]
    run: Callable[[Coroutine[Any, Any, Any]], Any]
    happened: Counter[str] = field(default_factory=Counter)
    lengths: list[int] = field(default_factory=list)
