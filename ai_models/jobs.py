"""The rows of video jobs: what a step may change, and only while it holds the job's lease.

A step claims a job, does one thing, and settles it. Every change is one conditional ``UPDATE``, so that of two workers, or of
a worker and a caller who cancels, one wins and the other is told. Nothing here calls a provider.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from django.db import DataError, IntegrityError
from django.db import Error as DatabaseError
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from ai_models import jsontext, storage
from ai_models.conf import conf
from ai_models.database import in_thread
from ai_models.exceptions import NotReady, VideoNotFound, VideoNotReady
from ai_models.models import VideoJob as Row
from ai_models.serialization import to_json
from ai_models.types import Video, VideoError, VideoJob, Warning

LEASE_SECONDS: Final = 60.0
"""A worker that does not renew its lease for so long is taken for dead."""

OVERDUE_SECONDS: Final = 60.0
"""A step that is so late has lost its task, and gets another one. One task too many does nothing."""

ACTIVE: Final = ("queued", "in_progress")

UNKNOWN: Final = "There is no such video job."

P = ParamSpec("P")
T = TypeVar("T")


def told(work: Callable[P, T]) -> Callable[P, T]:
    """Database work whose failure is one of ours.

    Raises:
        NotReady: the database does not answer.
    """

    @wraps(work)
    def done(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return work(*args, **kwargs)
        except (DataError, IntegrityError):
            raise
        except DatabaseError:
            raise NotReady("The database does not answer.") from None

    return done


def in_database(work: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """As :func:`told`, for async code."""
    return in_thread(told(work))


def storable(value: Any) -> Any:
    """JSON data that every database takes."""
    return jsontext.loads(json.dumps(to_json(value)), lenient=True)


def create(
    *,
    owner: Any,
    provider: str,
    instance: str,
    model: str,
    request: Mapping[str, Any],
    image: bytes | None,
    warnings: Iterable[Warning],
    seconds: float,
) -> Row:
    """A new job, due now.

    Args:
        owner: the user it belongs to; ``None`` for a job of the host's own code.
        seconds: how long it may take.
    """
    now = timezone.now()
    return Row.objects.create(
        owner_id=getattr(owner, "pk", None),
        provider=provider,
        instance_id=uuid.UUID(instance),
        model=jsontext.clean(model),
        request=storable(request),
        image=image,
        warnings=storable(tuple(warnings)),
        due_at=now,
        deadline_at=now + timedelta(seconds=seconds),
    )


def find(identity: object, owner: Any) -> Row:
    """The job.

    Args:
        owner: whose it must be; ``None`` for any.

    Raises:
        VideoNotFound: there is none, or it is somebody else's: nobody can tell which.
    """
    try:
        rows = Row.objects.filter(pk=uuid.UUID(str(identity)))
    except ValueError:
        raise VideoNotFound(UNKNOWN) from None
    if owner is not None:
        key = getattr(owner, "pk", None)
        rows = rows.filter(owner_id=key) if key is not None else rows.none()
    row = rows.defer("image").first()
    if row is None:
        raise VideoNotFound(UNKNOWN)
    return row


def has(identity: uuid.UUID, reference: Mapping[str, Any]) -> bool:
    """Whether this is the provider's work that the job knows of. When a database goes away, a write may have been done."""
    row = Row.objects.filter(pk=identity).only("reference").first()
    return row is not None and row.reference == reference


def shown(row: Row) -> VideoJob:
    """The job as callers see it."""
    past = row.status == "completed" and row.expires_at is not None and row.expires_at <= timezone.now()
    status: Any = "expired" if past else row.status
    return VideoJob(
        id=str(row.pk),
        status=status,
        progress=row.progress,
        videos=tuple(
            Video(index=index, media_type=video["media_type"], size=video["size"])
            for index, video in enumerate(row.videos if status == "completed" else ())
        ),
        provider=row.provider,
        model=row.model,
        warnings=tuple(Warning(**warning) for warning in row.warnings),
        error=VideoError(**row.error) if row.error else None,
        created_at=row.created_at,
        completed_at=row.ended_at,
        expires_at=row.expires_at,
    )


def located(row: Row, index: int) -> tuple[str, int]:
    """The stored file of a job's video, and its size.

    Raises:
        VideoNotReady, VideoNotFound: it is not there yet, or not at all.
    """
    job = shown(row)
    if not job.ended:
        raise VideoNotReady("The video is not ready yet.", retry_after=max(1.0, conf().VIDEO_POLL_SECONDS))
    if job.status != "completed":
        raise VideoNotFound(f"The video job is {job.status}; it has no videos.")
    if not 0 <= index < len(job.videos):
        raise VideoNotFound(f"The video job has {len(job.videos)} videos; the first has index 0.")
    return row.videos[index]["file"], job.videos[index].size


def cancel(row: Row) -> bool:
    """End the job as cancelled, unless it has ended. The next step tells the provider, so it is due now."""
    now = timezone.now()
    active = Row.objects.filter(pk=row.pk, status__in=ACTIVE)
    return bool(active.update(status="cancelled", ended_at=now, due_at=now, failures=0, image=None))


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that one step holds.

    Attributes:
        row: as it was when it was claimed.
        lease: what proves the claim.
    """

    row: Row
    lease: uuid.UUID

    def renew(self) -> bool:
        """Hold the job on. False when it is no longer held, since the worker was taken for dead, or was cancelled meanwhile.

        While the provider is asked to make the video, a cancellation does not count: its answer has to be waited for, or
        nobody could call it off.
        """
        held = self._held() if self.row.reference is None else self._unchanged()
        return bool(held.update(leased_until=_lease_end()))

    def submitting(self) -> bool:
        """Note that the provider is about to be asked, so that a crash counts as an attempt. False as in :meth:`settle`.

        The lease starts anew: what the preparation took is not missing while the provider thinks.
        """
        return bool(self._unchanged().update(submissions=F("submissions") + 1, leased_until=_lease_end()))

    def settle(self, due_at: datetime | None, **changes: Any) -> bool:
        """Store what the step brought, and give the job back.

        Args:
            due_at: when the next step is due; ``None`` when none is left.

        Returns:
            False, and nothing is stored, when somebody else cancelled the job or took it over.
        """
        return bool(self._unchanged().update(lease=None, leased_until=None, due_at=due_at, **changes))

    def give_up(self, reference: Mapping[str, Any] | None) -> bool:
        """Give a job back that was cancelled meanwhile, for a step that tells the provider. False when it was taken over."""
        known = {"reference": storable(reference)} if reference is not None else {}
        return bool(self._held().update(lease=None, leased_until=None, due_at=timezone.now(), **known))

    def _held(self) -> QuerySet[Row]:
        return Row.objects.filter(pk=self.row.pk, lease=self.lease)

    def _unchanged(self) -> QuerySet[Row]:
        return self._held().filter(status=self.row.status)


def claim(identity: str) -> Claim | None:
    """Take a job for one step; ``None`` when no step is due, or somebody else is doing it."""
    now, lease = timezone.now(), uuid.uuid4()
    if not _free(now).filter(pk=identity, due_at__lte=now).update(lease=lease, leased_until=_lease_end()):
        return None
    row = Row.objects.filter(pk=identity, lease=lease).first()
    return Claim(row, lease) if row is not None else None


def revive(identity: uuid.UUID) -> bool:
    """Whether the job's task was lost and needs to be queued again. Of several who ask, one is told so."""
    return bool(_overdue().filter(pk=identity).update(due_at=timezone.now()))


def overdue() -> list[uuid.UUID]:
    """Jobs whose task may be lost, or whose worker died: those that :func:`revive` is for."""
    return list(_overdue().order_by("due_at").values_list("pk", flat=True))


def is_late(row: Row) -> bool:
    """Whether the job may need :func:`revive`, by what was read of it."""
    return row.due_at is not None and row.due_at < _late()


def expire() -> int:
    """Delete the videos whose time is over. How many jobs that were."""
    expired = 0
    due = Row.objects.filter(status="completed", expires_at__lte=timezone.now())
    for identity in list(due.values_list("pk", flat=True)):
        # Files first: when this is interrupted, the next sweep does it again.
        if storage.delete(identity):
            expired += due.filter(pk=identity).update(status="expired", videos=[])
    return expired


def forget() -> int:
    """Delete jobs that ended long ago and whose videos are gone. How many."""
    forgotten = 0
    before = timezone.now() - timedelta(days=conf().VIDEO_RETENTION_DAYS)
    old = Row.objects.filter(status__in=("failed", "cancelled", "expired"), ended_at__lt=before)
    for identity in list(old.values_list("pk", flat=True)):
        if storage.delete(identity):
            forgotten += old.filter(pk=identity).delete()[0]
    return forgotten


def _late() -> datetime:
    return timezone.now() - timedelta(seconds=OVERDUE_SECONDS)


def _overdue() -> QuerySet[Row]:
    return _free(timezone.now()).filter(due_at__lt=_late())


def _free(now: datetime) -> QuerySet[Row]:
    return Row.objects.filter(Q(lease=None) | Q(leased_until__lt=now))


def _lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=LEASE_SECONDS)
