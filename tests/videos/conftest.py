"""A family whose videos are made as a test says, jobs in the database, and a worker that runs when a test wants it to."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connections
from django.db.models import F
from django.utils import timezone
from django_tasks_db.management.commands.db_worker import Worker
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

import ai_models
from ai_models import models
from ai_models.capabilities import Capability
from ai_models.exceptions import AIModelsError
from ai_models.families.base import Family
from ai_models.families.fields import API_KEY
from ai_models.types import SETTINGS, VideoJob, VideoOperation, VideoRequest
from tests import samples
from tests.conftest import Seed

MP4 = samples.MP4 + bytes(range(256)) * 700
"""A video of more than two pieces."""

WEBM = b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm" + bytes(range(255, -1, -1)) * 3

Report = VideoOperation | AIModelsError | Exception


def running(progress: int | None = None) -> VideoOperation:
    return VideoOperation(reference={"id": "op-1"}, progress=progress)


def completed(*media_types: str) -> VideoOperation:
    return VideoOperation(reference={"id": "op-1"}, status="completed", videos=media_types or ("video/mp4",))


class Studio(Family):
    """Plays its scripts: a report is returned, an error raised; the last one again and again.

    Attributes:
        starts, polls: what the provider says when it is asked to make a video, and then how far it is.
        files: the videos in pieces; an error among the pieces breaks the download.
        asked: every request to make a video; ``cancelled`` every reference that was called off.
        at: called at each step with its name, before the step's answer; a test interferes there.
    """

    type = "studio"
    label = "Studio"
    fields = (API_KEY,)
    capabilities = frozenset({Capability.VIDEO_GENERATION})

    starts: ClassVar[list[Report]] = []
    polls: ClassVar[list[Report]] = []
    files: ClassVar[list[list[bytes | AIModelsError]]] = []
    asked: ClassVar[list[tuple[str, Mapping[str, Any]]]] = []
    polled: ClassVar[list[Mapping[str, Any]]] = []
    cancelled: ClassVar[list[Mapping[str, Any]]] = []
    cancelling: ClassVar[list[AIModelsError]] = []
    at: ClassVar[Callable[[str], None]] = staticmethod(lambda step: None)

    async def supported_settings(self, capability: Capability, model: str) -> frozenset[str]:
        return SETTINGS[capability] - {"fps"}

    async def do_start_video(self, model: str, request: VideoRequest) -> VideoOperation:
        self.asked.append((model, dict(request)))
        self.at("start")
        return _play(self.starts)

    async def do_poll_video(self, model: str, reference: Mapping[str, Any]) -> VideoOperation:
        self.polled.append(reference)
        self.at("poll")
        return _play(self.polls)

    async def do_fetch_video(self, model: str, reference: Mapping[str, Any], index: int) -> AsyncGenerator[bytes]:
        pieces = self.files[index]
        for piece in list(pieces):
            self.at("fetch")
            if isinstance(piece, Exception):
                pieces.remove(piece)
                raise piece
            yield piece

    async def do_cancel_video(self, model: str, reference: Mapping[str, Any]) -> None:
        self.at("cancel")
        if self.cancelling:
            raise self.cancelling.pop(0)
        self.cancelled.append(reference)


def _play(script: list[Report]) -> VideoOperation:
    report = script.pop(0) if len(script) > 1 else script[0]
    if isinstance(report, Exception):
        raise report
    return report


CONFIG = """
ai:
  defaultProvider: main
  providers:
    main:
      type: studio
      apiKey: canary-key-main
      defaultModels: {video-generation: reel-1}
"""


@pytest.fixture
def quick(settings: Settings, tmp_path: Path) -> None:
    """No pauses between steps, and files where the test sees them."""
    settings.AI_MODELS = {**settings.AI_MODELS, "VIDEO_POLL_SECONDS": 0.001}
    location = {"OPTIONS": {"location": str(tmp_path / "files")}}
    backend = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    settings.STORAGES = {**settings.STORAGES, "ai_models": {**backend, **location}}


@pytest.fixture
def studio(transactional_db: None, quick: None, settings: Settings, seed: Seed) -> Iterator[type[Studio]]:
    """The family, its instance seeded: a video that is ready at the second look."""
    settings.AI_MODELS = {**settings.AI_MODELS, "FAMILIES": (f"{__name__}.Studio",)}
    seed(CONFIG)
    Studio.starts, Studio.polls = [running()], [running(40), completed()]
    Studio.files = [[MP4[:1000], MP4[1000:]]]
    Studio.asked, Studio.polled, Studio.cancelled, Studio.cancelling = [], [], [], []
    Studio.at = staticmethod(lambda step: None)
    yield Studio
    Studio.at = staticmethod(lambda step: None)


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[], list[bytes]]:
    """The content of every stored file."""
    return lambda: [path.read_bytes() for path in sorted((tmp_path / "files").rglob("*")) if path.is_file()]


def work(tasks: int = 1) -> None:
    """Run so many tasks, each as soon as it is queued, whatever it was deferred to."""
    for _ in range(tasks):
        models.VideoJob.objects.filter(due_at__isnull=False).update(due_at=timezone.now())
        DBTaskResult.objects.filter(status="READY").update(run_after=timezone.now())
        Worker(
            queue_names=["default"],
            interval=0,
            batch=True,
            backend_name="default",
            startup_delay=False,
            max_tasks=1,
            worker_id="test",
            excluded_queue_names=[],
        ).run()


def finish(job: VideoJob, most: int = 30) -> VideoJob:
    """Work until the job has ended, and until nothing is queued."""
    for _ in range(most):
        if not DBTaskResult.objects.filter(status="READY").exists():
            break
        work()
    assert not DBTaskResult.objects.exclude(status="SUCCESSFUL").exists(), list(
        DBTaskResult.objects.values("status", "traceback")
    )
    found = ai_models.get_video(job.id)
    assert found.ended, found
    return found


def elsewhere(act: Callable[[], object]) -> threading.Thread:
    """Do it in another thread, which closes its database connection."""

    def run() -> None:
        try:
            act()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def later(**past: float) -> None:
    """Let so much time go by for every job."""
    moved = {name: F(name) - timedelta(**past) for name in ("due_at", "leased_until", "deadline_at", "ended_at", "expires_at")}
    models.VideoJob.objects.update(**moved)


def row(job: VideoJob) -> models.VideoJob:
    return models.VideoJob.objects.get(pk=job.id)


MakeUser = Callable[..., User]


@pytest.fixture
def make_user(transactional_db: None) -> MakeUser:
    """Make a user who may make videos."""

    def make(name: str, **fields: Any) -> User:
        user = User.objects.create_user(name, password="a password for tests", **fields)
        user.user_permissions.set(Permission.objects.filter(codename="use_video_generation"))
        return user

    return make
