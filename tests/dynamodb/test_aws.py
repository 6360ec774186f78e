"""Clients of both kinds over a real connection: opened once, never repeating, with errors of ours."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aioboto3
import boto3
import pytest
from botocore.config import Config

from tests.dynamodb.canned import Answer, Canned, failure
from zae_limiter.aws import AsyncClient, BlockingClient, Connection
from zae_limiter.aws_errors import ConditionFailed, NotWritten, UnknownOutcome
from zae_limiter.blocking import run
from zae_limiter.exceptions import InfrastructureNotFoundError, ValidationError
from zae_limiter.runtimes import AsyncRuntime, BlockingRuntime
from zae_limiter.system_clock import SystemClock

KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
READ = {"TableName": "my-app", "Key": {"PK": {"S": "a"}, "SK": {"S": "b"}}}
CLOCK = SystemClock()


def asynchronous(url: str, **options: Any) -> AsyncClient:
    options.setdefault("session", None if "client" in options else aioboto3.Session(**KEYS))
    at = Connection("eu-central-1", url, **options)
    return AsyncClient("dynamodb", "my-app", at, clock=CLOCK, runtime=AsyncRuntime())


def blocking(url: str, **options: Any) -> BlockingClient:
    options.setdefault("session", None if "client" in options else boto3.Session(**KEYS))
    at = Connection("eu-central-1", url, **options)
    return BlockingClient("dynamodb", "my-app", at, clock=CLOCK, runtime=BlockingRuntime())


def deadline(seconds: float) -> int:
    return CLOCK.monotonic_ns() + int(seconds * 1e9)


async def faces(url: str, **options: Any) -> list[Any]:
    return [asynchronous(url, **options), blocking(url, **options)]


async def test_one_client_is_opened_even_when_twenty_tasks_come_first() -> None:
    """W46."""
    made: list[int] = []

    class Session(aioboto3.Session):  # type: ignore[misc]
        def client(self, *args: Any, **kwargs: Any) -> Any:
            made.append(1)
            return super().client(*args, **kwargs)

    with Canned(Answer({"Item": {}})) as server:
        client = asynchronous(server.url, session=Session(**KEYS))
        await asyncio.gather(*(client.once("GetItem", READ, seconds=5) for _ in range(20)))
        await client.close()
    assert len(made) == 1
    assert len(server.asked) == 20


def test_one_client_is_opened_even_when_twenty_threads_come_first() -> None:
    """W46."""
    made: list[int] = []

    class Session:
        def client(self, *args: Any, **kwargs: Any) -> Any:
            made.append(1)
            return boto3.Session(**KEYS).client(*args, **kwargs)

    with Canned(Answer({"Item": {}})) as server:
        client = blocking(server.url, session=Session())
        barrier = threading.Barrier(20)

        def ask(_: int) -> None:
            barrier.wait(5)
            run(client.once("GetItem", READ, seconds=5))

        with ThreadPoolExecutor(20) as executor:
            list(executor.map(ask, range(20)))
        run(client.close())
    assert len(made) == 1
    assert len(server.asked) == 20


async def test_that_the_first_who_came_is_cancelled_does_not_concern_the_others() -> None:
    with Canned(Answer({"Item": {}})) as server:
        client = asynchronous(server.url)
        tasks = [asyncio.create_task(client.once("GetItem", READ, seconds=5)) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.gather(*tasks[1:])
        assert tasks[0].cancelled()
        await client.close()


async def test_a_request_is_sent_once_whatever_happens() -> None:
    for answer in (failure("InternalServerError", status=500), failure("ThrottlingException"), Answer(hang_up=True)):
        with Canned(answer) as server:
            for client in await faces(server.url):
                server.asked.clear()
                with pytest.raises((NotWritten, UnknownOutcome)):
                    await client.once("GetItem", READ, seconds=5)
                assert len(server.asked) == 1
                await client.close()


async def test_a_call_is_repeated_until_it_is_answered() -> None:
    with Canned(*[failure("ThrottlingException"), Answer(hang_up=True), Answer({"Item": {}})] * 2) as server:
        for client in await faces(server.url):
            assert (await client.call("GetItem", READ, deadline_ns=deadline(5)))["Item"] == {}
            await client.close()
        assert len(server.asked) == 6


async def test_a_call_ends_with_its_deadline() -> None:
    with Canned(failure("ThrottlingException")) as server:
        for client in await faces(server.url):
            await client.open()
            begun = CLOCK.monotonic_ns()
            # The last try may be cut off by the deadline itself, before its answer is read.
            with pytest.raises((NotWritten, UnknownOutcome)):
                await client.call("GetItem", READ, deadline_ns=deadline(1))
            assert CLOCK.monotonic_ns() - begun < 5_000_000_000
            assert len(server.asked) > 1
            await client.close()


async def test_what_would_end_the_same_way_is_not_repeated() -> None:
    with Canned(failure("ResourceNotFoundException")) as server:
        for client in await faces(server.url):
            server.asked.clear()
            with pytest.raises(InfrastructureNotFoundError):
                await client.call("GetItem", READ, deadline_ns=deadline(5))
            assert len(server.asked) == 1
            await client.close()


async def test_a_failed_condition_has_the_image() -> None:
    with Canned(failure("ConditionalCheckFailedException", Item={"w": {"S": "x"}})) as server:
        for client in await faces(server.url):
            with pytest.raises(ConditionFailed) as caught:
                await client.once("UpdateItem", READ, seconds=5)
            assert caught.value.image == {"w": {"S": "x"}}
            await client.close()


async def test_nobody_there_is_surely_not_written() -> None:
    with Canned() as server:
        url = server.url
    for client in await faces(url):
        with pytest.raises(NotWritten):
            await client.once("UpdateItem", READ, seconds=5)
        await client.close()


async def test_the_date_of_each_answer_is_told_with_when_it_was_sent_and_received() -> None:
    heard: list[tuple[str, int, int]] = []
    at = [Connection("eu-central-1", session=session) for session in (aioboto3.Session(**KEYS), boto3.Session(**KEYS))]
    with Canned(Answer({"Item": {}}), failure("ConditionalCheckFailedException")) as server:
        at = [Connection("eu-central-1", server.url, session=each.session) for each in at]

        def hear(date: str, sent_ns: int, received_ns: int) -> None:
            heard.append((date, sent_ns, received_ns))

        first = AsyncClient("dynamodb", "my-app", at[0], clock=CLOCK, runtime=AsyncRuntime(), heard=hear)
        second = BlockingClient("dynamodb", "my-app", at[1], clock=CLOCK, runtime=BlockingRuntime(), heard=hear)
        await first.once("GetItem", READ, seconds=5)
        with pytest.raises(ConditionFailed):
            await second.once("UpdateItem", READ, seconds=5)
        await first.close()
        await second.close()
    assert len(heard) == 2
    for date, sent_ns, received_ns in heard:
        assert date.endswith("GMT")
        assert sent_ns < received_ns


def test_each_event_loop_has_a_connection_of_its_own() -> None:
    with Canned(Answer({"Item": {}})) as server:
        client = asynchronous(server.url)

        async def ask() -> None:
            await client.once("GetItem", READ, seconds=5)
            assert len(client._opened) == 1

        async def ask_and_close() -> None:
            await ask()
            await client.close()

        asyncio.run(ask_and_close())
        asyncio.run(ask_and_close())
        assert len(server.connections) == 2


def test_a_client_that_was_handed_in_says_that_it_belongs_to_another_loop() -> None:
    with Canned(Answer({"Item": {}})) as server:
        found: list[AsyncClient] = []

        async def ask() -> None:
            session = aioboto3.Session(**KEYS)
            config = Config(retries={"total_max_attempts": 1})
            async with session.client("dynamodb", "eu-central-1", endpoint_url=server.url, config=config) as own:
                client = asynchronous(server.url, client=own)
                found.append(client)
                await client.once("GetItem", READ, seconds=5)
                await client.close()
                await own.get_item(**READ)
                await client.once("GetItem", READ, seconds=5)

        async def ask_elsewhere() -> None:
            await found[0].once("GetItem", READ, seconds=5)

        asyncio.run(ask())
        with pytest.raises(RuntimeError, match="another event loop"):
            asyncio.run(ask_elsewhere())


def test_a_client_that_repeats_by_itself_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    with Canned(Answer({"Item": {}})) as server:
        own = boto3.Session(**KEYS).client("dynamodb", "eu-central-1", endpoint_url=server.url)
        client = blocking(server.url, client=own)
        run(client.once("GetItem", READ, seconds=5))
        run(client.close())
        own.get_item(**READ)
        own.close()
    assert "a credit may land more than once" in caplog.text


def test_a_child_that_was_forked_opens_a_connection_of_its_own() -> None:
    with Canned(Answer({"Item": {}})) as server:
        client = blocking(server.url)
        run(client.once("GetItem", READ, seconds=5))
        client._lock.acquire()
        pid = os.fork()
        if pid == 0:  # pragma: no cover - the child is not measured
            try:
                run(client.once("GetItem", READ, seconds=5))
                os._exit(0 if client._pid == os.getpid() else 1)
            finally:
                os._exit(2)
        _, status = os.waitpid(pid, 0)
        client._lock.release()
        assert os.waitstatus_to_exitcode(status) == 0
        run(client.once("GetItem", READ, seconds=5))
        run(client.close())
        assert len(server.connections) == 2


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("timeout", {"timeout": 0}),
        ("connect_timeout", {"connect_timeout": True}),
        ("read_timeout", {"read_timeout": 1e9}),
        ("connections", {"connections": 0}),
        ("client", {"client": object(), "session": object()}),
    ],
)
def test_what_cannot_be_set_is_told_by_its_name(field: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        Connection(**options)
    assert caught.value.field == field


async def test_a_region_or_an_address_that_is_none_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    for field, region, url in (
        ("region", None, None),
        ("region", "not a region", None),
        ("endpoint_url", "eu-central-1", "no-url"),
    ):
        at = Connection(region, url, session=boto3.Session(**KEYS))
        with pytest.raises(ValidationError) as caught:
            run(BlockingClient("dynamodb", "my-app", at, clock=CLOCK, runtime=BlockingRuntime()).open())
        assert caught.value.field == field


async def test_a_session_of_the_other_kind_is_told() -> None:
    with Canned() as server:
        for client in (
            asynchronous(server.url, session=boto3.Session(**KEYS)),
            blocking(server.url, session=aioboto3.Session(**KEYS)),
        ):
            with pytest.raises(ValidationError, match="session"):
                await client.open()
