"""Four processes that charge at the same time: on one embedded file, each on a file of its own, and on one redis."""

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.charge import ONE, blocking, others, redis_url

PROCESSES = 4
CALLS = 2_000
ROUNDS = 5


def charge(kind: str, address: str, bucket: str) -> None:
    """What one process does: charges when it is told to, and tells when it has done."""
    if kind == "redis":
        from limits import storage

        contender = others(storage.RedisStorage(address), several=1)
        ended: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    else:
        import itertools

        from zae_limiter import open_sync_limiter

        ended = limiter = open_sync_limiter(address)
        contender = blocking(limiter, ONE, itertools.repeat(bucket))
    with ended:
        contender(100)
        print("ready", flush=True)
        for _ in sys.stdin:
            contender(CALLS)
            print("done", flush=True)


def together(workers: Sequence["subprocess.Popen[str]"]) -> float:
    """Charges a second of all processes together, in one round."""
    begun = time.perf_counter()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "done\n"
    return len(workers) * CALLS / (time.perf_counter() - begun)


def started(kind: str, addresses: Sequence[str], buckets: Sequence[str]) -> list["subprocess.Popen[str]"]:
    """Processes that are ready to charge."""
    workers: list[subprocess.Popen[str]] = []
    for address, bucket in zip(addresses, buckets, strict=True):
        command = [sys.executable, "-m", "benchmarks.processes", kind, address, bucket]
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        workers.append(worker)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    return workers


def main() -> None:
    """Compare, and print."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        shared = [f"embedded://{folder}/shared.db"] * PROCESSES
        own = [f"embedded://{folder}/own-{number}.db" for number in range(PROCESSES)]
        same, apart = ["user-1"] * PROCESSES, [f"user-{number}" for number in range(PROCESSES)]
        groups = {
            "ours, one process on a file": started("ours", [f"embedded://{folder}/alone.db"], ["user-1"]),
            "ours, four on one file, one bucket": started("ours", shared, same),
            "ours, four on one file, a bucket each": started("ours", shared, apart),
            "ours, four, a file each": started("ours", own, apart),
        }
        url = stack.enter_context(redis_url())
        if url is not None:
            groups["limits, redis, one process"] = started("redis", [url], ["user-1"])
            groups["limits, redis, four processes"] = started("redis", [url] * PROCESSES, same)
        found: dict[str, list[float]] = {name: [] for name in groups}
        for _ in range(ROUNDS):
            for name, workers in groups.items():
                found[name].append(together(workers))
        for workers in groups.values():
            for worker in workers:
                worker.communicate(timeout=20)
    _shown({name: statistics.median(each) for name, each in found.items()})


def _shown(found: dict[str, float]) -> None:
    base = "ours, one process on a file"
    table = Table(title="charges by several processes, one limit")
    for name in ("what", "charges a second, median", f"ratio to {base}"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for name, rate in found.items():
        table.add_row(name, f"{rate:,.0f}", f"{rate / found[base]:.2f}")
    Console().print(table)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        charge(*sys.argv[1:])
    else:
        main()
