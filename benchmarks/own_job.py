"""The job of `peer_job.py` on ours: what a first and a warm charge cost, and charges a second by 200 tasks."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peer_job import rate, told
from zae_limiter import Limit, RateLimiter, Repository


async def job(endpoint: str, meter: str, table: str) -> dict[str, Any]:
    """Everything that is told."""
    repository = Repository(table, "eu-central-1", endpoint_url=endpoint, timeout=30.0)
    await repository.create_table()
    # The other has no deadline.
    setup = RateLimiter(repository, timeout=30.0)
    await setup.set_resource_defaults("api", [Limit.per_hour("rph", 100_000_000)])
    found: dict[str, Any] = {}
    async with RateLimiter(Repository(table, "eu-central-1", endpoint_url=meter)) as limiter:
        told(meter)
        for name in ("first", "second", "third"):
            async with limiter.acquire("someone", "api", {"rph": 1}):
                pass
            found[name] = told(meter)
    for name, buckets in (("hot", 1), ("spread", 200)):
        found[name] = await rate(setup, buckets)
    await setup.close()
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(job(*sys.argv[1:4]))))
