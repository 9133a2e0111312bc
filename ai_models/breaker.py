"""The circuit breaker of an instance: open when calls keep failing; then one call at a time finds out whether that is over.

::

    closed ── failures ──> open ── its pause is over ──> half-open ── the probe succeeds ──> closed
                            ^                                │
                            └──── the probe fails, longer ───┘
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final

WINDOW: Final = 20
"""Of so many calls that ended last, half must have failed where they did not fail in a row."""

_HALF: Final = WINDOW // 2
_OUTCOMES: Final = (1 << WINDOW) - 1


class Circuit(StrEnum):
    """What the breaker does with a call."""

    CLOSED = "closed"
    """It is made."""

    OPEN = "open"
    """It is refused."""

    HALF_OPEN = "half-open"
    """It is refused while a probe is under way, unless that takes longer than the first pause."""


class Breaker:
    """Safe in threads. A call enters with a ticket, and what came of it counts only as long as the ticket is valid: calls that
    began before the breaker opened tell nothing about the time after it.

    Args:
        failures: so many in a row open it; 0 never does.
        pause: seconds that it stays open at first. They double with each probe that fails, up to ``longest``, and vary by a
            fifth, so that processes do not all probe at once.
        clock: monotonic seconds.
        chance: between 0 and 1.
    """

    __slots__ = ("_chance", "_clock", "_failures", "_lock", "_longest", "_next_pause", "_pause", "_probed", "_probing", "_row",
                 "_ticket", "_until", "_window")  # fmt: skip

    def __init__(
        self,
        failures: int,
        pause: float,
        longest: float,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._failures, self._pause, self._longest, self._clock, self._chance = failures, pause, longest, clock, chance
        self._lock = threading.RLock()  # as the bulkhead's
        self._ticket = 0
        self._until: float | None = None  # when the pause is over; none while it is closed
        self._next_pause = pause
        self._probing = False
        self._probed = 0.0  # when the last probe began
        self._row = 0  # failures in a row
        self._window = 0  # the last outcomes as bits, 1 for a failure

    @property
    def circuit(self) -> Circuit:
        if self._until is None:
            return Circuit.CLOSED
        return Circuit.HALF_OPEN if self._probing or self._clock() >= self._until else Circuit.OPEN

    def refusal(self) -> float | None:
        """Seconds until a call has a chance, when one would be refused now; else ``None``."""
        until = self._until
        if until is None:
            return None
        left = until - self._clock()
        if left > 0:
            return left
        if self._probing and (left := self._probed + self._pause - self._clock()) > 0:
            return left  # a probe that takes longer keeps nobody out
        return None

    def enter(self) -> int | None:
        """A ticket for a call that is made now; ``None`` when it is refused. The first one after the pause is the probe."""
        if self._until is None:
            return self._ticket
        with self._lock:
            if self.refusal() is not None:
                return None
            if self._until is not None:
                self._probing, self._probed = True, self._clock()
                self._ticket += 1
            return self._ticket

    def succeeded(self, ticket: int) -> None:
        """The provider answered, be it with a refusal."""
        if self._until is None and not self._window:
            return
        with self._lock:
            if ticket != self._ticket:
                return
            if self._probing:
                self._close()
            elif self._until is None:
                self._row = 0
                self._window = self._window << 1 & _OUTCOMES

    def failed(self, ticket: int, at_least: float = 0.0) -> None:
        """The provider did not answer, or with a failure of its own.

        Args:
            at_least: seconds that it asked to be left alone for.
        """
        with self._lock:
            if ticket != self._ticket or not self._failures:
                return
            if self._probing:
                self._next_pause = min(self._longest, self._next_pause * 2)
                self._open(at_least)
            elif self._until is None:
                self._row += 1
                self._window = (self._window << 1 | 1) & _OUTCOMES
                if self._row >= self._failures or self._window.bit_count() >= _HALF:
                    self._open(at_least)

    def abandoned(self, ticket: int) -> None:
        """The call ended and told nothing: its caller left. After a probe, the next call is one."""
        if self._until is not None:
            with self._lock:
                if ticket == self._ticket and self._probing:
                    self._probing = False

    def close(self) -> None:
        """The provider is known to answer."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._until, self._probing, self._next_pause, self._row, self._window = None, False, self._pause, 0, 0
        self._ticket += 1

    def _open(self, at_least: float) -> None:
        pause = self._next_pause * (0.8 + 0.4 * self._chance())
        self._until, self._probing = self._clock() + min(max(pause, at_least), max(pause, self._longest)), False
        self._row = self._window = 0
        self._ticket += 1
