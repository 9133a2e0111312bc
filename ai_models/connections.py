"""Connected families: one object for each instance and its present settings, shared by all calls of the process."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ai_models import registry, store
from ai_models.families.base import Family
from ai_models.snapshot import InstanceFacts

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Entry:
    """A connected family, how many calls use it now, and whether its instance has new settings since."""

    fingerprint: str
    family: Family
    calls: int = 0
    retired: bool = False


_lock = threading.Lock()
_entries: dict[str, _Entry] = {}


@asynccontextmanager
async def connected(facts: InstanceFacts) -> AsyncIterator[Family]:
    """The instance's family, kept open at least as long as the context lasts.

    When the instance's settings changed, calls that are under way finish on the old connection, which is closed after
    the last of them.

    Raises:
        CredentialUnavailable: the credential cannot be opened.
    """
    entry, replaced = _borrow(facts)
    if replaced is not None:
        await _close(replaced)
    try:
        yield entry.family
    finally:
        with _lock:
            entry.calls -= 1
            last = entry.retired and entry.calls == 0
        if last:
            await asyncio.shield(_close(entry))


def _borrow(facts: InstanceFacts) -> tuple[_Entry, _Entry | None]:
    """The instance's entry, counted; and the entry it replaces, if that one is idle."""
    with _lock:
        entry = _entries.get(facts.id)
        replaced = None
        if entry is None or entry.fingerprint != facts.fingerprint:
            fresh = _Entry(facts.fingerprint, registry.families()[facts.family](store.open_connection(facts)))
            if entry is not None:
                entry.retired = True
                replaced = entry if entry.calls == 0 else None
            entry = _entries[facts.id] = fresh
        entry.calls += 1
        return entry, replaced


async def forget(present: frozenset[str]) -> None:
    """Close the connections of instances that no longer exist.

    Args:
        present: ids of those that do.
    """
    with _lock:
        gone = [_entries.pop(identity) for identity in list(_entries) if identity not in present]
        for entry in gone:
            entry.retired = True
    for entry in gone:
        if entry.calls == 0:
            await _close(entry)


async def aclose() -> None:
    """Close every connection, also those in use; the next call connects anew."""
    with _lock:
        entries = list(_entries.values())
        _entries.clear()
    for entry in entries:
        await _close(entry)


async def _close(entry: _Entry) -> None:
    try:
        await entry.family.aclose()
    except Exception as error:  # a family that cannot close must not fail the call that noticed
        logger.warning("A connection of family %s failed to close: %s", entry.family.type, type(error).__name__)
