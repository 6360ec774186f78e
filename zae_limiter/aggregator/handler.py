"""The entry of the Lambda function: a batch of the stream in, the records that failed out.

Settings come from the function's environment, which the stack writes.
"""

import json
import logging
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final

from zae_limiter.aggregator.archive import Archive
from zae_limiter.aggregator.intake import Intake, Report
from zae_limiter.aggregator.snapshots import Snapshots
from zae_limiter.aws import BlockingClient, Connection
from zae_limiter.blocking import run
from zae_limiter.runtimes import BlockingRuntime
from zae_limiter.system_clock import SystemClock

_SIDE_BY_SIDE: Final = 8
_NEXT: Final = (
    "not counted and delivered again: mend the cause within a day; once given up, its place in the stream is told in "
    "the queue that ends in -aggregator-dlq"
)

logger = logging.getLogger("zae_limiter.aggregator")


class BatchFailedError(Exception):
    """Nothing of a batch could be done; it is delivered again, and counts as an error of the function."""


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Take in one batch; the answer names the records to deliver again, with all that follow them.

    Raises `BatchFailedError` when nothing of the batch could be done.
    """
    del context
    return answer_of(run(_intake().take(event["Records"])))


def answer_of(report: Report) -> dict[str, Any]:
    """What Lambda is told, and a line in the log."""
    told = {"counted": report.counted, "snapshots": report.snapshots, "objects": report.objects}
    logger.info(json.dumps(told | {"failures": len(report.failures)}))
    for failure in report.failures:
        logger.error(json.dumps({"sequence": failure.sequence, "error": repr(failure.error), "next": _NEXT}))
    unnamed = any(not failure.sequence for failure in report.failures)
    if report.failures and (unnamed or not report.standing):
        first = report.failures[0]
        raise BatchFailedError(
            f"{len(report.failures)} failures, the first at record {first.sequence or 'without a number'}: "
            f"{first.error!r}; {_NEXT}"
        ) from first.error
    return {"batchItemFailures": [{"itemIdentifier": failure.sequence} for failure in report.failures]}


@cache
def _intake() -> Intake:
    environment = os.environ
    logging.getLogger("zae_limiter").setLevel(environment.get("LOG_LEVEL", "INFO"))
    clock, runtime = SystemClock(), BlockingRuntime(ThreadPoolExecutor(_SIDE_BY_SIDE))
    table_name, bucket_name = environment["TABLE_NAME"], environment.get("ARCHIVE_BUCKET_NAME", "")

    def client(service: str, name: str) -> BlockingClient:
        return BlockingClient(service, name, Connection(timeout=10.0), clock=clock, runtime=runtime)

    snapshots = Snapshots(
        client("dynamodb", table_name),
        table_name,
        clock=clock,
        retention_days=int(environment.get("SNAPSHOT_TTL_DAYS", "90")),
    )
    archive = Archive(client("s3", bucket_name), bucket_name, clock=clock) if bucket_name else None
    windows = environment.get("SNAPSHOT_WINDOWS", "hourly,daily").split(",")
    return Intake(snapshots, windows=windows, runtime=runtime, archive=archive)
