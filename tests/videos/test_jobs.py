"""A video job from its request to its end, step by step, with something going wrong at each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, transaction
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

import ai_models
from ai_models import jobs, models, scheduling, steps
from ai_models.api.requestid import RequestIdFilter
from ai_models.exceptions import (
    CapabilityNotEnabled,
    ContentPolicyViolation,
    InvalidRequest,
    NotReady,
    PermissionDenied,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamTimeout,
    VideoNotReady,
)
from ai_models.models import ProviderInstance
from ai_models.types import VideoJob, VideoOperation, Warning
from tests import samples
from tests.videos.conftest import MP4, WEBM, MakeUser, Studio, completed, elsewhere, finish, later, row, running, work

Stored = Callable[[], list[bytes]]

TRANSIENT = [UpstreamError("It broke."), UpstreamTimeout("Too late."), UpstreamInvalidResponse("Not JSON.")]


def read(job: VideoJob, index: int = 0) -> bytes:
    return b"".join(ai_models.read_video(job.id, index=index))


# --- the request ----------------------------------------------------------------------------------------------------------


def test_a_request_is_a_job_at_once_and_calls_nobody(studio: type[Studio]) -> None:
    job = ai_models.generate_video("A cat walks by", resolution="1280x720", fps=24, duration=4, image=samples.PNG)
    assert (job.status, job.progress, job.videos, job.error) == ("queued", None, (), None)
    assert (job.provider, job.model) == ("main", "reel-1")
    assert [warning.setting for warning in job.warnings] == ["fps"]
    assert job.created_at is not None
    assert studio.asked == []
    assert ai_models.get_video(job.id) == job


def test_the_provider_gets_what_was_asked_for(studio: type[Studio]) -> None:
    job = ai_models.generate_video("A cat\0 walks by", resolution="1280x720", fps=24, duration=4, image=samples.PNG)
    finish(job)
    wanted = {"prompt": "A cat\ufffd walks by", "resolution": "1280x720", "duration": 4.0, "n": 1, "image": samples.PNG}
    assert studio.asked == [("reel-1", wanted)]
    assert row(job).image is None


@pytest.mark.parametrize(
    "wrong", [{"n": 0}, {"resolution": "big"}, {"image": b"text"}, {"unknown": 1}, {"headers": {"x-a": "1"}}]
)
def test_a_wrong_request_is_refused_before_there_is_a_job(studio: type[Studio], wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match=f"^{next(iter(wrong))}: "):
        ai_models.generate_video("A cat", **wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match=r"^prompt: this field is required"):
        ai_models.generate_video()
    assert not models.VideoJob.objects.exists()


def test_permission_and_gates_are_asked_before_there_is_a_job(studio: type[Studio], make_user: MakeUser) -> None:
    user = make_user("ada")
    user.user_permissions.clear()
    with pytest.raises(PermissionDenied):
        ai_models.generate_video("A cat", user=user)
    ProviderInstance.objects.get(name="main").capabilities.update(enabled=False)
    ProviderInstance.objects.get(name="main").save()
    with pytest.raises(CapabilityNotEnabled):
        ai_models.generate_video("A cat")
    assert not models.VideoJob.objects.exists()


def test_without_a_queue_that_lasts_nothing_is_taken(studio: type[Studio], settings: Settings) -> None:
    settings.TASKS = {"default": {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}}
    with pytest.raises(CapabilityNotEnabled, match="ImmediateBackend, which keeps no task"):
        ai_models.generate_video("A cat")


def test_a_job_begins_when_the_callers_transaction_is_committed(studio: type[Studio]) -> None:
    with transaction.atomic():
        job = ai_models.generate_video("A cat")
        assert not DBTaskResult.objects.exists()
    assert finish(job).status == "completed"
    with transaction.atomic():
        ai_models.generate_video("A dog")
        transaction.set_rollback(True)
    assert models.VideoJob.objects.count() == 1


# --- the way to a video ---------------------------------------------------------------------------------------------------


def test_a_job_goes_its_way(studio: type[Studio], stored: Stored) -> None:
    job = ai_models.generate_video("A cat")
    seen = []
    while not (now := ai_models.get_video(job.id)).ended:
        seen.append((now.status, now.progress))
        work()
    assert seen == [("queued", None), ("in_progress", None), ("in_progress", 40), ("in_progress", 40)]
    assert (now.status, now.progress, now.error) == ("completed", 100, None)
    (video,) = now.videos
    assert (video.index, video.media_type, video.size) == (0, "video/mp4", len(MP4))
    assert now.completed_at is not None
    assert now.expires_at is not None
    assert now.expires_at > now.completed_at > now.created_at
    assert read(job) == MP4
    assert stored() == [MP4]
    assert not DBTaskResult.objects.filter(status="READY").exists()


def test_several_videos_are_each_fetched(studio: type[Studio]) -> None:
    studio.starts = [completed("video/mp4", "application/octet-stream")]
    studio.files = [[MP4], [WEBM[:7], WEBM[7:]]]
    job = finish(ai_models.generate_video("A cat", n=2))
    assert [(video.index, video.media_type, video.size) for video in job.videos] == [
        (0, "video/mp4", len(MP4)),
        (1, "video/webm", len(WEBM)),
    ]
    assert (read(job), read(job, 1)) == (MP4, WEBM)
    assert studio.polled == []


def test_the_latest_reference_is_what_the_provider_is_asked_with(studio: type[Studio]) -> None:
    studio.starts = [VideoOperation(reference={"id": "first"})]
    studio.polls = [VideoOperation(reference={"id": "second", "nul": "\0"}), completed()]
    finish(ai_models.generate_video("A cat"))
    assert studio.polled == [{"id": "first"}, {"id": "second", "nul": "\ufffd"}]


def test_what_the_provider_warns_of_is_told(studio: type[Studio]) -> None:
    studio.starts = [VideoOperation(reference={}, warnings=(Warning(type="other", message="It is short."),))]
    job = finish(ai_models.generate_video("A cat", fps=24))
    assert [(warning.type, warning.message) for warning in job.warnings][-1] == ("other", "It is short.")
    assert len(job.warnings) == 2


# --- what goes wrong on the way -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: error.code)
def test_a_look_that_fails_for_now_is_repeated(studio: type[Studio], error: UpstreamError) -> None:
    studio.polls = [error, error, error, error, running(50), error, completed()]
    job = finish(ai_models.generate_video("A cat"))
    assert job.status == "completed"
    assert len(studio.asked) == 1


def test_a_family_that_breaks_is_asked_again(studio: type[Studio]) -> None:
    studio.polls = [RuntimeError("canary"), completed()]
    assert finish(ai_models.generate_video("A cat")).status == "completed"


def test_a_download_that_breaks_is_repeated_from_its_beginning(studio: type[Studio], stored: Stored) -> None:
    studio.files = [[MP4[:1000], UpstreamError("It broke."), MP4[1000:]]]
    job = finish(ai_models.generate_video("A cat"))
    assert job.status == "completed"
    assert stored() == [MP4]


@pytest.mark.parametrize("where", ["starts", "polls", "files"])
def test_an_error_that_stays_ends_the_job(studio: type[Studio], stored: Stored, where: str) -> None:
    error = ContentPolicyViolation("The provider refused the prompt.")
    setattr(studio, where, [[MP4[:9], error]] if where == "files" else [error])
    job = finish(ai_models.generate_video("A cat", image=samples.PNG))
    assert job.status == "failed"
    assert job.error is not None
    assert (job.error.code, job.error.message) == ("content_policy_violation", "The provider refused the prompt.")
    assert job.completed_at is not None
    assert (job.videos, job.expires_at) == ((), None)
    assert stored() == []
    assert row(job).image is None


def test_what_the_provider_could_not_make_ends_the_job_with_its_reason(studio: type[Studio]) -> None:
    studio.polls = [VideoOperation(reference={}, status="failed", error=ContentPolicyViolation("It shows too much."))]
    job = finish(ai_models.generate_video("A cat"))
    assert job.error is not None
    assert (job.status, job.error.code) == ("failed", "content_policy_violation")


def test_a_submission_is_repeated_as_often_as_the_caller_lets_it(studio: type[Studio]) -> None:
    studio.starts = [UpstreamError("It broke.")]
    job = finish(ai_models.generate_video("A cat", max_retries=1))
    assert job.error is not None
    assert (job.error.code, job.error.message) == ("upstream_error", "It broke.")
    assert len(studio.asked) == 2


def test_a_submission_with_an_answer_of_no_use_is_not_repeated(studio: type[Studio]) -> None:
    studio.starts = [UpstreamInvalidResponse("Not JSON.")]
    job = finish(ai_models.generate_video("A cat"))
    assert job.error is not None
    assert job.error.code == "upstream_invalid_response"
    assert len(studio.asked) == 1


def test_an_empty_video_is_none(studio: type[Studio]) -> None:
    studio.files = [[]]
    job = ai_models.generate_video("A cat")
    work(4)
    studio.files = [[MP4]]
    assert finish(job).status == "completed"
    assert read(job) == MP4


def test_a_video_that_is_too_large_ends_the_job(studio: type[Studio], settings: Settings, stored: Stored) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "MAX_VIDEO_BYTES": 1000}
    job = finish(ai_models.generate_video("A cat"))
    assert job.error is not None
    assert job.error.code == "upstream_invalid_response"
    assert stored() == []


def test_a_refused_credential_ends_the_job_and_shows_on_the_instance(studio: type[Studio]) -> None:
    studio.polls = [UpstreamAuthFailed("The provider refused the credential.")]
    job = finish(ai_models.generate_video("A cat"))
    assert job.error is not None
    assert job.error.code == "upstream_auth_failed"
    assert ProviderInstance.objects.get(name="main").state == "credential-rejected"


@pytest.mark.parametrize("steps_before", [0, 2, 3])
def test_a_disabled_instance_ends_the_job(studio: type[Studio], steps_before: int) -> None:
    job = ai_models.generate_video("A cat")
    work(steps_before)
    instance = ProviderInstance.objects.get(name="main")
    instance.enabled = False
    instance.save()
    job = finish(job)
    assert job.error is not None
    assert (job.status, job.error.code) == ("failed", "provider_disabled")


def test_an_instance_that_is_gone_ends_the_job(studio: type[Studio]) -> None:
    job = ai_models.generate_video("A cat")
    ProviderInstance.objects.all().delete()
    job = finish(job)
    assert job.error is not None
    assert (job.status, job.error.code) == ("failed", "provider_not_found")


@pytest.mark.parametrize("where", ["asked for", "made", "fetched"])
def test_a_job_that_takes_too_long_ends_and_the_provider_is_told(studio: type[Studio], where: str) -> None:
    studio.polls = [completed()] if where == "fetched" else [running(5)]
    job = ai_models.generate_video("A cat", timeout=600)
    work({"asked for": 0, "made": 3, "fetched": 2}[where])
    later(seconds=601)
    job = finish(job)
    assert job.error is not None
    assert (job.status, job.error.code) == ("failed", "upstream_timeout")
    assert studio.cancelled == ([] if where == "asked for" else [{"id": "op-1"}])


def test_the_host_limits_how_long_a_caller_lets_a_job_take(studio: type[Studio], settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "VIDEO_TIMEOUT": 60}
    found = [row(ai_models.generate_video("A cat", timeout=seconds)) for seconds in (30, 600)]
    assert [round((job.deadline_at - job.created_at).total_seconds()) for job in found] == [30, 60]


def test_a_storage_that_fails_is_tried_again(studio: type[Studio], monkeypatch: pytest.MonkeyPatch, stored: Stored) -> None:
    job = ai_models.generate_video("A cat")
    work(3)
    with monkeypatch.context() as patched:
        patched.setattr("django.core.files.storage.FileSystemStorage._save", lambda *_: 1 / 0)
        work()
    assert finish(job).status == "completed"
    assert stored() == [MP4]


# --- cancelling -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("done", range(4))
def test_a_job_can_be_cancelled_at_every_step(studio: type[Studio], stored: Stored, done: int) -> None:
    studio.starts, studio.polls = [running()], [running(40), completed("video/mp4", "video/mp4")]
    studio.files = [[MP4], [MP4]]
    job = ai_models.generate_video("A cat", n=2)
    work(done)
    cancelled = ai_models.cancel_video(job.id)
    assert cancelled.status == "cancelled"
    assert cancelled.completed_at is not None
    assert finish(job).status == "cancelled"
    assert len(studio.asked) == min(done, 1)
    assert studio.cancelled == [{"id": "op-1"}] * min(done, 1)
    assert len(studio.polled) == max(0, done - 1)


@pytest.mark.parametrize("step", ["start", "poll", "fetch"])
def test_a_job_that_is_cancelled_during_a_step_is_called_off_after_it(studio: type[Studio], stored: Stored, step: str) -> None:
    job = ai_models.generate_video("A cat")

    def cancel(now: str) -> None:
        if now == step:
            elsewhere(lambda: ai_models.cancel_video(job.id)).join()

    studio.at = staticmethod(cancel)
    assert finish(job).status == "cancelled"
    assert studio.cancelled == [{"id": "op-1"}]
    assert len(studio.asked) == 1
    assert stored() == []


def test_a_provider_that_cannot_be_told_is_told_later(studio: type[Studio]) -> None:
    studio.cancelling = [UpstreamError("It broke.")] * 2
    job = ai_models.generate_video("A cat")
    work()
    ai_models.cancel_video(job.id)
    assert finish(job).status == "cancelled"
    assert studio.cancelled == [{"id": "op-1"}]


@pytest.mark.parametrize("error", [UpstreamError("It broke."), UpstreamError("No such video.", retryable=False)])
def test_a_provider_that_can_never_be_told_is_left_alone(studio: type[Studio], error: UpstreamError) -> None:
    studio.cancelling = [error] * 50
    job = ai_models.generate_video("A cat")
    work()
    ai_models.cancel_video(job.id)
    assert finish(job).status == "cancelled"
    assert studio.cancelled == []


def test_a_job_that_has_ended_stays_as_it_is(studio: type[Studio]) -> None:
    job = finish(ai_models.generate_video("A cat"))
    assert ai_models.cancel_video(job.id) == job
    assert read(job) == MP4


# --- lost tasks, dead workers, several at once ------------------------------------------------------------------------------


@pytest.mark.parametrize("done", range(4))
def test_a_lost_task_is_noticed_by_a_sweep(studio: type[Studio], done: int) -> None:
    job = ai_models.generate_video("A cat")
    work(done)
    DBTaskResult.objects.filter(status="READY").delete()
    assert scheduling.sweep().revived == 0
    later(seconds=jobs.OVERDUE_SECONDS + 5)
    assert scheduling.sweep().revived == 1
    assert scheduling.sweep().revived == 0
    assert finish(job).status == "completed"
    assert len(studio.asked) == 1


def test_a_lost_task_is_noticed_when_somebody_asks_for_the_job(studio: type[Studio]) -> None:
    job = ai_models.generate_video("A cat")
    DBTaskResult.objects.all().delete()
    later(seconds=jobs.OVERDUE_SECONDS + 5)
    ai_models.get_video(job.id)
    ai_models.get_video(job.id)
    assert DBTaskResult.objects.count() == 1
    assert finish(job).status == "completed"


def test_a_job_whose_worker_lives_is_left_alone(studio: type[Studio]) -> None:
    job = ai_models.generate_video("A cat")
    claim = jobs.claim(job.id)
    assert claim is not None
    models.VideoJob.objects.update(due_at=row(job).created_at.replace(year=2020))
    assert jobs.claim(job.id) is None
    assert scheduling.sweep().revived == 0
    later(seconds=jobs.LEASE_SECONDS + 5)
    assert scheduling.sweep().revived == 1
    assert jobs.claim(job.id) is not None
    assert not claim.renew()
    assert not claim.settle(None, status="failed")


def test_a_worker_that_was_taken_for_dead_calls_off_what_it_asked_for(studio: type[Studio]) -> None:
    job = ai_models.generate_video("A cat")
    other: list[jobs.Claim | None] = []

    def take_over(step: str) -> None:
        if step == "start" and not other:
            elsewhere(lambda: (later(seconds=200), other.append(jobs.claim(job.id)))).join()

    studio.at = staticmethod(take_over)
    work()
    assert other[0] is not None
    assert studio.cancelled == [{"id": "op-1"}]
    assert row(job).reference is None


@pytest.mark.parametrize("done", range(4))
def test_a_database_that_goes_away_for_a_while_forgets_nothing_of_a_step(
    studio: type[Studio], monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    settle, failures = jobs.Claim.settle, 2

    def away(*args: Any, **kwargs: Any) -> bool:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise OperationalError("canary")
        return settle(*args, **kwargs)

    monkeypatch.setattr(steps, "SETTLE_PAUSE", 0.01)
    job = ai_models.generate_video("A cat")
    work(done)
    monkeypatch.setattr(jobs.Claim, "settle", away)
    assert finish(job).status == "completed"
    assert failures < 0
    assert len(studio.asked) == 1


def test_a_write_whose_answer_was_lost_is_not_taken_for_somebody_elses(
    studio: type[Studio], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, lost = steps._store, [True]

    def stored(*args: Any) -> bool:
        done = store(*args)
        if lost:
            lost.pop()
            raise OperationalError("canary")
        return done

    monkeypatch.setattr(steps, "SETTLE_PAUSE", 0.01)
    monkeypatch.setattr(steps, "_store", stored)
    job = ai_models.generate_video("A cat")
    assert finish(job).status == "completed"
    assert not lost
    assert (len(studio.asked), studio.cancelled) == (1, [])


def test_a_task_too_many_does_nothing(studio: type[Studio]) -> None:
    job = ai_models.generate_video("A cat")
    for _ in range(3):
        with transaction.atomic():
            scheduling.queue(row(job).pk)
    assert finish(job).status == "completed"
    assert len(studio.asked) == 1
    assert len(studio.polled) == 2


def test_many_jobs_go_on_together(studio: type[Studio]) -> None:
    studio.polls = [running(1)]
    made = [ai_models.generate_video("A cat") for _ in range(5)]
    work(10)
    assert [ai_models.get_video(job.id).progress for job in made] == [1] * 5


def test_a_backend_that_cannot_defer_waits_in_the_task(studio: type[Studio], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ai_models.taskqueue.defers", lambda: False)
    job = ai_models.generate_video("A cat")
    work()
    assert ai_models.get_video(job.id).status == "completed"
    assert DBTaskResult.objects.count() == 1


def test_pauses_grow_while_a_video_takes_its_time(settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "VIDEO_POLL_SECONDS": 2}
    assert [steps._poll_pause(elapsed) for elapsed in (0, 10, 60, 120, 10_000)] == [2, 2, 6, 12, 20]
    assert [steps._pause(failures) for failures in (0, 1, 2, 10_000)] == [2, 4, 8, 20]


# --- waiting, reading, forgetting -------------------------------------------------------------------------------------------


def test_a_storage_that_does_not_give_a_file_keeps_its_address_to_itself(
    studio: type[Studio], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def opened(*_: Any) -> Any:
        raise ConnectionError("https://canary.internal/video?signature=canary")

    job = finish(ai_models.generate_video("A cat"))
    monkeypatch.setattr("django.core.files.storage.FileSystemStorage._open", opened)
    with pytest.raises(NotReady) as caught:
        read(job)
    assert "ConnectionError" in caplog.text
    assert "canary" not in caplog.text + str(caught.value)


def test_waiting_has_an_end(studio: type[Studio]) -> None:
    job = ai_models.generate_video("A cat")
    with pytest.raises(VideoNotReady):
        ai_models.wait_for_video(job.id, timeout=0.01)
    worker = elsewhere(lambda: finish(job))
    assert ai_models.wait_for_video(job.id, timeout=30).status == "completed"
    worker.join()


def test_parts_of_a_video_are_what_a_slice_is(studio: type[Studio]) -> None:
    job = finish(ai_models.generate_video("A cat"))
    for start, stop in [
        (0, 1),
        (1, 5),
        (65_530, 65_545),
        (0, None),
        (len(MP4) - 1, None),
        (len(MP4), None),
        (7, 10**9),
        (3, 3),
    ]:
        assert b"".join(ai_models.read_video(job.id, start=start, stop=stop)) == MP4[start:stop]
    for start, stop in [(-1, None), (5, 4)]:
        with pytest.raises(InvalidRequest):
            next(ai_models.read_video(job.id, start=start, stop=stop))


def test_a_warning_that_comes_with_the_video_is_told_once(studio: type[Studio]) -> None:
    withheld = Warning(type="other", setting="n", message="The provider withheld 1 video.")
    reference = {"id": "op-1"}
    studio.polls = [
        VideoOperation(reference=reference, warnings=(withheld,)),
        VideoOperation(reference=reference, status="completed", videos=("video/mp4",), warnings=(withheld,)),
    ]
    assert finish(ai_models.generate_video("A cat", n=2)).warnings == (withheld,)


@pytest.mark.parametrize("looks", [1, 7])
def test_a_provider_that_failed_until_the_deadline_is_told_of_it(studio: type[Studio], looks: int) -> None:
    studio.polls = [UpstreamError("down")]
    job = ai_models.generate_video("A cat", timeout=600)
    work(looks)
    later(seconds=601)
    ended = finish(job)
    assert (ended.status, ended.error and ended.error.code) == ("failed", "upstream_timeout")
    assert studio.cancelled == [{"id": "op-1"}]


def test_the_steps_of_a_job_are_logged_under_its_id(studio: type[Studio], caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(RequestIdFilter())
    Studio.polls = [running(50), completed()]
    with caplog.at_level(logging.INFO):
        job = ai_models.generate_video("A cat")
        work()
    (line,) = [record for record in caplog.records if record.name == "ai_models.calls"]
    told = vars(line)["call"]
    assert (told["provider"], told["capability"], told["outcome"]) == ("main", "video-generation", "ok")
    assert vars(line)["request_id"] == job.id
