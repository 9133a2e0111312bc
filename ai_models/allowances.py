"""What one client may have of the websocket: sockets in this process, and messages a second."""

from __future__ import annotations

import time
from collections import Counter

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
