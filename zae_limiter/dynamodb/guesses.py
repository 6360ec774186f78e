"""What this process knows of buckets: the last image of each, which guess did better, and what may be refused.

A guess may be wrong and costs a call then. What is refused from here is refused without one: an image refuses for a
second after its write was sent, unless something that this process wrote may have changed it since.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from zae_limiter.dynamodb.stored import NOTHING, Stored
from zae_limiter.schema import Key, bucket_of

REFUSES_NS: Final = 1_000_000_000
_MOST_BUCKETS: Final = 10_000
_LATELY: Final = 0.8


class Known:
    """One bucket as this process knows it."""

    __slots__ = (
        "_drains",
        "_image_score",
        "_often_score",
        "_refuses_until",
        "generation",
        "is_fresh",
        "is_told",
        "stored",
    )

    def __init__(self) -> None:
        self.stored: Stored | None = None
        self.generation = 0
        self.is_fresh = False
        self.is_told = False
        self._refuses_until = 0
        self._image_score = 1.0
        self._often_score = 1.0
        self._drains: dict[str, float] = {}

    def may_refuse(self, monotonic_ns: int) -> bool:
        """Whether the last image still says what would be refused."""
        return monotonic_ns < self._refuses_until

    def is_draining(self, name: str, now_ns: int) -> bool:
        """The guess: whether a limit is not full, by the last image or by what was so most often of late."""
        if self._often_score > self._image_score and not self.is_fresh:
            return self._drains.get(name, 0.0) > 0.5
        return is_draining(self.stored, name, now_ns)

    def score(self, truth: Mapping[str, bool], now_ns: int) -> None:
        """Take what was so of each limit, against both guesses."""
        by_image = all(is_draining(self.stored, name, now_ns) is drains for name, drains in truth.items())
        by_often = all((self._drains.get(name, 0.0) > 0.5) is drains for name, drains in truth.items())
        self._image_score = _LATELY * self._image_score + (1 - _LATELY) * by_image
        self._often_score = _LATELY * self._often_score + (1 - _LATELY) * by_often
        for name, drains in truth.items():
            self._drains[name] = _LATELY * self._drains.get(name, 0.0) + (1 - _LATELY) * drains

    def moved(self) -> int:
        """Something is written that frees or takes without a check: images from before it refuse nothing any more."""
        self.generation += 1
        self._refuses_until = 0
        return self.generation

    def show(self, stored: Stored, generation: int, sent_ns: int) -> None:
        """Take an image; it refuses only if nothing has moved since its write was sent, at a monotonic time."""
        if generation == self.generation:
            self.generation += 1
            self._refuses_until = sent_ns + REFUSES_NS
            self.stored = stored
        elif self.stored is None:
            self.stored = stored

    def show_failed(self, stored: Stored, generation: int, sent_ns: int) -> None:
        """The same for the image of a failed condition: whoever goes next guesses by it."""
        if generation != self.generation:
            # It may be older than what was written since, a credit too: it guides a guess, and refuses nothing.
            self._refuses_until = 0
        self.show(stored, generation, sent_ns)
        self.stored = stored
        self.is_fresh = True


def is_draining(stored: Stored | None, name: str, now_ns: int) -> bool:
    """Whether a limit is not full, as an image says; one that is not there is."""
    balance = None if stored is None else stored.image.get(name)
    return balance is not None and balance.full_at >= now_ns


class Memory:
    """The buckets this process has seen lately, at most 10,000."""

    def __init__(self, most: int = _MOST_BUCKETS) -> None:
        self._most = most
        self._known: OrderedDict[Key, Known] = OrderedDict()

    def of(self, key: Key) -> Known:
        """What is known of a bucket; nothing, at first."""
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Known()
            while len(self._known) > self._most:
                self._known.popitem(last=False)
            return found
        try:
            self._known.move_to_end(key)
        except KeyError:  # another thread has just forgotten it
            self._known[key] = found
        return found

    def forget(self, key: Key) -> None:
        """The bucket was deleted: it is full."""
        known = self.of(key)
        known.moved()
        known.stored = NOTHING

    def forget_all(self, namespace_id: str, entity_id: str, resource: str | None = None) -> None:
        """Every bucket of an entity is full, or that of one resource, whoever has deleted it."""
        for key in list(self._known):
            namespace, entity, found = bucket_of(key.pk)
            if (namespace, entity) == (namespace_id, entity_id) and resource in (None, found):
                self.forget(key)

    def __len__(self) -> int:
        return len(self._known)
