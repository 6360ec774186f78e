"""A worker without any web framework that paces itself: it waits as long as a refusal says, and no longer."""

import argparse
import time
from typing import Final

from zae_limiter import RateLimitExceeded, SyncRateLimiter, SyncRepository, open_sync_limiter

JOBS: Final = 25


def work_through(limiter: SyncRateLimiter, jobs: int) -> int:
    """Do every job at ten a second; returns how often it had to wait."""
    waits = 0
    for number in range(jobs):
        while True:
            try:
                with limiter.acquire("batch-worker", "mailer", 1, limits="10/second; 600/minute"):
                    print(f"job {number} done")
                break
            except RateLimitExceeded as refused:
                waits += 1
                time.sleep(refused.retry_after_seconds)
    return waits


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", default="memory:", help="the address of the store, or 'dynamodb' [%(default)s]")
    store: str = parser.parse_args().store
    limiter = open_sync_limiter("dynamodb://batch-worker" if store == "dynamodb" else store)
    if isinstance(limiter.repository, SyncRepository):
        limiter.repository.create_table()
    with limiter:
        print(f"waited {work_through(limiter, JOBS)} times")
