"""What a process knows of a bucket: two guesses that are scored, refusals that last a second, and a bound."""

from zae_limiter.dynamodb.guesses import REFUSES_NS, Known, Memory
from zae_limiter.dynamodb.stored import Stored
from zae_limiter.models import Balance
from zae_limiter.schema import Key

NOW = 1_800_000_000_000_000_000
RATE = (1, 6_000_000_000)


def stored(full_at: int) -> Stored:
    return Stored({"rpm": Balance(full_at, RATE)}, frozenset({"rpm"}))


def test_a_bucket_that_was_never_seen_is_guessed_full() -> None:
    assert not Known().is_draining("rpm", NOW)


def test_the_last_image_is_the_first_guess() -> None:
    known = Known()
    known.show(stored(NOW), known.generation, 0)
    assert known.is_draining("rpm", NOW)
    assert not known.is_draining("rpm", NOW + 1)
    assert not known.is_draining("other", NOW)


def test_what_was_so_most_often_is_guessed_where_images_mislead_and_images_again_when_they_do_not() -> None:
    known = Known()
    known.show(stored(NOW - 1), known.generation, 0)
    for _ in range(20):
        known.score({"rpm": True}, NOW)
    assert known.is_draining("rpm", NOW)
    for _ in range(20):
        known.score({"rpm": False}, NOW)
    assert not known.is_draining("rpm", NOW)


def test_the_image_of_a_failed_condition_is_guessed_by_at_once() -> None:
    known = Known()
    for _ in range(20):
        known.score({"rpm": True}, NOW)
    assert known.is_draining("rpm", NOW)
    known.show_failed(stored(NOW - 1), known.generation, 0)
    assert not known.is_draining("rpm", NOW)


def test_an_image_refuses_for_a_second_from_when_its_write_was_sent() -> None:
    known = Known()
    assert not known.may_refuse(0)
    known.show(stored(NOW), known.generation, 5)
    assert known.may_refuse(5 + REFUSES_NS - 1)
    assert not known.may_refuse(5 + REFUSES_NS)


def test_what_this_process_gives_or_takes_without_a_check_ends_that() -> None:
    known = Known()
    before = known.generation
    known.show(stored(NOW), before, 0)
    begun = known.moved()
    assert not known.may_refuse(0)
    known.show(stored(NOW), before, 0)
    assert not known.may_refuse(0), "an answer from before the credit"
    known.show(stored(NOW + 7), begun, 0)
    assert known.may_refuse(0)
    assert known.stored == stored(NOW + 7)


def test_only_one_of_two_answers_of_a_generation_is_remembered() -> None:
    known = Known()
    generation = known.generation
    known.show(stored(NOW + 1), generation, 0)
    known.show(stored(NOW + 2), generation, REFUSES_NS)
    assert known.stored == stored(NOW + 1)
    assert not known.may_refuse(REFUSES_NS)


def test_memory_keeps_the_buckets_that_were_used_last() -> None:
    memory = Memory(most=3)
    first = memory.of(Key("a", "b"))
    for name in ("c", "d"):
        memory.of(Key(name, "b"))
    assert memory.of(Key("a", "b")) is first
    memory.of(Key("e", "b"))
    assert len(memory) == 3
    assert memory.of(Key("a", "b")) is first


def test_a_bucket_that_was_deleted_is_full() -> None:
    memory, key = Memory(), Key("a", "b")
    known = memory.of(key)
    known.show(stored(NOW), known.generation, 0)
    memory.forget(key)
    assert not known.may_refuse(0)
    assert not known.is_draining("rpm", NOW)
    assert known.stored is not None
    assert not known.stored.is_there


def test_a_failure_from_before_a_credit_refuses_nothing_though_a_later_image_did() -> None:
    known = Known()
    before = known.generation
    known.show(stored(NOW), known.moved(), 0)
    assert known.may_refuse(0)
    known.show_failed(stored(NOW + 7), before, 0)
    assert known.stored == stored(NOW + 7), "whoever goes next guesses by it"
    assert not known.may_refuse(0)
