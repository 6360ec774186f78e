"""Waiting by blocking a thread: in turn or with an executor, and together with other threads."""

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from zae_limiter.blocking import awaited, run
from zae_limiter.runtimes import BlockingRuntime


async def answer(value: int) -> int:
    return value


async def failure() -> int:
    raise ValueError("as the test wanted")


def test_steps_go_in_turn_and_stop_where_until_says_enough() -> None:
    steps = [answer(1), failure(), answer(3)]
    found = run(BlockingRuntime().together(steps, until=lambda outcome: outcome.error is not None))
    assert len(found) == 2
    assert found[0].value == 1
    assert isinstance(found[1].error, ValueError)
    assert len(run(BlockingRuntime().together([failure(), answer(3)]))) == 2


def test_an_interrupt_ends_the_turn_and_leaves_no_step_half_made() -> None:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    last = answer(3)
    with pytest.raises(KeyboardInterrupt):
        run(BlockingRuntime().together([interrupted(), last]))
    assert inspect.getcoroutinestate(last) == inspect.CORO_CLOSED


def test_steps_go_side_by_side_with_an_executor() -> None:
    barrier = threading.Barrier(2)

    async def meet() -> int:
        return barrier.wait(5)

    with ThreadPoolExecutor(2) as executor:
        found = run(BlockingRuntime(executor).together([meet(), meet()]))
    assert {outcome.value for outcome in found} == {0, 1}


def test_steps_go_here_where_the_executor_begins_nothing_any_more() -> None:
    executor = ThreadPoolExecutor(2)
    executor.shutdown()
    found = run(BlockingRuntime(executor).together([answer(1), failure(), answer(3)]))
    assert [outcome.value for outcome in found] == [1, None, 3]
    assert isinstance(found[1].error, ValueError)


def test_steps_go_here_where_all_threads_of_the_executor_wait_for_theirs() -> None:
    with ThreadPoolExecutor(1) as executor:
        runtime = BlockingRuntime(executor)
        found = executor.submit(lambda: run(runtime.together([answer(1), answer(2)]))).result(5)
    assert [outcome.value for outcome in found] == [1, 2]


def test_nobody_can_cancel_a_thread() -> None:
    runtime = BlockingRuntime()

    async def never(_: int) -> None:
        raise AssertionError("nothing is late here")

    assert run(runtime.shielded(answer(1))) == 1
    assert run(runtime.abandonable(answer(2), never)) == 2
    assert run(runtime.within(0.001, answer(3))) == 3
    assert run(runtime.in_thread(threading.get_ident)) == threading.get_ident()


def test_a_port_that_waits_for_an_event_loop_is_told() -> None:
    with pytest.raises(RuntimeError, match="must answer at once"):
        run(asyncio.sleep(0))


def test_blocking_code_can_be_lent_to_the_core() -> None:
    class Store:
        def read(self) -> int:
            return 5

    assert run(awaited(Store()).read()) == 5
    assert run(awaited(Store().read)()) == 5
