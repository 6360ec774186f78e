"""The command line `zae-limiter`.

A file a subject; `main.py` joins them.
"""

from zae_limiter.cli.main import cli

__all__ = ["cli"]
