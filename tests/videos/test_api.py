"""Video jobs over REST: whose they are, what is told of them, and every range of the bytes."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.asgi import get_asgi_application
from django.test import Client

import ai_models
from ai_models import asgi, models
from ai_models.exceptions import ContentPolicyViolation, VideoNotFound
from tests import samples
from tests.api.conftest import Api, bearer, serving
from tests.api.test_openapi import examples
from tests.videos.conftest import MP4, MakeUser, Studio, finish, later, work

Stored = Callable[[], list[bytes]]


@pytest.fixture
def api(studio: type[Studio], client: Client, make_user: MakeUser) -> Api:
    """The API as Ada sees it."""
    return Api(client, bearer(make_user("ada")))


@pytest.fixture
def made(api: Api) -> dict[str, Any]:
    """Her completed job."""
    job = api.post("generate-video", {"prompt": "A cat"}).json()
    finish(ai_models.get_video(job["id"]))
    found: dict[str, Any] = api.get(f"videos/{job['id']}").json()
    return found


def code(response: Any) -> str:
    return str(response.json()["error"]["code"])


def test_a_job_is_accepted_looked_at_and_downloaded(api: Api, studio: type[Studio]) -> None:
    response = api.post("generate-video", {"prompt": "A cat", "aspectRatio": "16:9", "fps": 24})
    assert response.status_code == 202
    job = response.json()
    assert response["Location"] == f"/api/ai/v1/videos/{job['id']}"
    assert set(job) == {
        "id", "status", "progress", "videos", "provider", "model", "warnings", "error", "createdAt", "completedAt", "expiresAt",
    }  # fmt: skip
    assert (job["status"], job["provider"], job["model"]) == ("queued", "main", "reel-1")
    assert [warning["setting"] for warning in job["warnings"]] == ["fps"]
    assert studio.asked == []
    work(2)
    assert api.get(f"videos/{job['id']}").json()["progress"] == 40
    finish(ai_models.get_video(job["id"]))
    job = api.get(f"videos/{job['id']}").json()
    assert job["videos"] == [{"index": 0, "mediaType": "video/mp4", "size": len(MP4)}]
    answer = api.get(f"videos/{job['id']}/content")
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content) == MP4


def test_an_image_comes_in_a_form(api: Api, studio: type[Studio], tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(samples.PNG)
    with path.open("rb") as file:
        body = {"prompt": "A cat", "n": "2", "image": file}
        response = api.client.post("/api/ai/v1/generate-video", body, headers=api.headers)
    assert response.status_code == 202, response.content
    work()
    assert studio.asked == [("reel-1", {"prompt": "A cat", "n": 2, "image": samples.PNG})]


@pytest.mark.parametrize("wrong", [{}, {"prompt": "A cat", "fps": "many"}, {"prompt": "A cat", "headers": {"x-a": "b"}}])
def test_a_wrong_request_makes_no_job(api: Api, wrong: dict[str, object]) -> None:
    response = api.post("generate-video", wrong)
    assert (response.status_code, code(response)) == (400, "invalid_request")
    assert not models.VideoJob.objects.exists()


def test_a_job_is_its_owners_alone(api: Api, made: dict[str, Any], make_user: MakeUser, client: Client) -> None:
    others = [Api(client, bearer(make_user(name, is_superuser=root))) for name, root in [("bob", False), ("root", True)]]
    unknown = str(uuid.uuid4())
    for other in others:
        for ask in (
            lambda id: other.get(f"videos/{id}"),  # noqa: B023
            lambda id: other.get(f"videos/{id}/content"),  # noqa: B023
            lambda id: other.post(f"videos/{id}/cancel"),  # noqa: B023
        ):
            answers = [ask(id) for id in (made["id"], unknown, "no-uuid")]
            assert [answer.status_code for answer in answers] == [404] * 3
            told = [{**answer.json()["error"], "requestId": None} for answer in answers]
            assert told[0] == told[1] == told[2]
            assert told[0]["code"] == "video_not_found"
    assert api.get(f"videos/{made['id']}").json() == made


def test_a_job_is_its_owners_alone_in_python(api: Api, made: dict[str, Any], make_user: MakeUser) -> None:
    ada, bob = models.VideoJob.objects.get(pk=made["id"]).owner, make_user("bob")
    assert ai_models.get_video(made["id"], user=ada).status == "completed"
    for ask in (ai_models.get_video, ai_models.cancel_video, ai_models.wait_for_video):
        with pytest.raises(VideoNotFound):
            ask(made["id"], user=bob)
    with pytest.raises(VideoNotFound):
        next(ai_models.read_video(made["id"], user=bob))
    with pytest.raises(VideoNotFound):
        ai_models.get_video("no-uuid")
    assert ai_models.get_video(made["id"]).status == "completed"
    owned_by_nobody = ai_models.generate_video("A cat")
    with pytest.raises(VideoNotFound):
        ai_models.get_video(owned_by_nobody.id, user=bob)


def test_a_job_outlives_its_owner_and_is_nobodys_then(api: Api, made: dict[str, Any]) -> None:
    owner = models.VideoJob.objects.get(pk=made["id"]).owner
    assert owner is not None
    owner.delete()
    assert ai_models.get_video(made["id"]).status == "completed"


def test_who_is_not_signed_in_gets_nothing(api: Api, made: dict[str, Any], client: Client) -> None:
    stranger = Api(client, {})
    assert stranger.post("generate-video", {"prompt": "A cat"}).status_code == 401
    for path in (f"videos/{made['id']}", f"videos/{made['id']}/content"):
        assert stranger.get(path).status_code == 401


def test_a_job_is_cancelled(api: Api) -> None:
    job = api.post("generate-video", {"prompt": "A cat"}).json()
    answer = api.post(f"videos/{job['id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert code(api.get(f"videos/{job['id']}/content")) == "video_not_found"


def test_a_video_that_is_not_there_yet_is_not_ready(api: Api) -> None:
    job = api.post("generate-video", {"prompt": "A cat"}).json()
    answer = api.get(f"videos/{job['id']}/content")
    assert (answer.status_code, code(answer)) == (503, "not_ready")
    assert int(answer["Retry-After"]) >= 1
    assert answer.json()["error"]["retryable"]


def test_why_a_job_failed_is_told_and_it_has_no_content(api: Api, studio: type[Studio]) -> None:
    studio.starts = [ContentPolicyViolation("The provider refused the prompt.")]
    job = api.post("generate-video", {"prompt": "A cat"}).json()
    finish(ai_models.get_video(job["id"]))
    job = api.get(f"videos/{job['id']}").json()
    assert job["error"] == {"code": "content_policy_violation", "message": "The provider refused the prompt."}
    assert api.get(f"videos/{job['id']}/content").status_code == 404


def test_what_is_expired_or_deleted_is_gone(api: Api, made: dict[str, Any], stored: Stored, tmp_path: Path) -> None:
    for path in (tmp_path / "files").rglob("video*"):
        path.unlink()
    assert code(api.get(f"videos/{made['id']}/content")) == "video_not_found"
    later(hours=25)
    assert api.get(f"videos/{made['id']}").json()["status"] == "expired"
    assert code(api.get(f"videos/{made['id']}/content")) == "video_not_found"


# --- bytes ----------------------------------------------------------------------------------------------------------------

SIZE = len(MP4)


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=0-", slice(0, None)),
        ("Bytes=5-99", slice(5, 100)),
        ("bytes=65535-65536", slice(65535, 65537)),
        (f"bytes=1000-{SIZE * 2}", slice(1000, None)),
        (f"bytes={SIZE - 1}-", slice(SIZE - 1, None)),
        ("bytes=-1", slice(-1, None)),
        ("bytes=-70000", slice(-70000, None)),
        (f"bytes=-{SIZE * 2}", slice(0, None)),
    ],
)
def test_a_range_is_that_slice_of_the_bytes(api: Api, made: dict[str, Any], header: str, part: slice) -> None:
    answer = api.get(f"videos/{made['id']}/content", Range=header)
    content = b"".join(answer.streaming_content)
    assert (answer.status_code, content) == (206, MP4[part])
    start, stop, _ = part.indices(SIZE)
    assert answer["Content-Range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert int(answer["Content-Length"]) == len(content)


@pytest.mark.parametrize(
    "header", ["bytes=5-4", "bytes=-", "bytes=0-1,5-6", "lines=0-1", "bytes=a-b", "", "bytes=" + "9" * 50 + "-"]
)
def test_a_range_that_is_none_gets_everything(api: Api, made: dict[str, Any], header: str) -> None:
    answer = api.get(f"videos/{made['id']}/content", Range=header)
    assert (answer.status_code, b"".join(answer.streaming_content)) == (200, MP4)
    assert "Content-Range" not in answer


@pytest.mark.parametrize("header", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(api: Api, made: dict[str, Any], header: str) -> None:
    answer = api.get(f"videos/{made['id']}/content", Range=header)
    assert (answer.status_code, code(answer)) == (416, "invalid_request")
    assert answer["Content-Range"] == f"bytes */{SIZE}"


def test_a_range_holds_for_the_file_it_was_meant_for(api: Api, made: dict[str, Any]) -> None:
    path = f"videos/{made['id']}/content"
    etag = api.get(path)["ETag"]
    assert api.get(path, **{"Range": "bytes=0-1", "If-Range": etag}).status_code == 206
    assert api.get(path, **{"Range": "bytes=0-1", "If-Range": '"another"'}).status_code == 200


def test_the_bytes_are_named_and_never_taken_for_a_page(api: Api, made: dict[str, Any]) -> None:
    answer = api.get(f"videos/{made['id']}/content")
    assert answer["Content-Type"] == "video/mp4"
    assert answer["Content-Disposition"] == f'attachment; filename="{made["id"]}-0.mp4"'
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "private"
    assert answer["X-Request-ID"]


@pytest.mark.parametrize(
    ("query", "status"), [({"index": "1"}, 404), ({"index": "-1"}, 400), ({"index": "x"}, 400), ({"i": "0"}, 400)]
)
def test_an_index_names_one_of_the_videos(api: Api, made: dict[str, Any], query: dict[str, str], status: int) -> None:
    assert api.get(f"videos/{made['id']}/content", query).status_code == status


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are commands of curl")
def test_the_examples_of_the_docs_page_work(api: Api, made: dict[str, Any], tmp_path: Path) -> None:
    token = api.headers["Authorization"].removeprefix("Bearer ")
    with serving(asgi.serve(get_asgi_application())) as server:
        page = httpx.get(f"{server.url}/api/ai/v1/docs").text
        shown = [example for example in examples(page) if "video" in example]
        assert len(shown) == 4
        for example in shown:
            command = shlex.split(example.replace("\\\n", " ").replace("YOUR_TOKEN", token).replace("{id}", made["id"]))
            done = subprocess.run(
                [*command, "-sS", "--fail-with-body"], cwd=tmp_path, capture_output=True, timeout=30, check=False
            )
            assert done.returncode == 0, (example, done.stdout, done.stderr)
    assert (tmp_path / f"{made['id']}-0.mp4").read_bytes() == MP4


def test_a_real_server_streams_ranges_and_answers_head(api: Api, made: dict[str, Any]) -> None:
    with serving(asgi.serve(get_asgi_application())) as server, httpx.Client(headers=api.headers) as client:
        url = f"{server.url}/api/ai/v1/videos/{made['id']}/content"
        whole = client.get(url)
        assert (whole.status_code, whole.content) == (200, MP4)
        head = client.head(url)
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(SIZE))
        assert head.headers["etag"] == whole.headers["etag"]
        part = client.get(url, headers={"Range": "bytes=100-199"})
        assert (part.status_code, part.content) == (206, MP4[100:200])
        missing = client.head(f"{server.url}/api/ai/v1/videos/{uuid.uuid4()}/content")
        assert missing.status_code == 404
        accepted = client.post(
            f"{server.url}/api/ai/v1/generate-video",
            content=json.dumps({"prompt": "A cat"}),
            headers={"Content-Type": "application/json"},
        )
        assert accepted.status_code == 202
        assert client.get(f"{server.url}{accepted.headers['location']}").json()["status"] == "queued"
