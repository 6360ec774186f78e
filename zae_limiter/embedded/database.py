"""One sqlite3 connection with its lock: opening and checking it, statements, transactions, foreign errors.

The only module of the embedded store that knows sqlite3, threads and processes.
"""

import contextlib
import logging
import os
import random
import sqlite3
import threading
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from importlib import resources
from typing import Any, Final, TypeVar
from urllib.parse import quote

from zae_limiter.embedded import files
from zae_limiter.embedded.placeholders import CONNECTION
from zae_limiter.exceptions import (
    IncompatibleSchemaError,
    InfrastructureAccessError,
    InfrastructureNotFoundError,
    RateLimiterUnavailable,
)
from zae_limiter.ports import Clock, Runtime

T = TypeVar("T")
Row = tuple[Any, ...]

SCHEMA_VERSION: Final = "2"
MEMORY: Final = ":memory:"
_OLDEST_SQLITE: Final = (3, 37, 0)
_SHORT_WAIT_MS: Final = 20
_LOOK_NS: Final = 1_000_000_000
_OPENING_NS: Final = 10_000_000_000
_STORE_COLUMNS: Final = frozenset({"schema_version", "config_version", "created_at"})
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_FOREIGN: Final = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})

logger = logging.getLogger("zae_limiter.store")


class Busy(Exception):  # noqa: N818 - a state of the file, not a mistake
    """Another connection holds the file."""


class Misfit(Exception):  # noqa: N818 - an answer, not a mistake
    """A row of the statement did not fit; nothing was written."""


class Database:
    """One SQLite file, or memory."""

    def __init__(self, path: str, *, durable: bool, clock: Clock, runtime: Runtime) -> None:
        self.is_shared = path != MEMORY
        # A process that changes its folder opens the same file again, not another one of that name.
        self.path = os.path.abspath(path) if self.is_shared else path  # noqa: PTH100 - resolve() would follow links
        self.address = f"embedded:///{quote(os.fsencode(self.path.lstrip('/')))}" if self.is_shared else "memory:"
        self.waits_in_thread = durable and self.is_shared and not runtime.is_blocking
        self._synchronous = "full" if durable else "normal"
        self._clock = clock
        self._runtime = runtime
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._landed: dict[str, int] = {}
        self._is_closed = False
        self._rests = False
        self._identity: files.Identity | None = None
        self._next_look_ns = 0
        # What this process knows of the configuration in the file; copies over one connection share it.
        self.config_version = 0
        with _ALL:
            _DATABASES.add(self)

    @property
    def is_open(self) -> bool:
        """Whether the file was reached and is not closed."""
        return self._connection is not None or self._rests

    async def open(self) -> None:
        """Reach the file and check it, unless that was done."""
        if self.is_open:
            return
        self._is_closed = False
        self._identity = None
        deadline = self._clock.monotonic_ns() + _OPENING_NS

        def reach() -> None:
            with self._lock:
                self._opened()

        await self.attempted(reach, deadline)

    def close(self) -> None:
        """Close the connection; the next call opens it again only after `open`."""
        with self._lock:
            connection, self._connection = self._connection, None
            self._is_closed, self._rests = True, False
            if connection is not None:
                self._forgotten.detach()
                connection.close()

    def rest(self) -> None:
        """Hold everybody off, and close a file until the next call, while the process forks."""
        self._lock.acquire()
        if self._connection is not None and self.is_shared:
            connection, self._connection, self._rests = self._connection, None, True
            self._forgotten.detach()
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def wake(self) -> None:
        """Let everybody go on after `rest`."""
        self._lock.release()

    def upsert(self, sql: str, parameters: Sequence[object]) -> dict[str, int]:
        """Run one autocommitted statement; returns what it handed to `landed(key, value)`.

        Raises `Misfit` when a row does not fit, `Busy` when another connection writes for too long.
        """
        with self._lock:
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

    async def in_thread(self, sql: str, parameters: Sequence[object]) -> dict[str, int]:
        """The same as `upsert`, in a worker thread: a full synchronisation takes milliseconds."""
        return await self._runtime.in_thread(lambda: self.upsert(sql, parameters))

    async def read(self, work: Callable[[sqlite3.Connection], T], deadline_ns: int) -> T:
        """Let `work` read one consistent state."""
        return await self._in_transaction("begin", work, deadline_ns)

    async def write(self, work: Callable[[sqlite3.Connection], T], deadline_ns: int) -> T:
        """Let `work` read and write, all or nothing, nobody else between."""
        return await self._in_transaction("begin immediate", work, deadline_ns)

    async def write_to_its_end(self, work: Callable[[sqlite3.Connection], T], deadline_ns: int) -> T:
        """The same as `write`, whoever is cancelled while the file is locked."""
        return await self._in_transaction("begin immediate", work, deadline_ns, to_its_end=True)

    async def _in_transaction(
        self, begin: str, work: Callable[[sqlite3.Connection], T], deadline_ns: int, *, to_its_end: bool = False
    ) -> T:
        def transact() -> T:
            with self._lock, self._translated():
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

        return await self.attempted(transact, deadline_ns, to_its_end=to_its_end)

    async def attempted(self, call: Callable[[], T], deadline_ns: int, *, to_its_end: bool = False) -> T:
        """Try a call until the file is free; `RateLimiterUnavailable` after the deadline."""
        while True:
            try:
                if self.waits_in_thread:
                    return await self._runtime.in_thread(call)
                return call()
            except Busy as busy:
                if to_its_end:
                    return await self._runtime.shielded(self._attempted_again(call, busy, deadline_ns))
                await self.pause(busy, deadline_ns)

    async def _attempted_again(self, call: Callable[[], T], busy: Busy, deadline_ns: int) -> T:
        await self.pause(busy, deadline_ns)
        return await self.attempted(call, deadline_ns)

    async def pause(self, busy: Busy, deadline_ns: int) -> None:
        """Wait before the next try; `RateLimiterUnavailable` when there is no time for one.

        The waits inside SQLite are short: neither an event loop nor threads with earlier deadlines may stand
        still behind a stopped writer.
        """
        rest_ns = deadline_ns - self._clock.monotonic_ns()
        if rest_ns <= 0:
            raise RateLimiterUnavailable(
                "the file stayed locked until the deadline", busy, stack_name=self.address
            ) from busy
        await self._runtime.sleep(min(rest_ns / 1e9, random.uniform(0.001, 0.02)))

    def check_time(self, deadline_ns: int) -> None:
        """Raise `RateLimiterUnavailable` once others have changed a bucket again and again until the deadline."""
        if self._clock.monotonic_ns() >= deadline_ns:
            raise RateLimiterUnavailable("a bucket changed under every try until the deadline", stack_name=self.address)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._is_closed:
                raise RuntimeError(f"{self.address} is closed; open it again with open() or 'with'")
            with self._translated():
                connection = self._connection = self._connected()
            # Nothing is lost with a store that nobody closes, and sqlite3 need not complain of it. Kept from outside:
            # in a circle of garbage the connection may be the first to go.
            self._forgotten = weakref.finalize(self, connection.close)
            self._rests = False
        elif self.is_shared and self._next_look_ns <= (now_ns := self._clock.monotonic_ns()):
            self._next_look_ns = now_ns + _LOOK_NS
            if files.identity(self.path) != self._identity:
                # What is written to a file without a name is seen by nobody else.
                connection, self._connection, self._rests = self._connection, None, True
                self._forgotten.detach()
                connection.close()
                return self._opened()
        return self._connection

    def _connected(self) -> sqlite3.Connection:
        self._check_path()
        known = self._identity
        if known is not None and files.identity(self.path) is None:
            raise InfrastructureNotFoundError(
                self.address,
                "was deleted while it was in use; put it back, or close the store and open it again for an empty one",
            )
        connection = sqlite3.connect(
            self.path,
            timeout=_SHORT_WAIT_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            factory=CONNECTION,
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._identity = files.identity(self.path)
        if known is not None and self._identity != known:
            logger.error("%s was replaced by another file while it was in use; that one is used now", self.address)
            self.config_version = -1
        return connection

    def _check_path(self) -> None:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise InfrastructureAccessError(
                self.address, f"it needs SQLite 3.37 or later, this Python has {sqlite3.sqlite_version}"
            )
        if self.is_shared:
            files.check(self.path, self.address)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # Looked at first: the file of another program must not be turned into one with a write-ahead log.
        is_there = self._is_there(connection)
        (mode,) = connection.execute("pragma journal_mode = wal").fetchone()
        if self.is_shared and mode != "wal":
            raise InfrastructureAccessError(self.address, "its disk has no write-ahead log; use a local disk")
        connection.execute(f"pragma synchronous = {self._synchronous}")
        # Else the journal of a statement that may abort is a file: 46 microseconds a charge instead of 17.
        connection.execute("pragma temp_store = memory")
        # Keeps a value under its key and hands it on, without a Python frame for each row.
        connection.create_function("landed", 2, self._landed.setdefault, deterministic=True)
        if not is_there:
            self._create(connection)

    def _is_there(self, connection: sqlite3.Connection) -> bool:
        if connection.execute("select 1 from sqlite_schema where type = 'table'").fetchone() is None:
            return False
        columns = {row[1] for row in connection.execute("pragma table_info(store)")}
        found = (
            connection.execute("select schema_version from store").fetchone()
            if _STORE_COLUMNS.issubset(columns)
            else None
        )
        if found is None:
            raise InfrastructureAccessError(self.address, "it holds tables of another program; choose another file")
        if found[0] != SCHEMA_VERSION:
            raise IncompatibleSchemaError(SCHEMA_VERSION, found[0], f"{self.address} {_written_by(found[0])}")
        return True

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.execute("begin immediate")
        try:
            # Another process may have been quicker.
            if not self._is_there(connection):
                for statement in _statements():
                    connection.execute(statement)
                now = "strftime('%Y-%m-%dT%H:%M:%SZ')"
                # What is known of the configuration of one file says nothing of another one in its place.
                first_version = random.randrange(1, 2**40)
                connection.execute(f"insert into store values (?, ?, {now})", (SCHEMA_VERSION, first_version))
                connection.execute(f"insert into namespace values ('default', 'default', 'active', {now}, null)")
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise

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
        if code == sqlite3.SQLITE_ERROR and str(error).startswith("no such table"):
            return InfrastructureAccessError(self.address, f"another program has changed its tables: {error}")
        if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
            return RateLimiterUnavailable(f"the file failed: {error}", error, stack_name=self.address)
        return error


def _written_by(schema: str) -> str:
    if schema.isdecimal() and int(schema) < int(SCHEMA_VERSION):
        return "was begun before the first release; move it away, and an empty one is begun"
    return "was written by a later version; install the newer library"


def _statements() -> Iterator[str]:
    text = resources.files("zae_limiter.embedded").joinpath("schema.sql").read_text("utf-8")
    pending = ""
    for line in text.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


_ALL: Final = threading.Lock()
_DATABASES: Final["weakref.WeakSet[Database]"] = weakref.WeakSet()
_RESTING: Final[list[Database]] = []


def _before_fork() -> None:
    """Close all files: SQLite counts its locks by process, so a child would write under locks it does not have."""
    _ALL.acquire()
    for database in list(_DATABASES):
        _RESTING.append(database)
        database.rest()


def _after_fork() -> None:
    while _RESTING:
        _RESTING.pop().wake()
    _ALL.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
