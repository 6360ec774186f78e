"""A reading of IAM: whether the statements of policies allow what a request asks for.

It knows what the template's policies use: actions and resources with wildcards, the leading keys of DynamoDB, tags of
the principal. Sources are AWS's "Policy evaluation logic", "Using IAM policy conditions for fine-grained access
control" (DynamoDB Developer Guide) and "Actions, resources, and condition keys for Amazon DynamoDB".
"""

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Statement = Mapping[str, Any]
LEADING_KEYS = "dynamodb:LeadingKeys"
_VARIABLE = re.compile(r"\$\{aws:PrincipalTag/([^}]+)\}")


class Asked(NamedTuple):
    """One thing that a request wants to do. `keys` are the partition keys that it names, none for a scan."""

    action: str
    resource: str
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.action} on {self.resource} {list(self.keys)}"


def allows(statements: Iterable[Statement], asked: Asked, tags: Mapping[str, str]) -> bool:
    """Whether a principal with these policies and tags may do it: what no statement allows is denied."""
    matching = [statement for statement in statements if _matches(statement, asked, tags)]
    return any(each["Effect"] == "Allow" for each in matching) and all(each["Effect"] == "Allow" for each in matching)


def _matches(statement: Statement, asked: Asked, tags: Mapping[str, str]) -> bool:
    return (
        _any_like(statement["Action"], asked.action, tags)
        and _any_like(statement["Resource"], asked.resource, tags)
        and all(
            _holds(operator, key, values, asked, tags)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _holds(operator: str, key: str, values: Any, asked: Asked, tags: Mapping[str, str]) -> bool:
    assert key == LEADING_KEYS, key
    if operator == "Null":
        return (not asked.keys) is (values == "true")
    assert operator == "ForAllValues:StringLike", operator
    # Of no keys at all, all are like whatever is asked: a scan passes.
    return all(_any_like(values, each, tags) for each in asked.keys)


def _any_like(patterns: str | Sequence[str], value: str, tags: Mapping[str, str]) -> bool:
    listed = [patterns] if isinstance(patterns, str) else patterns
    # A variable that the principal has no tag for matches nothing.
    told = [each for each in listed if all(name in tags for name in _VARIABLE.findall(each))]
    filled = [_VARIABLE.sub(lambda found: tags[found[1]], each) for each in told]
    return any(fnmatch.fnmatchcase(value, each.replace("[", "[[]")) for each in filled)
