"""Which resumable streams there are: they begin here, are found again by their owners, and are forgotten in time.

Each event loop has a directory of its own. What runs in another process is found through the cache.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, NamedTuple

from ai_models import mirror, sharing
from ai_models.conf import conf
from ai_models.exceptions import NotReady, StreamNotFound
from ai_models.resumption import Resumable, ResumableStream, Source
from ai_models.telemetry import gauges, instruments
from ai_models.types import OnDisconnect

_ENTRY = 4
"""What an entry takes in memory beside its characters, in bytes."""


class Directory:
    """The streams of one event loop: those that run, and those that ended not long ago."""

    def __init__(self) -> None:
        self.streams: dict[str, ResumableStream] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._ended: OrderedDict[str, _Ended] = OrderedDict()  # its first entry is found at once however many are gone
        self._kept = 0
        self._forgetting: asyncio.TimerHandle | None = None
        self._mirror = mirror.Mirror()

    def add(self, stream: ResumableStream) -> None:
        """List a stream that begins. An earlier one of the same name is found by its id alone from then on."""
        self.streams[stream.id] = stream
        if stream.owner is not None:
            self._names[stream.owner, stream.name or stream.id] = stream.id
            self._mirror.follow(stream, stream.owner)

    @property
    def is_unwritten(self) -> bool:
        """Whether something of a stream's log is still to be written into the cache."""
        return self._mirror.is_following

    def find(self, owner: str, name: str) -> ResumableStream | None:
        """The owner's stream by its name or id."""
        stream = self.streams.get(self._names.get((owner, name), name))
        return stream if stream is not None and stream.owner == owner else None

    def keep(self, stream: ResumableStream) -> None:
        """Keep a stream that ended, for as long as the settings say; one that nobody can come back to is forgotten at once."""
        if stream.owner is None:
            del self.streams[stream.id]
            return
        loop = asyncio.get_running_loop()
        ended = self._ended[stream.id] = _Ended(
            stream.log.size() + _ENTRY * len(stream.log), loop.time() + conf().RESUME_SECONDS
        )
        self._kept += ended.size
        if self._forgetting is None:
            self._forgetting = loop.call_at(ended.until, self._forget_in_time)
        while self._kept > conf().RESUME_BYTES:
            self.forget(next(iter(self._ended)))

    def forget(self, identity: str) -> None:
        """Forget a stream that ended."""
        self._kept -= self._ended.pop(identity).size
        stream = self.streams.pop(identity)
        if stream.owner is not None:
            named = (stream.owner, stream.name or stream.id)
            if self._names.get(named) == identity:
                del self._names[named]

    def _forget_in_time(self) -> None:
        """One timer for all: at some hundred streams a second, one for each would be most of what is kept."""
        loop = asyncio.get_running_loop()
        self._forgetting = None
        while self._ended:
            identity, ended = next(iter(self._ended.items()))
            if ended.until > loop.time():
                self._forgetting = loop.call_at(ended.until, self._forget_in_time)
                break
            self.forget(identity)


class _Ended(NamedTuple):
    """How much memory a stream that ended takes, in bytes, and until when it is kept, by the event loop's clock."""

    size: int
    until: float


_directories: dict[asyncio.AbstractEventLoop, Directory] = {}


def running() -> list[ResumableStream]:
    """The streams of this event loop that have not ended."""
    return [stream for stream in _directory().streams.values() if not stream.ended]


def unwritten() -> bool:
    """Whether the cache does not know yet what readers in other processes need of this event loop's streams."""
    return _directory().is_unwritten


def _running() -> int:
    return sum(not stream.ended for known in list(_directories.values()) for stream in list(known.streams.values()))


gauges.watch_number(instruments.STREAMS, _running)


def _directory() -> Directory:
    loop = asyncio.get_running_loop()
    if (found := _directories.get(loop)) is None:
        for ended in [other for other in _directories if other.is_closed()]:
            del _directories[ended]
        found = _directories[loop] = Directory()
    return found


def owner_of(user: Any) -> str | None:
    """What names a user among the owners of streams; ``None`` when they cannot be told from others."""
    identity = getattr(user, "pk", None)
    # Two kinds of users may have the same keys.
    return None if identity is None else f"{user.__class__.__module__}.{user.__class__.__qualname__}:{identity}"


def begin(
    source: Source,
    *,
    user: Any = None,
    name: str | None = None,
    on_disconnect: OnDisconnect = "cancel",
    request_id: str = "-",
) -> ResumableStream:
    """Begin a stream that its user can come back to.

    Args:
        source: the service's stream.
        name: the client's own name of it, beside its id.
        on_disconnect: what happens when the last reader leaves.
        request_id: of the request it answers.
    """
    directory = _directory()
    stream = ResumableStream(
        source,
        owner=owner_of(user),
        name=name,
        on_disconnect=on_disconnect,
        request_id=request_id,
        on_end=directory.keep,
    )
    directory.add(stream)
    return stream


async def find(user: Any, name: str) -> Resumable:
    """The user's stream of this name or id, in whichever process it runs.

    Raises:
        StreamNotFound: there is none, it is another user's, or its time is over.
    """
    owner = owner_of(user)
    found = None if owner is None else await _find(owner, name)
    if found is None:
        raise StreamNotFound("There is no such stream, or the time to come back to it is over.")
    return found


async def _find(owner: str, name: str) -> Resumable | None:
    """What a name means is known to the cache: the latest stream of that name may run in another process."""
    here = _directory()
    try:
        identity = await sharing.identity_of(owner, name)
    except NotReady:
        if (known := here.find(owner, name)) is not None:
            return known
        raise
    found = here.find(owner, identity or name)
    if found is None:
        return await sharing.find(owner, name)
    if found.ended and not found.delivered:  # to nobody here
        found.delivered = await sharing.was_delivered(found.id)
    return found
