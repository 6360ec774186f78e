"""A file that cannot be used, or not any more: each thing that can be wrong has an error that says what to do."""

import contextlib
import os
import resource
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zae_limiter import (
    InfrastructureAccessError,
    InfrastructureNotFoundError,
    RateLimiterUnavailable,
    SyncEmbeddedRepository,
    SyncRateLimiter,
)
from zae_limiter.testing import TurnableClock

NOBODY = 65_534
LIMITS = "9/hour"


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, whom no mode of a file stops; who has none stays who they are."""
    if os.geteuid() != 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that anybody may write in, and reach."""
    made = Path(tempfile.mkdtemp(prefix="zae-limiter-"))
    made.chmod(0o777)
    yield made
    for path in (made, *made.rglob("*")):
        path.chmod(0o777)
    shutil.rmtree(made)


@pytest.fixture
def path(folder: Path) -> Path:
    """A store that anybody may use, left as a clean end leaves it."""
    made = folder / "limits.db"
    with SyncRateLimiter(SyncEmbeddedRepository(str(made))) as limiter:
        limiter.set_system_defaults(LIMITS)
        limiter.acquire("someone", "api", 1).__enter__().settle()
    made.chmod(0o666)
    return made


def charged(path: Path) -> None:
    with SyncRateLimiter(SyncEmbeddedRepository(str(path))) as limiter, limiter.acquire("someone", "api", 1):
        pass


def test_a_file_that_anybody_may_write_is_used_by_anybody(path: Path) -> None:
    with as_nobody():
        charged(path)


@pytest.mark.parametrize("mode", [0o444, 0o222, 0o000])
def test_a_file_that_may_not_be_read_and_written_is_told_at_open(path: Path, mode: int) -> None:
    path.chmod(mode)
    with as_nobody(), pytest.raises(InfrastructureAccessError, match=r"may not read and write .*limits\.db'; change"):
        SyncEmbeddedRepository(str(path)).open()


@pytest.mark.parametrize("part", ["-wal", "-shm"])
def test_a_log_that_another_user_left_is_named(path: Path, part: str) -> None:
    with SyncRateLimiter(SyncEmbeddedRepository(str(path))) as limiter:
        limiter.acquire("someone", "api", 1).__enter__().settle()
        Path(f"{path}{part}").chmod(0o444)
        with as_nobody(), pytest.raises(InfrastructureAccessError, match=rf"may not read and write .*limits\.db{part}"):
            SyncEmbeddedRepository(str(path)).open()


@pytest.mark.parametrize("mode", [0o555, 0o666, 0o000])
@pytest.mark.parametrize("name", ["limits.db", "new.db"])
def test_a_folder_that_may_not_be_written_is_told_at_open(path: Path, folder: Path, mode: int, name: str) -> None:
    folder.chmod(mode)
    with as_nobody(), pytest.raises(InfrastructureAccessError, match="may not write in the folder"):
        SyncEmbeddedRepository(str(folder / name)).open()


def test_a_folder_that_cannot_be_reached_is_told_at_open(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir(mode=0o777)
    folder.chmod(0o000)
    with as_nobody(), pytest.raises(InfrastructureAccessError, match="cannot be looked at: Permission denied"):
        SyncEmbeddedRepository(str(inner / "limits.db")).open()


def test_a_folder_whose_name_is_that_of_a_file_is_told(path: Path) -> None:
    with pytest.raises(InfrastructureNotFoundError, match="needs the folder"):
        SyncEmbeddedRepository(str(path / "limits.db")).open()


def test_a_name_that_is_too_long_is_told(folder: Path) -> None:
    with pytest.raises(InfrastructureAccessError, match="cannot be looked at: File name too long"):
        SyncEmbeddedRepository(str(folder / ("x" * 300))).open()


def test_a_file_that_loses_its_rights_while_it_is_closed_for_a_fork_is_unavailable(path: Path) -> None:
    with as_nobody():
        limiter = SyncRateLimiter(SyncEmbeddedRepository(str(path)).open())
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    path.chmod(0o444)
    with as_nobody(), pytest.raises(RateLimiterUnavailable, match="may not read and write") as caught:
        limiter.acquire("someone", "api", 1).__enter__()
    assert isinstance(caught.value.cause, InfrastructureAccessError)
    path.chmod(0o666)
    with as_nobody(), limiter.acquire("someone", "api", 1):
        pass
    limiter.close()


def test_a_full_disk_is_unavailable_and_nothing_is_charged(path: Path) -> None:
    repository = SyncEmbeddedRepository(str(path)).open()
    limiter = SyncRateLimiter(repository)
    database: Any = repository._core._place.database
    database._connection.execute("pragma max_page_count = 1")
    granted = 0

    def charge_until_it_is_full() -> None:
        nonlocal granted
        for granted in range(100_000):
            limiter.acquire(f"someone-{granted}", "api", 1).__enter__()

    with pytest.raises(RateLimiterUnavailable, match="database or disk is full"):
        charge_until_it_is_full()
    with limiter.acquire(f"someone-{granted}", "api", 1, on_unavailable="allow") as lease:
        assert lease.degraded
    database._connection.execute("pragma max_page_count = 1000000")
    assert limiter.available(f"someone-{granted}", "api") == {"rph": 9}
    assert limiter.available(f"someone-{granted - 1}", "api") == {"rph": 8}
    limiter.close()


def test_a_write_that_the_system_refuses_is_unavailable_and_the_next_one_succeeds(path: Path) -> None:
    limiter = SyncRateLimiter(SyncEmbeddedRepository(str(path)).open())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(RateLimiterUnavailable, match="the file failed"):
            limiter.acquire("someone", "api", 1).__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert limiter.available("someone", "api") == {"rph": 8}
    with limiter.acquire("someone", "api", 1):
        assert limiter.available("someone", "api") == {"rph": 7}
    limiter.close()


def test_a_damaged_file_is_told_and_never_answered_by_a_raw_error(path: Path) -> None:
    damaged = bytearray(path.read_bytes())
    for at in range(4_096, len(damaged)):
        damaged[at] = at * 7 % 251
    path.write_bytes(damaged)
    with pytest.raises((InfrastructureAccessError, RateLimiterUnavailable), match="is damaged"):
        charged(path)


def test_a_file_that_was_cut_short_is_told(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5_000])
    with pytest.raises((InfrastructureAccessError, RateLimiterUnavailable), match="is damaged"):
        charged(path)


def test_a_store_that_cannot_be_used_can_be_let_pass(path: Path) -> None:
    path.write_bytes(b"no database" * 1_000)
    limiter = SyncRateLimiter(SyncEmbeddedRepository(str(path)))
    with limiter.acquire("someone", "api", 1, on_unavailable="allow") as lease:
        assert lease.degraded


@pytest.fixture
def limiter(path: Path, clock: TurnableClock) -> Iterator[SyncRateLimiter]:
    with SyncRateLimiter(SyncEmbeddedRepository(str(path), clock=clock), clock=clock) as made:
        with made.acquire("someone", "api", 1):
            pass
        yield made


def removed(path: Path) -> None:
    for part in ("", "-wal", "-shm"):
        Path(f"{path}{part}").unlink(missing_ok=True)


def test_a_file_that_is_deleted_in_use_is_told_within_a_second(
    limiter: SyncRateLimiter, path: Path, clock: TurnableClock
) -> None:
    removed(path)
    clock.turn(1)
    for _ in range(2):
        with pytest.raises(RateLimiterUnavailable, match="was deleted while it was in use") as caught:
            limiter.acquire("someone", "api", 1).__enter__()
        assert isinstance(caught.value.cause, InfrastructureNotFoundError)
        assert not path.exists()
    assert not limiter.is_available()


def test_a_file_that_is_deleted_in_use_and_opened_again_is_empty(
    limiter: SyncRateLimiter, path: Path, clock: TurnableClock
) -> None:
    removed(path)
    clock.turn(1)
    assert not limiter.is_available()
    limiter.close()
    limiter.repository.open()
    assert limiter.available("someone", "api", LIMITS) == {"rph": 9}
    assert path.exists()


def test_a_file_that_is_put_in_the_place_of_another_one_is_used_with_what_it_says(
    limiter: SyncRateLimiter, path: Path, clock: TurnableClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its configuration is another one, though it was changed as often."""
    removed(path)
    with SyncRateLimiter(SyncEmbeddedRepository(str(path), clock=clock), clock=clock) as other:
        other.set_system_defaults("2/minute")
        with other.acquire("someone", "api", 1):
            pass
    clock.turn(1)
    with limiter.acquire("someone", "api", 1) as lease:
        assert [(status.limit_name, status.available) for status in lease.statuses] == [("rpm", 0)]
    assert "was replaced by another file" in caplog.text
    assert limiter.repository.get_buckets("someone")[0].limit_name == "rpm"


def test_the_log_says_what_is_wrong_with_the_store_once_a_minute(
    limiter: SyncRateLimiter, path: Path, clock: TurnableClock, caplog: pytest.LogCaptureFixture
) -> None:
    removed(path)
    for seconds in (1, 1, 60):
        clock.turn(seconds)
        with pytest.raises(RateLimiterUnavailable):
            limiter.acquire("someone", "api", 1).__enter__()
    told = [record.message for record in caplog.records if record.name == "zae_limiter.limiter"]
    assert len(told) == 2
    assert "is unavailable (InfrastructureNotFoundError: " in told[0]
    assert "deleted" in told[0]
    assert "someone" not in caplog.text


def test_a_file_whose_tables_are_gone_is_unavailable(limiter: SyncRateLimiter, path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("drop table bucket")
    other.close()
    with pytest.raises(RateLimiterUnavailable, match="another program has changed its tables"):
        limiter.acquire("someone", "api", 1).__enter__()
    with limiter.acquire("someone", "api", 1, on_unavailable="allow") as lease:
        assert lease.degraded


def test_a_file_whose_name_is_no_text_is_a_store_like_any_other(folder: Path) -> None:
    name = os.fsdecode(os.fsencode(folder) + b"/\xff.db")
    with SyncEmbeddedRepository(name) as repository:
        assert repository.address.endswith("/%FF.db")
    assert os.path.exists(name)  # noqa: PTH110 - of a name that is no text


def test_a_file_of_another_program_in_its_place_is_left_alone(
    limiter: SyncRateLimiter, path: Path, clock: TurnableClock
) -> None:
    removed(path)
    other = sqlite3.connect(path)
    other.execute("create table theirs (x)")
    other.close()
    clock.turn(1)
    with pytest.raises(RateLimiterUnavailable, match="tables of another program"):
        limiter.acquire("someone", "api", 1).__enter__()
