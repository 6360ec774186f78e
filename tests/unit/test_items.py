"""Values of DynamoDB, there and back; images of buckets; what a record must be like before it is written."""

from typing import Any

import pytest

from zae_limiter.dynamodb.images import image_of, rate_of, rate_text
from zae_limiter.dynamodb.items import from_attribute, from_item, key_item, key_of, to_item
from zae_limiter.dynamodb.table import ABSENT, Condition
from zae_limiter.models import Balance
from zae_limiter.schema import Key


def test_values_come_back_as_they_went_and_none_is_left_out() -> None:
    values: dict[str, Any] = {
        "text": "ä",
        "number": 10**30,
        "truth": True,
        "list": ["a", 1, {"deep": [False, None]}],
        "map": {"": "empty name"},
        "empty": "",
    }
    assert from_item(to_item({**values, "nothing": None})) == values


def test_a_kind_that_is_never_written_is_told() -> None:
    with pytest.raises(ValueError, match="'B' is none of ours"):
        from_attribute({"B": b"x"})


def test_a_key_comes_back() -> None:
    assert key_of(key_item(Key("a", "b"))) == Key("a", "b")


def test_a_condition_compares_what_is_there_and_asks_for_what_must_not_be() -> None:
    found = Condition(equals={"status": "active", "parent_id": None}).as_parameters()
    assert found == {
        "ConditionExpression": "attribute_exists(PK) AND #c0 = :c0 AND attribute_not_exists(#c1)",
        "ExpressionAttributeNames": {"#c0": "status", "#c1": "parent_id"},
        "ExpressionAttributeValues": {":c0": {"S": "active"}},
    }
    assert ABSENT.as_parameters() == {"ConditionExpression": "attribute_not_exists(PK)"}


def test_a_bucket_is_read_from_its_record() -> None:
    item = {"PK": {"S": "x"}, "f.a.b": {"N": "7"}, "r.a.b": {"S": "7:60000000000"}, "u.a.b": {"N": "3"}}
    assert image_of(item) == {"a.b": Balance(7, (7, 60_000_000_000), 0)}
    assert image_of({**item, "a": {"N": "5"}})["a.b"].carried_at == 5
    assert image_of(None) == {}
    assert rate_of(rate_text((7, 60))) == (7, 60)
