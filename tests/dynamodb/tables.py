"""Names of tables that no other test uses."""

import uuid


def fresh_name() -> str:
    return f"test-{uuid.uuid4().hex[:16]}"
