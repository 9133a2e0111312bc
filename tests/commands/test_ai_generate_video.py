"""``ai_generate --video``: a job, a worker, and a file at the end."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import NoReturn

import pytest
from django.core.management import CommandError, call_command

from ai_models import models, videos
from ai_models.exceptions import ContentPolicyViolation
from tests.videos.conftest import MP4, Studio, quick, studio, work

__all__ = ["quick", "studio"]

pytestmark = pytest.mark.usefixtures("studio")


def generate(*arguments: str) -> str:
    beside = StringIO()
    call_command("ai_generate", "A cat walks by", *arguments, stdout=StringIO(), stderr=beside, no_color=True)
    return beside.getvalue()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does a step whenever the command waits."""

    def step(end: float | None) -> float:
        work()
        return 0

    monkeypatch.setattr(videos, "_pause", step)


@pytest.mark.usefixtures("worker")
def test_a_video_is_waited_for_and_written(tmp_path: Path) -> None:
    path = tmp_path / "cat.mp4"
    beside = generate("--video", str(path), "--size", "1280x720")
    assert path.read_bytes() == MP4
    assert Studio.asked[0][1]["resolution"] == "1280x720"
    assert "waits for a worker" in beside
    assert beside.endswith(f"main/reel-1, {path}: video/mp4 of {len(MP4)} bytes\n")


@pytest.mark.usefixtures("worker")
def test_a_job_that_fails_is_told(tmp_path: Path) -> None:
    Studio.starts = [ContentPolicyViolation("The provider refused it.")]
    with pytest.raises(CommandError, match="content_policy_violation: The provider refused it"):
        generate("--video", str(tmp_path / "cat.mp4"))
    assert not list(tmp_path.glob("*cat*"))


def test_ctrl_c_cancels_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(end: float | None) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(videos, "_pause", interrupt)
    with pytest.raises(CommandError, match="Interrupted"):
        generate("--video", str(tmp_path / "cat.mp4"))
    assert [job.status for job in models.VideoJob.objects.all()] == ["cancelled"]
    assert not list(tmp_path.glob("*cat*"))


def test_a_file_that_is_there_starts_no_job(tmp_path: Path) -> None:
    path = tmp_path / "cat.mp4"
    path.touch()
    with pytest.raises(CommandError, match="is there already"):
        generate("--video", str(path))
    assert not models.VideoJob.objects.exists()
