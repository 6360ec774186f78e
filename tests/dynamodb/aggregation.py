"""Counts usage from a table's stream as the aggregator does, at the time that a test's clock shows."""

from typing import Any

from zae_limiter.aggregator.intake import Intake, Report
from zae_limiter.aggregator.snapshots import Snapshots
from zae_limiter.aggregator.stream import StreamReader
from zae_limiter.aws import BlockingClient, Connection
from zae_limiter.blocking import run
from zae_limiter.ports import Clock
from zae_limiter.runtimes import BlockingRuntime
from zae_limiter.system_clock import SystemClock


class _Dated:
    """An intake whose records were made now, by another clock than the server's."""

    def __init__(self, intake: Intake, clock: Clock) -> None:
        self._intake = intake
        self._clock = clock

    async def take(self, records: list[dict[str, Any]]) -> Report:
        now = {"ApproximateCreationDateTime": self._clock.now_ns() / 1e9}
        return await self._intake.take([{**record, "dynamodb": {**record["dynamodb"], **now}} for record in records])


def aggregate_now(table_name: str, clock: Clock) -> None:
    """Count what is new in the stream of a table."""
    runtime, real = BlockingRuntime(), SystemClock()
    at = Connection(timeout=20.0)
    table = BlockingClient("dynamodb", table_name, at, clock=real, runtime=runtime)
    streams = BlockingClient("dynamodbstreams", table_name, at, clock=real, runtime=runtime)
    intake: Any = _Dated(
        Intake(Snapshots(table, table_name, clock=clock), windows=("hourly", "daily", "monthly"), runtime=runtime),
        clock,
    )
    run(StreamReader(table, streams, table_name, clock=real).read(intake))
    for client in (table, streams):
        run(client.close())
