"""Values to items of DynamoDB and back: texts, whole numbers, truths, lists and maps. Pure."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from zae_limiter.schema import PK, SK, Key

Value: TypeAlias = "str | int | bool | list[Value] | dict[str, Value] | None"
Values: TypeAlias = dict[str, Any]
Item: TypeAlias = Mapping[str, Mapping[str, Any]]


def to_item(values: Mapping[str, Value]) -> dict[str, dict[str, Any]]:
    """A record as DynamoDB takes it; what is None is left out."""
    return {name: to_attribute(value) for name, value in values.items() if value is not None}


def to_attribute(value: Value) -> dict[str, Any]:
    """One value as DynamoDB takes it."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, list):
        return {"L": [to_attribute(each) for each in value]}
    return {"M": {name: to_attribute(each) for name, each in value.items()}}


def from_item(item: Item) -> Values:
    """A record as it was written."""
    return {name: from_attribute(attribute) for name, attribute in item.items()}


def from_attribute(attribute: Mapping[str, Any]) -> Any:
    """One value as it was written; `ValueError` for a kind that this library never writes."""
    ((kind, value),) = attribute.items()
    if kind == "S":
        return value
    if kind == "N":
        return int(value)
    if kind == "BOOL":
        return value
    if kind == "NULL":
        return None
    if kind == "L":
        return [from_attribute(each) for each in value]
    if kind == "M":
        return {name: from_attribute(each) for name, each in value.items()}
    raise ValueError(f"an attribute of the kind {kind!r} is none of ours")


def key_item(key: Key) -> dict[str, dict[str, str]]:
    """A primary key as DynamoDB takes it."""
    return {PK: {"S": key.pk}, SK: {"S": key.sk}}


def key_of(item: Item) -> Key:
    """The primary key of a record."""
    return Key(item[PK]["S"], item[SK]["S"])
