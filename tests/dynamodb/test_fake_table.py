"""The table in memory answers what DynamoDB Local answers to every kind of write of a bucket."""

import random
from collections.abc import Mapping
from typing import Any

from tests.dynamodb.fake_table import FakeTable
from tests.dynamodb.processes import NAMESPACE, Table, Wire
from zae_limiter.aws_errors import ConditionFailed
from zae_limiter.dynamodb.bucket_table import may_batch
from zae_limiter.dynamodb.expressions import Branch, Part, Update, fits_statement, statement, update_item
from zae_limiter.dynamodb.groups import may_create
from zae_limiter.dynamodb.stored import Stored, stored_bucket
from zae_limiter.schema import bucket_key, listing_key

NOW = 1_800_000_000_000_000_000
RATES = ((1, 6_000_000_000), (7, 360_000_000_000))


def part(draw: random.Random, name: str, stored: Stored) -> Part:
    branch = draw.choice(list(Branch))
    value, rate = NOW + draw.randrange(-3, 4) * 1_000_000_000, draw.choice(RATES)
    balance = stored.image.get(name)
    if balance is not None and draw.random() < 0.7:
        rate = balance.rate
    if branch in (Branch.DRAINING, Branch.OWED, Branch.CREDIT):
        value = draw.randrange(1, 9) * 1_000_000_000
    edge = NOW + draw.randrange(0, 9) * 1_000_000_000
    if branch is Branch.CARRIED and balance is not None and draw.random() < 0.8:
        return Part(name, rate, branch, 2, value, balance.full_at, balance.rate)
    return Part(name, rate, branch, -1 if branch is Branch.CREDIT else 2, value, edge, draw.choice(RATES))


def write(draw: random.Random, stored: Stored, entity: str, mark: str) -> Update:
    parts = tuple(part(draw, name, stored) for name in draw.sample(("rpm", 'a"b.c', "SET"), draw.choice((1, 1, 2, 3))))
    carries = any(each.branch is Branch.CARRIED for each in parts)
    return Update(
        bucket_key(NAMESPACE, entity, "api"),
        parts,
        NOW,
        draw.choice((mark, stored.mark or mark)),
        draw.choice((None, 1_800_000_000, 1_800_003_600)),
        listing_key(NAMESPACE, "BUCKET", entity, "api") if may_create(parts) else None,
        (stored.carried_at, draw.choice((NOW, NOW + 1))) if carries else None,
    )


async def told(port: Any, operation: str, parameters: Mapping[str, Any]) -> Any:
    try:
        answer = await port(operation, parameters)
    except ConditionFailed as failed:
        return "failed", failed.image
    if operation == "UpdateItem":
        return answer["Attributes"]
    return [(each.get("Item"), each.get("Error", {}).get("Code"), "Item" in each) for each in answer["Responses"]]


async def test_it_answers_as_dynamodb_local_does(table: Table) -> None:
    draw, fake, wire = random.Random(7), FakeTable(), Wire(table)

    async def faked(operation: str, parameters: Mapping[str, Any]) -> Any:
        return fake.execute(operation, parameters)

    kinds: set[tuple[str, bool]] = set()
    written: set[tuple[str, Branch]] = set()
    for number in range(400):
        writes = []
        for entity in draw.sample(("one", "two", "three"), 2):
            key = bucket_key(NAMESPACE, entity, "api")
            stored = stored_bucket(fake.items.get((key.pk, key.sk)))
            writes.append((write(draw, stored, entity, f"mark{number:04}"), stored))
        flying = [
            update for update, stored in writes if may_batch(update, stored) and fits_statement(update, table.name)
        ]
        statements = [statement(update, table.name) for update in flying]
        if draw.random() < 0.5 and statements:
            operation, parameters = "BatchExecuteStatement", {"Statements": statements}
        else:
            operation, parameters = "UpdateItem", update_item(writes[0][0], table.name)
        answer = await told(faked, operation, parameters)
        assert answer == await told(wire.through, operation, parameters), parameters
        kinds.add((operation, "failed" in str(answer).lower()))
        if operation == "UpdateItem":
            went = [] if isinstance(answer, tuple) else [writes[0][0]]
        else:
            went = [update for update, (_, code, _) in zip(flying, answer, strict=True) if code is None]
        written |= {(operation, each.branch) for update in went for each in update.parts}
    assert len(kinds) == 4
    # Each kind of change was made on both; in a batch, all that PartiQL can say.
    assert written == {
        *(("UpdateItem", branch) for branch in Branch),
        *(("BatchExecuteStatement", branch) for branch in set(Branch) - {Branch.NEW_ROOM}),
    }
