"""The chapter of buckets as they stand: of an entity, of a resource, one by one; and how they are made full again."""

from collections.abc import Sequence
from typing import Final

from zae_limiter.decision import bucket_state
from zae_limiter.dynamodb.buckets import Buckets
from zae_limiter.dynamodb.deletion import Deletion
from zae_limiter.dynamodb.entities import entity_of
from zae_limiter.dynamodb.items import key_of
from zae_limiter.dynamodb.place import Event, Place
from zae_limiter.dynamodb.stored import shifted, stored_bucket
from zae_limiter.dynamodb.table import Delete
from zae_limiter.exceptions import RateLimiterUnavailable
from zae_limiter.models import (
    AuditAction,
    BucketState,
    ConfigSource,
    Debit,
    Entity,
    Image,
    Limit,
    OnUnavailableAction,
    Stale,
)
from zae_limiter.naming import check_identifier, check_limit_name, check_optional_principal, check_resource
from zae_limiter.schema import Key, bucket_key, bucket_of, entity_key, listing_parts

_AT_ONCE: Final = 24


class BucketStates(Buckets):
    """Tells how the buckets of one namespace stand."""

    _place: Place
    _deletion: Deletion

    async def read(self, keys: Sequence[tuple[str, str]]) -> Sequence[Image]:
        """The buckets of these entities and resources, in order; a bucket that is not there has no balances."""
        namespace_id = await self._place.id()
        wanted = [bucket_key(namespace_id, *key) for key in keys]
        found = await self._place.table.get_items(wanted)
        images = [stored_bucket(found.get(key)).image for key in wanted]
        # Times are kept by the table's clock, and told by this machine's.
        offset_ns = self._bucket_table.offset_ns
        return [shifted(image, -offset_ns) for image in images] if offset_ns else images

    async def resolve_limits(
        self, entity_id: str, resource: str
    ) -> tuple[list[Limit] | None, OnUnavailableAction | None, ConfigSource | None]:
        """The limits in force; the repository's to say."""
        raise NotImplementedError

    async def get_bucket(self, entity_id: str, resource: str, limit_name: str) -> BucketState | None:
        """One limit in force of a bucket; None if it, or the bucket, is not there."""
        check_limit_name(limit_name)
        states = await self.get_buckets(entity_id, resource)
        return next((state for state in states if state.limit_name == limit_name), None)

    async def get_buckets(self, entity_id: str, resource: str | None = None) -> list[BucketState]:
        """Every limit in force of the buckets that an entity has, of one resource or of all."""
        check_identifier(entity_id)
        if resource is not None:
            check_resource(resource)
            return await self._states([(entity_id, resource)])
        keys = await self._deletion.buckets(await self._place.id(), entity_id)
        return await self._states([bucket_of(key.pk)[1:] for key in keys])

    async def batch_get_buckets(self, keys: list[tuple[str, str]]) -> dict[tuple[str, str, str], BucketState]:
        """The limits in force of several buckets, by entity, resource and limit; those that are not there left out."""
        for entity_id, resource in keys:
            check_identifier(entity_id)
            check_resource(resource)
        states = await self._states(list(dict.fromkeys(keys)))
        return {(state.entity_id, state.resource, state.limit_name): state for state in states}

    async def batch_get_entity_and_buckets(
        self, entity_id: str, bucket_keys: list[tuple[str, str]]
    ) -> tuple[Entity | None, dict[tuple[str, str, str], BucketState]]:
        """An entity, or None, and the limits in force of several buckets, as `batch_get_buckets` has them."""
        check_identifier(entity_id)
        buckets = await self.batch_get_buckets(bucket_keys)
        stored = await self._place.table.get(entity_key(await self._place.id(), entity_id))
        return None if stored is None else entity_of(entity_id, stored), buckets

    async def get_or_create_bucket(self, entity_id: str, resource: str, limit: Limit) -> BucketState:
        """One limit of a bucket; where the bucket or the limit is not there yet it begins full."""
        check_identifier(entity_id)
        check_resource(resource)
        (image,) = await self.read([(entity_id, resource)])
        while limit.name not in image:
            # A charge of nothing makes what is missing, and takes along nothing that others have done meanwhile.
            nothing = Debit(entity_id, resource, (limit,), {limit.name: 0})
            now_ns, deadline_ns = self._place.clock.now_ns(), self._place.table.deadline_ns()
            found = await self.debit([nothing], now_ns=now_ns, deadline_ns=deadline_ns)
            if not isinstance(found, Stale):
                (image,) = found.images
                break
        balance = image.get(limit.name)
        if balance is None:
            reason = f"the bucket of {entity_id!r} for {resource!r} is throttled; try again"
            raise RateLimiterUnavailable(reason, stack_name=self._place.table.name)
        return bucket_state(entity_id, resource, limit, balance, self._place.clock.now_ns())

    async def get_resource_buckets(self, resource: str, limit_name: str | None = None) -> list[BucketState]:
        """Every bucket of a resource, of one limit or of all; one that was made a moment ago may be missing."""
        check_resource(resource)
        if limit_name is not None:
            check_limit_name(limit_name)
        parts = listing_parts(await self._place.id(), resource=resource)
        found = [bucket_of(key_of(item).pk)[1:] for item in await self._place.table.listed(parts, "BUCKET#")]
        states = await self._states(sorted(name for name in found if name[1] == resource))
        return [state for state in states if limit_name is None or state.limit_name == limit_name]

    async def _states(self, names: Sequence[tuple[str, str]]) -> list[BucketState]:
        now_ns = self._place.clock.now_ns()
        states: list[BucketState] = []
        for (entity_id, resource), image in zip(names, await self.read(names), strict=True):
            limits, _, _ = await self.resolve_limits(entity_id, resource) if image else (None, None, None)
            states += [
                bucket_state(entity_id, resource, limit, image[limit.name], now_ns)
                for limit in limits or ()
                if limit.name in image
            ]
        return states

    async def reset_buckets(self, entity_id: str, resource: str | None = None, principal: str | None = None) -> int:
        """Make buckets full again, of one resource or of all; returns how many there were."""
        check_identifier(entity_id)
        if resource is not None:
            check_resource(resource)
        event = Event(AuditAction.BUCKETS_RESET, entity_id, check_optional_principal(principal), resource)
        found = await self._place.look(lambda _: ())
        keys = await self._buckets(found.namespace_id, entity_id, resource)
        for start in range(0, len(keys), _AT_ONCE):
            group = keys[start : start + _AT_ONCE]
            await self._place.change(found, [Delete(key) for key in group], event)
            self._forget_buckets(group)
        # Also those that were gone already: another process may have made them full a moment ago.
        self._bucket_table.memory.forget_all(found.namespace_id, entity_id, resource)
        return len(keys)

    async def _buckets(self, namespace_id: str, entity_id: str, resource: str | None) -> list[Key]:
        if resource is None:
            return await self._deletion.buckets(namespace_id, entity_id)
        key = bucket_key(namespace_id, entity_id, resource)
        return [] if await self._place.table.get(key) is None else [key]
