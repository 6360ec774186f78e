"""What AWS answers, as errors of ours: what is surely not written is told from what nobody knows."""

import copy
import pickle
from typing import Any

import pytest

from zae_limiter.aws_errors import (
    AccessDenied,
    CancellationReason,
    ConditionFailed,
    NotWritten,
    Rejected,
    Throttled,
    TransactionCanceled,
    UnknownOutcome,
    statement_error,
    turned,
)
from zae_limiter.exceptions import InfrastructureAccessError, InfrastructureNotFoundError


class ServiceError(Exception):
    """What a client raises for an answer that is an error."""

    def __init__(self, code: str, message: str = "as the test wanted", status: int = 400, **more: Any) -> None:
        self.response = {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},
            **more,
        }
        super().__init__(code)


def told(code: str, message: str = "", status: int = 400, **more: Any) -> Exception:
    return turned(ServiceError(code, message, status, **more), "UpdateItem", "my-app")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ProvisionedThroughputExceededException", 400, Throttled),
        ("RequestLimitExceeded", 400, Throttled),
        ("ThrottlingException", 400, Throttled),
        ("TransactionConflictException", 400, NotWritten),
        ("InternalServerError", 500, UnknownOutcome),
        ("ServiceUnavailable", 503, UnknownOutcome),
        ("TransactionInProgressException", 400, UnknownOutcome),
        ("ResourceNotFoundException", 400, InfrastructureNotFoundError),
        ("AccessDeniedException", 400, AccessDenied),
        ("UnrecognizedClientException", 400, InfrastructureAccessError),
        ("ExpiredTokenException", 400, InfrastructureAccessError),
        ("InvalidSignatureException", 400, InfrastructureAccessError),
        ("ValidationException", 400, Rejected),
        ("SomethingNewException", 400, Rejected),
    ],
)
def test_each_answer_is_one_kind_of_error(code: str, status: int, kind: type[Exception]) -> None:
    assert type(told(code, status=status)) is kind


def test_a_failed_condition_has_the_image() -> None:
    found = told("ConditionalCheckFailedException", Item={"w": {"S": "x"}})
    assert isinstance(found, ConditionFailed)
    assert found.image == {"w": {"S": "x"}}
    gone = told("ConditionalCheckFailedException")
    assert isinstance(gone, ConditionFailed)
    assert gone.image is None


def test_a_canceled_transaction_has_a_reason_a_part() -> None:
    found = told(
        "TransactionCanceledException",
        CancellationReasons=[{"Code": "None"}, {"Code": "ConditionalCheckFailed", "Item": {"w": {"S": "x"}}}],
    )
    assert isinstance(found, TransactionCanceled)
    assert found.reasons == (
        CancellationReason("None", None),
        CancellationReason("ConditionalCheckFailed", {"w": {"S": "x"}}),
    )


@pytest.mark.parametrize(
    ("field", "reason", "of_key"),
    [
        ("ThrottlingReasons", "TableWriteKeyRangeThroughputExceeded", True),
        ("throttlingReasons", "TableWriteKeyRangeThroughputExceeded", True),
        ("ThrottlingReasons", "TableWriteProvisionedThroughputExceeded", False),
        ("ThrottlingReasons", "TableWriteAccountLimitExceeded", False),
    ],
)
def test_a_throttled_key_is_told_from_a_throttled_table(field: str, reason: str, of_key: bool) -> None:
    more: dict[str, Any] = {field: [{"reason": reason, "resource": "arn"}]}
    found = told("ThrottlingException", **more)
    assert isinstance(found, Throttled)
    assert found.of_key is of_key


def test_throttling_without_a_reason_is_of_nobody_knows_what() -> None:
    found = told("ThrottlingException")
    assert isinstance(found, Throttled)
    assert found.of_key is None


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        ("InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than", "the clock of this"),
        ("InvalidSignatureException", "Signature not yet current: 2026", "the clock of this machine"),
        ("RequestTimeTooSkewed", "", "the clock of this machine"),
        ("InvalidSignatureException", "The request signature we calculated does not match", "are not accepted"),
        ("ExpiredTokenException", "The security token included in the request is expired", "are expired"),
        ("AccessDeniedException", "User: x is not authorized", "dynamodb:UpdateItem"),
        ("ValidationException", "The provided key element does not match the schema", "not a table of zae-limiter"),
    ],
)
def test_what_cannot_be_used_says_why(code: str, message: str, said: str) -> None:
    found = told(code, message)
    assert isinstance(found, InfrastructureAccessError)
    assert said in str(found)


class Broken(Exception):  # noqa: N818 - named as the client names it
    def __init__(self, error: Exception | None) -> None:
        self.kwargs = {"error": error}
        super().__init__("no connection")


EndpointConnectionError = type("EndpointConnectionError", (Broken,), {})
ConnectTimeoutError = type("ConnectTimeoutError", (Broken,), {})
ClientConnectorError = type("ClientConnectorError", (OSError,), {})
ClientConnectorDNSError = type("ClientConnectorDNSError", (ClientConnectorError,), {})
ServerTimeoutError = type("ServerTimeoutError", (TimeoutError,), {})
ClientOSError = type("ClientOSError", (OSError,), {})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EndpointConnectionError(ClientConnectorError()), NotWritten),
        (EndpointConnectionError(ClientConnectorDNSError()), NotWritten),
        (EndpointConnectionError(None), NotWritten),
        (ConnectTimeoutError(ServerTimeoutError()), NotWritten),
        (EndpointConnectionError(ClientOSError()), UnknownOutcome),
        (TimeoutError(), UnknownOutcome),
        (type("ConnectionClosedError", (Broken,), {})(None), UnknownOutcome),
        (type("ResponseParserError", (Exception,), {})(), UnknownOutcome),
        (type("NoCredentialsError", (Exception,), {})(), InfrastructureAccessError),
    ],
)
def test_no_connection_is_told_from_a_connection_that_broke(error: Exception, kind: type[Exception]) -> None:
    assert type(turned(error, "UpdateItem", "my-app")) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ConditionalCheckFailed", ConditionFailed),
        ("ThrottlingError", Throttled),
        ("ProvisionedThroughputExceeded", Throttled),
        ("RequestLimitExceeded", Throttled),
        ("TransactionConflict", NotWritten),
        ("ResourceNotFound", InfrastructureNotFoundError),
        ("AccessDenied", AccessDenied),
        ("ValidationError", Rejected),
        ("InternalServerError", UnknownOutcome),
        ("SomethingNew", UnknownOutcome),
    ],
)
def test_a_statement_of_a_batch_fails_in_shorter_words(code: str, kind: type[Exception]) -> None:
    assert type(statement_error({"Code": code, "Message": "as the test wanted"}, "my-app")) is kind


def test_they_survive_pickle_and_copy() -> None:
    for code in ("ThrottlingException", "ConditionalCheckFailedException", "ValidationException"):
        error = told(code)
        for same in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert (type(same), str(same)) == (type(error), str(error))


def test_denied_access_names_the_action_that_a_part_of_a_transaction_lacks() -> None:
    message = "User: arn:aws:iam::1:user/x is not authorized to perform: dynamodb:PutItem on resource: arn:aws:x"
    error = turned(ServiceError("AccessDeniedException", message), "TransactWriteItems", "my-app")

    assert "allow the role dynamodb:PutItem (" in str(error)
