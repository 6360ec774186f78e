"""The function's package as Lambda runs it: unpacked where nothing of the project is, under the real runtime client.

The environment has that client and what Lambda itself provides, boto3. The role is the template's, in front of
DynamoDB Local; the archive is a bucket of moto's server.
"""

import ast
import contextlib
import gzip
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.aggregator import runtime_api
from tests.aggregator.conftest import StreamedTable
from tests.aggregator.pump import Pump
from tests.aggregator.runtime_api import FunctionFailedError, RuntimeApi
from tests.aggregator.streams import audit_record
from tests.dynamodb.local_server import ENVIRONMENT
from tests.environments import environment, needed
from tests.infra.gate import Gate, guarded
from tests.infra.template import TABLE_ARN, Resolved, loaded
from zae_limiter.infra.lambda_builder import HANDLER, build_lambda_package, get_package_info, write_lambda_package
from zae_limiter.schema import PK, SK, TTL, USAGE_SK, Key, usage_of
from zae_limiter.windows import seconds_after

TEMPLATE = Resolved({})
ROLE = TEMPLATE.statements("AggregatorRole")
BUCKET = "archive-of-audit-events"
USAGE: Any = {"ExpressionAttributeValues": {":sk": {"S": USAGE_SK}}}


def contents() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(build_lambda_package())) as package:
        return {name: package.read(name) for name in package.namelist()}


def test_the_same_sources_are_the_same_bytes(tmp_path: Path) -> None:
    """Another process, another order of hashes, another time: the same package."""
    build = "import sys; from zae_limiter.infra.lambda_builder import write_lambda_package as w; w(sys.argv[1])"
    for seed in ("1", "2"):
        path = tmp_path / seed
        subprocess.run(
            [sys.executable, "-c", build, str(path)],
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "TZ": f"UTC-{seed}"},
            cwd=Path(__file__).parents[2],
        )
        assert path.read_bytes() == build_lambda_package()
    assert write_lambda_package(tmp_path / "3") == len(build_lambda_package())


def test_the_package_is_small_and_holds_what_the_aggregator_needs_alone() -> None:
    names = set(contents())

    assert {"index.py", "zae_limiter/__init__.py", "zae_limiter/aggregator/handler.py"} <= names
    assert not [name for name in names if name.split("/")[1:2] in (["cli"], ["infra"], ["embedded"], ["dynamodb"])]
    assert {name for name in names if not name.endswith(".py")} == set()
    # Lambda takes 50 MB packed when it is sent as it is, and 250 MB unpacked.
    assert len(build_lambda_package()) < 100_000
    info = get_package_info()
    assert info["python_files"] == len(names)
    assert info["uncompressed_size"] == sum(map(len, contents().values()))
    assert info["handler"] == HANDLER == loaded()["Resources"]["AggregatorFunction"]["Properties"]["Handler"]


def test_the_package_is_of_text_for_any_processor_and_the_pythons_that_the_template_may_name() -> None:
    runtime = loaded()["Resources"]["AggregatorFunction"]["Properties"]["Runtime"]

    assert runtime in ("python3.12", "python3.13", "python3.14")
    for name, text in contents().items():
        ast.parse(text, name, feature_version=(3, 12))


@pytest.fixture(scope="module")
def function_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the runtime client and boto3, and nothing of the project."""
    return environment(tmp_path_factory.mktemp("lambda"), needed(["awslambdaric", "boto3"]))


@pytest.fixture(scope="module")
def objects() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield client
        client.close()
        server.stop()


@pytest.fixture
def gate(table: StreamedTable) -> Iterator[Gate]:
    """The table under the function's own role."""
    with guarded(table.endpoint, table.name, TABLE_ARN) as made:
        made.statements = ROLE
        yield made


@pytest.fixture
def function(
    function_python: Path, table: StreamedTable, gate: Gate, objects: Any, tmp_path: Path
) -> Iterator[RuntimeApi]:
    """The function, running."""
    with zipfile.ZipFile(io.BytesIO(build_lambda_package())) as package:
        package.extractall(tmp_path)
    with runtime_api.served() as api:
        variables = {
            **ENVIRONMENT,
            **TEMPLATE.resources()["AggregatorFunction"]["Properties"]["Environment"]["Variables"],
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "limits-aggregator",
            "AWS_ENDPOINT_URL_DYNAMODB": gate.url,
            "AWS_ENDPOINT_URL_S3": objects.meta.endpoint_url,
            "TABLE_NAME": table.name,
            "ARCHIVE_BUCKET_NAME": BUCKET,
            "SNAPSHOT_WINDOWS": "daily,monthly",
            "SNAPSHOT_TTL_DAYS": "7",
        }
        command = [str(function_python), "-m", "awslambdaric", HANDLER]
        log = (tmp_path / "log").open("wb")
        process = subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=log, stderr=log)
        with contextlib.closing(log):
            yield api
            process.kill()
            process.wait()


def poisoned(record: dict[str, Any]) -> dict[str, Any]:
    """The same record with a counter that is no number."""
    broken: dict[str, Any] = json.loads(json.dumps(record))
    broken["dynamodb"]["NewImage"]["u.rpm"] = {"S": "not a number"}
    return broken


@pytest.mark.slow
def test_the_project_is_not_in_the_environment(function_python: Path) -> None:
    ask = (
        "import importlib.util as u; print([n for n in ('zae_limiter', 'click', 'rich', 'aioboto3') if u.find_spec(n)])"
    )
    done = subprocess.run([str(function_python), "-c", ask], capture_output=True, text=True, check=True, cwd="/")

    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_the_function_counts_a_stream_and_names_the_one_record_that_is_poisoned(
    function: RuntimeApi, table: StreamedTable, gate: Gate, tmp_path: Path
) -> None:
    """Weak point W43: what fails is told, what is good is counted, and a batch that comes again changes nothing."""
    for amount in (1, 2, 4):
        table.charge("ada", rpm=amount)
    table.charge("bob", rpm=8)
    first, second, third, fourth = table.records()
    batch = {"Records": [first, second, third, poisoned(fourth)]}

    for _ in range(2):
        answer = function.invoke(batch)
        assert answer == {"batchItemFailures": [{"itemIdentifier": fourth["dynamodb"]["SequenceNumber"]}]}
        assert (table.used("ada"), table.used("bob")) == ({"rpm": 7}, {})

    # In the windows and for the days that its environment names.
    assert (table.used("ada", "monthly"), table.used("ada", "hourly")) == ({"rpm": 7}, {})
    kept = table.dynamodb.scan(TableName=table.name, FilterExpression="begins_with(SK, :sk)", **USAGE)["Items"]
    for item in kept:
        *_, window, start = usage_of(Key(item[PK]["S"], item[SK]["S"]))
        assert int(item[TTL]["N"]) == seconds_after(window, start) + 7 * 86_400
    assert len(kept) == 2
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert fourth["dynamodb"]["SequenceNumber"] in log
    assert "not counted and delivered again: mend the cause within a day" in log
    assert function.invoke({"Records": [fourth]}) == {"batchItemFailures": []}
    assert table.used("bob") == {"rpm": 8}
    assert gate.denied == []
    allowed = {each["Action"] for each in ROLE if each["Sid"] == "WriteUsage"}
    assert {asked.action for asked in gate.passed} == allowed == {"dynamodb:UpdateItem"}


@pytest.mark.slow
def test_a_poisoned_record_is_given_up_alone_in_the_end(function: RuntimeApi, table: StreamedTable) -> None:
    for entity in ("ada", "bob", "eve"):
        table.charge(entity, rpm=1)
    records = table.records()
    records[1] = poisoned(records[1])
    pump = Pump(function.invoke)

    pump.deliver(records)

    assert pump.given_up == [[records[1]]]
    assert [table.used(entity) for entity in ("ada", "bob", "eve")] == [{"rpm": 1}, {}, {"rpm": 1}]


@pytest.mark.slow
def test_a_batch_of_which_nothing_can_be_done_is_an_error_of_the_function(
    function: RuntimeApi, table: StreamedTable, gate: Gate
) -> None:
    """Weak point W43: such a batch is delivered again, and counts in the alarm on errors."""
    table.charge("ada", rpm=1)
    gate.statements = []

    with pytest.raises(FunctionFailedError, match="BatchFailedError"):
        function.invoke({"Records": table.records()})
    gate.statements = ROLE
    assert function.invoke({"Records": table.records()}) == {"batchItemFailures": []}
    assert table.used("ada") == {"rpm": 1}


@pytest.mark.slow
def test_expired_events_are_in_the_bucket_once_however_often_they_come(function: RuntimeApi, objects: Any) -> None:
    """Weak point W36: audit events that expire are archived."""
    batches = ([1, 2], [2, 3], [1, 2, 3])
    for numbers in batches:
        answer = function.invoke({"Records": [audit_record(number) for number in numbers]})
        assert answer == {"batchItemFailures": []}

    (found,) = objects.list_objects_v2(Bucket=BUCKET)["Contents"]
    lines = gzip.decompress(objects.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read()).splitlines()
    assert [int(json.loads(line)["event_id"]) for line in lines] == [1, 2, 3]
