"""Streams of other processes, read out of the cache, where :mod:`ai_models.mirror` writes them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import deque

from ai_models import events, shared_log
from ai_models.cache import SharedCache, shared_cache
from ai_models.conf import conf
from ai_models.encoding import encode
from ai_models.exceptions import Internal, NotReady
from ai_models.resumption import WINDOW, Entry, ended_with
from ai_models.shared_log import (
    ENDED,
    OPEN,
    PRESENCE_SECONDS,
    SEGMENT,
    Head,
    cancel_key,
    delivered_key,
    head_key,
    name_key,
    reader_key,
    segment_key,
)

_POLL_SECONDS = 0.1
_PRESENCE_BEAT_SECONDS = 0.25
_APPEARANCE_SECONDS = 0.5
_SEGMENTS_AT_ONCE = 8
_CANCEL_SECONDS = 60.0
_ID = re.compile(r"[0-9a-f]{32}")


async def identity_of(owner: str, name: str) -> str | None:
    """The id of the owner's latest stream of this name, as the cache knows it.

    Raises:
        NotReady: the cache does not answer.
    """
    cache = shared_cache()
    return await cache.get(name_key(owner, name)) if cache.between_processes else None


async def was_delivered(identity: str) -> bool:
    """Whether a reader in another process got the stream's last event. One that cannot be known of is told once more."""
    cache = shared_cache()
    if not cache.between_processes:
        return False
    try:
        return await cache.get(delivered_key(identity)) is not None
    except NotReady:
        return False


async def find(owner: str, name: str) -> SharedStream | None:
    """The owner's stream by its name or id, if it runs in another process or ran there not long ago.

    Raises:
        NotReady: the cache does not answer.
    """
    cache = shared_cache()
    if not cache.between_processes:
        return None
    until = time.monotonic() + _APPEARANCE_SECONDS
    while True:
        identity = await identity_of(owner, name) or name
        if _ID.fullmatch(identity):
            told = await cache.get_many((head_key(identity), delivered_key(identity)))
            head = Head.of(told.get(head_key(identity)))
            if head is not None and head.owner == owner:
                return SharedStream(identity, head, cache, delivered=head.delivered or delivered_key(identity) in told)
        if time.monotonic() >= until:
            return None
        await asyncio.sleep(_POLL_SECONDS)


class SharedStream:
    """A stream of another process, as a :class:`~ai_models.resumption.Resumable`."""

    def __init__(self, identity: str, head: Head, cache: SharedCache, *, delivered: bool) -> None:
        self.id = identity
        self.delivered = delivered
        self._head = head
        self._cache = cache

    def read(self, after: int = 0) -> SharedReader:
        """See :class:`~ai_models.resumption.Resumable`. What has not come so far is refused by the reader."""
        if self._head.entries is not None and after >= self._head.entries:
            raise ended_with(self._head.entries)
        return SharedReader(self.id, self._cache, after)

    async def cancel(self) -> None:
        """See :class:`~ai_models.resumption.Resumable`. The other process does it a moment later."""
        await self._cache.set_many({cancel_key(self.id): "cancel"}, _CANCEL_SECONDS)


class SharedReader:
    """Reads a log out of the cache, and tells the other process that it is there for as long as it is."""

    def __init__(self, identity: str, cache: SharedCache, after: int) -> None:
        self._id = identity
        self._cache = cache
        self._position = after
        self._read: deque[Entry] = deque()
        self._heard = time.monotonic()
        self._over = False
        self._left = False
        self._presence = asyncio.get_running_loop().create_task(self._be_present(), name="ai_models-reader")

    async def next(self) -> Entry | None:
        """See :class:`~ai_models.resumption.Reader`.

        Raises:
            InvalidRequest: the stream ended before the event that the reader was to begin behind.
            NotReady: the cache has not answered for a while.
        """
        while not self._read and not self._over:
            try:
                await self._look()
            except NotReady:
                if time.monotonic() - self._heard > shared_log.ALIVE_SECONDS:
                    raise
                await asyncio.sleep(_POLL_SECONDS)
        return None if self._over else self._take()

    def ready(self) -> list[Entry]:
        """See :class:`~ai_models.resumption.Reader`."""
        there = len(self._read) - bool(self._read and self._read[-1].last)
        return [self._take() for _ in range(min(there, WINDOW))]

    def leave(self) -> None:
        """See :class:`~ai_models.resumption.Reader`."""
        self._left = True

    def _take(self) -> Entry:
        entry = self._read.popleft()
        self._position, self._over = entry.seq, entry.last
        if entry.last:
            self.leave()
        return entry

    async def _look(self) -> None:
        # The head is read first: whatever it tells is there.
        head = Head.of(await self._cache.get(head_key(self._id)))
        entries = await self._entries()
        now = time.monotonic()
        if head is not None or entries:
            self._heard = now
        if entries:
            self._read.extend(entries)
        elif head is not None and head.entries is not None and self._position >= head.entries:
            raise ended_with(head.entries)
        elif now - self._heard > shared_log.ALIVE_SECONDS:
            self._read.append(self._lost())
        else:
            await asyncio.sleep(_POLL_SECONDS)

    async def _be_present(self) -> None:
        """Say so again and again, also while the client is slow. At the end, others that read this stream say it themselves."""
        while not self._left:
            with contextlib.suppress(NotReady):
                await self._cache.set_many({reader_key(self._id): "reading"}, PRESENCE_SECONDS)
            await asyncio.sleep(_PRESENCE_BEAT_SECONDS)
        with contextlib.suppress(NotReady):
            if self._over:
                await self._cache.set_many({delivered_key(self._id): "delivered"}, conf().RESUME_SECONDS)
            await self._cache.delete(reader_key(self._id))

    async def _entries(self) -> list[Entry]:
        """What the cache has behind the reader's position, without a gap."""
        first = self._position // SEGMENT
        numbers = range(first, first + _SEGMENTS_AT_ONCE)
        found = await self._cache.get_many(segment_key(self._id, number) for number in numbers)
        entries: list[Entry] = []
        for number in numbers:
            state, *bodies = found.get(segment_key(self._id, number), OPEN).split("\n")
            for place, body in enumerate(bodies, start=1):
                last = state == ENDED and place == len(bodies)
                entries.append(Entry(number * SEGMENT + place, body, last))
            if len(bodies) < SEGMENT:  # what stands behind it belongs to a later state of the log
                break
        return [entry for entry in entries if entry.seq > self._position]

    def _lost(self) -> Entry:
        error = Internal("The process that made this stream is gone; what it had not told yet is lost.")
        return Entry(self._position + 1, encode(events.Error(error), "-"), last=True)
