"""A table in memory behind a client's port: it reads the expressions that buckets are written with, and no others.

`test_fake_table.py` holds it against DynamoDB Local.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from zae_limiter.aws_errors import ConditionFailed
from zae_limiter.schema import PK, SK

Item = dict[str, Any]
_TOKEN: Final = re.compile(r'"(?:[^"]|"")*"|[#:]?\w+|<=|>=|<>|[=<>?(),+]')


class FakeTable:
    """Records by their keys."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Item] = {}

    def execute(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """What DynamoDB answers to a write of buckets."""
        if operation == "UpdateItem":
            key = (parameters["Key"][PK]["S"], parameters["Key"][SK]["S"])
            if not self._updated(key, _Expressions(parameters)):
                raise ConditionFailed(self._copy(key))
            return {"Attributes": self._copy(key)}
        assert operation == "BatchExecuteStatement", operation
        return {"Responses": [self._statement(each) for each in parameters["Statements"]]}

    def _copy(self, key: tuple[str, str]) -> Item | None:
        item = self.items.get(key)
        return None if item is None else dict(item)

    def _updated(self, key: tuple[str, str], expressions: "_Expressions") -> bool:
        item = self._copy(key) or {PK: {"S": key[0]}, SK: {"S": key[1]}}
        if not expressions.hold(item if key in self.items else {}):
            return False
        self.items[key] = _changed(item, expressions.changes(item))
        return True

    def _statement(self, statement: Mapping[str, Any]) -> Mapping[str, Any]:
        told = _Statement(statement)
        item = self._copy(told.key)
        if item is None or not told.holds(item):
            error: dict[str, Any] = {"Code": "ConditionalCheckFailed", "Message": ""}
            return {"Error": error if item is None else {**error, "Item": item}}
        self.items[told.key] = _changed(item, told.changes(item))
        return {"Item": self._copy(told.key)}


class _Reader:
    """Reads conditions and operands, token by token; what the tokens stand for is the language's to say."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0

    def _next(self) -> str:
        self._at += 1
        token: str = self._tokens[self._at - 1]
        return token

    def _goes_on_with(self, *wanted: str) -> bool:
        found = self._tokens[self._at : self._at + len(wanted)] == list(wanted)
        self._at += len(wanted) if found else 0
        return found

    def _is_at_end(self) -> bool:
        return self._at == len(self._tokens)

    def _value(self, token: str, item: Item) -> Any:
        raise NotImplementedError

    def _condition(self, item: Item) -> bool:
        """Terms with AND between them; all are read, whatever they say."""
        holds = self._term(item)
        while self._goes_on_with("AND"):
            holds = self._term(item) and holds
        return holds

    def _term(self, item: Item) -> bool:
        if self._goes_on_with("("):
            holds = self._condition(item)
            while self._goes_on_with("OR"):
                holds = self._condition(item) or holds
            assert self._goes_on_with(")")
            return holds
        if self._goes_on_with("attribute_not_exists", "("):
            is_missing = self._value(self._next(), item) is None
            assert self._goes_on_with(")")
            return is_missing
        left = self._value(self._next(), item)
        if self._goes_on_with("IS", "MISSING"):
            return left is None
        if self._goes_on_with("BETWEEN"):
            low = self._value(self._next(), item)
            assert self._goes_on_with("AND")
            high = self._value(self._next(), item)
            assert low <= high, "DynamoDB would not have it"
            return left is not None and low <= left <= high
        return _compared(left, self._next(), self._value(self._next(), item))


class _Expressions(_Reader):
    """The condition and the changes of an `UpdateItem`."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = parameters
        self._names: Mapping[str, str] = parameters["ExpressionAttributeNames"]
        self._values: Mapping[str, Any] = parameters["ExpressionAttributeValues"]

    def _value(self, token: str, item: Item) -> Any:
        return _plain(self._values[token] if token in self._values else item.get(self._names[token]))

    def hold(self, item: Item) -> bool:
        super().__init__(self._parameters["ConditionExpression"])
        holds = self._condition(item)
        assert self._is_at_end()
        return holds

    def changes(self, item: Item) -> Item:
        rest, _, removes = self._parameters["UpdateExpression"].partition(" REMOVE ")
        sets, _, adds = rest.partition(" ADD ")
        removed = [(self._names[name], None) for name in re.findall(r"#\w+", removes)]
        return dict([*self._set(sets.removeprefix("SET "), item), *self._added(adds, item), *removed])

    def _set(self, text: str, item: Item) -> Iterator[tuple[str, Any]]:
        for name, other, value in re.findall(r"(#\w+) = (?:if_not_exists\((#\w+), )?(:\w+)", text):
            kept = item.get(self._names[other]) if other else None
            yield self._names[name], self._values[value] if kept is None else kept

    def _added(self, text: str, item: Item) -> Iterator[tuple[str, Any]]:
        for name, value in re.findall(r"(#\w+) (:\w+)", text):
            total = int(item.get(self._names[name], {"N": "0"})["N"]) + int(self._values[value]["N"])
            yield self._names[name], {"N": str(total)}


class _Statement(_Reader):
    """An `UPDATE` of PartiQL."""

    def __init__(self, statement: Mapping[str, Any]) -> None:
        super().__init__(statement["Statement"].removesuffix(" RETURNING ALL NEW *"))
        self._parameters = iter(statement["Parameters"])
        assert self._next() == "UPDATE"
        self._next()
        self._sets: list[tuple[str, bool, Any]] = []
        while self._goes_on_with("SET"):
            name = _unquoted(self._next())
            assert self._goes_on_with("=")
            token = self._next()
            if adds := token != "?":
                assert _unquoted(token) == name
                assert self._goes_on_with("+", "?")
            self._sets.append((name, adds, next(self._parameters)))
        self._removed: list[str] = []
        while self._goes_on_with("REMOVE"):
            self._removed.append(_unquoted(self._next()))
        assert self._goes_on_with("WHERE", f'"{PK}"', "=", "?", "AND", f'"{SK}"', "=", "?", "AND")
        self.key = (next(self._parameters)["S"], next(self._parameters)["S"])

    def _value(self, token: str, item: Item) -> Any:
        return _plain(next(self._parameters) if token == "?" else item.get(_unquoted(token)))

    def holds(self, item: Item) -> bool:
        holds = self._condition(item)
        assert self._is_at_end()
        return holds

    def changes(self, item: Item) -> Item:
        found = {
            name: {"N": str(int(item[name]["N"]) + int(value["N"]))} if adds else value
            for name, adds, value in self._sets
        }
        return {**found, **dict.fromkeys(self._removed)}


def _changed(item: Item, changes: Item) -> Item:
    """A record after its changes; None removes."""
    return {name: value for name, value in (item | changes).items() if value is not None}


def _unquoted(token: str) -> str:
    return token[1:-1].replace('""', '"')


def _plain(value: Any) -> Any:
    if value is None:
        return None
    return int(value["N"]) if "N" in value else value["S"]


def _compared(left: Any, how: str, right: Any) -> bool:
    if left is None:
        return how == "<>"
    match how:
        case "=":
            return bool(left == right)
        case "<>":
            return bool(left != right)
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">=":
            return bool(left >= right)
    raise AssertionError(how)
