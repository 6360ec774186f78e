"""How long it takes to begin: importing the package, and the help of the command."""

import subprocess
import sys
from pathlib import Path

from benchmarks.rounds import medians, shown

COMMAND = Path(sys.executable).with_name("zae-limiter")


def main() -> None:
    """Compare with a Python that does nothing, and print."""

    def run(*command: str) -> None:
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)

    found = medians(
        {
            "python that does nothing": lambda _: run("-c", "pass"),
            "import zae_limiter": lambda _: run("-c", "import zae_limiter"),
            "from zae_limiter import RateLimiter": lambda _: run("-c", "from zae_limiter import RateLimiter"),
            "zae-limiter --help": lambda _: run(str(COMMAND), "--help"),
        },
        rounds=7,
        calls=1,
    )
    shown("beginning", found, base="python that does nothing")


if __name__ == "__main__":
    main()
