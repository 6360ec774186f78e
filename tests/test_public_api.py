"""What users may import: listed, sorted, complete, and quick to load.

Whether the names have the right types is asked of the type checkers, in `tests/typing/api.py`.
"""

import importlib
import inspect
import subprocess
import sys
from typing import Final

import pytest

import zae_limiter
from zae_limiter import exceptions, models

PACKAGES: Final = ("zae_limiter", "zae_limiter_http", "zae_limiter_asgi", "zae_limiter_django", "zae_limiter_flask")
BROUGHT_BY_EXTRAS: Final = frozenset(
    {
        "aioboto3",
        "boto3",
        "botocore",
        "django",
        "fastapi",
        "flask",
        "opentelemetry",
        "pydantic",
        "pytest",
        "starlette",
    }
)
FOR_WHO_WRITES_A_REPOSITORY: Final = frozenset({"Balance", "Debit", "Granted", "Image", "Refused"})


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a statement brings into a fresh interpreter."""
    program = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_names_of_a_package_are_sorted_and_there(package: str) -> None:
    module = importlib.import_module(package)
    names: list[str] = module.__all__

    assert names == sorted(set(names))
    assert [name for name in names if getattr(module, name, None) is None] == []
    assert set(names) <= set(dir(module))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'RateLimitter'"):
        getattr(zae_limiter, "RateLimitter")  # noqa: B009 - a type checker would refuse the plain form


def test_every_error_can_be_imported_from_the_root() -> None:
    errors = {name for name, kind in inspect.getmembers(exceptions, inspect.isclass) if issubclass(kind, Exception)}

    assert errors - set(zae_limiter.__all__) == set()


def test_deep_names_stay_private() -> None:
    names = set(zae_limiter.__all__)

    assert set(models.__all__) >= FOR_WHO_WRITES_A_REPOSITORY
    assert FOR_WHO_WRITES_A_REPOSITORY & names == set()
    assert [name for name in names if name.startswith("_")] == ["__version__"]
    assert [name for name in names if inspect.ismodule(getattr(zae_limiter, name))] == []


def test_importing_the_root_loads_nothing_that_an_extra_brings() -> None:
    everything = "import zae_limiter; [getattr(zae_limiter, name) for name in zae_limiter.__all__]"

    assert loaded_by(everything) & BROUGHT_BY_EXTRAS == set()
    assert loaded_by("import zae_limiter") & {"asyncio", "click", "rich", "sqlite3", *BROUGHT_BY_EXTRAS} == set()


def test_the_shared_http_package_and_the_middleware_load_no_framework() -> None:
    loaded = loaded_by("import zae_limiter_http, zae_limiter_asgi.middleware")

    assert loaded & {"django", "fastapi", "flask", "starlette"} == set()


PROMISED = """
    RateLimiter Repository RepositoryBuilder RepositoryProtocol Lease StackManager SyncRateLimiter SyncRepository
    SyncRepositoryBuilder SyncRepositoryProtocol SyncLease SyncConfigCache SyncStackManager EmbeddedRepository
    SyncEmbeddedRepository open_limiter open_sync_limiter current_lease Charge Limit LimiterInfo LimitName Entity
    LimitStatus BucketState UsageSnapshot UsageSummary ResourceCapacity EntityCapacity StackOptions BackendCapabilities
    Status CacheStats ConfigSource AuditEvent AuditAction OnUnavailable ZAELimiterError RateLimitError
    InfrastructureError EntityError VersionError RateLimitExceeded RateLimiterUnavailable EntityNotFoundError
    EntityExistsError StackCreationError StackAlreadyExistsError InfrastructureNotFoundError NamespaceNotFoundError
    VersionMismatchError IncompatibleSchemaError ValidationError InvalidIdentifierError InvalidNameError
"""


def test_the_names_that_users_were_promised_are_there() -> None:
    assert set(PROMISED.split()) <= set(zae_limiter.__all__)
