"""Transactions: repeated while others are in the way, told when that does not end, and never carried out twice."""

from typing import Any

import boto3
import pytest

from tests.dynamodb.canned import Answer, Canned, failure
from zae_limiter import RateLimiterUnavailable, SyncRepository
from zae_limiter.aws import BlockingClient, Connection
from zae_limiter.blocking import run
from zae_limiter.dynamodb.table import ABSENT, Delete, Put, Table, Write, record
from zae_limiter.runtimes import BlockingRuntime
from zae_limiter.schema import Key
from zae_limiter.system_clock import SystemClock

WRITES: list[Write] = [Put(record(Key("a", "b"), None), ABSENT), Delete(Key("c", "d"))]


def table(server: Canned) -> Table:
    clock, runtime = SystemClock(), BlockingRuntime()
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x")
    client = BlockingClient(
        "dynamodb", "my-app", Connection("eu-west-1", server.url, session=session), clock=clock, runtime=runtime
    )
    run(client.open())
    return Table(client, "my-app", clock=clock, runtime=runtime, timeout=0.3)


def canceled(*codes: str) -> Answer:
    return failure("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


def tokens(server: Canned) -> list[Any]:
    return [body["ClientRequestToken"] for _, body in server.asked]


def test_one_that_met_another_is_repeated() -> None:
    with Canned(canceled("None", "TransactionConflict"), Answer()) as server:
        assert run(table(server).transact(WRITES)) == ()
        assert len(set(tokens(server))) == 2


def test_a_condition_that_does_not_hold_is_told_by_its_place() -> None:
    with Canned(canceled("ConditionalCheckFailed", "TransactionConflict")) as server:
        assert run(table(server).transact(WRITES)) == [0]


def test_others_that_never_end_are_told_after_the_deadline() -> None:
    with Canned(canceled("TransactionConflict", "None")) as server:
        with pytest.raises(RateLimiterUnavailable, match="in the way"):
            run(table(server).transact(WRITES))
        assert len(server.asked) > 1


def test_a_reason_that_a_repeat_does_not_help_is_told_at_once() -> None:
    with Canned(canceled("ItemCollectionSizeLimitExceeded", "None")) as server:
        with pytest.raises(RateLimiterUnavailable, match="ItemCollectionSizeLimitExceeded"):
            run(table(server).transact(WRITES))
        assert len(server.asked) == 1


def test_one_whose_answer_was_lost_is_repeated_under_its_token() -> None:
    with Canned(Answer(hang_up=True), Answer()) as server:
        assert run(table(server).transact(WRITES)) == ()
        assert len(set(tokens(server))) == 1
        assert len(server.asked) == 2


def test_an_entity_whose_creation_was_done_but_not_answered_is_created_once(dynamodb_endpoint: str) -> None:
    class Deaf:
        """Loses the first answer to a transaction, after it was carried out."""

        def __init__(self) -> None:
            self._client = boto3.client("dynamodb", endpoint_url=dynamodb_endpoint or None)
            self.meta = self._client.meta
            self.is_deaf = False

        def __getattr__(self, name: str) -> Any:
            return getattr(self._client, name)

        def transact_write_items(self, **parameters: Any) -> Any:
            answer = self._client.transact_write_items(**parameters)
            if self.is_deaf:
                self.is_deaf = False
                raise ConnectionResetError
            return answer

    deaf = Deaf()
    made = SyncRepository("test-deaf-client", client=deaf, timeout=5.0)
    made.create_table()
    deaf.is_deaf = True
    assert made.create_entity("user").id == "user"
    assert len(made.get_audit_events("user")) == 1
    made.delete_table()
    deaf.close()
