"""A stream of the service that a test writes itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from ai_models.events import Event, TextDelta


class Steps:
    """A stream made of steps: events to yield, an exception to raise, or an asyncio event to wait for.

    Attributes:
        taken: how many steps were begun.
        closed: how often it was closed.
    """

    def __init__(self, *steps: Event | Exception | asyncio.Event) -> None:
        self._steps = steps
        self._running: AsyncGenerator[Event] | None = None
        self.taken = 0
        self.closed = 0

    @property
    def events(self) -> AsyncIterator[Event]:
        return self._run()

    async def _run(self) -> AsyncIterator[Event]:
        for step in self._steps:
            self.taken += 1
            if isinstance(step, Exception):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            else:
                yield step

    async def aclose(self) -> None:
        self.closed += 1


class Endless(Steps):
    """A stream of deltas that never ends by itself, and counts them."""

    def __init__(self, delta: str = "x") -> None:
        super().__init__()
        self._delta = delta
        self._over = False

    async def _run(self) -> AsyncIterator[Event]:
        while not self._over:
            self.taken += 1
            await asyncio.sleep(0)
            yield TextDelta("text-1", self._delta)

    async def aclose(self) -> None:
        await super().aclose()
        self._over = True
