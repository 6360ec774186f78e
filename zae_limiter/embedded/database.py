"""One sqlite3 connection with its lock: opening and checking it, statements, transactions, foreign errors.

The only module of the embedded store that knows sqlite3, threads and processes.
"""

import contextlib
import os
import random
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

from zae_limiter.exceptions import (
    IncompatibleSchemaError,
    InfrastructureAccessError,
    InfrastructureNotFoundError,
    RateLimiterUnavailable,
)
from zae_limiter.ports import Clock, Runtime

T = TypeVar("T")
Row = tuple[Any, ...]

SCHEMA_VERSION: Final = "1"
MEMORY: Final = ":memory:"
_OLDEST_SQLITE: Final = (3, 37, 0)
_SHORT_WAIT_MS: Final = 20
_OPENING_NS: Final = 10_000_000_000
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_FOREIGN: Final = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})
# A connection must not be used, nor closed, by a process that only inherited it.
_INHERITED: Final[list[sqlite3.Connection]] = []


class Busy(Exception):  # noqa: N818 - a state of the file, not a mistake
    """Another connection holds the file."""


class Misfit(Exception):  # noqa: N818 - an answer, not a mistake
    """A row of the statement did not fit; nothing was written."""


class Database:
    """One SQLite file, or memory."""

    def __init__(self, path: str, *, durable: bool, clock: Clock, runtime: Runtime) -> None:
        self.path = path
        self.is_shared = path != MEMORY
        self.address = f"embedded:///{path.lstrip('/')}" if self.is_shared else "memory:"
        self.waits_in_thread = durable and self.is_shared and not runtime.is_blocking
        self._synchronous = "full" if durable else "normal"
        self._clock = clock
        self._runtime = runtime
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self._lock = threading.RLock()
        self._lock_pid = os.getpid()
        self._landed: list[Row] = []
        self._is_closed = False
        # What this process knows of the configuration in the file; copies over one connection share it.
        self.config_version = 0

    @property
    def is_open(self) -> bool:
        """Whether a connection of this process is there."""
        return self._connection is not None and (self._pid == os.getpid() or not self.is_shared)

    async def open(self) -> None:
        """Reach the file and check it, unless that was done."""
        if self.is_open:
            return
        self._is_closed = False
        deadline = self._clock.monotonic_ns() + _OPENING_NS
        await self.attempted(self._opened, deadline)

    def close(self) -> None:
        """Close the connection; the next call opens it again only after `open`."""
        with self._own_lock():
            connection, self._connection = self._connection, None
            self._is_closed = True
            if connection is not None and self._pid == os.getpid():
                connection.close()

    def upsert(self, sql: str, parameters: Sequence[object]) -> list[Row]:
        """Run one autocommitted statement; returns what it handed to `landed(...)`.

        Raises `Misfit` when a row does not fit, `Busy` when another connection writes for too long.
        """
        with self._own_lock():
            connection = self._opened()
            landed = self._landed
            landed.clear()
            try:
                connection.execute(sql, parameters)
            except sqlite3.IntegrityError as error:
                raise Misfit from error
            except sqlite3.Error as error:
                raise self._ours(error) from error
            return landed.copy()

    async def in_thread(self, sql: str, parameters: Sequence[object]) -> list[Row]:
        """The same as `upsert`, in a worker thread: a full synchronisation takes milliseconds."""
        return await self._runtime.in_thread(lambda: self.upsert(sql, parameters))

    async def read(self, work: Callable[[sqlite3.Connection], T], deadline_ns: int) -> T:
        """Let `work` read one consistent state."""
        return await self._in_transaction("begin", work, deadline_ns)

    async def write(self, work: Callable[[sqlite3.Connection], T], deadline_ns: int) -> T:
        """Let `work` read and write, all or nothing, nobody else between."""
        return await self._in_transaction("begin immediate", work, deadline_ns)

    async def _in_transaction(self, begin: str, work: Callable[[sqlite3.Connection], T], deadline_ns: int) -> T:
        def transact() -> T:
            with self._own_lock(), self._translated():
                connection = self._opened()
                connection.execute(begin)
                try:
                    result = work(connection)
                    connection.execute("commit")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("rollback")
                    raise
                return result

        return await self.attempted(transact, deadline_ns)

    async def attempted(self, call: Callable[[], T], deadline_ns: int) -> T:
        """Try a call until the file is free; `RateLimiterUnavailable` after the deadline."""
        while True:
            try:
                if self.waits_in_thread:
                    return await self._runtime.in_thread(call)
                return call()
            except Busy as busy:
                await self.pause(busy, deadline_ns)

    async def pause(self, busy: Busy, deadline_ns: int) -> None:
        """Wait before the next try; `RateLimiterUnavailable` when there is no time for one.

        An event loop must not stand still behind a stopped writer, so its waits inside SQLite are short.
        """
        rest_ns = deadline_ns - self._clock.monotonic_ns()
        if rest_ns <= 0:
            raise RateLimiterUnavailable(
                "the file stayed locked until the deadline", busy, stack_name=self.address
            ) from busy
        if self._runtime.is_blocking and self._connection is not None:
            self._connection.execute(f"pragma busy_timeout = {max(_SHORT_WAIT_MS, rest_ns // 1_000_000)}")
        else:
            await self._runtime.sleep(min(rest_ns / 1e9, random.uniform(0.001, 0.02)))

    def _own_lock(self) -> Any:
        # A fork copies a lock as it stands: another thread of the parent may have held it.
        if self._lock_pid != os.getpid():
            self._lock, self._lock_pid = threading.RLock(), os.getpid()
        return self._lock

    def _opened(self) -> sqlite3.Connection:
        connection = self._connection
        if connection is not None:
            if self._pid == os.getpid():
                return connection
            if not self.is_shared:
                self._pid = os.getpid()
                return connection
            _INHERITED.append(connection)
        if self._is_closed:
            raise RuntimeError(f"{self.address} is closed; open it again with open() or 'with'")
        with self._translated():
            self._connection = self._connected()
        self._pid = os.getpid()
        return self._connection

    def _connected(self) -> sqlite3.Connection:
        self._check_path()
        connection = sqlite3.connect(
            self.path,
            timeout=_SHORT_WAIT_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_path(self) -> None:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise InfrastructureAccessError(
                self.address, f"it needs SQLite 3.37 or later, this Python has {sqlite3.sqlite_version}"
            )
        if not self.is_shared:
            return
        path = Path(self.path)
        if not path.parent.is_dir():
            raise InfrastructureNotFoundError(self.address, f"needs the folder {str(path.parent)!r}; create it first")
        if path.is_dir():
            raise InfrastructureAccessError(self.address, "the path is a folder; name a file in it")

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (mode,) = connection.execute("pragma journal_mode = wal").fetchone()
        if self.is_shared and mode != "wal":
            raise InfrastructureAccessError(self.address, "its disk has no write-ahead log; use a local disk")
        connection.execute(f"pragma synchronous = {self._synchronous}")
        # Else the journal of a statement that may abort is a file: 46 microseconds a charge instead of 17.
        connection.execute("pragma temp_store = memory")
        connection.create_function("landed", 4, self._remember, deterministic=True)
        connection.execute("begin immediate")
        try:
            self._check_schema(connection)
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise

    def _remember(self, entity: str, resource: str, name: str, full_at: int | None) -> int | None:
        self._landed.append((entity, resource, name, full_at))
        return full_at

    def _check_schema(self, connection: sqlite3.Connection) -> None:
        tables = {name for (name,) in connection.execute("select name from sqlite_schema where type = 'table'")}
        if not tables:
            for statement in _statements():
                connection.execute(statement)
            connection.execute("insert into store values (?, 1, datetime('now'))", (SCHEMA_VERSION,))
            connection.execute(
                "insert into namespace values ('default', 'default', 'active', strftime('%Y-%m-%dT%H:%M:%SZ'), null)"
            )
            return
        if "store" not in tables:
            raise InfrastructureAccessError(self.address, "it holds tables of another program; choose another file")
        (version,) = connection.execute("select schema_version from store").fetchone()
        if version != SCHEMA_VERSION:
            raise IncompatibleSchemaError(
                SCHEMA_VERSION,
                version,
                f"{self.address} was written by another version; install the newer library",
            )

    @contextlib.contextmanager
    def _translated(self) -> Generator[None, None, None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._ours(error) from error

    def _ours(self, error: sqlite3.Error) -> Exception:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _BUSY:
            return Busy(str(error))
        if code in _FOREIGN:
            return InfrastructureAccessError(self.address, "the file is no SQLite database, or is damaged")
        if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN}:
            return InfrastructureAccessError(self.address, f"it cannot be written: {error}")
        if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
            return RateLimiterUnavailable(f"the file failed: {error}", error, stack_name=self.address)
        return error


def _statements() -> Iterator[str]:
    text = resources.files("zae_limiter.embedded").joinpath("schema.sql").read_text("utf-8")
    pending = ""
    for line in text.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
