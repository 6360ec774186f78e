"""Which schema a client may use, and which migrations stand between two schemas."""

import pytest

from zae_limiter import IncompatibleSchemaError, ValidationError, VersionMismatchError
from zae_limiter.dynamodb.table import Table
from zae_limiter.dynamodb.versions import Migration, check_version, parse_version, pending_migrations
from zae_limiter.schema import SCHEMA_VERSION


async def nothing(_: Table) -> None: ...


MIGRATIONS = [Migration(version, "", nothing) for version in ("1.1.0", "0.9.0", "1.0.0")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2.3", (1, 2, 3, True, "")),
        ("v1.2.3-rc1", (1, 2, 3, False, "rc1")),
        ("0.1.0.dev4+ab", (0, 1, 0, False, "dev4+ab")),
    ],
)
def test_a_version_is_read(text: str, expected: tuple[object, ...]) -> None:
    assert parse_version(text) == expected


@pytest.mark.parametrize("text", ["", "1.2", "1.2.3\n", "a.b.c", "1.2.3-"])
def test_what_is_no_version_is_told(text: str) -> None:
    with pytest.raises(ValidationError):
        parse_version(text)


def test_what_is_not_released_comes_before_its_release() -> None:
    assert parse_version("1.0.0-rc1") < parse_version("1.0.0-rc2") < parse_version("1.0.0") < parse_version("1.0.1-a")


def test_the_migrations_after_one_schema_up_to_another_come_in_order() -> None:
    assert [each.version for each in pending_migrations("0.8.0", "1.0.0", MIGRATIONS)] == ["0.9.0", "1.0.0"]
    assert pending_migrations("1.1.0", "1.1.0", MIGRATIONS) == []


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        (None, "no version record"),
        ({"schema_version": "2.0.0"}, "upgrade the library"),
        ({"schema_version": "0.9.0"}, "migrate()"),
        ({"schema_version": "nonsense"}, "is broken"),
        ({"schema_version": SCHEMA_VERSION, "client_min_version": "nonsense"}, "is broken"),
    ],
)
def test_a_client_that_does_not_fit_is_turned_away(stored: dict[str, str] | None, why: str) -> None:
    """W41."""
    with pytest.raises(IncompatibleSchemaError) as caught:
        check_version(stored, "my-app")
    assert why in str(caught.value)


def test_a_client_below_the_one_that_a_table_asks_for_is_turned_away() -> None:
    """W41."""
    stored = {"schema_version": SCHEMA_VERSION, "client_min_version": "99.0.0", "lambda_version": "98.0.0"}
    with pytest.raises(VersionMismatchError, match=r"asks for zae-limiter 99\.0\.0 or later; upgrade") as caught:
        check_version(stored, "my-app")
    assert (caught.value.lambda_version, caught.value.can_auto_update) == ("98.0.0", False)


def test_a_schema_below_ours_with_the_same_major_needs_its_migrations() -> None:
    """W41."""
    stored = {"schema_version": SCHEMA_VERSION, "client_min_version": "0.0.0"}
    check_version(stored, "my-app")
    check_version(stored, "my-app", migrations=[Migration("1.7.0", "", nothing)])
    older = {"schema_version": "1.0.0-beta"}
    with pytest.raises(IncompatibleSchemaError):
        check_version(older, "my-app", migrations=[Migration("1.0.0", "", nothing)])
