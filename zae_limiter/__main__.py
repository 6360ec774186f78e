"""`python -m zae_limiter` is the command `zae-limiter`."""

from zae_limiter.cli import cli

if __name__ == "__main__":
    cli(prog_name="zae-limiter")
