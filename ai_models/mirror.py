"""Writes the logs of this process's streams into the cache, and does what readers in other processes wish.

All of them together, a few operations a second, a little later than it happens. Without a cache that processes share nothing is
written, and a stream is found in its own process alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from dataclasses import dataclass, field

from ai_models.cache import SharedCache, shared_cache
from ai_models.conf import conf
from ai_models.exceptions import NotReady
from ai_models.resumption import ResumableStream
from ai_models.shared_log import (
    ALIVE_SECONDS,
    ENDED,
    OPEN,
    SEGMENT,
    cancel_key,
    head_key,
    name_key,
    reader_key,
    segment_key,
)

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.2
"""How often logs are written, and wishes read."""

BEAT_SECONDS = 2.0
"""How often this process says that it is there."""

_ABSENT_TICKS = 4


class Mirror:
    """Writes the logs of one event loop's streams into the cache, and does what readers elsewhere wish."""

    def __init__(self) -> None:
        self._followed: dict[str, _Followed] = {}
        self._task: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()
        self._failing = False

    def follow(self, stream: ResumableStream, owner: str) -> None:
        """Write this stream's log, until it is complete."""
        cache = shared_cache()
        if cache.between_processes and conf().RESUME_SECONDS > 0:
            self._followed[stream.id] = _Followed(stream, owner)
            self._begun.set()
            if self._task is None or self._task.done():
                self._task = asyncio.get_running_loop().create_task(self._run(cache))

    @property
    def is_following(self) -> bool:
        """Whether there is a log that is not written to its end."""
        return bool(self._followed)

    async def _run(self, cache: SharedCache) -> None:
        while self._followed:
            self._begun.clear()
            failure: NotReady | None = None
            # Whatever cannot be written, what readers wish is still heard.
            for step in (self._write, self._listen):
                try:
                    await step(cache)
                except NotReady as error:
                    failure = error
            if failure is not None and not self._failing:
                logger.warning("Streams cannot be continued in other processes for now. %s", failure.message)
            self._failing = failure is not None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._begun.wait()

    async def _write(self, cache: SharedCache) -> None:
        await cache.settle()
        lasting = conf().RESUME_SECONDS
        notes = [(item, note) for item in self._followed.values() if (note := item.note())]
        if new := {item.key: item.stream.id for item, _ in notes if not item.is_named}:
            await cache.set_many(new, 2 * lasting)
        for item, note in notes:
            if item.is_named and note.is_whole:  # again, unless a later stream has the name by now
                await cache.add(item.key, item.stream.id, 2 * lasting)
            item.is_named = True
        if segments := {key: text for _, note in notes for key, text in note.segments.items()}:
            await cache.set_many(segments, 2 * lasting)
        # Heads come after segments, so that whoever sees a head finds what it tells.
        if heads := {head_key(item.stream.id): note.head for item, note in notes if not note.ended}:
            await cache.set_many(heads, ALIVE_SECONDS)
        if heads := {head_key(item.stream.id): note.head for item, note in notes if note.ended}:
            await cache.set_many(heads, lasting)
        for item, note in notes:
            item.written(note)
            if note.ended:
                del self._followed[item.stream.id]

    async def _listen(self, cache: SharedCache) -> None:
        followed = list(self._followed.values())
        keys = [key for item in followed for key in (item.key, reader_key(item.stream.id), cancel_key(item.stream.id))]
        told = await cache.get_many(keys) if keys else {}
        for item in followed:
            if cancel_key(item.stream.id) in told:
                item.stream.close()
            item.note_reader(reader_key(item.stream.id) in told)
            if item.key not in told:  # the cache was flushed
                item.start_over()


@dataclass(frozen=True, slots=True)
class _Note:
    """What is to be written about a stream now.

    Attributes:
        segments: text by key.
        head: the text of a :class:`Head`.
        entries: how many entries are written with it.
        is_whole: whether it has the log from its beginning.
    """

    segments: dict[str, str]
    head: str
    entries: int
    is_whole: bool
    ended: bool


@dataclass(slots=True)
class _Followed:
    """A stream whose log is being written.

    Attributes:
        entries: how many are written.
        is_named: whether its name was written.
        begun: when the log was written from its beginning; it is written anew before that is forgotten.
        told: when the cache last heard of the stream.
        absent: in how many ticks in a row no reader elsewhere was there.
    """

    stream: ResumableStream
    owner: str
    entries: int = 0
    is_named: bool = False
    begun: float = field(default_factory=time.monotonic)
    told: float = float("-inf")
    absent: int = 0

    @property
    def key(self) -> str:
        """Where the cache has the id of the stream of this name."""
        return name_key(self.owner, self.stream.name or self.stream.id)

    def note(self) -> _Note | None:
        """What is to be written; ``None`` when nothing is."""
        now, stream = time.monotonic(), self.stream
        if now - self.begun > conf().RESUME_SECONDS:
            self.start_over()
        entries = len(stream.log)
        if entries == self.entries and not stream.ended and now - self.told < BEAT_SECONDS:
            return None
        segments = {
            segment_key(stream.id, number): self._segment(number)
            for number in range(self.entries // SEGMENT, -(-entries // SEGMENT))
        }
        told = {"owner": self.owner, "entries": entries if stream.ended else None, "delivered": stream.delivered}
        return _Note(segments, json.dumps(told), entries, self.entries == 0, stream.ended)

    def written(self, note: _Note) -> None:
        """The note is in the cache."""
        self.entries, self.told = note.entries, time.monotonic()

    def start_over(self) -> None:
        """Write everything once more, with the next note."""
        self.begun, self.entries, self.told = time.monotonic(), 0, float("-inf")

    def note_reader(self, present: bool) -> None:
        """A reader elsewhere is there, or is not; one that leaves does not take the others with it."""
        self.absent = 0 if present else self.absent + 1
        if present or self.absent == _ABSENT_TICKS:
            self.stream.set_read_elsewhere(present)

    def _segment(self, number: int) -> str:
        """Whether the log ends here, and each entry on a line of its own; JSON has no line breaks."""
        log = self.stream.log
        entries = log[number * SEGMENT : (number + 1) * SEGMENT]
        last = self.stream.ended and len(log) <= (number + 1) * SEGMENT
        return "\n".join([ENDED if last else OPEN, *entries])
