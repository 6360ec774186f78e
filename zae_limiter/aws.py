"""Opens clients of AWS services, of both kinds and on demand; the only module that knows an AWS library.

A client sends each request once: repeats are decided here or by the caller, never inside the library, where a
credit whose answer is lost would land ten times. What the answers mean is told by `aws_errors.py`.
"""

import asyncio
import contextlib
import logging
import os
import random
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from zae_limiter.alarm import TimeLimit
from zae_limiter.aws_errors import NotWritten, UnknownOutcome, turned
from zae_limiter.combining import left_running
from zae_limiter.exceptions import MissingExtraError, ValidationError
from zae_limiter.ports import Client, Clock, Runtime

Heard = Callable[[str, int, int], None]

# Actions of roles begin with the name of their service, which for streams is that of the tables.
_ACTIONS: Final = {"dynamodbstreams": "dynamodb"}
# A few of these go at once, each with what many wait for: they do not stand in line behind single requests.
_CARRIES_MANY: Final = frozenset({"BatchExecuteStatement"})
_OPEN_LANE: Final = contextlib.nullcontext()
_FIRST_PAUSE: Final = 0.025
_LONGEST_PAUSE: Final = 1.0

logger = logging.getLogger("zae_limiter.aws")


@dataclass(frozen=True, slots=True)
class Connection:
    """How a service is reached.

    Times are in seconds. `timeout` is the deadline of a call with all its tries; one try may take half of it
    for the answer and a quarter to connect, unless `read_timeout` or `connect_timeout` say otherwise.
    `session` is one of the caller's (aioboto3 or boto3, by the face), `client` a client that is open already:
    it keeps its own settings, and should not repeat by itself.
    """

    region: str | None = None
    endpoint_url: str | None = None
    timeout: float = 1.0
    connect_timeout: float | None = None
    read_timeout: float | None = None
    connections: int = 64
    session: Any = None
    client: Any = None

    def __post_init__(self) -> None:
        for name in ("timeout", "connect_timeout", "read_timeout"):
            value = getattr(self, name)
            if value is not None and (type(value) not in (int, float) or not 0.001 <= value <= 86_400):
                raise ValidationError(name, str(value), "must be a number of seconds from 0.001 to 86400")
        if type(self.connections) is not int or not 1 <= self.connections <= 10_000:
            raise ValidationError("connections", str(self.connections), "must be an int from 1 to 10000")
        if self.session is not None and self.client is not None:
            raise ValidationError("client", repr(self.client), "hand in a session or a client, not both")

    def settings(self) -> dict[str, Any]:
        """What the configuration of a client says."""
        return {
            "retries": {"total_max_attempts": 1, "mode": "standard"},
            "connect_timeout": self.timeout / 4 if self.connect_timeout is None else self.connect_timeout,
            "read_timeout": self.timeout / 2 if self.read_timeout is None else self.read_timeout,
            "max_pool_connections": self.connections,
            "tcp_keepalive": True,
            # Requests are made here, not by callers; checking each costs a tenth of a call.
            "parameter_validation": False,
            # A text of one's own: the client's is put together anew for each request, a twentieth of a call.
            "user_agent": "zae-limiter",
        }


class AsyncClient:
    """A client for an event loop; keeps `ports.Client`. Each loop and each process gets a connection of its own.

    `name` stands in messages; `heard` is told the date of each answer, and when it was sent and received.
    """

    def __init__(
        self, service: str, name: str, at: Connection, *, clock: Clock, runtime: Runtime, heard: Heard | None = None
    ) -> None:
        self._service = service
        self._name = name
        self._at = at
        self._clock = clock
        self._runtime = runtime
        self._heard = heard
        self._opened: dict[_Place, _AsyncMethods] = {}
        self._opening: dict[_Place, asyncio.Task[_AsyncMethods]] = {}

    async def open(self) -> None:
        """Open the client now rather than at the first call; nothing is sent."""
        await self._methods()

    async def close(self) -> None:
        """Close what this event loop opened; a client that was handed in is its owner's to close.

        Requests that are on their way are waited for as long as a call may take: their callers would be cancelled.
        """
        methods = self._opened.pop(_place(), None)
        if methods is None or self._at.client is not None:
            return
        try:
            await methods.answered(self._at.timeout)
        finally:
            await methods.client.__aexit__(None, None, None)

    async def once(self, operation: str, parameters: Mapping[str, Any], *, seconds: float) -> Mapping[str, Any]:
        """Send one request once; see `ports.Client`."""
        methods = self._opened.get(_place()) or await self._methods()
        lane = _OPEN_LANE if operation in _CARRIES_MANY else methods.lanes
        sent_ns: int | None = None
        try:
            async with methods, TimeLimit(seconds), lane:
                sent_ns = self._clock.now_ns()
                answer: Mapping[str, Any] = await methods[operation](**parameters)
        except methods.errors as error:
            if sent_ns is None:
                raise NotWritten("no connection was free in time", error, stack_name=self._name) from error
            _tell(self._heard, getattr(error, "response", None), sent_ns, self._clock)
            raise turned(error, operation, self._name, _ACTIONS.get(self._service, self._service)) from error
        _tell(self._heard, answer, sent_ns, self._clock)
        return answer

    async def call(self, operation: str, parameters: Mapping[str, Any], *, deadline_ns: int) -> Mapping[str, Any]:
        """Send a request until it is answered; see `ports.Client`."""
        return await _repeated(self, operation, parameters, deadline_ns, self._clock, self._runtime)

    async def _methods(self) -> "_AsyncMethods":
        place = _place()
        found = self._opened.get(place)
        if found is not None:
            return found
        opening = self._opening.get(place)
        if opening is None:
            # A task of its own: that the first of twenty who wait is cancelled must not concern the others.
            opening = self._opening[place] = asyncio.create_task(self._open(place))
            opening.add_done_callback(self._has_opened)
        return await left_running(opening)

    def _has_opened(self, task: "asyncio.Task[_AsyncMethods]") -> None:
        del self._opening[_place()]
        if not task.cancelled():
            task.exception()

    async def _open(self, place: "_Place") -> "_AsyncMethods":
        client = self._at.client
        if client is not None and self._opened:
            raise RuntimeError("the client that was handed in belongs to another event loop or process")
        for other in [other for other in self._opened if other[0] != place[0] or other[1].is_closed()]:
            del self._opened[other]
        if client is None:
            with _told_openly(self._at, self._name):
                session = self._at.session or _imported("aioboto3").Session()
                context = _made(session, self._service, self._at, _imported("aiobotocore.config").AioConfig)
                if not hasattr(context, "__aenter__"):
                    raise ValidationError("session", repr(session), "must be a session of aioboto3 or aiobotocore here")
                client = await context.__aenter__()
        methods = self._opened[place] = _AsyncMethods(client, self._at.connections)
        return methods


class BlockingClient:
    """A client for threads, which share it; keeps `ports.Client`. Otherwise as `AsyncClient`."""

    def __init__(
        self, service: str, name: str, at: Connection, *, clock: Clock, runtime: Runtime, heard: Heard | None = None
    ) -> None:
        self._service = service
        self._name = name
        self._at = at
        self._clock = clock
        self._runtime = runtime
        self._heard = heard
        self._opened: _Methods | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()

    async def open(self) -> None:
        """Open the client now rather than at the first call; nothing is sent."""
        self._methods()

    async def close(self) -> None:
        """Close what was opened here; a client that was handed in is its owner's to close."""
        methods, self._opened = self._opened, None
        if methods is not None and self._pid == os.getpid() and self._at.client is None:
            methods.client.close()

    async def once(self, operation: str, parameters: Mapping[str, Any], *, seconds: float) -> Mapping[str, Any]:
        """Send one request once; see `ports.Client`. Here the client's own settings keep the time, not `seconds`."""
        del seconds
        methods = self._methods()
        sent_ns = self._clock.now_ns()
        try:
            answer: Mapping[str, Any] = methods[operation](**parameters)
        except methods.errors as error:
            _tell(self._heard, getattr(error, "response", None), sent_ns, self._clock)
            raise turned(error, operation, self._name, _ACTIONS.get(self._service, self._service)) from error
        _tell(self._heard, answer, sent_ns, self._clock)
        return answer

    async def call(self, operation: str, parameters: Mapping[str, Any], *, deadline_ns: int) -> Mapping[str, Any]:
        """Send a request until it is answered; see `ports.Client`."""
        return await _repeated(self, operation, parameters, deadline_ns, self._clock, self._runtime)

    def _methods(self) -> "_Methods":
        if self._pid != os.getpid():
            # A lock that another thread held at the fork stays locked in the child; connections are the parent's.
            self._pid, self._lock, self._opened = os.getpid(), threading.Lock(), None
        opened = self._opened
        if opened is not None:
            return opened
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> "_Methods":
        if self._at.client is not None:
            return _Methods(self._at.client)
        with _told_openly(self._at, self._name):
            session = self._at.session or _imported("boto3").Session()
            if type(session).__module__.startswith(("aioboto3", "aiobotocore")):
                raise ValidationError("session", repr(session), "must be a session of boto3 or botocore here")
            return _Methods(_made(session, self._service, self._at, _imported("botocore.config").Config))


_Place = tuple[int, asyncio.AbstractEventLoop]


def _place() -> _Place:
    return os.getpid(), asyncio.get_running_loop()


class _Methods(dict[str, Callable[..., Any]]):
    """The methods of an open client by the names of the wire, and the errors they raise for the service's failures."""

    def __init__(self, client: Any) -> None:
        super().__init__()
        exceptions = _imported("botocore.exceptions")
        parse_error = _imported("botocore.parsers").ResponseParserError
        self.client = client
        self.errors = (exceptions.BotoCoreError, exceptions.ClientError, parse_error, OSError)
        retries = getattr(client.meta.config, "retries", None) or {}
        if retries.get("total_max_attempts") != 1:
            logger.warning(
                "the AWS client that was handed in repeats requests by itself: a credit may land more than once; "
                "make it with Config(retries={'total_max_attempts': 1})"
            )

    def __missing__(self, operation: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self.client, _imported("botocore").xform_name(operation))
        self[operation] = method
        return method


class _AsyncMethods(_Methods):
    """Those of a client for an event loop, with as many lanes as it has connections.

    A thousand requests that begin at once would all be signed before the first answer is read, and none would be
    answered in time: those beyond the connections wait in line, with nothing done for them yet.
    """

    def __init__(self, client: Any, connections: int) -> None:
        super().__init__(client)
        self.lanes = asyncio.Semaphore(connections)
        self._under_way = 0
        self._answered = asyncio.Event()

    async def __aenter__(self) -> None:
        self._under_way += 1

    async def __aexit__(self, *_: object) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._answered.set()

    async def answered(self, seconds: float) -> None:
        """Wait until no request is under way any more, for at most so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._under_way:
                    self._answered.clear()
                    await self._answered.wait()


def _imported(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError("aws", "DynamoDB") from error


def _made(session: Any, service: str, at: Connection, config: Callable[..., Any]) -> Any:
    make = session.client if hasattr(session, "client") else session.create_client
    return make(service, region_name=at.region, endpoint_url=at.endpoint_url, config=config(**at.settings()))


@contextlib.contextmanager
def _told_openly(at: Connection, name: str) -> Generator[None, None, None]:
    """Say what is wrong with a connection in the words of the argument that is."""
    try:
        yield
    except MissingExtraError:
        raise
    except Exception as error:
        kind = type(error).__name__
        if kind in ("NoRegionError", "InvalidRegionError", "UnknownRegionError"):
            reason = "must be an AWS region; pass it, or set AWS_REGION" if at.region is None else "is no AWS region"
            raise ValidationError("region", str(at.region), reason) from error
        if isinstance(error, ValueError) and any(word in str(error).lower() for word in ("endpoint", "url")):
            raise ValidationError("endpoint_url", str(at.endpoint_url), "must be a URL such as https://host") from error
        if isinstance(error, _imported("botocore.exceptions").BotoCoreError):
            raise turned(error, "open", name) from error
        raise


def _tell(heard: Heard | None, answer: object, sent_ns: int, clock: Clock) -> None:
    if heard is None or not isinstance(answer, Mapping):
        return
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if date is not None:
        heard(date, sent_ns, clock.now_ns())


async def _repeated(
    client: Client,
    operation: str,
    parameters: Mapping[str, Any],
    deadline_ns: int,
    clock: Clock,
    runtime: Runtime,
) -> Mapping[str, Any]:
    pause = _FIRST_PAUSE
    while True:
        rest = (deadline_ns - clock.monotonic_ns()) / 1e9
        try:
            return await client.once(operation, parameters, seconds=max(rest, 0.001))
        except (NotWritten, UnknownOutcome):
            rest = (deadline_ns - clock.monotonic_ns()) / 1e9
            wait = random.uniform(pause / 2, pause)
            if wait >= rest:
                raise
        await runtime.sleep(wait)
        pause = min(2 * pause, _LONGEST_PAUSE)
