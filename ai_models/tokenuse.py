"""When each API token was last used: at most once in ``NOTE_SECONDS`` for each token and process.

A call only looks into a dictionary. A thread writes, on a connection of its own: the call waits for nothing, does not fail with
it, and has no part of it in its transaction.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import OrderedDict
from typing import Any

from django.db import connections, transaction
from django.utils import timezone

from ai_models import accounts
from ai_models.models import APIToken
from ai_models.store import in_memory

__all__ = ["note"]

logger = logging.getLogger(__name__)

NOTE_SECONDS = 60.0


def note(auth: Any) -> None:
    """Note that a call was authenticated by this. Nothing happens unless it is a token of the host's."""
    model = accounts.token_model()
    if model is not None and isinstance(auth, model):
        _uses.note(auth.pk)


class _Uses:
    """Uses on their way to the database. The thread that writes them lives while there are any."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.noted: OrderedDict[str, float] = OrderedDict()
        self.unwritten: set[str] = set()
        self.writing = self.failing = False
        self.writer: threading.Thread | None = None

    def note(self, digest: str) -> None:
        now = time.monotonic()
        if now - self.noted.get(digest, -math.inf) < NOTE_SECONDS:
            return
        with self.lock:
            while self.noted and now - next(iter(self.noted.values())) >= NOTE_SECONDS:
                self.noted.popitem(last=False)
            self.noted[digest] = now
            self.unwritten.add(digest)
            if self.writing:
                return
            self.writing = True
        if in_memory():
            self.write()
        else:
            self.start()

    def start(self) -> None:
        self.writer = threading.Thread(target=self.run, name="ai_models-tokens", daemon=True)
        try:
            self.writer.start()
        except RuntimeError:  # the process ends, or can have no more threads
            self.writing = False

    def run(self) -> None:
        try:
            self.write()
        finally:
            connections.close_all()

    def write(self) -> None:
        while (digest := self.next()) is not None:
            try:
                # One row each: who changes several at once may meet another process that changes them in another order.
                with transaction.atomic():
                    _write(digest)
                self.failing = False
            except Exception as error:  # The token's next use is noted again in time.
                if not self.failing:
                    logger.warning("The use of API tokens cannot be noted (%s).", type(error).__name__)
                self.failing = True

    def next(self) -> str | None:
        """One that is to be written. When there is none, the writer has ended."""
        with self.lock:
            self.writing = bool(self.unwritten)
            return self.unwritten.pop() if self.unwritten else None


def _write(digest: str) -> None:
    token = APIToken.objects.filter(digest=digest)
    if not token.update(last_used_at=timezone.now()):
        # It is from before this app.
        accounts.reconcile()
        token.update(last_used_at=timezone.now())


_uses = _Uses()


def _start_over() -> None:
    """In a forked process there is no writer, and a lock may be held by a thread that does not exist."""
    global _uses
    _uses = _Uses()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)
