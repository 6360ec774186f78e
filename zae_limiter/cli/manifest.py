"""Declared limits of all levels as one document, and how a store differs from it. Pure.

A limit is a text (`rpm=100/minute+150`) or a table: name, rate, burst, unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from zae_limiter.exceptions import ValidationError
from zae_limiter.models import Limit, OnUnavailableAction, check_limits, limits_from_text
from zae_limiter.naming import check_identifier, check_resource, check_resource_or_default
from zae_limiter.rates import rate_text

_PARTS: Final = ("system", "resources", "entities")
_LIMIT_WORDS: Final = ("name", "rate", "burst", "unit")


class Level(NamedTuple):
    """Where limits are set: without an entity a resource's, without both the system's."""

    entity_id: str = ""
    resource: str = ""

    def __str__(self) -> str:
        if self.entity_id:
            return f"entity {self.entity_id} on {self.resource}"
        return f"resource {self.resource}" if self.resource else "system"


SYSTEM: Final = Level()


class Setting(NamedTuple):
    """What one level says."""

    limits: tuple[Limit, ...] = ()
    on_unavailable: OnUnavailableAction | None = None

    def __str__(self) -> str:
        texts = [limit_text(limit) for limit in self.limits]
        texts += [f"on_unavailable={self.on_unavailable}"] if self.on_unavailable else []
        return "; ".join(texts)


@dataclass(frozen=True, slots=True)
class Difference:
    """One level that the store has otherwise than declared."""

    kind: Literal["set", "change", "delete"]
    level: Level
    before: Setting | None
    after: Setting | None

    def as_dict(self) -> dict[str, Any]:
        """The difference as plain data."""
        return {
            "kind": self.kind,
            "level": str(self.level),
            "before": None if self.before is None else str(self.before),
            "after": None if self.after is None else str(self.after),
        }


Settings = Mapping[Level, Setting]


def differences(declared: Settings, stored: Settings, *, prune: bool) -> list[Difference]:
    """What has to be done so that the store is as declared; levels that are not declared go only with `prune`."""
    found: list[Difference] = []
    for level in sorted(declared):
        before, after = stored.get(level), declared[level]
        if before is None and level == SYSTEM and after == Setting():
            # That the system says nothing is not stored.
            continue
        if before is None:
            found.append(Difference("set", level, None, after))
        elif before != after:
            found.append(Difference("change", level, before, after))
    if prune:
        gone = sorted(set(stored) - set(declared))
        found += [Difference("delete", level, stored[level], None) for level in gone]
    return found


def read_manifest(data: Any) -> dict[Level, Setting]:
    """The levels that a document declares; `ValidationError` names the place that is wrong."""
    data = _table("manifest", data)
    _check_words("", data, _PARTS)
    declared: dict[Level, Setting] = {}
    if "system" in data:
        system = _table("system", data["system"])
        _check_words("system", system, ("limits", "on_unavailable"))
        action = system.get("on_unavailable")
        if action not in (None, "allow", "block"):
            raise ValidationError("system.on_unavailable", str(action), "must be 'allow' or 'block'")
        declared[SYSTEM] = Setting(_limits("system.limits", system.get("limits", [])), action)
    for resource, limits in _table("resources", data.get("resources", {})).items():
        place = f"resources.{resource}"
        declared[Level("", check_resource(resource))] = Setting(_limits(place, limits))
    for entity_id, of_entity in _table("entities", data.get("entities", {})).items():
        check_identifier(entity_id)
        for resource, limits in _table(f"entities.{entity_id}", of_entity).items():
            level = Level(entity_id, check_resource_or_default(resource))
            declared[level] = Setting(_limits(f"entities.{entity_id}.{resource}", limits))
    return declared


def manifest_of(settings: Settings) -> dict[str, Any]:
    """The document that `read_manifest` reads back to the same levels."""
    data: dict[str, Any] = {}
    for level, setting in sorted(settings.items()):
        limits = [_written(limit) for limit in setting.limits]
        if level == SYSTEM:
            data["system"] = {"limits": limits} | (
                {"on_unavailable": str(setting.on_unavailable)} if setting.on_unavailable else {}
            )
        elif not level.entity_id:
            data.setdefault("resources", {})[level.resource] = limits
        else:
            data.setdefault("entities", {}).setdefault(level.entity_id, {})[level.resource] = limits
    return data


def limit_text(limit: Limit) -> str:
    """A limit in one line, its unit in brackets if it is not requests."""
    rate = rate_text("", limit.capacity, limit.refill_amount, limit.refill_period_seconds, limit.burst)
    shown = rate or f"={limit.capacity} at {limit.refill_amount}/{limit.refill_period_seconds} seconds+{limit.burst}"
    return limit.name + shown + ("" if limit.unit == "requests" else f" [{limit.unit}]")


def _table(place: str, data: Any) -> dict[str, Any]:
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ValidationError(place, type(data).__name__, "must be a table with names as keys; quote a number")
    return data


def _check_words(place: str, data: Mapping[str, Any], words: Sequence[str]) -> None:
    for key in data:
        if key not in words:
            where = f"{place}.{key}" if place else key
            raise ValidationError(where, key, f"no such word here; there are {', '.join(words)}")


def _limits(place: str, data: Any) -> tuple[Limit, ...]:
    if isinstance(data, str):
        data = [data]
    if not isinstance(data, list):
        raise ValidationError(place, type(data).__name__, "must be a list of limits")
    found: list[Limit] = []
    for number, each in enumerate(data):
        where = f"{place}[{number}]"
        try:
            found += limits_from_text(each) if isinstance(each, str) else [_limit(where, each)]
        except ValidationError as error:
            if error.field.startswith(place):
                raise
            raise ValidationError(where, error.value, error.reason) from error
    try:
        return check_limits(found)
    except ValidationError as error:
        raise ValidationError(place, error.value, error.reason) from error


def _limit(place: str, data: Any) -> Limit:
    table = _table(place, data)
    if "capacity" in table:
        return Limit.from_dict(table)
    _check_words(place, table, _LIMIT_WORDS)
    if not isinstance(table.get("rate"), str):
        found = type(table["rate"]).__name__ if "rate" in table else "nothing"
        raise ValidationError(f"{place}.rate", found, "must be a text such as '100/minute'")
    name = f"{table['name']}=" if "name" in table else ""
    burst = f"+{table['burst']}" if "burst" in table else ""
    return Limit.from_text(f"{name}{table['rate']}{burst}", unit=table.get("unit", "requests"))


def _written(limit: Limit) -> str | dict[str, Any]:
    text = limit.as_text()
    if text is not None and limit.unit == "requests" and limit.header_suffix is None:
        return text
    rate = rate_text("", limit.capacity, limit.refill_amount, limit.refill_period_seconds, limit.capacity)
    if rate is None or limit.header_suffix is not None:
        return limit.to_dict()
    burst = {} if limit.burst == limit.capacity else {"burst": limit.burst}
    return {"name": limit.name, "rate": rate.lstrip("="), **burst, "unit": limit.unit}
