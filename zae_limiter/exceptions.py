"""Every error of the library, each with its facts as attributes and a message that says what to do.

ZAELimiterError
|- RateLimitError            RateLimitExceeded
|- InfrastructureError       RateLimiterUnavailable, InfrastructureNotFoundError,
|                            InfrastructureAccessError, NamespaceNotFoundError, LocalStoreError,
|                            StackCreationError (StackAlreadyExistsError)
|- EntityError               EntityExistsError, EntityNotFoundError
|- VersionError              IncompatibleSchemaError, VersionMismatchError
|- MissingExtraError         (also an ImportError)
`- ValidationError           InvalidIdentifierError, InvalidNameError (all are ValueErrors)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zae_limiter.models import LimitStatus


def _restored(kind: type[ZAELimiterError], args: tuple[Any, ...], facts: dict[str, Any]) -> ZAELimiterError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(facts)
    return error


class ZAELimiterError(Exception):
    """The root of every error that this library raises on purpose. All of them survive pickle and copy."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__)


class RateLimitError(ZAELimiterError):
    """A charge was not granted."""


class InfrastructureError(ZAELimiterError):
    """The store cannot be used."""


class EntityError(ZAELimiterError):
    """An entity is not as the call needs it."""


class VersionError(ZAELimiterError):
    """The store and this library do not fit together."""


class RateLimitExceeded(RateLimitError):  # noqa: N818 - the name is the public one
    """A charge does not fit into at least one of its limits; nothing was charged.

    `statuses` has every limit of the charge as it stood before it, the entity's first, then its parents'.
    """

    def __init__(self, statuses: list[LimitStatus]) -> None:
        violations = [status for status in statuses if status.exceeded]
        if not violations:
            raise ValueError("statuses: at least one must be exceeded")
        self.statuses = list(statuses)
        self.violations = violations
        self.passed = [status for status in statuses if not status.exceeded]
        self.primary_violation = max(violations, key=lambda status: status.retry_after_seconds)
        super().__init__(self._message())

    def _message(self) -> str:
        first = self.primary_violation
        names = ", ".join(dict.fromkeys(status.limit_name for status in self.violations))
        subject = f"rate limit exceeded for {first.entity_id!r} on {first.resource!r}: {names}"
        if self.retryable:
            return f"{subject}; try again in {self.retry_after_seconds:.1f} s"
        return f"{subject}; asked for {first.requested}, more than the burst of {first.limit.burst} can ever grant"

    @property
    def retryable(self) -> bool:
        """Whether the same charge can be granted after a wait; false when it is above a burst."""
        return all(status.retryable for status in self.violations)

    @property
    def retry_after_seconds(self) -> float:
        """Seconds until the same charge could be granted; `math.inf` when it never can."""
        return self.primary_violation.retry_after_seconds

    @property
    def wait_ns(self) -> int | None:
        """The exact wait in nanoseconds, the longest of all violations; None when waiting does not help."""
        return max(status.wait_ns for status in self.violations) if self.retryable else None

    @property
    def retry_after_header(self) -> str | None:
        """The value of a `Retry-After` header: whole seconds, rounded up, at least 1 (RFC 9110, 10.2.3).

        None when waiting does not help: then the header is left out.
        """
        wait = self.wait_ns
        return None if wait is None else str(max(1, -(-wait // 1_000_000_000)))

    def as_dict(self) -> dict[str, Any]:
        """The refusal as plain data, for logs and for clients that may know the entity.

        `retry_after_seconds` and `retry_after_ms` are None when the charge can never be granted.
        """
        seconds = _finite(self.retry_after_seconds)
        return {
            "error": "rate_limit_exceeded",
            "message": str(self),
            "retryable": self.retryable,
            "retry_after_seconds": seconds,
            "retry_after_ms": None if seconds is None else math.ceil(round(seconds * 1000, 3)),
            "limits": [_status_as_dict(status) for status in self.statuses],
        }


def _finite(seconds: float) -> float | None:
    return None if math.isinf(seconds) else seconds


def _status_as_dict(status: LimitStatus) -> dict[str, Any]:
    return {
        "entity_id": status.entity_id,
        "resource": status.resource,
        "limit_name": status.limit_name,
        "capacity": status.limit.capacity,
        "burst": status.limit.burst,
        "available": status.available,
        "requested": status.requested,
        "exceeded": status.exceeded,
        "retry_after_seconds": _finite(status.retry_after_seconds),
    }


class RateLimiterUnavailable(InfrastructureError):  # noqa: N818 - the name is the public one
    """The store did not answer in time, or failed; whether to let the work pass is `on_unavailable`'s to say."""

    def __init__(
        self,
        message: str,
        cause: Exception | None = None,
        *,
        stack_name: str | None = None,
        entity_id: str | None = None,
        resource: str | None = None,
    ) -> None:
        self.cause = cause
        self.stack_name = stack_name
        self.table_name = stack_name
        self.entity_id = entity_id
        self.resource = resource
        context = {"store": stack_name, "entity_id": entity_id, "resource": resource}
        told = ", ".join(f"{key}={value}" for key, value in context.items() if value is not None)
        super().__init__(f"{message} [{told}]" if told else message)


class InfrastructureNotFoundError(InfrastructureError):
    """What should hold the state is not there: a file's folder, a table."""

    def __init__(self, stack_name: str, reason: str = "does not exist; create it first") -> None:
        self.stack_name = stack_name
        self.table_name = stack_name
        self.reason = reason
        super().__init__(f"the store {stack_name!r} {reason}")


class InfrastructureAccessError(InfrastructureError):
    """The store is there, but this process may not use it, or it is not a store of ours."""

    def __init__(self, stack_name: str, reason: str) -> None:
        self.stack_name = stack_name
        self.table_name = stack_name
        self.reason = reason
        super().__init__(f"the store {stack_name!r} cannot be used: {reason}")


class LocalStoreError(InfrastructureError):
    """A local store cannot be started, found or stopped; the message says what to do."""


class StackCreationError(InfrastructureError):
    """A stack could not be created, changed or deleted, or its function not be brought up to date.

    `events` are what CloudFormation told of the resources that failed, the first cause first.
    """

    def __init__(self, stack_name: str, reason: str, events: list[dict[str, Any]] | None = None) -> None:
        self.stack_name = stack_name
        self.reason = reason
        self.events = events or []
        causes = "; ".join(f"{event.get('resource')}: {event.get('reason')}" for event in self.events[:3])
        super().__init__(f"the stack {stack_name!r} {reason}" + (f" ({causes})" if causes else ""))


class StackAlreadyExistsError(StackCreationError):
    """Somebody else has created a stack of that name meanwhile."""


class NamespaceNotFoundError(InfrastructureError):
    """No namespace of that name is registered."""

    def __init__(self, namespace_name: str) -> None:
        self.namespace_name = namespace_name
        super().__init__(f"namespace {namespace_name!r} does not exist; register it with register_namespace()")


class EntityExistsError(EntityError):
    """An entity with that identifier is there already."""

    def __init__(self, entity_id: str) -> None:
        self.entity_id = entity_id
        super().__init__(f"entity {entity_id!r} exists already; change it with update_entity()")


class EntityNotFoundError(EntityError):
    """There is no such entity (or no such namespace id, in `recover_namespace`)."""

    def __init__(self, entity_id: str) -> None:
        self.entity_id = entity_id
        super().__init__(f"{entity_id!r} does not exist; create it first")


class IncompatibleSchemaError(VersionError):
    """The store was written by a version of the library that this one cannot read."""

    def __init__(
        self, client_version: str, schema_version: str, message: str, migration_guide_url: str | None = None
    ) -> None:
        self.client_version = client_version
        self.schema_version = schema_version
        self.migration_guide_url = migration_guide_url
        guide = f"; see {migration_guide_url}" if migration_guide_url else ""
        super().__init__(f"{message} (schema {schema_version}, library {client_version}){guide}")


class VersionMismatchError(VersionError):
    """The schema is one that this library can read, but the store asks for a later version of the library.

    `can_auto_update` says whether the library can bring the two together by itself.
    """

    def __init__(
        self,
        client_version: str,
        schema_version: str,
        lambda_version: str | None,
        message: str,
        can_auto_update: bool = False,  # noqa: FBT001, FBT002 - users know it by its place
    ) -> None:
        self.client_version = client_version
        self.schema_version = schema_version
        self.lambda_version = lambda_version
        self.can_auto_update = can_auto_update
        super().__init__(f"{message} (schema {schema_version}, library {client_version})")


class MissingExtraError(ZAELimiterError, ImportError):
    """An optional dependency is not installed; the message names the command that installs it."""

    def __init__(self, extra: str, needed_for: str) -> None:
        self.extra = extra
        self.needed_for = needed_for
        super().__init__(f"{needed_for} needs an optional dependency: pip install 'zae-limiter[{extra}]'")


class ValidationError(ZAELimiterError, ValueError):
    """An argument cannot be used; nothing was written."""

    def __init__(self, field: str, value: str, reason: str) -> None:
        self.field = field
        value = str(value)  # what is wrong with it may be its type
        self.value = value if len(value) <= 50 else value[:50] + "..."
        self.reason = reason
        super().__init__(f"{field}: {reason} (got {self.value!r})")


class InvalidIdentifierError(ValidationError):
    """An entity, parent or principal has a name that cannot be used."""


class InvalidNameError(ValidationError):
    """A limit or resource has a name that cannot be used."""
