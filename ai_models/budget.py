"""How many retries an instance has left."""

from __future__ import annotations

import threading
import time
from typing import Final

_RESERVE: Final = 10.0  # retries that are there without any call
_RETRIES_PER_SECOND: Final = 1.0  # so that an instance with few calls has some as well


class Budget:
    """Retries that are left: a share of the calls, and a few beside. A token bucket."""

    __slots__ = ("_filled_at", "_lock", "_seen", "_share", "_tokens", "calls")

    def __init__(self, share: float | None) -> None:
        self._share = share
        self._lock = threading.Lock()
        self._tokens, self._filled_at, self._seen = _RESERVE, time.monotonic(), 0
        self.calls = 0  # two threads that count at once may lose one

    def spend(self) -> bool:
        """Take a retry. Whether there was one."""
        if self._share is None:
            return True
        with self._lock:
            now, counted = time.monotonic(), self.calls
            earned = (counted - self._seen) * self._share + (now - self._filled_at) * _RETRIES_PER_SECOND
            self._tokens = min(_RESERVE, self._tokens + earned)
            self._filled_at, self._seen = now, counted
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True
