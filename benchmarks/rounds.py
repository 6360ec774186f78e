"""Interleaved rounds: every contender in turn, many times, so that a machine that slows down slows all alike."""

import statistics
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

Contender = Callable[[int], None]


def medians(contenders: dict[str, Contender], *, rounds: int = 15, calls: int = 400) -> dict[str, float]:
    """Microseconds a call of each contender: the median over the rounds."""
    for contender in contenders.values():
        contender(calls)
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            begun = time.perf_counter()
            contender(calls)
            found[name].append((time.perf_counter() - begun) / calls * 1e6)
    return {name: statistics.median(times) for name, times in found.items()}


def shown(title: str, found: dict[str, float], *, base: str) -> None:
    """Print a table with each contender's time and its ratio to one of them."""
    table = Table(title=title)
    for name in ("what", "µs a call, median", f"ratio to {base}"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for name, microseconds in found.items():
        table.add_row(name, f"{microseconds:.1f}", f"{microseconds / found[base]:.2f}")
    Console().print(table)
