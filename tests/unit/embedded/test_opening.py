"""Opening a file: each thing that can be wrong has its error, and a locked file never shows a raw one."""

import sqlite3
from pathlib import Path

import pytest

from zae_limiter import (
    EmbeddedRepository,
    IncompatibleSchemaError,
    InfrastructureAccessError,
    InfrastructureNotFoundError,
    NamespaceNotFoundError,
    RateLimiter,
    RateLimiterUnavailable,
    SyncEmbeddedRepository,
    SyncRateLimiter,
    ValidationError,
)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "limits.db"
    path.write_bytes(b"this is a letter, and no database at all" * 50)
    with pytest.raises(InfrastructureAccessError, match="no SQLite database"):
        SyncEmbeddedRepository(str(path)).open()
    assert path.read_bytes().startswith(b"this is a letter")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureNotFoundError, match="create it first"):
        SyncEmbeddedRepository(str(tmp_path / "no" / "limits.db")).open()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureAccessError, match="the path is a folder"):
        SyncEmbeddedRepository(str(tmp_path)).open()


def test_the_tables_of_another_program_are_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "other.db")
    with sqlite3.connect(path) as other:
        other.execute("create table theirs (x)")
    other.close()
    with pytest.raises(InfrastructureAccessError, match="tables of another program"):
        SyncEmbeddedRepository(path).open()


@pytest.mark.parametrize(("schema", "remedy"), [("99", "install the newer library"), ("1", "move it away")])
def test_another_schema_is_refused_with_its_version_and_a_remedy(tmp_path: Path, schema: str, remedy: str) -> None:
    path = str(tmp_path / "limits.db")
    with SyncEmbeddedRepository(path):
        pass
    with sqlite3.connect(path) as other:
        other.execute("update store set schema_version = ?", (schema,))
    other.close()
    with pytest.raises(IncompatibleSchemaError, match=rf"{remedy}.*schema {schema}\b"):
        SyncEmbeddedRepository(path).open()


def test_a_namespace_that_is_not_there_is_named(tmp_path: Path) -> None:
    repository = SyncEmbeddedRepository(str(tmp_path / "limits.db"), namespace="tenant")
    with pytest.raises(NamespaceNotFoundError, match="register_namespace"):
        repository.open()
    repository.close()


@pytest.mark.parametrize("path", ["", "a\0b", 7])
def test_a_path_that_cannot_be_one_is_told_before_anything_is_touched(path: str) -> None:
    with pytest.raises(ValidationError, match="path"):
        EmbeddedRepository(path)


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    repository = SyncEmbeddedRepository(str(tmp_path / "limits.db"))
    with repository:
        assert repository.ping()
    assert not repository.ping()
    with pytest.raises(RuntimeError, match="is closed"):
        repository.get_entity("someone")
    with repository:
        assert repository.ping()


def test_a_limiter_is_closed_with_the_last_block_that_uses_it(tmp_path: Path) -> None:
    limiter = SyncRateLimiter(SyncEmbeddedRepository(str(tmp_path / "limits.db")))
    with limiter:
        with limiter:
            assert limiter.available("someone", "api", "1/day") == {"rpd": 1}
        assert limiter.available("someone", "api", "1/day") == {"rpd": 1}
    with pytest.raises(RuntimeError, match="is closed"):
        limiter.available("someone", "api", "1/day")


def test_a_limiter_that_cannot_be_opened_can_be_later(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    limiter = SyncRateLimiter(SyncEmbeddedRepository(str(folder / "limits.db")))
    with pytest.raises(InfrastructureNotFoundError), limiter:
        pytest.fail("there is no such folder")
    folder.mkdir()
    with limiter:
        assert limiter.available("someone", "api", "1/day") == {"rpd": 1}
    assert not limiter.repository.is_open


def test_a_file_locked_past_the_deadline_is_unavailable_or_a_degraded_lease(tmp_path: Path) -> None:
    path = str(tmp_path / "limits.db")
    with SyncRateLimiter(SyncEmbeddedRepository(path), timeout=0.05) as limiter:
        with limiter.acquire("someone", "api", 1, "9/minute"):
            pass
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("begin immediate")
        with pytest.raises(RateLimiterUnavailable, match="locked"), limiter.acquire("someone", "api", 1, "9/minute"):
            pass
        with limiter.acquire("someone", "api", 1, "9/minute", on_unavailable="allow") as lease:
            assert lease.degraded
        other.execute("rollback")
        other.close()
        with limiter.acquire("someone", "api", 1, "9/minute") as lease:
            assert not lease.degraded


@pytest.mark.anyio
async def test_a_file_locked_past_the_deadline_does_not_stop_the_loop(tmp_path: Path) -> None:
    path = str(tmp_path / "limits.db")
    async with RateLimiter(EmbeddedRepository(path), timeout=0.05) as limiter:
        async with limiter.acquire("someone", "api", 1, "9/minute"):
            pass
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("begin immediate")
        with pytest.raises(RateLimiterUnavailable, match="locked"):
            await limiter.acquire("someone", "api", 1, "9/minute").__aenter__()
        other.execute("rollback")
        other.close()


@pytest.mark.anyio
async def test_a_durable_file_waits_in_a_thread_and_grants_as_usual(tmp_path: Path) -> None:
    async with RateLimiter(EmbeddedRepository(str(tmp_path / "limits.db"), durable=True)) as limiter:
        assert not limiter.repository.capabilities.answers_inline
        async with limiter.acquire("someone", "api", 3, "9/hour") as lease:
            await lease.adjust(rph=2)
        assert await limiter.available("someone", "api", "9/hour") == {"rph": 4}
