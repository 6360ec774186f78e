"""Ids that no file can hold as text: the store tells them, and sqlite3 never sees them."""

from typing import Any

import pytest

from zae_limiter import SyncEmbeddedRepository, ValidationError

LONE_SURROGATE = "user-\ud800"


@pytest.fixture
def repository() -> SyncEmbeddedRepository:
    return SyncEmbeddedRepository().open()


def test_audit_events_of_what_is_no_text_are_refused(repository: SyncEmbeddedRepository) -> None:
    with pytest.raises(ValidationError, match="entity_id"):
        repository.get_audit_events(LONE_SURROGATE)
    with pytest.raises(ValidationError, match="start_event_id"):
        repository.get_audit_events("user-1", start_event_id=LONE_SURROGATE)


@pytest.mark.parametrize("namespace_id", [LONE_SURROGATE, "", "x" * 65, None, 1, b"id", ["id"], object()])
@pytest.mark.parametrize("call", ["recover_namespace", "purge_namespace"])
def test_a_namespace_id_that_is_no_text_is_refused(
    repository: SyncEmbeddedRepository, call: str, namespace_id: Any
) -> None:
    with pytest.raises(ValidationError, match="must be an id that list_orphan_namespaces tells"):
        getattr(repository, call)(namespace_id)
