"""The embedded store: one SQLite file that processes share, or memory."""

from zae_limiter.embedded.repository import EmbeddedRepository
from zae_limiter.embedded.sync import SyncEmbeddedRepository

__all__ = ["EmbeddedRepository", "SyncEmbeddedRepository"]
