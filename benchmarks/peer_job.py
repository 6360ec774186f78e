"""The main job on zae-limiter as PyPI has it, run by a Python that has that one installed; imports nothing of ours.

`python peer_job.py ENDPOINT METER TABLE` prints, as JSON, what a first and a warm charge cost and how many charges a
second 200 tasks get, on one bucket and on 200.
"""

import asyncio
import importlib
import json
import sys
import time
import urllib.request
from typing import Any

TASKS = 200
SECONDS = 5.0


async def job(endpoint: str, meter: str, table: str) -> dict[str, Any]:
    """Everything that is told."""
    # Another package of the name than the one of this project, whose types are not its.
    peer: Any = importlib.import_module("zae_limiter")

    def opened(address: str) -> Any:
        return peer.Repository(table, "eu-central-1", address, _skip_deprecation_warning=True)

    limits = [peer.Limit.per_hour("rph", 100_000_000)]
    first = opened(endpoint)
    await first.create_table()
    setup = peer.RateLimiter(repository=first)
    await setup.set_resource_defaults("api", limits)
    metered = opened(meter)
    limiter = peer.RateLimiter(repository=metered)
    await metered.get_resource_defaults("another")
    told(meter)
    found: dict[str, Any] = {}
    for name in ("first", "second", "third"):
        async with limiter.acquire("someone", "api", {"rph": 1}):
            pass
        found[name] = told(meter)
    await metered.close()
    for name, buckets in (("hot", 1), ("spread", TASKS)):
        found[name] = await rate(setup, buckets)
    await first.close()
    return found


async def rate(limiter: Any, buckets: int) -> dict[str, float]:
    """Charges a second by 200 tasks, and how many failed, after each bucket was charged once."""
    end = 0.0
    granted = failed = 0

    async def task(number: int) -> None:
        nonlocal granted, failed
        while time.perf_counter() < end:
            try:
                async with limiter.acquire(f"user-{buckets}-{number % buckets}", "api", {"rph": 1}):
                    granted += 1
            except Exception:  # noqa: BLE001 - counted, whatever it is
                failed += 1
                # What fails at once would keep the loop from everybody else.
                await asyncio.sleep(0.001)

    for number in range(buckets):
        async with limiter.acquire(f"user-{buckets}-{number}", "api", {"rph": 1}):
            pass
    begun, cpu = time.perf_counter(), time.process_time()
    end = begun + SECONDS
    await asyncio.gather(*(task(number) for number in range(TASKS)))
    seconds = time.perf_counter() - begun
    spent = time.process_time() - cpu
    return {"a_second": granted / seconds, "failed": failed, "cpu_micros": spent / max(1, granted) * 1e6}


def told(meter: str) -> dict[str, Any]:
    """What the meter has counted since it was last asked."""
    with urllib.request.urlopen(meter) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(job(*sys.argv[1:4]))))
