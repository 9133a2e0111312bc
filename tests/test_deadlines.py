"""Time limits: as asyncio's own, whether they are short or long."""

from __future__ import annotations

import asyncio
import threading
import time
from contextvars import ContextVar
from typing import Any, cast

import pytest

from ai_models import deadlines
from ai_models.api.clients import WhileWaiting
from ai_models.deadlines import PerLoop, Watch, limited, watches
from tests.polling import until


@pytest.fixture(params=["with a timer", "watched"], autouse=True)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test holds for both kinds of limits."""
    monkeypatch.setattr(deadlines, "_SHORT_SECONDS", 60.0 if request.param == "with a timer" else 0.0)


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.1])
async def test_time_runs_out(seconds: float) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError), limited(seconds):
        await asyncio.sleep(10)
    assert seconds <= time.monotonic() - began < 5
    await asyncio.sleep(0)  # nothing is left of it


async def test_who_is_in_time_goes_on() -> None:
    with limited(0.1):
        await asyncio.sleep(0)
    await asyncio.sleep(0.2)


async def test_an_error_is_the_one_that_was_raised() -> None:
    with pytest.raises(ValueError, match="its own"), limited(10):
        raise ValueError("its own")


async def test_a_cancellation_by_others_is_none_of_ours() -> None:
    async def work() -> None:
        with limited(10):
            await asyncio.sleep(10)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_by_others_is_not_lost_when_time_runs_out_too() -> None:
    async def work() -> None:
        try:
            with limited(0.01):
                await asyncio.sleep(10)
        finally:
            outcomes.append(task.cancelling())

    outcomes: list[int] = []
    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    time.sleep(0.1)  # noqa: ASYNC251, both are due when the loop goes on
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcomes == [1]


async def test_the_inner_limit_is_not_taken_for_the_outer_one() -> None:
    with limited(10):
        with pytest.raises(TimeoutError), limited(0.01):
            await asyncio.sleep(10)
        await asyncio.sleep(0)


async def test_the_outer_limit_goes_through_the_inner_one() -> None:
    with pytest.raises(TimeoutError), limited(0.01), limited(10):
        await asyncio.sleep(10)


class Seen:
    """Notes that it became overdue."""

    def __init__(self) -> None:
        self.times = 0

    def overdue(self) -> None:
        self.times += 1


async def test_only_what_goes_on_becomes_overdue_and_once() -> None:
    watch = Watch(asyncio.get_running_loop())
    over, lasting, later = Seen(), Seen(), Seen()
    for seen in (over, lasting):
        watch.begin(seen)
    watch.end(over)
    await asyncio.sleep(deadlines.OVERDUE_SECONDS / 2)
    watch.begin(later)
    await until(lambda: later.times)
    assert (over.times, lasting.times, later.times) == (0, 1, 1)
    watch.end(lasting)
    await asyncio.sleep(deadlines.OVERDUE_SECONDS * 2)
    assert lasting.times == 1


def test_each_loop_has_its_own_and_closed_ones_are_forgotten() -> None:
    made: PerLoop[Any] = PerLoop(lambda loop: object())
    found: list[Any] = []

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        assert made.of(loop) is made.of(loop)
        found.append(made.of(loop))

    threads = [threading.Thread(target=lambda: asyncio.run(ask())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(ask())
    assert len(set(map(id, found))) == 21
    assert len(made._made) == 1


variable: ContextVar[str] = ContextVar("variable", default="nothing")


async def test_what_is_overdue_hears_of_it_in_nobodys_context() -> None:
    class Looks(Seen):
        found = ""

        def overdue(self) -> None:
            super().overdue()
            self.found = variable.get()

    watch = Watch(asyncio.get_running_loop())
    first, second = Looks(), Looks()
    variable.set("first")
    watch.begin(first)
    await asyncio.sleep(deadlines.OVERDUE_SECONDS / 2)
    watch.begin(second)
    await until(lambda: second.times)
    assert (first.found, second.found) == ("nothing", "nothing")


async def test_a_client_is_looked_for_in_the_context_of_its_request() -> None:
    found: list[str] = []

    async def request(name: str, seconds: float) -> None:
        async def receive() -> dict[str, Any]:
            found.append(variable.get())
            await asyncio.sleep(10)
            return {}

        variable.set(name)
        task = cast("asyncio.Task[None]", asyncio.current_task())
        with WhileWaiting(watches.of(task.get_loop()), receive, task):
            await asyncio.sleep(seconds)

    first = asyncio.create_task(request("over soon", 0.0))
    await asyncio.gather(first, request("lasting", deadlines.OVERDUE_SECONDS * 3))
    assert found == ["lasting"]
