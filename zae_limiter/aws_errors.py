"""What AWS answers, as errors of ours; the one place where foreign errors are turned.

What matters is whether something was written: a failed condition and `NotWritten` say surely not,
`UnknownOutcome` that nobody knows. `InfrastructureNotFoundError`, `InfrastructureAccessError` and
`Rejected` end a call at once: surely not written, and a repeat would end the same way.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from zae_limiter.exceptions import (
    InfrastructureAccessError,
    InfrastructureNotFoundError,
    RateLimiterUnavailable,
    ZAELimiterError,
)

Item = Mapping[str, Any]


class ConditionFailed(ZAELimiterError):
    """A condition did not hold, so nothing was written; `image` is the record as it stands, None if there is none."""

    def __init__(self, image: Item | None) -> None:
        self.image = image
        super().__init__("the condition of a write did not hold")


class CancellationReason(NamedTuple):
    """Why one part of a transaction was not written: a code, `None` for a part that was in order."""

    code: str
    image: Item | None


class TransactionCanceled(ZAELimiterError):
    """A transaction was not written; `reasons` has one entry a part."""

    def __init__(self, reasons: Sequence[CancellationReason]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(f"a transaction was not written: {', '.join(reason.code for reason in self.reasons)}")


class NotWritten(RateLimiterUnavailable):
    """Surely nothing was written: no connection, a conflict, or throttled; a repeat may help."""


class Throttled(NotWritten):
    """The store turned a request away; `of_key` when it was for one key's traffic alone, None when not told."""

    def __init__(self, message: str, cause: Exception | None = None, *, stack_name: str, of_key: bool | None) -> None:
        super().__init__(message, cause, stack_name=stack_name)
        self.of_key = of_key


class UnknownOutcome(RateLimiterUnavailable):
    """The request may have been carried out or not: no answer, a broken one, or an error of the server."""


class AccessDenied(InfrastructureAccessError):
    """The role may not do this; credentials that are no good at all are an `InfrastructureAccessError` alone."""


class Rejected(ZAELimiterError):
    """The service will not have the request, and wrote nothing; `code` is its word for why."""

    def __init__(self, operation: str, code: str, reason: str) -> None:
        self.operation = operation
        self.code = code
        self.reason = reason
        super().__init__(f"{operation} was rejected: {code}: {reason}")


def turned(error: Exception, operation: str, name: str, service: str = "dynamodb") -> Exception:
    """The error of ours for what a client of AWS raised; anything that is not listed has an unknown outcome.

    `name` is what was called, `service` where actions of roles begin: they stand in the message.
    """
    response = getattr(error, "response", None)
    if isinstance(response, Mapping) and "Error" in response:
        return _answered(error, response, operation, name, service)
    kind = type(error).__name__
    if kind in _CREDENTIALS:
        return InfrastructureAccessError(name, f"no usable AWS credentials ({kind}: {error})")
    if kind in _NO_CONNECTION and not _was_connected(error):
        return NotWritten(f"no connection to AWS ({kind})", error, stack_name=name)
    return UnknownOutcome(f"no usable answer from AWS ({kind})", error, stack_name=name)


def _was_connected(error: Exception) -> bool:
    # The asynchronous client calls a connection that broke in the middle by the same name as one that never was.
    cause = getattr(error, "kwargs", {}).get("error")
    return cause is not None and not any(kind.__name__ in _NEVER_CONNECTED for kind in type(cause).__mro__)


def _answered(error: Exception, response: Mapping[str, Any], operation: str, name: str, service: str) -> Exception:
    code = str(response["Error"].get("Code", ""))
    message = str(response["Error"].get("Message", "") or response.get("message", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    if code == "ConditionalCheckFailedException":
        return ConditionFailed(response.get("Item"))
    if code == "TransactionCanceledException":
        found = response.get("CancellationReasons", ())
        return TransactionCanceled([CancellationReason(str(each.get("Code")), each.get("Item")) for each in found])
    if code in _THROTTLED:
        reasons = response.get("ThrottlingReasons") or response.get("throttlingReasons")
        return Throttled(
            f"throttled by AWS ({code})", error, stack_name=name, of_key=_is_of_key(reasons) if reasons else None
        )
    if code in _CONFLICTS:
        return NotWritten(f"another write is in the way ({code})", error, stack_name=name)
    if code == "ResourceNotFoundException":
        return InfrastructureNotFoundError(name)
    if status >= 500 or code == "TransactionInProgressException":
        return UnknownOutcome(f"AWS failed ({code or status})", error, stack_name=name)
    return _refused(code, message, f"{service}:{operation}", name)


def _is_of_key(reasons: Sequence[Mapping[str, Any]]) -> bool:
    return any(str(each.get("reason", "")).endswith("KeyRangeThroughputExceeded") for each in reasons)


def _refused(code: str, message: str, action: str, name: str) -> Exception:
    if code in _CLOCK or (code in _SIGNATURE and any(word in message for word in _CLOCK_WORDS)):
        return InfrastructureAccessError(
            name, f"the clock of this machine differs too much from that of AWS; set it ({code}: {message})"
        )
    if code in _DENIED:
        # A transaction is no action of its own: AWS names the one that a part of it lacks.
        told = _LACKING.search(message)
        return AccessDenied(name, f"access denied: allow the role {told[1] if told else action} ({message})")
    if code in _SIGNATURE or code in _EXPIRED:
        why = "expired" if code in _EXPIRED else "not accepted"
        return InfrastructureAccessError(name, f"the AWS credentials are {why} ({code}: {message})")
    if any(words in message for words in _FOREIGN_TABLE):
        return InfrastructureAccessError(name, f"it is not a table of zae-limiter ({message})")
    return Rejected(action.partition(":")[2], code, message)


def statement_error(error: Mapping[str, Any], name: str) -> Exception:
    """The error of ours for one statement of a batch, whose codes are shorter and carry no reasons."""
    code, message = str(error.get("Code", "")), str(error.get("Message", ""))
    if code == "ConditionalCheckFailed":
        return ConditionFailed(error.get("Item"))
    if code in _STATEMENT_THROTTLED:
        return Throttled(f"throttled by AWS ({code})", stack_name=name, of_key=None)
    if code == "TransactionConflict":
        return NotWritten(f"another write is in the way ({code})", stack_name=name)
    if code == "ResourceNotFound":
        return InfrastructureNotFoundError(name)
    if code == "AccessDenied":
        return AccessDenied(name, f"access denied: allow the role dynamodb:PartiQLUpdate ({message})")
    if code in ("ValidationError", "ItemCollectionSizeLimitExceeded", "DuplicateItem"):
        return Rejected("BatchExecuteStatement", code, message)
    return UnknownOutcome(f"AWS failed ({code})", stack_name=name)


_LACKING: Final = re.compile(r"not authorized to perform: ([a-z0-9-]+:\w+)")
# In the words of AWS, and in those of DynamoDB Local.
_FOREIGN_TABLE: Final = ("does not match the schema", "number of conditions on the keys is invalid")
_THROTTLED: Final = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "Throttling",
        "TooManyRequestsException",
    }
)
_STATEMENT_THROTTLED: Final = frozenset({"ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"})
_CONFLICTS: Final = frozenset({"TransactionConflictException", "ReplicatedWriteConflictException"})
_DENIED: Final = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "NotAuthorized"})
_EXPIRED: Final = frozenset({"ExpiredTokenException", "ExpiredToken"})
_CLOCK: Final = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})
_CLOCK_WORDS: Final = ("Signature expired", "Signature not yet current")
_SIGNATURE: Final = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignatureException",
        "IncompleteSignature",
        "MissingAuthenticationTokenException",
        "MissingAuthenticationToken",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "AuthFailure",
    }
)
_CREDENTIALS: Final = frozenset(
    {
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "NoAuthTokenError",
        "TokenRetrievalError",
        "RefreshWithMFAUnsupportedError",
        "SSOError",
        "SSOTokenLoadError",
        "UnauthorizedSSOTokenError",
        "ProfileNotFound",
        "UnknownCredentialError",
    }
)
_NO_CONNECTION: Final = frozenset({"EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError"})
_NEVER_CONNECTED: Final = frozenset(
    {
        "ClientConnectorError",
        "ConnectionTimeoutError",
        "ServerTimeoutError",
        "NewConnectionError",
        "ConnectTimeoutError",
        "ProxyError",
        "ClientHttpProxyError",
        "gaierror",
    }
)
