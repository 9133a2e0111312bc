"""Which server processes run, and the revision of the configuration that each of them serves.

Such a process has a row, which a thread of its own keeps: the thread writes as soon as calls get another revision, and every
``BEAT_SECONDS`` to say that the process is there. Calls do not depend on it. A process that is killed leaves its row behind,
and is no longer counted once it was not seen for ``FRESH_SECONDS``.

All times are the database's, when they are written and when they are compared: the clocks of machines differ.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import connections
from django.db.models import Q
from django.db.models.functions import Now

from ai_models import store
from ai_models.exceptions import AIModelsError
from ai_models.models import Worker

__all__ = ["host_name", "reporting", "running"]

logger = logging.getLogger(__name__)

BEAT_SECONDS = 10.0
FRESH_SECONDS = 30.0
GONE_SECONDS = 300.0
"""A row that was not written for so long is deleted by another process."""

END_SECONDS = 2.0
"""How long the end of a process may wait for its row to be deleted."""


@contextmanager
def reporting() -> Iterator[None]:
    """Report this process while the block runs: a server, or another one that lives long. It returns at once, whatever the
    database does, and ends within ``END_SECONDS``."""
    reporter = _Reporter()
    reporter.start()
    try:
        yield
    finally:
        reporter.end()


def running() -> list[Worker]:
    """The processes that run now, by host and process id.

    Raises:
        django.db.Error: the database cannot be read.
    """
    return list(Worker.objects.filter(_seen_within(FRESH_SECONDS)))


def host_name() -> str:
    """This machine's name, as rows have it."""
    return socket.gethostname()[:255]


def _seen_within(seconds: float) -> Q:
    """Not long ago, nor in a future that a clock which was set back has left behind."""
    margin = timedelta(seconds=seconds)
    return Q(seen_at__range=(Now() - margin, Now() + margin))


class _Reporter(threading.Thread):
    """Keeps the row of this process.

    It is not the thread that watches the revision, because a write may have to wait for a lock. Between reports it holds no
    database connection. A forked process has no such thread, and so does not report in its parent's name.
    """

    def __init__(self) -> None:
        super().__init__(name="ai_models-worker", daemon=True)
        self._id = uuid.uuid4()
        self._began = time.monotonic()
        self._woken = threading.Event()
        self._ending = False
        self._failing = False
        self._reported: int | None = None
        self._due = self._began

    def end(self) -> None:
        """Take the row away. A database that does not let it be deleted soon is left alone with it."""
        self._ending = True
        self._woken.set()
        self.join(END_SECONDS)

    def run(self) -> None:
        if store.in_memory():
            return
        with store.watched(self._woken):
            while not self._ending:
                self._attempt(self._report)
                self._woken.wait(self._due - time.monotonic())
                self._woken.clear()
        self._attempt(Worker.objects.filter(pk=self._id).delete)

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
            self._failing = False
        except Exception as error:  # Whatever happens, the process serves on, and tries again with the next beat.
            if not self._failing:
                logger.warning("This process cannot report the revision it serves (%s); trying again.", type(error).__name__)
            self._failing = True
        finally:
            connections.close_all()

    def _report(self) -> None:
        beat = time.monotonic() >= self._due
        if beat:
            self._due = time.monotonic() + BEAT_SECONDS
        revision = _served()
        if beat or revision != self._reported:
            self._write(revision)
            self._reported = revision
        if beat:
            Worker.objects.exclude(_seen_within(GONE_SECONDS)).delete()

    def _write(self, revision: int | None) -> None:
        if not Worker.objects.filter(pk=self._id).update(revision=revision, seen_at=Now()):
            Worker.objects.create(
                pk=self._id,
                host=host_name(),
                pid=os.getpid(),
                revision=revision,
                started_at=Now() - timedelta(seconds=time.monotonic() - self._began),
                seen_at=Now(),
            )


def _served() -> int | None:
    """The revision of what calls in this process get now; ``None`` when they get nothing."""
    try:
        return store.current().revision
    except AIModelsError:
        return None
