"""Places and the queue for them, in one event loop and in several."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import threading
import time

import pytest

from ai_models.bulkhead import Bulkhead, Full
from tests.polling import until

LONG = 30.0


async def hold(bulkhead: Bulkhead, order: list[int], number: int) -> None:
    if bulkhead.take() or await bulkhead.wait(LONG):
        order.append(number)
        bulkhead.leave()


async def test_who_waits_longest_is_next() -> None:
    bulkhead, order = Bulkhead(1, 10), list[int]()
    assert bulkhead.take()
    tasks = [asyncio.create_task(hold(bulkhead, order, number)) for number in range(5)]
    await until(lambda: bulkhead.waiting == 5)
    assert not bulkhead.take()
    bulkhead.leave()
    await asyncio.gather(*tasks)
    assert (order, bulkhead.held, bulkhead.waiting) == ([0, 1, 2, 3, 4], 0, 0)


async def test_a_full_queue_refuses_at_once_and_a_wait_ends() -> None:
    bulkhead = Bulkhead(1, 1)
    assert bulkhead.take()
    waiting = asyncio.create_task(bulkhead.wait(LONG))
    await until(lambda: bulkhead.waiting == 1)
    with pytest.raises(Full):
        await bulkhead.wait(LONG)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    assert bulkhead.waiting == 0
    with pytest.raises(Full):
        await bulkhead.wait(0.01)
    bulkhead.leave()
    assert (bulkhead.held, bulkhead.waiting, bulkhead.take()) == (0, 0, True)


async def test_those_who_are_sent_away_have_no_place() -> None:
    bulkhead = Bulkhead(1, 5)
    assert bulkhead.take()
    waiting = asyncio.gather(*(bulkhead.wait(LONG) for _ in range(3)))
    await until(lambda: bulkhead.waiting == 3)
    bulkhead.dismiss()
    assert await waiting == [False, False, False]
    bulkhead.leave()
    assert bulkhead.held == 0


async def test_more_places_are_there_at_once_and_fewer_after_the_calls_under_way() -> None:
    bulkhead = Bulkhead(1, 5)
    assert bulkhead.take()
    waiting = asyncio.gather(*(bulkhead.wait(LONG) for _ in range(2)))
    await until(lambda: bulkhead.waiting == 2)
    bulkhead.resize(3, 5)
    assert await waiting == [True, True]
    bulkhead.resize(1, 5)
    bulkhead.leave()
    bulkhead.leave()
    assert not bulkhead.take()
    bulkhead.leave()
    assert bulkhead.take()


async def test_no_bound_is_no_bound() -> None:
    bulkhead = Bulkhead(None, 0)
    assert all(bulkhead.take() for _ in range(10_000))


def test_a_place_goes_to_another_event_loop() -> None:
    bulkhead, got = Bulkhead(1, 5), threading.Event()
    assert bulkhead.take()

    def other() -> None:
        async def waited() -> None:
            assert await bulkhead.wait(LONG)
            got.set()
            bulkhead.leave()

        asyncio.run(waited())

    thread = threading.Thread(target=other)
    thread.start()

    async def here() -> None:
        await until(lambda: bulkhead.waiting == 1)
        bulkhead.leave()

    asyncio.run(here())
    thread.join(LONG)
    assert got.is_set()
    assert bulkhead.held == 0


def test_an_event_loop_that_is_gone_keeps_no_place() -> None:
    bulkhead = Bulkhead(1, 5)
    assert bulkhead.take()
    gone = asyncio.new_event_loop()
    task = gone.create_task(bulkhead.wait(LONG))
    gone.run_until_complete(asyncio.sleep(0))
    assert bulkhead.waiting == 1
    gone.close()
    bulkhead.leave()
    assert (bulkhead.held, bulkhead.take()) == (0, True)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine = task.get_coro()
    assert coroutine is not None
    coroutine.close()
    del task
    gc.collect()
    assert bulkhead.held == 1


@pytest.mark.parametrize("seed", range(8))
def test_no_schedule_loses_a_place_or_gives_one_too_many(seed: int) -> None:
    """Callers of three event loops come, wait, give up, are cancelled and leave, as chance has it."""
    bulkhead, most, entered = Bulkhead(4, 12), [0], [0]
    guard, inside = threading.Lock(), [0]

    async def caller(chance: random.Random) -> None:
        try:
            if not (bulkhead.take() or await bulkhead.wait(chance.choice((0.0005, 0.003, LONG)))):
                return
        except Full:
            return
        try:
            with guard:
                inside[0] += 1
                entered[0] += 1
                most[0] = max(most[0], inside[0])
            await asyncio.sleep(chance.choice((0.0, 0.0, 0.0005, 0.002)))
        finally:
            with guard:
                inside[0] -= 1
            bulkhead.leave()

    async def crowd(chance: random.Random) -> None:
        tasks = set()
        for _ in range(150):
            tasks.add(asyncio.create_task(caller(chance)))
            if chance.random() < 0.3:
                chance.choice(sorted(tasks, key=id)).cancel()
            if chance.random() < 0.05:
                bulkhead.dismiss()
            if chance.random() < 0.4:
                await asyncio.sleep(chance.choice((0.0, 0.001)))
        await asyncio.wait(tasks)

    threads = [threading.Thread(target=asyncio.run, args=(crowd(random.Random(10 * seed + n)),)) for n in range(3)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + LONG
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
        assert not thread.is_alive(), "somebody waits for a place that nobody holds"
    assert (bulkhead.held, bulkhead.waiting) == (0, 0)
    assert entered[0] > 0
    assert most[0] <= 4
