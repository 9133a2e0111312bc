"""When the steps of video jobs are done: each is a task on a queue, and a sweep looks after tasks that were lost."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from ai_models import jobs, taskqueue

logger = logging.getLogger(__name__)


def queue(identity: UUID, due_at: datetime | None = None) -> None:
    """Queue a job's next step once the transaction is committed. Should that fail, a sweep does it."""

    if taskqueue.problem() is None:
        transaction.on_commit(lambda: _enqueue(identity, due_at))


def _enqueue(identity: UUID, due_at: datetime | None) -> None:
    from ai_models.tasks import advance_video  # needs the framework

    try:
        task = advance_video if due_at is None else advance_video.using(run_after=due_at)
        task.enqueue(str(identity))
    except Exception as error:  # whatever a backend raises; its text may have an address in it
        logger.error("The task of video job %s could not be queued: %s", identity, type(error).__name__)


def revive(identity: UUID) -> bool:
    """Queue the job again if its task was lost or its worker died."""
    with transaction.atomic():
        lost = jobs.revive(identity)
        if lost:
            queue(identity)
    return lost


@dataclass(frozen=True, slots=True)
class Swept:
    """How many jobs were queued again, lost their videos, and were forgotten."""

    revived: int
    expired: int
    forgotten: int


def sweep() -> Swept:
    """Queue lost jobs again, delete videos and jobs whose time is over. Any number of processes may do so at once."""
    taskqueue.prune()
    return Swept(sum(map(revive, jobs.overdue())), jobs.expire(), jobs.forget())
