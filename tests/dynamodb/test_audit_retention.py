"""How long audit events are kept is said once, for one namespace, and stays so."""

from typing import Any

import boto3

from zae_limiter import Limit, SyncRepository
from zae_limiter.dynamodb.items import from_item
from zae_limiter.schema import TTL, audit_key
from zae_limiter.testing import TurnableClock

DAY = 86_400
RPM = [Limit.per_minute("rpm", 10)]


def days_kept(repository: SyncRepository, client: Any, clock: TurnableClock, entity: str) -> float:
    """For how many days the newest event of an entity is kept."""
    answer = client.query(
        TableName=repository.table_name,
        KeyConditionExpression="PK = :pk",
        ExpressionAttributeValues={":pk": {"S": audit_key(repository.namespace_id, entity, "").pk}},
        ScanIndexForward=False,
        Limit=1,
    )
    return float((from_item(answer["Items"][0])[TTL] - clock.now_ns() // 10**9) / DAY)


def test_a_retention_outlives_changes_of_the_system_and_is_of_one_namespace(
    shaky: SyncRepository, dynamodb_endpoint: str, clock: TurnableClock
) -> None:
    """Weak point W20: an option that went nowhere, or was dropped by the next change of the system's limits."""
    client = boto3.client("dynamodb", endpoint_url=dynamodb_endpoint or None)
    shaky.register_namespace("tenant")
    tenant = shaky.namespace("tenant")
    tenant.set_audit_retention(7)
    tenant.set_system_defaults(RPM)
    tenant.set_system_defaults(RPM, "allow")
    tenant.delete_system_defaults()
    tenant.create_entity("ada")
    shaky.open().create_entity("ada")

    assert (tenant.get_audit_retention(), shaky.get_audit_retention()) == (7, 90)
    assert days_kept(tenant, client, clock, "ada") == 7
    assert days_kept(shaky, client, clock, "ada") == 90
    client.close()
