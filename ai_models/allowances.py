"""What one client may have of the websocket: sockets in this process, messages a second, and time to take what is sent."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from ai_models import resumption
from ai_models.conf import conf
from ai_models.exceptions import NotReady, RateLimitExceeded

BURST_SECONDS = 4
"""A client may send at once what it may send in so many seconds."""


class Sockets:
    """How many sockets this process has open, and for whom."""

    def __init__(self) -> None:
        self._owners: Counter[str | None] = Counter()

    def __len__(self) -> int:
        return self._owners.total()

    def enter(self, owner: str | None) -> None:
        """Count one more.

        Raises:
            NotReady: this process has as many as it takes.
            RateLimitExceeded: the owner has.
        """
        if len(self) >= conf().WS_MAX_SOCKETS:
            raise NotReady("This server has as many sockets open as it takes.")
        if self._owners[owner] >= conf().WS_MAX_SOCKETS_PER_USER:
            raise RateLimitExceeded("You have as many sockets open as one user may.")
        self._owners[owner] += 1

    def leave(self, owner: str | None) -> None:
        """Count one less."""
        self._owners[owner] -= 1
        if self._owners[owner] <= 0:
            del self._owners[owner]


class Messages:
    """How many messages one socket may still send."""

    def __init__(self) -> None:
        self._left = float(conf().WS_MESSAGES_PER_SECOND * BURST_SECONDS)
        self._seen = time.monotonic()

    def take(self) -> bool:
        """Use one up; ``False`` when there is none left."""
        now, rate = time.monotonic(), conf().WS_MESSAGES_PER_SECOND
        self._left = min(self._left + (now - self._seen) * rate, float(rate * BURST_SECONDS)) - 1
        self._seen = now
        return self._left >= 0


class Progress:
    """Watches that a client takes what is sent to it, ``with`` each sending in its block.

    One timer for each socket that sends, because one for each frame costs as much as the frame.

    Args:
        stalled: called when something waits to be sent and nothing was for :data:`~ai_models.resumption.STALL_SECONDS`.
    """

    __slots__ = ("_last", "_sending", "_stalled", "_timer")

    def __init__(self, stalled: Callable[[], None]) -> None:
        self._stalled = stalled
        self._sending = 0
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        if not self._sending:
            self._last = time.monotonic()
        self._sending += 1
        if self._timer is None:
            self._look_after(resumption.STALL_SECONDS)

    def __exit__(self, *error: object) -> None:
        self._sending -= 1
        self._last = time.monotonic()

    def stop(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_after(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._sending:
            left = self._last + resumption.STALL_SECONDS - time.monotonic()
            if left > 0:
                self._look_after(left)
            else:
                self._stalled()
