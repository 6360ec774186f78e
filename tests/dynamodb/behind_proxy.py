"""A limiter on either face whose table is reached through the tests' own proxy."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeAlias

import boto3

from tests.conformance.faces import Awaited
from tests.dynamodb.proxy import Proxy
from tests.dynamodb.tables import fresh_name
from tests.patience import PatientBlockingRuntime, PatientRuntime
from zae_limiter import Limit, RateLimiter, RateLimiterUnavailable, Repository, SyncRateLimiter, SyncRepository
from zae_limiter.aws_errors import ConditionFailed, Rejected, TransactionCanceled
from zae_limiter.blocking import run
from zae_limiter.exceptions import ZAELimiterError
from zae_limiter.runtimes import AsyncRuntime, BlockingRuntime
from zae_limiter.schema import bucket_key
from zae_limiter.system_clock import SystemClock

TEN: Final = Limit.per_day("rpd", 10)
"""So slow that a test sees nothing of it come back."""
_OURS_ALONE: Final = (ConditionFailed, Rejected, TransactionCanceled)


class Shop:
    """The limiter, the proxy before its table, and what the table holds."""

    def __init__(self, face: str, endpoint: str, proxy: Proxy, **options: Any) -> None:
        self.face = face
        self.proxy = proxy
        self.name = fresh_name()
        self._setup = SyncRepository(self.name, endpoint_url=endpoint or None, timeout=30.0)
        self._setup.create_table()
        self._setup.open()
        self._raw = boto3.client("dynamodb", endpoint_url=endpoint or None)
        self._timeout = options.pop("charge_timeout", 30.0)
        self._clock: Any = options.pop("clock", None)
        clock, timed = self._clock, {} if self._clock is None else {"clock": self._clock}
        self._runtime: Any
        if face == "async":
            self._runtime = AsyncRuntime() if clock is None else PatientRuntime(clock)
            self._repository: Any = Repository(
                self.name, endpoint_url=proxy.url, runtime=self._runtime, **timed, **options
            )
        else:
            self._runtime = BlockingRuntime() if clock is None else PatientBlockingRuntime(clock)
            self._repository = SyncRepository(
                self.name, endpoint_url=proxy.url, runtime=self._runtime, **timed, **options
            )
        self.renew()

    def renew(self) -> None:
        """A limiter that has seen no failure yet, over the same repository."""
        clock = self._clock or SystemClock()
        options: dict[str, Any] = {"clock": clock, "runtime": self._runtime, "timeout": self._timeout}
        if self.face == "async":
            self.limiter: Any = RateLimiter(self._repository, **options)
        else:
            self.limiter = Awaited(SyncRateLimiter(self._repository, **options))

    async def close(self) -> None:
        self.proxy.heal()
        await self.limiter.close()
        self._setup.delete_table()
        self._setup.close()
        self._raw.close()

    async def warm(self, *entities: str, limits: Any = (TEN,)) -> None:
        """Let each have been charged once, so that the next charge is one write."""
        # By a repository that has time; in a test of short time-outs a busy machine would be late.
        self._setup.set_system_defaults(list(limits))
        for entity in entities:
            await self.charge(entity)
        self.proxy.served.clear()

    async def charge(self, entity: str = "someone", amount: Any = 1, **options: Any) -> Any:
        async with self.limiter.acquire(entity, "api", amount, **options) as lease:
            return lease

    async def warm_in_peace(self, entity: str) -> None:
        """The same for a limiter of short deadlines, which a busy machine would make late."""
        while True:
            with contextlib.suppress(RateLimiterUnavailable):
                return await self.warm(entity)

    def adopt(self, entity: str, parent: str) -> None:
        """Make an entity whose charges count at its parent, too."""
        self._setup.create_entity(parent)
        self._setup.create_entity(entity, parent_id=parent, cascade=True)

    async def fail(self, entity: str, *, before: Callable[[], Any]) -> None:
        """A charge whose work fails, which gives it back."""
        async with self.limiter.acquire(entity, "api", 1):
            before()
            raise KeyError("the work failed")

    async def many(self, entities: list[str], amount: Any = 1, **options: Any) -> list[Any]:
        """Charges at the same time, by tasks or by sixteen threads: leases and errors, in their order."""
        if self.face == "async":
            return await asyncio.gather(
                *(self.charge(entity, amount, **options) for entity in entities), return_exceptions=True
            )

        def charge(entity: str) -> Any:
            try:
                return run(self.charge(entity, amount, **options))
            except Exception as error:  # noqa: BLE001 - looked at by the test
                return error

        with ThreadPoolExecutor(16) as executor:
            return list(executor.map(charge, entities))

    def used(self, entity: str = "someone") -> int:
        """What the table has counted, credits taken off."""
        key = bucket_key(self._setup.namespace_id, entity, "api")
        answer = self._raw.get_item(
            TableName=self.name, Key={"PK": {"S": key.pk}, "SK": {"S": key.sk}}, ConsistentRead=True
        )
        return int(answer["Item"][f"u.{TEN.name}"]["N"]) if "Item" in answer else 0


def is_ours(error: BaseException) -> bool:
    """Whether an error is one that users are told of."""
    return isinstance(error, ZAELimiterError) and not isinstance(error, _OURS_ALONE)


Open: TypeAlias = Callable[..., Shop]
