"""How writes to buckets travel: one alone as an `UpdateItem`, those that wait at the same time as one batch.

A few flights go side by side; nobody waits for company when one is free.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from zae_limiter.aws_errors import AccessDenied, Rejected, Throttled, UnknownOutcome, statement_error
from zae_limiter.dynamodb.expressions import Update, fits_statement, statement, update_item
from zae_limiter.exceptions import ZAELimiterError
from zae_limiter.ports import AGAIN, Client, Clock, Runtime
from zae_limiter.schema import Key

_SIDE_BY_SIDE: Final = 2
_STATEMENTS: Final = 25

logger = logging.getLogger("zae_limiter.store")


class _Sent(NamedTuple):
    """One write on its way."""

    update: Update
    deadline_ns: int


class Flights:
    """Sends writes to the buckets of one table; each answers with the record after it, or with an error."""

    def __init__(self, client: Client, table_name: str, *, clock: Clock, runtime: Runtime) -> None:
        self._client = client
        self._table_name = table_name
        self._clock = clock
        self._runtime = runtime
        self._may_batch = True

    async def send(self, update: Update, *, may_batch: bool, deadline_ns: int) -> Mapping[str, Any]:
        """Send one write; `may_batch` says that the last image has all that a statement of PartiQL needs."""
        if not (may_batch and self._may_batch and fits_statement(update, self._table_name)):
            return await self._alone(update, deadline_ns)
        sent = _Sent(update, deadline_ns)
        try:
            found: Mapping[str, Any] = await self._runtime.combined(
                (id(self), "flights"),
                sent,
                self._fly,
                seconds=self._rest(deadline_ns),
                width=_SIDE_BY_SIDE,
                most=_STATEMENTS,
                # A flight is asked for by the write of a group, which runs to its end.
                is_shielded=True,
            )
        except TimeoutError as error:
            raise UnknownOutcome("no answer in time", error, stack_name=self._table_name) from error
        return found

    async def send_all(
        self, updates: Sequence[Update], may_batch: Sequence[bool], *, deadline_ns: int
    ) -> list[Mapping[str, Any] | Exception]:
        """Send writes to different buckets at once, in one batch as far as that can be, without waiting for others."""
        flying = [
            place
            for place, (update, allowed) in enumerate(zip(updates, may_batch, strict=True))
            if allowed and self._may_batch and fits_statement(update, self._table_name)
        ]
        if len(flying) < 2:
            return await self._each_alone(updates, deadline_ns)
        found: dict[int, Mapping[str, Any] | Exception] = {}
        for start in range(0, len(flying), _STATEMENTS):
            places = flying[start : start + _STATEMENTS]
            going = [_Sent(updates[place], deadline_ns) for place in places]
            found.update(zip(places, await self._batch(going), strict=True))
        others = [place for place in range(len(updates)) if place not in found]
        alone = await self._each_alone([updates[place] for place in others], deadline_ns)
        found.update(zip(others, alone, strict=True))
        return [found[place] for place in range(len(updates))]

    async def _alone(self, update: Update, deadline_ns: int) -> Mapping[str, Any]:
        parameters = update_item(update, self._table_name)
        answer = await self._client.once("UpdateItem", parameters, seconds=self._rest(deadline_ns))
        found: Mapping[str, Any] | None = answer.get("Attributes")
        if found is None:
            raise UnknownOutcome("an answer without a record", stack_name=self._table_name)
        return found

    async def _fly(self, members: Sequence[_Sent]) -> Sequence[Any]:
        # A batch takes each key once: a credit beside a debit of the same bucket goes with the next.
        flying: dict[Key, _Sent] = {}
        for each in members:
            flying.setdefault(each.update.key, each)
        going = list(flying.values())
        found = await self._batch(going) if len(going) > 1 else [await self._answer_alone(going[0])]
        answers = dict(zip(flying, found, strict=True))
        return [answers[each.update.key] if flying[each.update.key] is each else AGAIN for each in members]

    async def _answer_alone(self, sent: _Sent) -> Mapping[str, Any] | Exception:
        try:
            return await self._alone(sent.update, sent.deadline_ns)
        except ZAELimiterError as error:
            return error

    async def _batch(self, going: Sequence[_Sent]) -> list[Mapping[str, Any] | Exception]:
        deadline_ns = max(each.deadline_ns for each in going)
        statements = {"Statements": [statement(each.update, self._table_name) for each in going]}
        try:
            answer = await self._client.once("BatchExecuteStatement", statements, seconds=self._rest(deadline_ns))
        except (AccessDenied, Rejected) as error:
            self._without_batches(error)
            return await self._each_alone([each.update for each in going], deadline_ns)
        except ZAELimiterError as error:
            return [error] * len(going)
        told = answer.get("Responses", ())
        if len(told) != len(going):
            broken = UnknownOutcome("an answer without its parts", stack_name=self._table_name)
            return [broken] * len(going)
        found = [self._told(each) for each in told]
        again = [place for place, each in enumerate(found) if isinstance(each, (Throttled, Rejected, AccessDenied))]
        if again:
            for place in again:
                self._without_batches(found[place])
            alone = await self._each_alone([going[place].update for place in again], deadline_ns)
            for place, each in zip(again, alone, strict=True):
                found[place] = each
        return found

    def _told(self, response: Mapping[str, Any]) -> Mapping[str, Any] | Exception:
        if "Error" in response:
            return statement_error(response["Error"], self._table_name)
        item: Mapping[str, Any] | None = response.get("Item")
        return item or UnknownOutcome("an answer without a record", stack_name=self._table_name)

    def _without_batches(self, error: object) -> None:
        if isinstance(error, AccessDenied) and self._may_batch:
            self._may_batch = False
            logger.warning("the role lacks dynamodb:PartiQLUpdate: each charge is a call of its own")

    async def _each_alone(self, updates: Sequence[Update], deadline_ns: int) -> list[Mapping[str, Any] | Exception]:
        steps = [self._alone(update, deadline_ns) for update in updates]
        outcomes = await self._runtime.together(steps)
        for outcome in outcomes:
            if outcome.error is not None and not isinstance(outcome.error, Exception):
                raise outcome.error
        return [outcome.error if isinstance(outcome.error, Exception) else outcome.value for outcome in outcomes]

    def _rest(self, deadline_ns: int) -> float:
        return max(0.001, (deadline_ns - self._clock.monotonic_ns()) / 1e9)
