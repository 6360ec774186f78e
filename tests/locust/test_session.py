"""What Locust is told of each call, in a process of its own: importing Locust patches the sockets of all."""

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.slow

_PROGRAM = """
import json, os, sys
from locust.env import Environment
from locust.exception import StopTest
from zae_limiter.locust import RateLimiterUser
from zae_limiter import RateLimitExceeded, ValidationError

class Caller(RateLimiterUser):
    store = "memory:"

told = []
environment = Environment()
environment.events.request.add_listener(
    lambda **facts: told.append([facts["request_type"], facts["name"], type(facts["exception"]).__name__])
)
user, other = Caller(environment), Caller(environment)
assert user.client.limiter is other.client.limiter
client = user.client
client.set_system_defaults("10/minute"); client.get_system_defaults()
client.set_resource_defaults("api", "10/minute"); client.get_resource_defaults("api")
client.list_resources_with_defaults()
client.create_entity("user-1", display_name="Anna", name="entities", parent_id="acme")
assert client.get_entity("user-1").name == "Anna"
client.get_children("acme")
client.set_limits("user-1", "5/minute", resource="api"); client.get_limits("user-1", resource="api")
with client.acquire("user-1", "api", 1) as lease:
    lease.adjust(rpm=1)
with client.acquire("user-1", "api", 1, "9/hour", name="shown") as lease:
    pass
for consume, error in ((9, RateLimitExceeded), ({"tpm": 1}, ValidationError)):
    try:
        with client.acquire("user-1", "api", consume):
            raise AssertionError
    except error:
        pass
try:
    with client.acquire("user-2", "api", 1) as lease:
        lease.adjust(rpm=1)
        raise KeyError
except KeyError:
    pass
client.available("user-1", "api"); client.time_until_available("user-1", "api", {"rpm": 1})
assert client.is_available()
client.delete_limits("user-1", resource="api"); client.delete_entity("user-1")
client.delete_resource_defaults("api"); client.delete_system_defaults()
try:
    client.get_entity("no#body")
except ValidationError:
    pass
Caller.store = ""
try:
    Caller(environment)
except StopTest as stopped:
    told.append(["STOPPED", str(stopped), ""])
os.environ.update(TARGET_STACK_NAME="my-app", TARGET_REGION="eu-central-1", AWS_DEFAULT_REGION="eu-central-1")
told.append(["ADDRESS", Caller(environment).client.limiter.repository.address, ""])
print(json.dumps(told))
"""


def told() -> list[list[Any]]:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found: list[list[Any]] = json.loads(done.stdout)
    return found


def test_each_call_is_told_with_its_name_and_its_error() -> None:
    found = told()

    assert [(kind, name) for kind, name, error in found if error == "NoneType"] == [
        ("SET_SYSTEM_DEFAULTS", "system"),
        ("GET_SYSTEM_DEFAULTS", "system"),
        ("SET_RESOURCE_DEFAULTS", "api"),
        ("GET_RESOURCE_DEFAULTS", "api"),
        ("LIST_RESOURCES_WITH_DEFAULTS", "system"),
        ("CREATE_ENTITY", "entities"),
        ("GET_ENTITY", "user-1"),
        ("GET_CHILDREN", "acme"),
        ("SET_LIMITS", "api"),
        ("GET_LIMITS", "api"),
        ("ACQUIRE", "api"),
        ("COMMIT", "api"),
        ("ACQUIRE", "shown"),
        ("RATE_LIMITED", "api"),
        ("ACQUIRE", "api"),
        ("AVAILABLE", "api"),
        ("TIME_UNTIL_AVAILABLE", "api"),
        ("IS_AVAILABLE", "system"),
        ("DELETE_LIMITS", "api"),
        ("DELETE_ENTITY", "user-1"),
        ("DELETE_RESOURCE_DEFAULTS", "api"),
        ("DELETE_SYSTEM_DEFAULTS", "system"),
    ]
    assert [(kind, error) for kind, _, error in found if error.endswith("Error")] == [
        ("ACQUIRE", "ValidationError"),
        ("GET_ENTITY", "InvalidIdentifierError"),
    ]
    assert found[-2][:2] == [
        "STOPPED",
        "name the store: RateLimiterUser.store, --host, ZAE_LIMITER_STORE or TARGET_STACK_NAME",
    ]
    assert found[-1][1].startswith("dynamodb://my-app")
