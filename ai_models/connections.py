"""Connected families: one object for each instance and its present settings, shared by all calls of the process."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from dataclasses import dataclass

from ai_models import admission, registry, store
from ai_models.families.base import Family
from ai_models.snapshot import InstanceFacts, Snapshot

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
_followed: Snapshot | None = None
_inherited: list[dict[str, _Entry]] = []


class connected:  # noqa: N801 - it is used as the functions are that contextlib makes
    """The instance's family, kept open at least as long as the context lasts.

    When the instance's settings changed, calls that are under way finish on the old connection, which is closed after
    the last of them.

    Raises:
        CredentialUnavailable: the credential cannot be opened.
    """

    __slots__ = ("_entry", "_facts")

    def __init__(self, facts: InstanceFacts) -> None:
        self._facts = facts

    async def __aenter__(self) -> Family:
        self._entry, replaced = _borrow(self._facts)
        if replaced is not None:
            try:
                await _close(replaced)
            except BaseException:
                await self.__aexit__()
                raise
        return self._entry.family

    async def __aexit__(self, *error: object) -> None:
        entry = self._entry
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


async def follow(snapshot: Snapshot) -> None:
    """Close the connections of instances that are gone or switched off since the last snapshot."""
    global _followed
    if snapshot is _followed:
        return
    _followed = snapshot
    present = {facts.id for facts in snapshot.instances.values() if facts.enabled and not facts.orphaned}
    admission.keep(present)
    await _retire([identity for identity in list(_entries) if identity not in present])


async def aclose() -> None:
    """Close every connection, those in use after their last call; the next call connects anew."""
    await _retire(list(_entries))


async def _retire(identities: list[str]) -> None:
    with _lock:
        entries = [entry for identity in identities if (entry := _entries.pop(identity, None)) is not None]
        for entry in entries:
            entry.retired = True
        idle = [entry for entry in entries if entry.calls == 0]
    for entry in idle:
        await _close(entry)


async def _close(entry: _Entry) -> None:
    try:
        await entry.family.aclose()
    except Exception as error:  # a family that cannot close must not fail the call that noticed
        logger.warning("A connection of family %s failed to close: %s", entry.family.type, type(error).__name__)


def _start_over() -> None:
    """A forked process makes connections of its own. The parent's are kept, so that nothing here closes them."""
    global _entries, _lock
    _inherited.append(_entries)
    _entries, _lock = {}, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)
