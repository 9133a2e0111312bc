"""Images, speech and transcription over REST: base64 in JSON, bytes on request, and who may ask."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from ai_models.models import ProviderInstance
from ai_models.types import GeneratedFile
from tests import samples
from tests.api.conftest import BASE, Api, LiveServer, MakeUser, bearer
from tests.api.scripted import CANARY, LEFT_OUT, Scripted

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'

pytestmark = pytest.mark.usefixtures("media")


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


BODIES: dict[str, dict[str, Any]] = {
    "generate-image": {"prompt": "A cat"},
    "generate-speech": {"text": "Hello"},
    "transcribe": {"audio": encoded(samples.WAV)},
    "stream-object": {"prompt": "Ada", "schema": {"type": "object"}},
}


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


# --- JSON -----------------------------------------------------------------------------------------------------------


def test_images_are_base64_in_json(api: Api) -> None:
    response = api.post("generate-image", {"prompt": "A cat", "n": 2, "size": "1024x1024", "seed": 1})
    answer = response.json()
    assert response.status_code == 200
    assert answer["images"] == [{"base64": encoded(samples.PNG), "mediaType": "image/png"}] * 2
    assert (answer["provider"], answer["model"], answer["usage"]["totalTokens"]) == ("main", "echoes", 7)
    assert [warning["setting"] for warning in answer["warnings"]] == ["seed"]
    assert Scripted.requests == [{"prompt": "A cat", "n": 2, "size": "1024x1024", "seed": 1}]


def test_images_come_in_as_base64_or_data_urls(api: Api) -> None:
    data_url = f"data:image/png;base64,{encoded(samples.PNG)}"
    response = api.post("generate-image", {"prompt": "No hat", "images": [encoded(samples.PNG), data_url], "mask": data_url})
    assert response.status_code == 200
    assert Scripted.requests[0]["images"] == [samples.PNG, samples.PNG]
    assert Scripted.requests[0]["mask"] == samples.PNG


def test_speech_is_base64_in_json(api: Api) -> None:
    answer = api.post("generate-speech", {"text": "Hello", "voice": "alloy", "outputFormat": "wav", "speed": 1.5}).json()
    assert answer["audio"] == {"base64": encoded(samples.WAV), "mediaType": "audio/wav"}
    assert Scripted.requests[0]["output_format"] == "wav"


def test_a_recording_is_written_down(api: Api) -> None:
    answer = api.post("transcribe", {"audio": encoded(samples.WAV), "mediaType": "audio/wav", "language": "en"}).json()
    assert (answer["text"], answer["language"], answer["durationInSeconds"]) == ("Hello", "en", 0.1)
    assert answer["segments"] == [{"text": "Hello", "startSecond": 0.0, "endSecond": 0.1}]
    assert Scripted.requests[0]["audio"] == samples.WAV


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("generate-image", {}, "prompt: this field is required"),
        ("generate-image", {"prompt": None}, "prompt: this field is required"),
        ("generate-image", {"prompt": "a", "size": "huge"}, "size: give width and height in pixels"),
        ("generate-image", {"prompt": "a", "size": "1024*1024"}, "size: give width"),
        ("generate-image", {"prompt": "a", "size": "0x9"}, "size: give width"),
        ("generate-image", {"prompt": "a", "aspectRatio": "wide"}, "aspectRatio: give"),
        ("generate-image", {"prompt": "a", "n": 11}, "n: "),
        ("generate-image", {"prompt": "a", "n": 1.5}, "n: "),
        ("generate-image", {"prompt": "a", "images": []}, "images: "),
        ("generate-image", {"prompt": "a", "images": [encoded(samples.TEXT)]}, "images.0: these bytes are none of image/png"),
        ("generate-image", {"prompt": "a", "images": [encoded(SVG)]}, "images.0: these bytes are none of"),
        ("generate-image", {"prompt": "a", "images": ["%%%"]}, "images.0: this text is not base64"),
        ("generate-image", {"prompt": "a", "mask": encoded(samples.PNG)}, "mask: it needs images"),
        ("generate-image", {"prompt": "a", "response_format": "url"}, "response_format: this field does not exist"),
        ("generate-speech", {}, "text: this field is required"),
        ("generate-speech", {"text": ""}, "text: "),
        ("generate-speech", {"text": "a", "speed": 9}, "speed: "),
        ("generate-speech", {"text": "a", "outputFormat": "../mp3"}, "outputFormat: give a format's name"),
        ("transcribe", {}, "audio: this field is required"),
        ("transcribe", {"audio": ""}, "audio: the file is empty"),
        ("transcribe", {"audio": 7}, "audio: give bytes, base64 text or an open binary file"),
        ("transcribe", {"audio": encoded(samples.TEXT)}, "audio: these bytes are none of audio/wav"),
        ("transcribe", {"audio": encoded(samples.PNG)}, "audio: these bytes are none of audio/wav"),
        ("transcribe", {"audio": "https://example.org/a.wav"}, "audio: this text is not base64"),
        ("transcribe", {"file": encoded(samples.WAV)}, "file: this field does not exist"),
    ],
)
def test_wrong_values_are_refused_by_field(api: Api, path: str, body: dict[str, Any], told: str) -> None:
    response = api.post(path, body)
    assert code(response) == (400, "invalid_request")
    assert told in response.json()["error"]["message"]
    assert not Scripted.requests


def test_a_file_above_the_limit_is_refused(api: Api, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "MAX_FILE_BYTES": 1000}
    assert code(api.post("transcribe", {"audio": encoded(samples.WAV)})) == (413, "payload_too_large")


# --- bytes ----------------------------------------------------------------------------------------------------------


def test_bytes_come_with_their_own_type_and_cannot_be_taken_for_a_page(api: Api) -> None:
    response = api.post("generate-image", {"prompt": "A cat", "seed": 1}, Accept="image/*")
    assert (response.status_code, response.content) == (200, samples.PNG)
    assert response["Content-Type"] == "image/png"
    assert response["Content-Length"] == str(len(samples.PNG))
    assert response["Content-Disposition"] == 'attachment; filename="image.png"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response["Vary"] == "Accept"
    assert response["X-Request-ID"]
    assert (response["X-AI-Provider"], response["X-AI-Model"]) == ("main", "echoes")
    (warning,) = json.loads(response["X-AI-Warnings"])
    assert warning == {"type": "unsupported", "message": LEFT_OUT.message, "setting": "seed"}


@pytest.mark.parametrize("accept", ["audio/*", "audio/wav", "application/octet-stream", "audio/mpeg"])
def test_speech_comes_as_bytes(api: Api, accept: str) -> None:
    response = api.post("generate-speech", {"text": "Hello"}, Accept=accept)
    assert (response["Content-Type"], response.content) == ("audio/wav", samples.WAV)
    assert response["Content-Disposition"] == 'attachment; filename="audio.wav"'
    assert "X-AI-Warnings" not in response


@pytest.mark.parametrize("accept", ["*/*", "application/json", "image/png, application/json", "audio/wav", "text/event-stream"])
def test_json_comes_where_bytes_are_not_wanted_more(api: Api, accept: str) -> None:
    response = api.post("generate-image", {"prompt": "A cat"}, Accept=accept)
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert response["Vary"] == "Accept"
    assert "X-AI-Model" not in response


def test_a_type_that_the_model_did_not_make_gives_json_where_json_will_do(api: Api) -> None:
    response = api.post("generate-image", {"prompt": "A cat"}, Accept="image/webp, application/json;q=0.2")
    assert response["Content-Type"] == "application/json"
    response = api.post("generate-image", {"prompt": "A cat"}, Accept="image/webp")
    assert (response["Content-Type"], response.content) == ("image/png", samples.PNG)


def test_the_bytes_of_several_images_are_refused_before_they_are_paid_for(api: Api) -> None:
    response = api.post("generate-image", {"prompt": "A cat", "n": 2}, Accept="image/png")
    assert code(response) == (400, "invalid_request")
    assert "application/json" in response.json()["error"]["message"]
    assert not Scripted.requests
    response = api.post("generate-image", {"prompt": "A cat", "n": 2}, Accept="image/png, application/json;q=0.1")
    assert len(response.json()["images"]) == 2


@pytest.mark.parametrize(
    "media_type", ["image/svg+xml", "text/html", "image/png\r\nX: y", "image/png; charset", "IMAGE", "", "video/mp4"]
)
def test_what_is_no_plain_picture_is_only_bytes(api: Api, media_type: str) -> None:
    Scripted.picture = GeneratedFile(bytes=SVG, media_type=media_type)
    response = api.post("generate-image", {"prompt": "A cat"}, Accept="image/*, application/octet-stream")
    assert (response.status_code, response["Content-Type"]) == (200, "application/octet-stream")
    assert response["Content-Disposition"] == 'attachment; filename="image.bin"'
    assert response["X-Content-Type-Options"] == "nosniff"


def test_a_models_name_cannot_break_the_headers(api: Api) -> None:
    response = api.post("generate-image", {"prompt": "A cat", "model": "a/b:c\r\nX-Evil: 1 ü"}, Accept="image/png")
    assert response.status_code == 200
    assert response["X-AI-Model"] == "a/b:c%0D%0AX-Evil:%201%20%C3%BC"
    assert "X-Evil" not in response


@pytest.mark.parametrize("path", ["generate-image", "generate-speech"])
def test_an_error_is_json_whatever_was_asked_for(api: Api, path: str) -> None:
    for model, status in (("fails", 502), ("limited", 429), ("breaks", 500)):
        response = api.post(path, {**BODIES[path], "model": model}, Accept="image/*, audio/*")
        assert (response.status_code, response["Content-Type"]) == (status, "application/json")
        assert CANARY not in response.content.decode()
    assert code(api.post(path, {}, Accept="image/*, audio/*")) == (400, "invalid_request")


# --- who may ask ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", BODIES)
def test_nobody_gets_in_without_a_credential(api: Api, path: str) -> None:
    response = api.client.post(f"{BASE}/{path}", json.dumps(BODIES[path]), content_type="application/json")
    assert code(response) == (401, "unauthenticated")
    response = api.client.post(f"{BASE}/{path}", {"prompt": "a"})
    assert code(response) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("path", "codename"),
    [
        ("generate-image", "use_image_generation"),
        ("generate-speech", "use_speech_generation"),
        ("transcribe", "use_transcription"),
        ("stream-object", "use_structured_output"),
    ],
)
def test_each_needs_its_own_permission(server: LiveServer, make_user: MakeUser, path: str, codename: str) -> None:
    every = {
        "use_image_generation",
        "use_speech_generation",
        "use_transcription",
        "use_structured_output",
        "use_text_generation",
    }

    def post(user: User) -> httpx.Response:
        return httpx.post(f"{server.url}{BASE}/{path}", json=BODIES[path], headers=bearer(user), timeout=10)

    assert code(post(make_user("eve", *(every - {codename})))) == (403, "permission_denied")
    assert not Scripted.requests
    assert post(make_user("grace", codename)).status_code == 200


@pytest.mark.parametrize("path", BODIES)
def test_an_instance_that_is_off_or_has_no_such_capability_calls_nobody(
    server: LiveServer, media: ProviderInstance, user: User, path: str
) -> None:
    headers = bearer(user)
    ProviderInstance.objects.create(name="bare", family="scripted")
    body = {**BODIES[path], "provider": "bare"}
    response = httpx.post(f"{server.url}{BASE}/{path}", json=body, headers=headers, timeout=10)
    assert code(response) == (409, "capability_not_enabled")
    media.enabled = False
    media.save()
    response = httpx.post(f"{server.url}{BASE}/{path}", json=BODIES[path], headers=headers, timeout=10)
    assert code(response) == (409, "provider_disabled")
    assert not Scripted.requests
