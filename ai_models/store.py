"""The current snapshot of this process: built on first use, replaced when the configuration changes.

A warm call reads one reference: no query, no lock. Three things make it cold. A change made in this process drops the
snapshot when its transaction commits. A thread that looks at the revision every ``REVISION_POLL_SECONDS`` notices changes of
other processes. And inside a transaction with an uncommitted change, that thread, and only it, sees a snapshot of its own.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

from django.core.signals import setting_changed
from django.db import Error, connections, router, transaction
from django.dispatch import receiver
from django.utils import timezone

from ai_models.capabilities import Capability
from ai_models.conf import conf
from ai_models.database import given_back, in_thread
from ai_models.exceptions import NotReady
from ai_models.facts import load, open_connection, row_fingerprint, stored_revision
from ai_models.models import ConfigRevision, ProviderCapability, ProviderInstance, bump_revision, lock_revision, revision_raised
from ai_models.snapshot import CheckState, InstanceFacts, Snapshot

__all__ = [
    "acurrent",
    "carried",
    "current",
    "in_memory",
    "invalidate",
    "open_connection",
    "record_check",
    "replaced",
    "served",
    "stop_polling",
    "watched",
]

logger = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
"""Without use for so long, the thread ends; the next call builds a new snapshot and starts it again. In a server it goes on,
because :mod:`ai_models.workers` asks for the snapshot more often."""

FAILURE_SECONDS = 1.0
"""For so long after the database failed, calls fail at once instead of waiting for it one after the other."""


class _Store:
    """What one process knows. The lock is held while a snapshot is built, and never by a warm call."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.snapshot: Snapshot | None = None
        self.used = 0.0
        self.failed: float | None = None
        self.poller: _Poller | None = None
        self.watchers: set[threading.Event] = set()

    def put(self, snapshot: Snapshot | None) -> None:
        """Put another snapshot in place, or none. The caller holds the lock."""
        self.snapshot = snapshot
        for watcher in self.watchers:
            watcher.set()


class _Uncommitted:
    """A change in an open transaction. Django calls it on commit, and forgets it when what it belongs to is rolled back."""

    snapshot: Snapshot | None = None

    def __call__(self) -> None:
        invalidate()


_store = _Store()
# Lives by the references that Django's connections hold, so it is empty whenever no transaction has a change in it.
_uncommitted: WeakSet[_Uncommitted] = WeakSet()
_carried: ContextVar[Snapshot | None] = ContextVar("ai_models_snapshot", default=None)
_replacement: Snapshot | None = None


def current() -> Snapshot:
    """The snapshot in force.

    Raises:
        NotReady: the database cannot be read.
        ConfigurationError: the families cannot be loaded.
    """
    if (snapshot := _replacement or _carried.get()) is not None:
        return snapshot
    if _uncommitted and (change := _own_change()) is not None:
        change.snapshot = change.snapshot or _load()
        return change.snapshot
    return _warm() or _load_shared()


async def acurrent() -> Snapshot:
    """As :func:`current`, for async callers."""
    snapshot = _replacement or _carried.get()
    if snapshot is None and not _uncommitted:
        snapshot = _warm()
    return snapshot or await in_thread(current)()


def served() -> Snapshot | None:
    """The snapshot that calls get now; ``None`` when the next one has to load it. It is only looked at, never asked for."""
    return _replacement or _store.snapshot


@contextmanager
def replaced(snapshot: Snapshot) -> Iterator[None]:
    """Put a snapshot in place of what the database says, for the whole process. For tests."""
    global _replacement
    before, _replacement = _replacement, snapshot
    try:
        yield
    finally:
        _replacement = before


def invalidate() -> None:
    """Forget the snapshot; the next call builds a new one."""
    with _store.lock:
        _store.failed = None
        _store.put(None)


@contextmanager
def watched(changed: threading.Event) -> Iterator[None]:
    """Have the event set whenever the callers of this process are to get another snapshot."""
    with _store.lock:
        _store.watchers.add(changed)
    try:
        yield
    finally:
        with _store.lock:
            _store.watchers.discard(changed)


@contextmanager
def carried() -> Iterator[Snapshot]:
    """Fix the snapshot for a block of code, and for what the block hands to other threads in its context.

    Another thread has another database connection: it would not see what the caller's open transaction changed.
    """
    snapshot = current()
    token = _carried.set(snapshot)
    try:
        yield snapshot
    finally:
        _carried.reset(token)


def record_check(
    facts: InstanceFacts,
    state: CheckState,
    message: str,
    latency_ms: int | None = None,
    *,
    report: Sequence[Mapping[str, Any]] = (),
    capability: Capability | None = None,
) -> None:
    """Store the result of a health check, unless the instance's settings changed while it ran.

    The revision is raised only when ``state`` is another one than before.

    Args:
        facts: the instance as it was checked.
        latency_ms: milliseconds, ``None`` when nothing was called.
        report: the rungs of the check, as JSON.
        capability: set when only this capability was checked; then the instance's own result stays as it is, and nothing is
            stored when the capability's models changed.
    """
    with transaction.atomic():
        lock_revision()
        row = ProviderInstance.objects.filter(pk=facts.id).first()
        if row is None or row_fingerprint(row) != facts.fingerprint:
            return
        if capability is not None:
            item = ProviderCapability.objects.filter(instance=row, capability=capability).first()
            known = facts.capabilities.get(capability)
            if item and known and (item.default_model or None, item.aliases) == (known.default_model, known.aliases):
                ProviderCapability.objects.filter(pk=item.pk).update(
                    check_state=state, check_message=message, checked_at=timezone.now(), latency_ms=latency_ms
                )
            return
        if row.state != state:
            bump_revision()
        ProviderInstance.objects.filter(pk=row.pk).update(
            state=state, state_message=message, latency_ms=latency_ms, checked_at=timezone.now(), report=list(report)
        )


def stop_polling() -> None:
    """End the thread that watches the revision, and wait for it. The next call starts another one."""
    with _store.lock:  # under it a poller is made and started in one go
        poller = _store.poller
    if poller is not None:
        poller.stopped.set()
        poller.join()


def _warm() -> Snapshot | None:
    _store.used = time.monotonic()
    return _store.snapshot


def _own_change() -> _Uncommitted | None:
    """The latest uncommitted change of this thread."""
    for connection in connections.all(initialized_only=True):
        for _, callback, *_ in reversed(connection.run_on_commit):
            if isinstance(callback, _Uncommitted):
                return callback
    return None


def _load() -> Snapshot:
    try:
        # Whoever calls a model in a thread need not know that the database was asked there.
        with given_back():
            return load()
    except Error:
        raise NotReady("The database cannot be read. It must be reachable, and migrated with: manage.py migrate") from None


def _load_shared() -> Snapshot:
    with _store.lock:
        if (snapshot := _store.snapshot) is None:
            if _store.failed is not None and time.monotonic() - _store.failed < FAILURE_SECONDS:
                raise NotReady("The database could not be read a moment ago.", retry_after=FAILURE_SECONDS)
            try:
                snapshot = _load()
            except NotReady:
                _store.failed = time.monotonic()
                raise
            _store.put(snapshot)
            _start_polling()
        return snapshot


class _Poller(threading.Thread):
    """Watches the revision, on a database connection of its own."""

    def __init__(self, seconds: float) -> None:
        super().__init__(name="ai_models-revision", daemon=True)
        self.seconds = seconds
        self.stopped = threading.Event()
        self.failing = False

    def run(self) -> None:
        try:
            while not self.stopped.wait(self.seconds) and time.monotonic() - _store.used < IDLE_SECONDS:
                self._look()
        finally:
            connections.close_all()
            with _store.lock:
                # Nobody watches from here on, so the snapshot must not be trusted any longer.
                _store.poller = None
                _store.put(None)

    def _look(self) -> None:
        try:
            _refresh()
            for connection in connections.all(initialized_only=True):
                connection.close_if_unusable_or_obsolete()
            self.failing = False
        except Exception as error:  # Whatever happens, go on with the snapshot there is and look again.
            if not self.failing:
                logger.warning("The configuration cannot be reloaded (%s); going on with what is known.", type(error).__name__)
            self.failing = True
            connections.close_all()


def _refresh() -> None:
    snapshot = _store.snapshot
    if snapshot is not None and stored_revision() != snapshot.revision:
        with _store.lock:
            _store.put(_load())


def in_memory() -> bool:
    """Whether the database lives in the memory of this thread's connection, so that no other thread can share it."""
    connection: Any = connections[router.db_for_read(ConfigRevision)]
    return connection.vendor == "sqlite" and bool(connection.is_in_memory_db())


def _start_polling() -> None:
    seconds = conf().REVISION_POLL_SECONDS
    if seconds > 0 and not in_memory() and _store.poller is None:
        _store.poller = _Poller(seconds)
        _store.poller.start()


@receiver(revision_raised)
def _note_change(*, using: str, **_: Any) -> None:
    change = _Uncommitted()
    _uncommitted.add(change)
    transaction.on_commit(change, using=using)


@receiver(setting_changed)
def _settings_changed(*, setting: str, **_: Any) -> None:
    if setting == "AI_MODELS":
        invalidate()


def _start_over() -> None:
    """In a forked process there is no poller, and a lock may be held by a thread that does not exist."""
    global _store
    _store = _Store()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)
