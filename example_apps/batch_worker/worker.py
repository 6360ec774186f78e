"""A worker without any web framework that paces itself: it waits as long as a refusal says, and no longer."""

import sys
import time
from typing import Final

from zae_limiter import RateLimitExceeded, SyncRateLimiter, open_sync_limiter

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
    address = sys.argv[1] if len(sys.argv) > 1 else "memory:"
    with open_sync_limiter(address) as opened:
        print(f"waited {work_through(opened, JOBS)} times")
