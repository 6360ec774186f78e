"""RepositoryBuilder: a repository step by step, for those who set more than `connect` takes; its twin beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from zae_limiter.exceptions import ValidationError
from zae_limiter.models import StackOptions
from zae_limiter.repository import Repository
from zae_limiter.stack_steps import StackSteps
from zae_limiter.sync_repository import SyncRepository

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from zae_limiter.models import OnUnavailableAction


class Steps(StackSteps):
    """What both builders take; each step returns the builder. What it is worth is checked by the repository."""

    def __init__(self, name: str | None = None, region: str | None = None, *, endpoint_url: str | None = None) -> None:
        super().__init__()
        self._named = (name, region)
        self._options: dict[str, Any] = {"endpoint_url": endpoint_url}
        self._on_unavailable: OnUnavailableAction | None = None
        self._audit_retention_days: int | None = None

    def namespace(self, name: str) -> Self:
        """Work in this namespace; `default` if not given."""
        return self._set("namespace", name)

    def config_cache_ttl(self, seconds: int) -> Self:
        """Remember the configuration for so many seconds; 60 if not given, 0 for not at all."""
        return self._set("config_cache_ttl", seconds)

    def timeout(self, seconds: float) -> Self:
        """Give each call so many seconds with all its tries; 1.0 if not given."""
        return self._set("timeout", seconds)

    def connections(self, most: int) -> Self:
        """Keep at most so many connections; 64 if not given."""
        return self._set("connections", most)

    def bucket_ttl_multiplier(self, value: int) -> Self:
        """Keep bucket records so many times as long as they take to fill, and a day; 1 if not given, 0 for ever."""
        return self._set("bucket_ttl_multiplier", value)

    def session(self, session: Any) -> Self:
        """Make clients with a session of the caller's: its credentials, its role."""
        return self._set("session", session)

    def client(self, client: Any) -> Self:
        """Use a client of the caller's, which stays the caller's to close."""
        return self._set("client", client)

    def on_unavailable(self, value: OnUnavailableAction) -> Self:
        """Store, when built, what to do without a store; the limits of last resort stay as they are."""
        if value not in ("allow", "block"):
            raise ValidationError("on_unavailable", str(value), "must be 'allow' or 'block'")
        self._on_unavailable = value
        return self

    def audit_retention_days(self, value: int) -> Self:
        """Store, when built, for how many days audit events are kept."""
        self._audit_retention_days = value
        return self

    def _stack_options(self) -> StackOptions:
        chosen = dict(self._stack)
        if self._audit_retention_days is not None:
            chosen["audit_retention_days"] = self._audit_retention_days
        return StackOptions(**chosen)

    def _set(self, name: str, value: object) -> Self:
        self._options[name] = value
        return self


class RepositoryBuilder(Steps):
    """Builds a `Repository` over a table that is there, or whose stack it makes when anything was said of that."""

    async def build(self) -> Repository:
        """Reach the table, store what is to be stored, and return the repository, open.

        Raises what `Repository.connect` raises.
        """
        made = Repository(*self._named, **self._options)
        try:
            if self._stack:
                await made.create_stack(self._stack_options())
            await made.open()
            if self._on_unavailable is not None:
                await made.set_system_defaults(await made.get_system_limits(), self._on_unavailable)
            if self._audit_retention_days is not None:
                await made.set_audit_retention(self._audit_retention_days)
        except BaseException:
            await made.close()
            raise
        return made


class SyncRepositoryBuilder(Steps):
    """Builds a `SyncRepository` over a table that is there, or whose stack it makes; see `RepositoryBuilder`."""

    def executor(self, executor: Executor) -> Self:
        """Do what can go together in the threads of an executor, which stays the caller's to shut down."""
        return self._set("executor", executor)

    def build(self) -> SyncRepository:
        """Reach the table, store what is to be stored, and return the repository, open; see `RepositoryBuilder`."""
        made = SyncRepository(*self._named, **self._options)
        try:
            if self._stack:
                made.create_stack(self._stack_options())
            made.open()
            if self._on_unavailable is not None:
                made.set_system_defaults(made.get_system_limits(), self._on_unavailable)
            if self._audit_retention_days is not None:
                made.set_audit_retention(self._audit_retention_days)
        except BaseException:
            made.close()
            raise
        return made
