"""A stream's log in the cache: where it is, and what it looks like.

The log is in segments of a fixed size, so that a reader knows where to look. A head says whose it is, and that its process is
there. Readers in other processes leave word that they read, and what they wish.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

SEGMENT = 64
"""Entries in one key."""

OPEN, ENDED = "open", "ended"
"""The first line of a segment: whether the log goes on behind it. Each further line is an entry; JSON has no line breaks."""

ALIVE_SECONDS = 10.0
"""A stream of which nothing is heard for so long is taken for lost with its process."""

PRESENCE_SECONDS = 2.0
"""A reader elsewhere that says nothing for so long is taken for gone."""


def name_key(owner: str, name: str) -> str:
    """The id of the owner's latest stream of this name."""
    return "stream-name:" + hashlib.sha256(json.dumps([owner, name]).encode()).hexdigest()


def head_key(identity: str) -> str:
    """A :class:`Head`."""
    return f"stream-head:{identity}"


def segment_key(identity: str, number: int) -> str:
    """One segment of the log."""
    return f"stream-log:{identity}:{number}"


def reader_key(identity: str) -> str:
    """That a reader in another process is there."""
    return f"stream-reader:{identity}"


def cancel_key(identity: str) -> str:
    """That the stream is to be cancelled."""
    return f"stream-cancel:{identity}"


def delivered_key(identity: str) -> str:
    """That a reader in another process got the last event."""
    return f"stream-delivered:{identity}"


@dataclass(frozen=True, slots=True)
class Head:
    """Who owns a stream, how many entries its log has once it is complete, and whether the last one was read."""

    owner: str
    entries: int | None
    delivered: bool

    @classmethod
    def of(cls, text: str | None) -> Head | None:
        """The head, ``None`` when there is none, or something else is in its place."""
        try:
            return None if text is None else cls(**json.loads(text))
        except (TypeError, ValueError):
            return None
