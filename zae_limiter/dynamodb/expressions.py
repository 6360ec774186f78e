"""One write to a bucket as values, and as DynamoDB takes it: an `UpdateItem`, or a statement of a batch. Pure.

What depends on names, rates and branches alone is made once for each shape; a write only fills its numbers in.
"""

import enum
import functools
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from zae_limiter.bucket import Rate
from zae_limiter.dynamodb.images import rate_text
from zae_limiter.schema import (
    CARRIED_AT,
    FULL_AT,
    LISTING_PK,
    LISTING_SK,
    MARK,
    PK,
    RATE,
    SK,
    TTL,
    USED,
    Key,
    ListingKey,
)

_LONGEST_STATEMENT: Final = 8_192
_SURELY_FIT: Final = 8
_MOST_SHAPES: Final = 2_048


class Branch(enum.IntEnum):
    """What a write takes one limit for, and so does to it."""

    DRAINING = 0  # not full: add the span, if that stays below the edge
    FULL = 1  # full or not there: begin at now
    OWED = 2  # not full, and no edge is asked: work that was done
    ROOM = 3  # nothing to take: only not in debt
    NEW_ROOM = 4  # the same for a limit that may not be there yet: it begins full
    CARRIED = 5  # measured in another rate: begin where the image says, if it still stands
    CREDIT = 6  # give back
    REMOVED = 7  # full and configured no longer: drop it


class Part(NamedTuple):
    """One limit of a write. What `value` and `edge` are is the branch's to say.

    DRAINING: the span to add, the latest `full_at` that leaves room. FULL: the new `full_at`. OWED: the span.
    ROOM, NEW_ROOM: the latest `full_at` that is no debt. CARRIED: the new `full_at`, the old one, the old rate.
    CREDIT: the span to give back. REMOVED: a time that `full_at` is before. `tokens` go to the counter, below 0 for
    a credit.
    """

    name: str
    rate: Rate
    branch: Branch
    tokens: int
    value: int = 0
    edge: int = 0
    old_rate: Rate = (1, 1)


class Update(NamedTuple):
    """One write to one bucket. `ttl` in seconds, None to leave it; `listed` where it may create the bucket.

    `carried_at` is the last carry-over that the image has (0 for none) and the one to write.
    """

    key: Key
    parts: tuple[Part, ...]
    now_ns: int
    mark: str
    ttl: int | None
    listed: ListingKey | None = None
    carried_at: tuple[int, int] | None = None

    @property
    def shape(self) -> "Shape":
        """What its expressions depend on."""
        return (
            tuple([(part.name, part.rate, part.branch, part.old_rate) for part in self.parts]),
            self.ttl is not None,
            self.listed is not None,
            None if self.carried_at is None else self.carried_at[0] > 0,
        )


Shape = tuple[tuple[tuple[str, Rate, Branch, Rate], ...], bool, bool, bool | None]
_NEEDS_NOW: Final = frozenset({Branch.DRAINING, Branch.FULL, Branch.OWED, Branch.NEW_ROOM})
_COUNTS: Final = frozenset(Branch) - {Branch.ROOM, Branch.REMOVED}


class _Template(NamedTuple):
    """The expressions of a shape, and the values that never change."""

    update: str
    condition: str
    names: Mapping[str, str]
    values: Mapping[str, Any]
    needs_now: bool


def update_item(update: Update, table_name: str) -> dict[str, Any]:
    """The write as the parameters of `UpdateItem`."""
    template = _template(update.shape)
    values: dict[str, Any] = {**template.values, ":w": {"S": update.mark}}
    if template.needs_now:
        values[":n"] = {"N": str(update.now_ns)}
    if update.ttl is not None:
        values[":t"] = {"N": str(update.ttl)}
    if update.listed is not None:
        values[":L"], values[":LS"] = {"S": update.listed.pk}, {"S": update.listed.sk}
    if update.carried_at is not None:
        before, after = update.carried_at
        values[":A"] = {"N": str(after)}
        if before:
            values[":a"] = {"N": str(before)}
    for index, (_, _, branch, tokens, value, edge, _) in enumerate(update.parts):
        if branch is Branch.DRAINING:
            values[f":v{index}"], values[f":e{index}"] = {"N": str(value)}, {"N": str(edge)}
        elif branch is Branch.FULL or branch is Branch.OWED:
            values[f":v{index}"] = {"N": str(value)}
        elif branch is Branch.CREDIT:
            values[f":v{index}"] = {"N": str(-value)}
        elif branch is Branch.CARRIED:
            values[f":v{index}"], values[f":o{index}"] = {"N": str(value)}, {"N": str(edge)}
        else:
            values[f":e{index}"] = {"N": str(edge)}
        if branch is not Branch.ROOM and branch is not Branch.REMOVED:
            values[f":u{index}"] = {"N": str(tokens)}
    return {
        "TableName": table_name,
        "Key": {PK: {"S": update.key.pk}, SK: {"S": update.key.sk}},
        "UpdateExpression": template.update,
        "ConditionExpression": template.condition,
        "ExpressionAttributeNames": template.names,
        "ExpressionAttributeValues": values,
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


@functools.lru_cache(maxsize=_MOST_SHAPES)
def _template(shape: Shape) -> _Template:
    parts, has_ttl, is_listed, carries = shape
    names = {"#w": MARK}
    values: dict[str, Any] = {}
    sets, adds, removes, conditions = ["#w = :w"], list[str](), list[str](), ["#w <> :w"]
    if has_ttl:
        names["#t"] = TTL
        sets.append("#t = :t")
        conditions.append("(attribute_not_exists(#t) OR #t <= :t)")
    if is_listed:
        names |= {"#L": LISTING_PK, "#LS": LISTING_SK}
        sets += ["#L = :L", "#LS = :LS"]
    if carries is not None:
        names["#a"] = CARRIED_AT
        sets.append("#a = :A")
        conditions.append("#a = :a" if carries else "attribute_not_exists(#a)")
    for index, (name, rate, branch, old_rate) in enumerate(parts):
        full_at, stored_rate = f"#f{index}", f"#r{index}"
        names |= {full_at: FULL_AT + name, stored_rate: RATE + name}
        if branch is Branch.REMOVED:
            names[f"#u{index}"] = USED + name
            removes += (full_at, stored_rate, f"#u{index}")
        else:
            values[f":r{index}"] = {"S": rate_text(rate)}
        if branch is Branch.CARRIED:
            values[f":q{index}"] = {"S": rate_text(old_rate)}
        conditions.append(_CONDITIONS[branch].format(i=index))
        if branch in _SETS:
            sets.append(_SETS[branch].format(i=index))
        if branch in _ADDS:
            adds.append(_ADDS[branch].format(i=index))
        if branch in _COUNTS:
            names[f"#u{index}"] = USED + name
            adds.append(f"#u{index} :u{index}")
    update = f"SET {', '.join(sets)}" + (f" ADD {', '.join(adds)}" if adds else "")
    update += f" REMOVE {', '.join(removes)}" if removes else ""
    needs_now = any(branch in _NEEDS_NOW for _, _, branch, _ in parts)
    return _Template(update, " AND ".join(conditions), names, values, needs_now)


_ABSENT_OR_SAME: Final = "(attribute_not_exists(#r{i}) OR #r{i} = :r{i})"
_CONDITIONS: Final[Mapping[Branch, str]] = {
    Branch.DRAINING: "#f{i} BETWEEN :n AND :e{i} AND #r{i} = :r{i}",
    Branch.FULL: "(attribute_not_exists(#f{i}) OR #f{i} < :n) AND " + _ABSENT_OR_SAME,
    Branch.OWED: "#f{i} >= :n AND #r{i} = :r{i}",
    Branch.ROOM: "#f{i} <= :e{i} AND #r{i} = :r{i}",
    Branch.NEW_ROOM: "(attribute_not_exists(#f{i}) OR #f{i} <= :e{i}) AND " + _ABSENT_OR_SAME,
    Branch.CARRIED: "#f{i} = :o{i} AND #r{i} = :q{i}",
    Branch.CREDIT: "#r{i} = :r{i}",
    Branch.REMOVED: "#f{i} < :e{i}",
}
_SETS: Final[Mapping[Branch, str]] = {
    Branch.FULL: "#f{i} = :v{i}, #r{i} = :r{i}",
    Branch.NEW_ROOM: "#f{i} = if_not_exists(#f{i}, :n), #r{i} = :r{i}",
    Branch.CARRIED: "#f{i} = :v{i}, #r{i} = :r{i}",
}
_ADDED: Final = "#f{i} :v{i}"
_ADDS: Final[Mapping[Branch, str]] = {Branch.DRAINING: _ADDED, Branch.OWED: _ADDED, Branch.CREDIT: _ADDED}


def fits_statement(update: Update, table_name: str) -> bool:
    """Whether PartiQL can say the write.

    It neither creates a record nor adds to an attribute that is missing, so the caller asks for it only where the
    last image has the bucket with every limit of the write and its counter.
    """
    if any(part.branch is Branch.NEW_ROOM for part in update.parts):
        return False
    return len(update.parts) <= _SURELY_FIT or len(_statement_text(update.shape, table_name)) <= _LONGEST_STATEMENT


def statement(update: Update, table_name: str) -> dict[str, Any]:
    """The write as one statement of a batch, where it fits one."""
    text = _statement_text(update.shape, table_name)
    sets: list[Any] = [{"S": update.mark}]
    conditions: list[Any] = [{"S": update.key.pk}, {"S": update.key.sk}, {"S": update.mark}]
    if update.ttl is not None:
        ttl = {"N": str(update.ttl)}
        sets.append(ttl)
        conditions.append(ttl)
    if update.carried_at is not None:
        before, after = update.carried_at
        sets.append({"N": str(after)})
        if before:
            conditions.append({"N": str(before)})
    now = {"N": str(update.now_ns)}
    for part in update.parts:
        _add_parameters(part, now, sets, conditions)
    return {
        "Statement": text,
        "Parameters": sets + conditions,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _add_parameters(part: Part, now: Any, sets: list[Any], conditions: list[Any]) -> None:
    _, rate, branch, tokens, value, edge, old_rate = part
    text = {"S": rate_text(rate)}
    if branch is Branch.ROOM:
        conditions += ({"N": str(edge)}, text)
        return
    if branch is Branch.REMOVED:
        conditions.append({"N": str(edge)})
        return
    sets.append({"N": str(-value if branch is Branch.CREDIT else value)})
    if branch is Branch.CARRIED:
        sets.append(text)
        conditions += ({"N": str(edge)}, {"S": rate_text(old_rate)})
    elif branch is Branch.DRAINING:
        conditions += (now, {"N": str(edge)}, text)
    elif branch is Branch.CREDIT:
        conditions.append(text)
    else:
        conditions += (now, text)
    sets.append({"N": str(tokens)})


@functools.lru_cache(maxsize=_MOST_SHAPES)
def _statement_text(shape: Shape, table_name: str) -> str:
    parts, has_ttl, _, carries = shape
    mark, ttl, carried_at = _quoted(MARK), _quoted(TTL), _quoted(CARRIED_AT)
    removes: list[str] = []
    sets, conditions = [f"{mark}=?"], [f"{_quoted(PK)}=?", f"{_quoted(SK)}=?", f"{mark}<>?"]
    if has_ttl:
        sets.append(f"{ttl}=?")
        conditions.append(f"({ttl} IS MISSING OR {ttl}<=?)")
    if carries is not None:
        sets.append(f"{carried_at}=?")
        conditions.append(f"{carried_at}=?" if carries else f"{carried_at} IS MISSING")
    for name, _, branch, _ in parts:
        full_at, rate, used = _quoted(FULL_AT + name), _quoted(RATE + name), _quoted(USED + name)
        conditions.append(_WHERES[branch].format(f=full_at, r=rate))
        if branch is Branch.ROOM:
            continue
        if branch is Branch.REMOVED:
            removes += (full_at, rate, used)
            continue
        if branch is Branch.CARRIED:
            sets += [f"{full_at}=?", f"{rate}=?"]
        else:
            sets.append(f"{full_at}=?" if branch is Branch.FULL else f"{full_at}={full_at}+?")
        sets.append(f"{used}={used}+?")
    told = " ".join([*(f"SET {each}" for each in sets), *(f"REMOVE {each}" for each in removes)])
    return f"UPDATE {_quoted(table_name)} {told} WHERE {' AND '.join(conditions)} RETURNING ALL NEW *"


_WHERES: Final[Mapping[Branch, str]] = {
    Branch.DRAINING: "{f} BETWEEN ? AND ? AND {r}=?",
    Branch.FULL: "{f}<? AND {r}=?",
    Branch.OWED: "{f}>=? AND {r}=?",
    Branch.ROOM: "{f}<=? AND {r}=?",
    Branch.CARRIED: "{f}=? AND {r}=?",
    Branch.CREDIT: "{r}=?",
    Branch.REMOVED: "{f}<?",
}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
