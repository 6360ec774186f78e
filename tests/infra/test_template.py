"""The template: clean under the linter, agreeing with the library's table, keys, options and documentation."""

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.aggregator.pump import any_matches
from tests.aggregator.streams import audit_record, bucket_record
from tests.infra.template import Resolved, loaded
from zae_limiter import schema
from zae_limiter.exceptions import ValidationError
from zae_limiter.infra import template
from zae_limiter.models import StackOptions

FILE = Path(template.__file__).with_name("cfn_template.yaml")
LINTER = Path(sys.executable).with_name("cfn-lint")
EVERYTHING = StackOptions(
    alarm_sns_topic="arn:aws:sns:eu-central-1:123456789012:alarms",
    create_iam_roles=True,
    enable_tracing=True,
    enable_deletion_protection=True,
    pitr_recovery_days=7,
    permission_boundary="boundary",
    kms_key_arn="arn:aws:kms:eu-central-1:123456789012:key/1234",
    role_name_format="team-{}-role",
    policy_name_format="team-{}",
    lambda_architecture="arm64",
)


def resolved(options: StackOptions) -> Resolved:
    return Resolved(template.parameters_of(options, "limits"))


@pytest.mark.slow
def test_the_linter_has_nothing_to_say_not_even_in_passing() -> None:
    command = [str(LINTER), "--include-checks", "I", "--", str(FILE)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.stdout, done.returncode) == ("", 0)
    assert "cfn-lint" not in FILE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_linter_would_find_an_action_that_does_not_exist(tmp_path: Path) -> None:
    broken = tmp_path / "template.yaml"
    text = FILE.read_text(encoding="utf-8")
    broken.write_text(text.replace("dynamodb:PartiQLUpdate", "dynamodb:TransactWriteItems"), encoding="utf-8")

    done = subprocess.run([str(LINTER), "--", str(broken)], capture_output=True, text=True, check=False)

    assert "W3037" in done.stdout
    assert done.returncode != 0


def test_the_template_is_short_enough_to_be_sent_as_it_is() -> None:
    assert len(template.template_text().encode()) < 51_200


def table_properties(options: StackOptions) -> dict[str, Any]:
    properties: dict[str, Any] = resolved(options).resources()["RateLimitsTable"]["Properties"]
    return properties


def test_the_table_is_the_one_that_the_library_makes() -> None:
    properties = table_properties(StackOptions())
    made = schema.get_table_definition("limits")

    stream = made.pop("StreamSpecification")
    assert properties["StreamSpecification"]["StreamViewType"] == stream["StreamViewType"]
    assert {name: properties[name] for name in made} == made
    assert properties["TimeToLiveSpecification"] == {"AttributeName": schema.TTL, "Enabled": True}


def test_the_table_can_be_created_from_what_the_template_says(dynamodb_endpoint: str) -> None:
    properties = table_properties(StackOptions(enable_deletion_protection=True))
    client = boto3.client("dynamodb", endpoint_url=dynamodb_endpoint)
    name = f"template-{uuid.uuid4().hex[:8]}"
    # What DynamoDB Local lacks is left out; the stream is switched on by naming it.
    definition = {key: properties[key] for key in ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")}
    client.create_table(
        TableName=name,
        BillingMode=properties["BillingMode"],
        DeletionProtectionEnabled=properties["DeletionProtectionEnabled"],
        StreamSpecification={"StreamEnabled": True, **properties["StreamSpecification"]},
        **definition,
    )
    client.update_time_to_live(TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"])

    with pytest.raises(client.exceptions.ClientError, match=r"deletion protection|protected"):
        client.delete_table(TableName=name)
    client.update_table(TableName=name, DeletionProtectionEnabled=False)
    client.delete_table(TableName=name)
    client.close()


def test_options_decide_what_the_table_is_given() -> None:
    plain, full = table_properties(StackOptions()), table_properties(EVERYTHING)

    assert plain["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert (plain["DeletionProtectionEnabled"], "SSESpecification" in plain) == (False, False)
    assert full["PointInTimeRecoverySpecification"]["RecoveryPeriodInDays"] == "7"
    assert full["SSESpecification"]["KMSMasterKeyId"] == EVERYTHING.kms_key_arn
    assert full["DeletionProtectionEnabled"] is True


FUNCTION = "AggregatorFunction.Properties."
REACHES: dict[str, tuple[StackOptions, dict[str, str]]] = {
    "snapshot_windows": (
        StackOptions(snapshot_windows="monthly"),
        {FUNCTION + "Environment.Variables.SNAPSHOT_WINDOWS": "monthly"},
    ),
    "usage_retention_days": (
        StackOptions(usage_retention_days=7),
        {FUNCTION + "Environment.Variables.SNAPSHOT_TTL_DAYS": "7"},
    ),
    "lambda_memory": (StackOptions(lambda_memory=512), {FUNCTION + "MemorySize": "512"}),
    "lambda_timeout": (
        StackOptions(lambda_timeout=100),
        {FUNCTION + "Timeout": "100", "LambdaDurationAlarm.Properties.Threshold": "80000"},
    ),
    "lambda_duration_threshold_pct": (
        StackOptions(lambda_duration_threshold_pct=50),
        {"LambdaDurationAlarm.Properties.Threshold": "30000"},
    ),
    "lambda_architecture": (StackOptions(lambda_architecture="arm64"), {FUNCTION + "Architectures.0": "arm64"}),
    "log_retention_days": (
        StackOptions(log_retention_days=7),
        {"AggregatorLogGroup.Properties.RetentionInDays": "7"},
    ),
    "audit_archive_glacier_days": (
        StackOptions(audit_archive_glacier_days=7),
        {"AuditArchiveBucket.Properties.LifecycleConfiguration.Rules.0.Transitions.0.TransitionInDays": "7"},
    ),
    "pitr_recovery_days": (
        StackOptions(pitr_recovery_days=7),
        {"RateLimitsTable.Properties.PointInTimeRecoverySpecification.RecoveryPeriodInDays": "7"},
    ),
    # Kept in the table, not in the stack.
    "audit_retention_days": (StackOptions(audit_retention_days=7), {}),
}


def flat(part: Any, path: str = "") -> dict[str, Any]:
    """Every value with the way to it."""
    if not isinstance(part, dict | list):
        return {path: part}
    parts = part.items() if isinstance(part, dict) else enumerate(part)
    return {way: value for key, each in parts for way, value in flat(each, f"{path}.{key}".lstrip(".")).items()}


@pytest.mark.parametrize(("options", "changed"), REACHES.values(), ids=REACHES)
def test_an_option_reaches_what_it_is_about_and_nothing_else(options: StackOptions, changed: dict[str, str]) -> None:
    plain, other = flat(resolved(StackOptions()).resources()), flat(resolved(options).resources())

    assert plain.keys() <= other.keys()
    assert {way: value for way, value in other.items() if plain.get(way, object()) != value} == changed


def test_every_parameter_is_sent_by_the_library_and_none_besides() -> None:
    assert set(template.parameters_of(StackOptions(), "limits")) == set(loaded()["Parameters"])


@pytest.mark.parametrize("options", [StackOptions(), EVERYTHING])
def test_what_the_library_sends_is_what_a_parameter_may_be(options: StackOptions) -> None:
    for name, value in template.parameters_of(options, "limits").items():
        rules = loaded()["Parameters"][name]
        if "AllowedValues" in rules:
            assert value in map(str, rules["AllowedValues"]), name
        if "AllowedPattern" in rules:
            assert re.fullmatch(rules["AllowedPattern"], value), name
        if "MinValue" in rules:
            assert rules["MinValue"] <= int(value) <= rules["MaxValue"], name


def test_defaults_of_the_template_are_those_of_the_options() -> None:
    defaults = {name: str(rules["Default"]) for name, rules in loaded()["Parameters"].items()}

    assert template.parameters_of(StackOptions(), "limits") == defaults


def patterns() -> list[dict[str, Any]]:
    mapping = resolved(StackOptions()).resources()["AggregatorEventSourceMapping"]["Properties"]
    return [json.loads(each["Pattern"]) for each in mapping["FilterCriteria"]["Filters"]]


@pytest.mark.parametrize(
    ("record", "is_wanted"),
    [
        (bucket_record(1, None, {"rpm": 1}), True),
        (bucket_record(1, {"rpm": 1}, {"rpm": 2}), True),
        (bucket_record(1, {"rpm": 1}, None), False),
        (audit_record(1), True),
        (audit_record(1, entity="$SYSTEM"), True),
        (audit_record(1, by_ttl=False), False),
        ({**audit_record(1), "eventName": "INSERT"}, False),
    ],
)
def test_the_mapping_lets_through_what_the_aggregator_reads(record: dict[str, Any], is_wanted: bool) -> None:
    """Weak point W36: a filter for keys that no record had."""
    assert any_matches(patterns(), record) is is_wanted


@pytest.mark.parametrize(
    "key",
    [
        schema.entity_key("ns", "ada"),
        schema.config_key("ns", "ada", "api"),
        schema.usage_key("ns", "ada", "api", "daily", "2026-01-01T00:00:00Z"),
        schema.child_key("ns", "ada", "BUCKET"),
        schema.rollup_key("shardId-1"),
        schema.version_key(),
    ],
)
def test_the_mapping_lets_nothing_else_through(key: schema.Key) -> None:
    record = bucket_record(1, None, {"rpm": 1})
    record["dynamodb"]["Keys"] = {"PK": {"S": key.pk}, "SK": {"S": key.sk}}

    assert not any_matches(patterns(), record)


def test_the_mapping_keeps_what_fails_and_loses_nothing() -> None:
    """Weak point W43."""
    mapping = resolved(StackOptions()).resources()["AggregatorEventSourceMapping"]["Properties"]

    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert 0 < mapping["MaximumRecordAgeInSeconds"] <= 86_400
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == "arn:aws:AggregatorDLQ.Arn"


def alarms(options: StackOptions) -> dict[str, dict[str, Any]]:
    found = resolved(options).resources()
    return {name: each["Properties"] for name, each in found.items() if each["Type"] == "AWS::CloudWatch::Alarm"}


def test_every_alarm_goes_to_the_topic_if_there_is_one() -> None:
    assert set(alarms(EVERYTHING)) == set(alarms(StackOptions()))
    assert [alarm["AlarmActions"] for alarm in alarms(EVERYTHING).values()] == [[EVERYTHING.alarm_sns_topic]] * 8
    assert [name for name, alarm in alarms(StackOptions()).items() if "AlarmActions" in alarm] == []
    assert alarms(StackOptions(enable_alarms=False)) == {}


def test_index_and_dead_letters_have_alarms() -> None:
    """Weak point W43: neither had one that anybody heard."""
    told = {(alarm["MetricName"], len(alarm["Dimensions"])) for alarm in alarms(StackOptions()).values()}

    assert {("WriteThrottleEvents", 2), ("ReadThrottleEvents", 2), ("WriteThrottleEvents", 1)} <= told
    assert ("ApproximateNumberOfMessagesVisible", 1) in told
    assert set(alarms(StackOptions(enable_aggregator=False))) == {
        "DynamoDBReadThrottleAlarm",
        "DynamoDBWriteThrottleAlarm",
        "IndexReadThrottleAlarm",
        "IndexWriteThrottleAlarm",
    }
    indexes = {
        alarm["Dimensions"][1]["Value"] for alarm in alarms(StackOptions()).values() if len(alarm["Dimensions"]) > 1
    }
    assert indexes == {schema.LISTING}


def test_every_output_is_exported_under_the_stacks_name() -> None:
    outputs = resolved(EVERYTHING).outputs()

    assert all(output["Export"]["Name"].startswith("limits-") for output in outputs.values())
    assert len({output["Export"]["Name"] for output in outputs.values()}) == len(outputs) == len(loaded()["Outputs"])
    assert set(resolved(StackOptions(enable_aggregator=False, enable_alarms=False, create_iam=False)).outputs()) == {
        "TableName",
        "TableArn",
        "StreamArn",
        "PermissionBoundaryArn",
        "RoleNameFormat",
    }


@pytest.mark.parametrize(
    ("options", "types"),
    [
        (StackOptions(enable_aggregator=False, enable_alarms=False, create_iam=False), {"AWS::DynamoDB::Table"}),
        (
            StackOptions(enable_alarms=False, create_iam=False, aggregator_role_arn="arn:aws:iam::123456789012:role/r"),
            {
                "AWS::DynamoDB::Table",
                "AWS::Lambda::EventSourceMapping",
                "AWS::Lambda::Function",
                "AWS::Logs::LogGroup",
                "AWS::S3::Bucket",
                "AWS::S3::BucketPolicy",
                "AWS::SQS::Queue",
            },
        ),
    ],
)
def test_what_is_switched_off_is_not_made(options: StackOptions, types: set[str]) -> None:
    assert {each["Type"] for each in resolved(options).resources().values()} == types


def test_names_follow_the_formats_and_roles_the_boundary() -> None:
    resources = resolved(EVERYTHING).resources()
    roles = {name: each["Properties"] for name, each in resources.items() if each["Type"] == "AWS::IAM::Role"}

    assert {role["RoleName"] for role in roles.values()} == {
        f"team-limits-{part}-role" for part in ("aggr", "app", "admin", "read")
    }
    assert {role["PermissionsBoundary"] for role in roles.values()} == {"arn:aws:iam::123456789012:policy/boundary"}
    assert resources["NamespaceAcquirePolicy"]["Properties"]["ManagedPolicyName"] == "team-limits-ns-acq"
    plain = resolved(StackOptions(create_iam_roles=True)).resources()
    assert plain["AppRole"]["Properties"]["RoleName"] == "limits-app"
    assert "PermissionsBoundary" not in plain["AppRole"]["Properties"]


def test_what_holds_data_outlives_a_replacement() -> None:
    resources = resolved(EVERYTHING).resources()

    assert resources["RateLimitsTable"]["UpdateReplacePolicy"] == "Retain"
    assert resources["AuditArchiveBucket"]["DeletionPolicy"] == "Retain"


def test_a_name_leaves_room_for_that_of_the_function() -> None:
    assert template.parameters_of(StackOptions(), "a" * 53)["EnableAggregator"] == "true"
    assert template.parameters_of(StackOptions(enable_aggregator=False), "a" * 55)["EnableAggregator"] == "false"
    with pytest.raises(ValidationError, match="name: at most 53 characters leave room"):
        template.parameters_of(StackOptions(), "a" * 54)
