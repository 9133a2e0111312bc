"""The bulkhead of an instance: so many calls to it at once in this process, the others wait in a bounded queue, first come
first served."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict


class Full(Exception):
    """The queue is full, or a place was not free in time."""


class _Waiter:
    """One call in the queue.

    Attributes:
        placed: whether it was given a place. It is set under the lock, before the call can hear of it.
    """

    __slots__ = ("_future", "_loop", "placed")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self.placed = False

    async def woken(self, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            await self._future

    def wake(self) -> bool:
        """From any thread. Whether its event loop is still there to hear it."""
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            return False
        return True

    def _wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


class Bulkhead:
    """Places and the queue for them, for callers in any number of event loops. No loop ever waits for another one.

    Attributes:
        places: calls at once; ``None`` is no bound.
        queue: calls that wait for a place at most.
        held: places that are taken.
    """

    __slots__ = ("_lock", "_waiting", "held", "places", "queue")

    def __init__(self, places: int | None, queue: int) -> None:
        self.places, self.queue = places, queue
        self.held = 0
        # The garbage collector may end an abandoned call, which gives its place back, while this thread has the lock.
        self._lock = threading.RLock()
        self._waiting: OrderedDict[_Waiter, None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return len(self._waiting)

    def resize(self, places: int | None, queue: int) -> None:
        """Have other bounds from now on. Calls under way go on; those that have a place now get it."""
        with self._lock:
            self.places, self.queue = places, queue
            while self._waiting and self._has_place():
                self._pass_on()

    def take(self) -> bool:
        """Take a place, if one is free; while others wait, none is. Give it back with :meth:`leave`."""
        with self._lock:
            return self._take()

    async def wait(self, seconds: float) -> bool:
        """Wait for a place. Whether there is one now; there is none when the queue was dismissed.

        Raises:
            Full: so many wait already, or none was free in time.
        """
        waiter = _Waiter()
        with self._lock:
            if self._take():
                return True
            if len(self._waiting) >= self.queue:
                raise Full
            self._waiting[waiter] = None
        try:
            await waiter.woken(seconds)
        except TimeoutError:
            if not self._left_queue(waiter):
                raise Full from None
        except BaseException:
            if self._left_queue(waiter):
                self.leave()
            raise
        return waiter.placed

    def leave(self) -> None:
        """Give a place back; who waits longest has it then."""
        with self._lock:
            self.held -= 1
            if self._waiting and self._has_place():
                self._pass_on()

    def dismiss(self) -> None:
        """Send away everybody who waits."""
        with self._lock:
            while self._waiting:
                waiter, _ = self._waiting.popitem(last=False)
                waiter.wake()

    def _left_queue(self, waiter: _Waiter) -> bool:
        """Take it out of the queue. Whether it was given a place before that."""
        with self._lock:
            self._waiting.pop(waiter, None)
            return waiter.placed

    def _has_place(self) -> bool:
        return self.places is None or self.held < self.places

    def _take(self) -> bool:
        if not self._has_place():
            return False
        self.held += 1
        return True

    def _pass_on(self) -> None:
        """A free place to the first in the queue whose event loop still runs."""
        while self._waiting:
            waiter, _ = self._waiting.popitem(last=False)
            waiter.placed = True
            if waiter.wake():
                self.held += 1
                return
            waiter.placed = False
