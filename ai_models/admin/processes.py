"""Server processes, and the revision of the configuration that each of them serves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ai_models import workers
from ai_models.admin.words import ago, chip
from ai_models.facts import stored_revision
from ai_models.models import Worker


@dataclass(frozen=True, slots=True)
class Process:
    """One process.

    Attributes:
        serves: which revision, as a small mark.
        is_this: whether it answered the request.
    """

    worker: Worker
    serves: SafeString
    is_this: bool

    @property
    def started(self) -> str:
        """How long ago it was started."""
        return ago(self.worker.started_at)

    @property
    def seen(self) -> str:
        """How long ago it said that it is there."""
        return ago(self.worker.seen_at)


@dataclass(frozen=True, slots=True)
class Processes:
    """What the card shows.

    Attributes:
        revision: what the database has.
        lagging: how many processes serve another one.
    """

    revision: int
    processes: Sequence[Process]
    lagging: int

    def chip(self) -> SafeString:
        """Whether all serve what the database has."""
        if not self.processes:
            return chip(_("none"), "idle")
        if self.lagging:
            text = ngettext("%(number)d lags", "%(number)d lag", self.lagging)
            return chip(text % {"number": self.lagging}, "warn")
        return chip(_("all current"), "good")


def processes() -> Processes:
    """The processes that run now.

    Raises:
        django.db.Error: the database cannot be read.
    """
    # In this order: a change between the two makes no process look late.
    revision = stored_revision()
    running = workers.running()
    here = (workers.host_name(), os.getpid())
    return Processes(
        revision=revision,
        processes=[Process(worker, _serves(worker, revision), (worker.host, worker.pid) == here) for worker in running],
        lagging=sum(not _is_current(worker, revision) for worker in running),
    )


def _is_current(worker: Worker, revision: int) -> bool:
    return worker.revision is not None and worker.revision >= revision


def _serves(worker: Worker, revision: int) -> SafeString:
    if worker.revision is None:
        return chip(_("none yet"), "bad")
    if _is_current(worker, revision):
        return chip(_("current"), "good")
    return chip(_("behind"), "warn")
