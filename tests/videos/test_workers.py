"""Real worker processes: killed at every point, two at once, stopped by a signal. The job is done once and right."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import connection
from pytest_django import Settings

import ai_models
from ai_models.types import VideoJob
from tests.conftest import Seed
from tests.upstreams.recorded import Recorded
from tests.upstreams.replies import Piece, Reply, Step, Wait, json_reply
from tests.upstreams.server import Upstream
from tests.videos.conftest import MP4, row

DEADLINE = 30.0

CONFIG = """
ai:
  defaultProvider: main
  providers:
    main: {{type: reel, baseURL: "{url}", defaultModels: {{video-generation: reel-1}}}}
"""

Start = Callable[..., subprocess.Popen[str]]


class Maker:
    """A provider that makes videos: each is done at the second look.

    Attributes:
        asked: how many videos were asked for.
        body: of the next download; the video itself when it is empty.
    """

    def __init__(self, upstream: Upstream) -> None:
        self.asked = 0
        self.looks: dict[str, int] = {}
        self.body: list[tuple[Piece, ...]] = []
        upstream.always(self.answer)

    def answer(self, request: Recorded) -> Reply:
        if request.method == "POST":
            self.asked += 1
            return json_reply({"id": f"made-{self.asked}"})
        if request.path.endswith("/content"):
            pieces = self.body.pop() if self.body else (MP4,)
            return Reply(headers=(("Content-Type", "video/mp4"),), pieces=pieces, declared_length=len(MP4))
        identity = request.path.rpartition("/")[2]
        self.looks[identity] = self.looks.get(identity, 0) + 1
        done = self.looks[identity] > 1
        return json_reply({"id": identity, "status": "completed" if done else "in_progress", "progress": 100 if done else 40})


@pytest.fixture
def maker(transactional_db: None, quick: None, settings: Settings, seed: Seed, upstream: Upstream) -> Maker:
    settings.AI_MODELS = {**settings.AI_MODELS, "FAMILIES": ("tests.videos.reel.Reel",), "VIDEO_POLL_SECONDS": 0.05}
    seed(CONFIG.format(url=upstream.url))
    return Maker(upstream)


@pytest.fixture
def start(tmp_path: Path, settings: Settings) -> Iterator[Start]:
    """Start workers on the test's database. Those that still run at the end are stopped."""
    started: list[subprocess.Popen[str]] = []
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": database_url(),
        "AI_MODELS_ENCRYPTION_KEYS": ",".join(settings.AI_MODELS["ENCRYPTION_KEYS"]),
        "FILES_DIR": str(tmp_path / "files"),
        "TMPDIR": str(tmp_path),
    }

    def run(dies: str = "", lease: float = 1.0) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.videos.worker"],
            env={**environment, "WORKER_DIES": dies, "LEASE_SECONDS": str(lease)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in started:
        try:
            output, _ = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()
        # The signal may come before the worker listens to it.
        assert process.returncode in (0, -signal.SIGKILL, -signal.SIGTERM), output


def database_url() -> str:
    """The test's database as another process connects to it."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


def until_ended(job: VideoJob) -> VideoJob:
    return ai_models.wait_for_video(job.id, timeout=DEADLINE)


def content(job: VideoJob) -> bytes:
    return b"".join(ai_models.read_video(job.id))


def died(worker: subprocess.Popen[str]) -> None:
    output, _ = worker.communicate(timeout=DEADLINE)
    assert worker.returncode == -signal.SIGKILL, output


@pytest.mark.parametrize(
    ("point", "asked"),
    [
        ("claimed", 1),
        ("about to ask", 1),
        # The provider took it, and nobody knows: it is asked once more.
        ("accepted", 2),
        ("acceptance stored, no task queued", 1),
        ("asked how far", 1),
        ("file stored", 1),
        ("about to complete", 1),
    ],
)
def test_a_worker_that_is_killed_loses_nothing(maker: Maker, start: Start, point: str, asked: int) -> None:
    job = ai_models.generate_video("A cat walks by")
    died(start(dies=point))
    assert not ai_models.get_video(job.id).ended
    start()
    found = until_ended(job)
    assert (found.status, found.error) == ("completed", None)
    assert [video.size for video in found.videos] == [len(MP4)]
    assert content(job) == MP4
    assert maker.asked == asked


def test_a_worker_that_is_killed_within_a_download_leaves_no_part_of_it(
    maker: Maker, start: Start, upstream: Upstream, tmp_path: Path
) -> None:
    maker.body = [(MP4[:100_000], Step.HANG)]
    job = ai_models.generate_video("A cat walks by")
    first = start()
    assert upstream.wait_requests(4, DEADLINE)
    first.kill()
    died(first)
    assert not list((tmp_path / "files").rglob("video*"))
    start()
    assert until_ended(job).status == "completed"
    assert content(job) == MP4
    assert [path.read_bytes() for path in (tmp_path / "files").rglob("video*")] == [MP4]
    assert maker.asked == 1


def test_two_workers_do_each_job_once(maker: Maker, start: Start) -> None:
    jobs = [ai_models.generate_video(f"Cat {number}") for number in range(6)]
    # A machine that is slow must not take a worker that waits for the database for a dead one.
    workers = [start(lease=DEADLINE), start(lease=DEADLINE)]
    for job in jobs:
        assert until_ended(job).status == "completed"
        assert content(job) == MP4
        assert row(job).submissions == 1
    assert maker.asked == len(jobs)
    assert [worker.poll() for worker in workers] == [None, None]


def test_a_slow_download_keeps_its_lease(maker: Maker, start: Start, upstream: Upstream) -> None:
    """It takes three times as long as a lease that nobody renews, while another worker waits for its chance."""
    part = len(MP4) // 6
    pieces = [MP4[at : at + part] for at in range(0, len(MP4), part)]
    maker.body = [tuple(step for piece in pieces for step in (piece, Wait(0.5)))]
    job = ai_models.generate_video("A cat walks by")
    start()
    start()
    assert until_ended(job).status == "completed"
    assert content(job) == MP4
    assert sum(request.path.endswith("/content") for request in upstream.requests) == 1


def test_a_worker_stops_at_a_signal_and_at_once_when_told_twice(maker: Maker, start: Start, upstream: Upstream) -> None:
    maker.body = [(MP4[:1000], Step.HANG)]
    job = ai_models.generate_video("A cat walks by")
    worker = start()
    assert upstream.wait_requests(4, DEADLINE)
    worker.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(0.5)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(DEADLINE) == 0
    other = start()
    assert until_ended(job).status == "completed"
    other.send_signal(signal.SIGTERM)
    assert other.wait(DEADLINE) == 0


def test_nothing_secret_is_in_the_rows(maker: Maker) -> None:
    job = ai_models.generate_video("A cat walks by", timeout=60, max_retries=1)
    assert row(job).request == {"prompt": "A cat walks by", "timeout": 60, "max_retries": 1, "n": 1}
    assert "127.0.0.1" not in json.dumps({name: str(value) for name, value in vars(row(job)).items()})
