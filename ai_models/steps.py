"""The work on video jobs, in short steps: ask the provider, look how far it is, fetch the videos, tell it of a cancellation.

Each step claims its job, so that no two workers do the same one, and ends by settling it. A process may die anywhere: the row
says what was done, the lease runs out, and a sweep queues the job again. What a dead step did after its last write is
done once more; that costs money only when it died between the provider's acceptance and the write of its reference.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import IO, Any, Final, TypeVar, cast

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from ai_models import admission, calls, connections, correlation, gates, jobs, media, storage, store, taskqueue
from ai_models.access import supported_by
from ai_models.capabilities import Capability
from ai_models.conf import conf
from ai_models.exceptions import (
    AIModelsError,
    Internal,
    NotReady,
    ProviderNotFound,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamTimeout,
)
from ai_models.families.base import Family
from ai_models.jobs import ACTIVE, Claim, in_database
from ai_models.observation import observed
from ai_models.scheduling import queue
from ai_models.snapshot import InstanceFacts
from ai_models.telemetry.observing import submitted
from ai_models.types import VideoOperation, VideoRequest

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST_CANCELLATIONS: Final = 5
"""A provider that cannot be told of a cancellation so often is left alone; it will finish in vain."""

ASK_SECONDS: Final = 30.0
"""How long a provider may take to tell how far it is. Other jobs of the worker wait meanwhile."""

SETTLE_PAUSE: Final = 1.0
"""Seconds between attempts to store what a step brought, while the database does not answer."""

_GROWTH = 10


class _Lost(Exception):
    """The job was cancelled, or taken over, while a step ran."""


@dataclass(frozen=True, slots=True)
class _Settled:
    """What a step brought.

    Attributes:
        changes: of the row.
        seconds: until the next step; ``None`` when none is left.
    """

    changes: Mapping[str, Any]
    seconds: float | None = None


async def advance(identity: str) -> None:
    """Do the step of a job that is due, and queue the next one. Does nothing when none is due."""
    correlation.request_id.set(identity)  # no request waits for it; in logs the job's id stands in its place
    while True:
        seconds = await _advance(identity)
        if seconds is None:
            return
        await asyncio.sleep(seconds)


async def _advance(identity: str) -> float | None:
    """Seconds until the next step, when the backend cannot defer it."""
    claim = await in_database(jobs.claim)(identity)
    if claim is None:
        return None
    try:
        settled = await _step(claim)
    except _Lost:
        await _lost(claim, None)
        return None
    due_at = None if settled.seconds is None else timezone.now() + timedelta(seconds=settled.seconds)
    if not await _settle(claim, due_at, settled.changes):
        await _lost(claim, settled.changes.get("reference"))
        return None
    if settled.changes.get("status") == "failed":
        await asyncio.to_thread(storage.delete, claim.row.pk)
    return None if taskqueue.defers() else settled.seconds


async def _settle(claim: Claim, due_at: datetime | None, changes: Mapping[str, Any]) -> bool:
    """Store what a step brought, again while the lease may hold: what the provider accepted was paid for, and must be known.

    Raises:
        NotReady: the database did not answer all that time.
    """
    deadline = time.monotonic() + jobs.LEASE_SECONDS
    while True:
        try:
            return await in_database(_store)(claim, due_at, changes)
        except NotReady:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(SETTLE_PAUSE)


def _store(claim: Claim, due_at: datetime | None, changes: Mapping[str, Any]) -> bool:
    with transaction.atomic():
        stored = claim.settle(due_at, **changes)
        if stored and due_at is not None and taskqueue.defers():
            queue(claim.row.pk, due_at)
    return stored


async def _lost(claim: Claim, reference: Mapping[str, Any] | None) -> None:
    """What a step brought cannot be stored: the job was cancelled, or taken over, while it ran."""
    if await in_database(_give_up)(claim, reference):
        await asyncio.to_thread(storage.delete, claim.row.pk)
    elif reference is None or claim.row.reference is not None:
        return
    elif not await in_database(jobs.has)(claim.row.pk, reference):
        logger.warning("Video job %s was taken over while the provider took it; this second one is called off.", claim.row.pk)
        with contextlib.suppress(AIModelsError):
            async with _connected(claim) as (_, family):
                await calls.attempts(lambda: family.do_cancel_video(claim.row.model, reference), calls.Limits.of({}))


def _give_up(claim: Claim, reference: Mapping[str, Any] | None) -> bool:
    with transaction.atomic():
        given = claim.give_up(reference)
        if given:
            queue(claim.row.pk)
    return given


async def _step(claim: Claim) -> _Settled:
    """Do what is next, and turn what goes wrong into what is stored of it."""
    row = claim.row
    try:
        if row.status not in ACTIVE:
            return await _call_off(claim)
        if timezone.now() >= row.deadline_at:
            # With a further step, which tells the provider.
            return replace(_failed(UpstreamTimeout("The video was not there in time.")), seconds=0)
        if row.reference is None:
            return await _submit(claim)
        return await (_fetch if row.videos else _look)(claim, row.reference)
    except AIModelsError as error:
        if _again(claim, error):
            wait = min(error.retry_after or _pause(row.failures), _seconds_left(claim))
            return _Settled({"failures": row.failures + 1}, wait)
        return _failed(error)


def _again(claim: Claim, error: AIModelsError) -> bool:
    """Whether a step that failed is done again. A submission costs money, so its attempts are counted."""
    if claim.row.reference is not None or not isinstance(error, UpstreamError | Internal):
        return error.retryable
    left = claim.row.submissions < calls.Limits.of(claim.row.request).max_retries
    return left and (isinstance(error, Internal) or calls.repeatable(error))


async def _submit(claim: Claim) -> _Settled:
    row = claim.row
    limits = calls.Limits.of(row.request)
    if row.submissions > limits.max_retries:
        raise UpstreamError(f"The provider was asked {row.submissions} times, and no answer is known.", retryable=False)
    request: dict[str, Any] = {**row.request}
    if row.image is not None:
        request["image"] = bytes(row.image)
    async with _connected(claim) as (facts, family):

        async def submit() -> VideoOperation | None:
            # Not before it has a place: no submission is counted that is not made.
            if not await in_database(claim.submitting)():
                return None
            return await family.do_start_video(row.model, cast(VideoRequest, request))

        operation = await _asked(claim, facts, submit, min(conf().TIMEOUT["total"], _seconds_left(claim)))
    if operation is None:  # cancelled just now: settling tells
        return _Settled({}, 0)
    return _moved(claim, operation, {"status": "in_progress", "image": None})


async def _look(claim: Claim, reference: Mapping[str, Any]) -> _Settled:
    row = claim.row
    async with _connected(claim) as (facts, family):
        operation = await _asked(claim, facts, lambda: family.do_poll_video(row.model, reference), ASK_SECONDS)
    return _moved(claim, operation, {})


def _moved(claim: Claim, operation: VideoOperation, changes: Mapping[str, Any]) -> _Settled:
    """What a report of the provider means for the job."""
    new = [warning for warning in jobs.storable(operation.warnings) if warning not in claim.row.warnings]
    changes = {
        **changes,
        "reference": jobs.storable(operation.reference),
        "warnings": [*claim.row.warnings, *new],
        "failures": 0,
    }
    if operation.status == "failed":
        failed = _failed(operation.error or UpstreamError("The provider could not make the video."))
        return replace(failed, changes={**changes, **failed.changes})
    if operation.progress is not None:
        changes["progress"] = max(0, min(100, operation.progress))
    if operation.status == "running":
        elapsed = (timezone.now() - claim.row.created_at).total_seconds()
        return _Settled(changes, _poll_pause(elapsed))
    if not operation.videos:
        raise UpstreamInvalidResponse("The provider says that the video is ready, and names none.", retryable=False)
    return _Settled({**changes, "videos": [{"media_type": kind} for kind in operation.videos]}, 0)


async def _fetch(claim: Claim, reference: Mapping[str, Any]) -> _Settled:
    """Fetch the first video that is missing; each has a step of its own."""
    row = claim.row
    index = next(number for number, video in enumerate(row.videos) if "file" not in video)
    videos = [dict(video) for video in row.videos]
    with tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR) as content:  # gone by itself when the process dies
        async with _connected(claim) as (facts, family):
            start = partial(family.do_fetch_video, row.model, reference, index)
            size = await _asked(claim, facts, lambda: _download(claim, start, content), _seconds_left(claim))
        head = content.read(media.SIGNATURE_BYTES)
        content.seek(0)
        videos[index] |= {"media_type": media.media_type(head) or videos[index]["media_type"], "size": size}
        videos[index]["file"] = await _kept(claim, asyncio.to_thread(storage.save, row.pk, content))
    changes: dict[str, Any] = {"videos": videos, "failures": 0}
    if any("file" not in video for video in videos):
        return _Settled(changes, 0)
    now = timezone.now()
    expires_at = now + timedelta(hours=conf().VIDEO_EXPIRY_HOURS)
    return _Settled({**changes, "status": "completed", "progress": 100, "ended_at": now, "expires_at": expires_at})


async def _download(claim: Claim, start: Callable[[], AsyncGenerator[bytes]], content: IO[bytes]) -> int:
    """Write a video to a file, and go back to its beginning. The video's size."""
    most = conf().MAX_VIDEO_BYTES
    limits = replace(calls.Limits.of(claim.row.request), total=_seconds_left(claim))
    async with aclosing(calls.pieces(start, limits)) as pieces:
        async for piece in pieces:
            if content.tell() + len(piece) > most:
                raise UpstreamInvalidResponse(f"The video is larger than {most} bytes.", retryable=False)
            await asyncio.to_thread(content.write, piece)
    size = content.tell()
    if not size:
        raise UpstreamInvalidResponse("The provider sent an empty video.")
    content.seek(0)
    return size


async def _call_off(claim: Claim) -> _Settled:
    """Tell the provider that the videos of a job that has ended are not wanted any more."""
    row, reference = claim.row, claim.row.reference
    if reference is None or row.failures >= MOST_CANCELLATIONS:
        return _Settled({})
    try:
        async with _connected(claim) as (facts, family):
            await _asked(claim, facts, lambda: family.do_cancel_video(row.model, reference), ASK_SECONDS)
    except AIModelsError as error:
        if error.retryable:
            raise
        logger.info("The provider was not told that video job %s has ended: %s", row.pk, error.message)
    return _Settled({})


@asynccontextmanager
async def _connected(claim: Claim) -> AsyncIterator[tuple[InstanceFacts, Family]]:
    """The job's instance, through every gate, with its family connected.

    Raises:
        AIModelsError: the instance is gone, switched off, or without its credential.
    """
    snapshot = await store.acurrent()
    await connections.follow(snapshot)
    identity = str(claim.row.instance_id)
    facts = next((facts for facts in snapshot.instances.values() if facts.id == identity), None)
    if facts is None:
        raise ProviderNotFound(f"Provider {claim.row.provider} does not exist any more.")
    gates.require(gates.verdicts(facts, Capability.VIDEO_GENERATION, supported_by(facts)))
    async with connections.connected(facts) as family:
        yield facts, family


@submitted
async def _asked(claim: Claim, facts: InstanceFacts, call: Callable[[], Coroutine[Any, Any, T]], seconds: float) -> T:
    """The provider's answer within so many seconds, to one attempt; the steps themselves are what is repeated."""
    limits = replace(calls.Limits.of({}), total=seconds, max_retries=0)
    async with observed(facts):
        with admission.of(facts).passage(limits) as passage:
            return await _kept(claim, calls.attempts(lambda: passage.attempt(call), limits))


async def _kept(claim: Claim, work: Coroutine[Any, Any, T]) -> T:
    """Do something that takes time, and hold the lease meanwhile.

    Raises:
        _Lost: it was lost, and the work was ended.
    """
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=jobs.LEASE_SECONDS / 3))[0]:
            with contextlib.suppress(NotReady):  # the lease holds for a while without a database
                if not await in_database(claim.renew)():
                    raise _Lost
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


def _seconds_left(claim: Claim) -> float:
    return max(1.0, (claim.row.deadline_at - timezone.now()).total_seconds())


def _failed(error: AIModelsError) -> _Settled:
    now = timezone.now()
    told = {"code": error.code, "message": error.message}
    # What failed so far counts no more: the attempts to tell the provider are counted from here.
    return _Settled({"status": "failed", "error": told, "ended_at": now, "failures": 0, "image": None, "videos": []})


def _pause(failures: int) -> float:
    """Seconds after a failed step; they double."""
    growth: int = 2 ** min(failures, _GROWTH)
    return conf().VIDEO_POLL_SECONDS * min(_GROWTH, growth)


def _poll_pause(elapsed: float) -> float:
    """Seconds until the provider is asked again: a tenth of the time that it has taken, within limits."""
    first = conf().VIDEO_POLL_SECONDS
    return max(first, min(_GROWTH * first, elapsed / 10))
