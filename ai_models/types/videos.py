"""The job that makes videos, as callers see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ai_models.types.results import Warning
from ai_models.types.statuses import VideoStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """A video that is kept until its job expires.

    Attributes:
        index: its number in the job, from 0.
        media_type: IANA media type, ``video/mp4``.
        size: bytes.
    """

    index: int
    media_type: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoError:
    """Why a job failed; ``code`` and ``message`` are those of the error that a call would have raised."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoJob:
    """The making of videos: a job that outlives calls, processes and restarts.

    Attributes:
        status: ``queued`` until the provider took the request, then ``in_progress``; it ends as ``completed``, ``failed`` or
            ``cancelled``. A completed one becomes ``expired`` when its videos are deleted.
        progress: percent, 0 to 100; ``None`` when the provider does not tell it.
        videos: there once the job is completed, until it expires.
        error: why it failed.
        completed_at: when it ended, however it did.
        expires_at: when its videos are deleted; ``None`` while it has none.
    """

    id: str
    status: VideoStatus
    progress: int | None = None
    videos: tuple[Video, ...] = ()
    provider: str
    model: str
    warnings: tuple[Warning, ...] = ()
    error: VideoError | None = None
    created_at: datetime
    completed_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will be done."""
        return self.status not in ("queued", "in_progress")
