"""What an operator does and sees: the worker command, sweeps, expiry, and what is told about a missing queue."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import InMemoryStorage
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections
from django.utils import timezone
from django_tasks_db.compat import BaseTaskBackend
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

import ai_models
from ai_models import jobs, models, storage, taskqueue, validation
from ai_models.exceptions import UpstreamError
from ai_models.management.commands import ai_worker
from tests.conftest import WriteConfig
from tests.videos.conftest import MP4, Studio, finish, later, row, work

Stored = Callable[[], list[bytes]]

DECLARED = "ai: {providers: {a: {type: openai, apiKey: x, %s}}}"
IMMEDIATE = {"default": {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}}
DUMMY = {"default": {"BACKEND": "django_tasks.backends.dummy.DummyBackend"}}
DATABASE = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}


def sweep() -> str:
    output = StringIO()
    call_command("ai_worker", sweep=True, stdout=output)
    return output.getvalue().strip()


# --- expiry ---------------------------------------------------------------------------------------------------------------


def test_videos_are_deleted_when_their_time_is_over(studio: type[Studio], stored: Stored, tmp_path: Path) -> None:
    job = finish(ai_models.generate_video("A cat"))
    storage.save(row(job).pk, BytesIO(MP4))  # what a dead worker left behind
    assert len(stored()) == 2
    later(hours=23)
    assert sweep() == "0 queued again, 0 expired, 0 forgotten"
    later(hours=2)
    assert sweep() == "0 queued again, 1 expired, 0 forgotten"
    assert list((tmp_path / "files").iterdir()) == []
    found = ai_models.get_video(job.id)
    assert (found.status, found.videos) == ("expired", ())
    assert sweep() == "0 queued again, 0 expired, 0 forgotten"


def test_a_storage_that_does_not_delete_is_asked_again(
    studio: type[Studio], stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(ai_models.generate_video("A cat"))
    later(hours=25)
    with monkeypatch.context() as patched:
        patched.setattr("django.core.files.storage.FileSystemStorage.delete", lambda *_: 1 / 0)
        assert sweep() == "0 queued again, 0 expired, 0 forgotten"
    assert sweep() == "0 queued again, 1 expired, 0 forgotten"
    assert stored() == []


def test_jobs_are_forgotten_long_after_they_ended(studio: type[Studio]) -> None:
    finish(ai_models.generate_video("A cat"))
    cancelled = ai_models.generate_video("A dog")
    ai_models.cancel_video(cancelled.id)
    finish(cancelled)
    later(days=2)
    assert sweep() == "0 queued again, 1 expired, 0 forgotten"
    running = ai_models.generate_video("A bird")
    later(days=29)
    assert sweep() == "1 queued again, 0 expired, 2 forgotten"
    assert [str(job.pk) for job in models.VideoJob.objects.all()] == [running.id]


def test_old_tasks_are_deleted_and_those_to_come_are_kept(studio: type[Studio]) -> None:
    ai_models.generate_video("A cat")
    work(2)
    DBTaskResult.objects.update(enqueued_at=timezone.now() - timedelta(days=2))
    sweep()
    assert [task.status for task in DBTaskResult.objects.all()] == ["READY"]


def test_other_storages_keep_videos_too(studio: type[Studio], settings: Settings) -> None:
    settings.STORAGES = {**settings.STORAGES, "ai_models": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}
    job = finish(ai_models.generate_video("A cat"))
    assert isinstance(storage.files(), InMemoryStorage)
    assert b"".join(ai_models.read_video(job.id, start=10, stop=200)) == MP4[10:200]
    later(hours=25)
    assert sweep() == "0 queued again, 1 expired, 0 forgotten"


def test_without_a_storage_of_their_own_videos_are_in_a_private_folder(
    studio: type[Studio], settings: Settings, tmp_path: Path
) -> None:
    settings.STORAGES = {name: value for name, value in settings.STORAGES.items() if name != "ai_models"}
    settings.BASE_DIR = tmp_path
    finish(ai_models.generate_video("A cat"))
    (folder,) = (tmp_path / "ai_models_files").iterdir()
    (file,) = folder.iterdir()
    assert file.read_bytes() == MP4
    assert file.stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0


# --- the worker -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def signals() -> Iterator[None]:
    """The handlers of this process, put back afterwards."""
    kept = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    yield
    for name, handler in kept.items():
        signal.signal(name, handler)


@pytest.mark.usefixtures("signals")
def test_a_worker_without_its_parent_ends(studio: type[Studio]) -> None:
    call_command("ai_worker", parent=1)
    assert studio.asked == []


@pytest.mark.usefixtures("signals")
def test_a_worker_waits_for_a_database_that_does_not_answer(
    studio: type[Studio], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds = iter((OperationalError("canary"), None))

    def swept() -> None:
        if (error := next(rounds, None)) is not None:
            raise error
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ai_worker.scheduling, "sweep", swept)
    monkeypatch.setattr(ai_worker, "IDLE_SECONDS", 0)
    call_command("ai_worker")
    told = capsys.readouterr().err
    assert "does not answer (OperationalError)" in told
    assert "canary" not in told


@pytest.mark.parametrize(("tasks", "named"), [(IMMEDIATE, "ImmediateBackend"), (DUMMY, "DummyBackend")])
def test_a_worker_needs_a_queue_that_lasts(settings: Settings, tasks: dict[str, Any], named: str) -> None:
    settings.TASKS = tasks
    with pytest.raises(CommandError, match=named):
        call_command("ai_worker")


def test_another_backend_has_a_worker_of_its_own(studio: type[Studio], settings: Settings) -> None:
    settings.TASKS = {"default": {"BACKEND": "tests.videos.test_operating.OtherBackend"}}
    with pytest.raises(CommandError, match="ai_worker --sweep"):
        call_command("ai_worker")
    assert sweep() == "0 queued again, 0 expired, 0 forgotten"


class OtherBackend(BaseTaskBackend):  # type: ignore[misc]
    """A backend that lasts, for all that is known of it."""

    supports_async_task = True

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        raise NotImplementedError


# --- what is told about the queue -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "models_of", ["defaultModels: {video-generation: sora}", "modelAliases: {video-generation: {fast: sora}}"]
)
@pytest.mark.parametrize("tasks", [IMMEDIATE, DUMMY, {"default": {"BACKEND": "nowhere.Backend"}}])
def test_videos_without_a_queue_are_a_mistake(
    settings: Settings, write_config: WriteConfig, models_of: str, tasks: dict[str, Any]
) -> None:
    write_config(DECLARED % models_of)
    assert [finding.id for finding in validation.problems() if finding.id == "ai_models.E013"] == []
    settings.TASKS = tasks
    (found,) = [finding for finding in validation.problems() if finding.id == "ai_models.E013"]
    assert found.level == "error"
    assert "(on a)" in found.message
    assert "ai_worker" in found.remedy


def test_without_videos_there_need_be_no_queue(settings: Settings, write_config: WriteConfig) -> None:
    settings.TASKS = IMMEDIATE
    write_config(DECLARED % "defaultModels: {text-generation: gpt-4o}")
    assert "ai_models.E013" not in {finding.id for finding in validation.problems()}


def test_a_backend_of_our_own_goes_first_and_queues_are_its_own(settings: Settings) -> None:
    assert (taskqueue.alias(), taskqueue.queue()) == ("default", "default")
    settings.TASKS = {**IMMEDIATE, "ai_models": {**DATABASE["default"], "QUEUES": ["films", "ai"]}}
    assert (taskqueue.alias(), taskqueue.queue(), taskqueue.problem()) == ("ai_models", "ai", None)


def test_a_database_backend_needs_its_app(settings: Settings) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django_tasks_db"]
    assert taskqueue.problem() == "django_tasks_db is not in INSTALLED_APPS."


WITHOUT_PACKAGES = """
import sys

for name in ("django_tasks", "django_tasks_db", "django.tasks"):
    sys.modules[name] = None

import django
from django.conf import settings
from tests import settings as tests
settings.configure(**{
    **{name: getattr(tests, name) for name in dir(tests) if name.isupper() and name != "TASKS"},
    "INSTALLED_APPS": [app for app in tests.INSTALLED_APPS if app != "django_tasks_db"],
})
django.setup()
import ai_models.urls, ai_models.videos, ai_models.steps
from ai_models import taskqueue
print(taskqueue.problem())
"""


def test_without_the_packages_everything_else_works() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_PACKAGES], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == 'No backend of Django\'s Tasks framework can be loaded as TASKS["default"].'


def test_a_job_without_a_queue_waits_until_there_is_one(studio: type[Studio], settings: Settings) -> None:
    job = ai_models.generate_video("A cat")
    DBTaskResult.objects.all().delete()
    settings.TASKS = IMMEDIATE
    later(seconds=jobs.OVERDUE_SECONDS + 5)
    assert ai_models.get_video(job.id).status == "queued"
    assert ai_models.cancel_video(job.id).status == "cancelled"
    settings.TASKS = DATABASE
    later(seconds=jobs.OVERDUE_SECONDS + 5)
    sweep()
    assert finish(job).status == "cancelled"


def test_a_failing_queue_does_not_lose_a_job(studio: type[Studio], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("django_tasks_db.DatabaseBackend.enqueue", lambda *_: 1 / 0)
        job = ai_models.generate_video("A cat")
    assert not DBTaskResult.objects.exists()
    later(seconds=jobs.OVERDUE_SECONDS + 5)
    assert sweep() == "1 queued again, 0 expired, 0 forgotten"
    assert finish(job).status == "completed"


def test_no_connection_to_the_database_is_held_while_the_provider_is_waited_for(studio: type[Studio]) -> None:
    held: list[bool] = []
    studio.at = staticmethod(lambda step: held.append(connections["default"].connection is not None))
    studio.polls = [UpstreamError("It broke."), *studio.polls]
    finish(ai_models.generate_video("A cat"))
    assert held
    assert not any(held)
