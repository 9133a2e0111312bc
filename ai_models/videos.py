"""The methods about videos. A request becomes a job, which workers bring to its end whatever happens to the process that asked.

Each method has both forms here, because the synchronous ones write on the caller's own database connection: a job that is
asked for in a transaction exists, and begins, when that transaction is committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any, Unpack

from django.db import transaction

from ai_models import jobs, scheduling, storage, taskqueue
from ai_models.capabilities import Capability
from ai_models.conf import conf
from ai_models.exceptions import CapabilityNotEnabled, InvalidRequest, VideoNotFound, VideoNotReady
from ai_models.jobs import in_database, told
from ai_models.pipeline import Call, calling
from ai_models.service import with_positional
from ai_models.sync import CheckedUser, run
from ai_models.types import Video, VideoJob, VideoRequest

logger = logging.getLogger(__name__)

_NOT_STORED = frozenset({"provider", "model", "image"})
"""Fields that have a column of their own."""


async def agenerate_video(prompt: str | None = None, /, *, user: Any = None, **request: Unpack[VideoRequest]) -> VideoJob:
    """Have videos made. Returns at once, with a job that goes on by itself; a wrong request is refused at once.

    Args:
        prompt: what happens in the video.
        user: enforce this user's permissions, and make the job theirs; without one the caller is trusted.
        request: see :class:`~ai_models.types.VideoRequest`. ``timeout`` is for the whole job. ``headers`` are not taken.
    """
    return await in_database(_create)(await _wanted(with_positional(request, "prompt", prompt), user), user)


def generate_video(prompt: str | None = None, /, *, user: Any = None, **request: Unpack[VideoRequest]) -> VideoJob:
    """The sync twin of :func:`agenerate_video`. In a transaction, the job begins when that is committed."""
    allowed = None if user is None else CheckedUser(user)
    return told(_create)(run(_wanted(with_positional(request, "prompt", prompt), allowed)), user)


async def aget_video(id: str, /, *, user: Any = None) -> VideoJob:
    """How far a job is.

    Args:
        user: whose job it must be.

    Raises:
        VideoNotFound: there is none, or it is another user's.
    """
    return await in_database(_get)(id, user)


def get_video(id: str, /, *, user: Any = None) -> VideoJob:
    """The sync twin of :func:`aget_video`."""
    return told(_get)(id, user)


async def await_for_video(id: str, /, *, timeout: float | None = None, user: Any = None) -> VideoJob:  # noqa: ASYNC109
    """Wait until a job has ended, however it did.

    Args:
        timeout: seconds; without it as long as it takes.
        user: whose job it must be.

    Raises:
        VideoNotReady: the time is over. The job goes on.
        VideoNotFound: there is none, or it is another user's.
    """
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        job = await aget_video(id, user=user)
        if job.ended:
            return job
        await asyncio.sleep(_pause(end))


def wait_for_video(id: str, /, *, timeout: float | None = None, user: Any = None) -> VideoJob:
    """The sync twin of :func:`await_for_video`."""
    end = None if timeout is None else time.monotonic() + timeout
    while not (job := get_video(id, user=user)).ended:
        time.sleep(_pause(end))
    return job


async def acancel_video(id: str, /, *, user: Any = None) -> VideoJob:
    """End a job; the provider is told by a worker. A job that has ended stays as it is.

    Args:
        user: whose job it must be.

    Raises:
        VideoNotFound: there is none, or it is another user's.
    """
    return await in_database(_cancel)(id, user)


def cancel_video(id: str, /, *, user: Any = None) -> VideoJob:
    """The sync twin of :func:`acancel_video`."""
    return told(_cancel)(id, user)


async def aread_video(
    id: str, /, *, index: int = 0, start: int = 0, stop: int | None = None, user: Any = None
) -> AsyncGenerator[bytes]:
    """The bytes of a video, in pieces. An async generator.

    Args:
        index: which of the job's videos.
        start, stop: only the bytes from ``start`` up to, not including, ``stop``.
        user: whose job it must be.

    Raises:
        VideoNotReady: it is not made yet.
        VideoNotFound: there is none, it is another user's, or it was deleted.
        NotReady: the storage does not give it.
    """
    name, stop = await in_database(_located)(id, index, start, stop, user)
    pieces = _pieces(name, start, stop)
    try:
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece
    finally:
        with contextlib.suppress(ValueError):  # a read that was cut off still runs; the file is closed after it
            pieces.close()


def read_video(
    id: str, /, *, index: int = 0, start: int = 0, stop: int | None = None, user: Any = None
) -> Generator[bytes, None, None]:
    """The sync twin of :func:`aread_video`."""
    name, stop = told(_located)(id, index, start, stop, user)
    yield from _pieces(name, start, stop)


async def alocate_video(id: str, /, *, index: int = 0, user: Any = None) -> Video:
    """What :func:`aread_video` would read: its size and media type. It raises the same errors."""
    return await in_database(_video)(id, index, user)


async def _wanted(request: Mapping[str, Any], user: Any) -> dict[str, Any]:
    """A request that may go out, as the fields of its job."""
    async with calling(Capability.VIDEO_GENERATION, VideoRequest, request, user) as call:
        if call.request.get("headers"):
            raise InvalidRequest("headers: a video's request is stored, and headers may hold secrets; they are not taken")
        if (problem := taskqueue.problem()) is not None:
            raise CapabilityNotEnabled(f"{Capability.VIDEO_GENERATION} needs a queue for its jobs. {problem}")
        kept = {name: value for name, value in call.request.items() if name not in _NOT_STORED}
        return {
            "provider": call.facts.name,
            "instance": call.facts.id,
            "model": call.model,
            "request": {"n": 1, **kept},
            "image": call.request.get("image"),
            "warnings": call.warnings,
            "seconds": _seconds(call),
        }


def _seconds(call: Call[VideoRequest]) -> float:
    """How long the job may take: what the caller says, and no longer than the host allows."""
    given: Any = call.request.get("timeout", {})
    total = given.get("total") if isinstance(given, Mapping) else given
    return conf().VIDEO_TIMEOUT if total is None else min(total, conf().VIDEO_TIMEOUT)


def _create(wanted: Mapping[str, Any], user: Any) -> VideoJob:
    with transaction.atomic():
        row = jobs.create(owner=user, **wanted)
        scheduling.queue(row.pk)
    logger.info("Video job %s is accepted", row.pk)  # its steps are logged under this id
    return jobs.shown(row)


def _get(id: str, user: Any) -> VideoJob:
    row = jobs.find(id, user)
    if jobs.is_late(row):
        scheduling.revive(row.pk)
    return jobs.shown(row)


def _cancel(id: str, user: Any) -> VideoJob:
    row = jobs.find(id, user)
    with transaction.atomic():
        if jobs.cancel(row):
            scheduling.queue(row.pk)
    return jobs.shown(jobs.find(id, user))


def _located(id: str, index: int, start: int, stop: int | None, user: Any) -> tuple[str, int]:
    if start < 0 or (stop is not None and stop < start):
        raise InvalidRequest("start: give numbers of bytes from 0, start before stop")
    name, size = jobs.located(jobs.find(id, user), index)
    return name, size if stop is None else min(stop, size)


def _video(id: str, index: int, user: Any) -> Video:
    row = jobs.find(id, user)
    jobs.located(row, index)
    return jobs.shown(row).videos[index]


def _pieces(name: str, start: int, stop: int) -> Generator[bytes, None, None]:
    try:
        yield from storage.read(name, start, stop)
    except FileNotFoundError:
        raise VideoNotFound("The video was deleted.") from None


def _pause(end: float | None) -> float:
    """Seconds until the job is looked at again: it does not change more often."""
    left = float("inf") if end is None else end - time.monotonic()
    if left <= 0:
        raise VideoNotReady("The video was not ready in time. Its job goes on.")
    return min(conf().VIDEO_POLL_SECONDS, left)
