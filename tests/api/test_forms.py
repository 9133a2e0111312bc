"""``multipart/form-data`` over a real connection: files as they are, other fields as in JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from tests import samples
from tests.api.conftest import BASE, Api, LiveServer, bearer
from tests.api.scripted import CANARY, Scripted

pytestmark = pytest.mark.usefixtures("media")

BOUNDARY = "e8d1c6f2"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
WAV = ("speech.wav", samples.WAV, "audio/wav")


def part(name: str, content: bytes, *more: str, filename: str | None = None) -> bytes:
    """One part of a body."""
    disposition = f'Content-Disposition: form-data; name="{name}"'
    head = [f"--{BOUNDARY}", disposition + (f'; filename="{filename}"' if filename is not None else ""), *more]
    return "\r\n".join([*head, "", ""]).encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


class Forms:
    """Sends forms to the real server."""

    def __init__(self, server: LiveServer, user: User) -> None:
        self.server = server
        self.headers = bearer(user)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return httpx.post(f"{self.server.url}{BASE}/{path}", headers=self.headers, timeout=10, **options)

    def raw(self, path: str, body: bytes, content_type: str = TYPE, **headers: str) -> httpx.Response:
        sent = {**self.headers, "Content-Type": content_type, **headers}
        return httpx.post(f"{self.server.url}{BASE}/{path}", content=body, headers=sent, timeout=10)


@pytest.fixture
def forms(server: LiveServer, user: User) -> Forms:
    return Forms(server, user)


def refused(response: httpx.Response, *told: str, status: int = 400) -> None:
    error = response.json()["error"]
    assert (response.status_code, error["requestId"]) == (status, response.headers["x-request-id"])
    assert error["code"] == ("payload_too_large" if status == 413 else "invalid_request")
    assert all(text in error["message"] for text in told), error["message"]
    assert CANARY not in response.text
    assert not Scripted.requests


# --- what is taken --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["audio", "file"])
def test_a_recording_is_taken_under_both_names(forms: Forms, name: str) -> None:
    response = forms.post("transcribe", files={name: WAV})
    assert (response.status_code, response.json()["text"]) == (200, "Hello")
    assert Scripted.requests[0]["audio"] == samples.WAV


def test_other_fields_have_the_names_and_types_of_json(forms: Forms) -> None:
    fields = {
        "provider": "main",
        "model": "echoes",
        "language": "en",
        "mediaType": "audio/wav",
        "timeout": '{"total": 20, "firstChunk": 5.5}',
        "maxRetries": "1",
        "providerOptions": '{"openai": {"prompt": "a"}}',
    }
    assert forms.post("transcribe", data=fields, files={"audio": WAV}).status_code == 200
    (request,) = Scripted.requests
    assert (request["max_retries"], request["timeout"]) == (1, {"total": 20, "first_chunk": 5.5})
    assert request["provider_options"] == {"openai": {"prompt": "a"}}
    assert (request["language"], request["model"]) == ("en", "echoes")


def test_images_may_be_several_and_are_in_order(forms: Forms) -> None:
    small, large = samples.PNG, samples.png(40, 40)
    files = [("images", ("a.png", small)), ("images", ("b.png", large)), ("mask", ("m.png", small))]
    fields = {"prompt": "No hat 帽子", "n": "2", "size": "64x64", "seed": "-7", "timeout": "9.5"}
    response = forms.post("generate-image", data=fields, files=files)
    assert (response.status_code, len(response.json()["images"])) == (200, 2)
    (request,) = Scripted.requests
    assert (request["images"], request["mask"]) == ([small, large], small)
    assert (request["prompt"], request["n"], request["seed"], request["timeout"]) == ("No hat 帽子", 2, -7, 9.5)


def test_a_form_needs_no_file(forms: Forms) -> None:
    response = forms.raw("generate-image", part("prompt", b"A cat") + END, Accept="image/png")
    assert (response.status_code, response.content) == (200, samples.PNG)


def test_base64_is_taken_in_a_form_too(forms: Forms) -> None:
    response = forms.raw("transcribe", part("audio", base64.b64encode(samples.WAV)) + END)
    assert response.status_code == 200
    assert Scripted.requests[0]["audio"] == samples.WAV


def test_neither_a_files_name_nor_its_declared_type_is_believed(forms: Forms) -> None:
    told = ("../../etc/passwd\r\nX: y.png", samples.WAV, "image/png; charset=utf-7")
    assert forms.post("transcribe", files={"audio": told}).status_code == 200
    assert Scripted.requests[0]["media_type"] == "audio/wav"
    assert "passwd" not in str(Scripted.requests)


def test_large_files_come_through_temporary_files(forms: Forms, settings: Settings) -> None:
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 1000
    recording = samples.wav(seconds=3)
    assert forms.post("transcribe", files={"audio": ("a", recording)}).status_code == 200
    assert Scripted.requests[0]["audio"] == recording


def test_a_chunked_form_is_read_whole(forms: Forms) -> None:
    body = part("language", b"en") + part("file", samples.WAV, filename="a") + END
    pieces = (body[start : start + 700] for start in range(0, len(body), 700))
    sent = {**forms.headers, "Content-Type": TYPE}
    response = httpx.post(f"{forms.server.url}{BASE}/transcribe", content=pieces, headers=sent, timeout=10)
    assert response.status_code == 200
    assert (Scripted.requests[0]["audio"], Scripted.requests[0]["language"]) == (samples.WAV, "en")


def test_a_signed_in_browser_sends_forms_with_its_csrf_token(forms: Forms, user: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user)
    secret = browser.cookies["csrftoken"] = "a" * 32
    with httpx.Client(
        base_url=forms.server.url, cookies={name: str(item.value) for name, item in browser.cookies.items()}
    ) as page:
        files = {"audio": WAV}
        assert page.post(f"{BASE}/transcribe", files=files).status_code == 403
        assert not Scripted.requests
        for token in ({"headers": {"X-CSRFToken": secret}}, {"data": {"csrfmiddlewaretoken": secret}}):
            assert page.post(f"{BASE}/transcribe", files=files, **token).status_code == 200  # type: ignore[arg-type]
    assert [request["audio"] for request in Scripted.requests] == [samples.WAV, samples.WAV]


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "fields", "told"),
    [
        ("transcribe", {"colour": CANARY}, ["colour: this field does not exist"]),
        ("transcribe", {"headers": '{"x": "y"}'}, ["headers: this field does not exist"]),
        ("transcribe", {"max_retries": "1"}, ["max_retries: this field does not exist"]),
        ("transcribe", {"maxRetries": "many"}, ["maxRetries: input should be a valid integer"]),
        ("transcribe", {"maxRetries": "1.5"}, ["maxRetries: input should be a valid integer"]),
        ("transcribe", {"maxRetries": '"1"'}, ["maxRetries: input should be a valid integer"]),
        ("transcribe", {"maxRetries": ""}, ["maxRetries: input should be a valid integer"]),
        ("transcribe", {"maxRetries": "1e999"}, ["maxRetries: input should be a valid integer"]),
        ("transcribe", {"maxRetries": "9" * 5000}, ["maxRetries: input should be a valid integer"]),
        ("transcribe", {"timeout": "soon"}, ["timeout: "]),
        ("transcribe", {"timeout": '{"total": "x"}'}, ["timeout.total: "]),
        ("transcribe", {"timeout": '{"total": 1, "total": 2}'}, ["timeout: this text is refused at character 13"]),
        ("transcribe", {"providerOptions": CANARY}, ["providerOptions: input should be a valid dictionary"]),
        ("transcribe", {"providerOptions": '{"a": ' + CANARY}, ["providerOptions: this text is not valid JSON at character 6"]),
        ("transcribe", {"providerOptions": "[" * 5000}, ["providerOptions: this text is refused at character 64: nesting"]),
        ("transcribe", {"language": "x"}, ["language: "]),
        ("transcribe", {"mediaType": "sound"}, ["mediaType: "]),
        ("transcribe", {"language": ["en", "de"]}, ["language: this field is given more than once"]),
        ("generate-image", {"prompt": "a", "size": "big"}, ["size: give width and height"]),
        ("generate-image", {"prompt": "a", "n": "0"}, ["n: "]),
        (
            "generate-image",
            {"n": "x", "seed": "y", "colour": "z"},
            ["n: ", "seed: ", "colour: ", "prompt: this field is required"],
        ),
    ],
)
def test_wrong_fields_are_told_as_for_json(forms: Forms, path: str, fields: dict[str, Any], told: list[str]) -> None:
    files = {"audio": WAV} if path == "transcribe" else {"images": ("a.png", samples.PNG)}
    refused(forms.post(path, data=fields, files=files), *told)


@pytest.mark.parametrize(
    ("path", "field", "content", "told"),
    [
        ("generate-image", "images", samples.TEXT, "images.0: these bytes are none of image/png"),
        ("generate-image", "images", b"", "images.0: the file is empty"),
        ("generate-image", "mask", samples.TEXT, "mask: these bytes are none of image/png"),
        ("generate-image", "prompt", samples.TEXT, "prompt: "),
        ("transcribe", "audio", b"", "audio: the file is empty"),
        ("transcribe", "audio", samples.TEXT, "audio: these bytes are none of audio/wav"),
        ("transcribe", "file", samples.PNG, "audio: these bytes are none of audio/wav"),
        ("transcribe", "audio", b"RIFF\0\0\0\0WAV", "audio: these bytes are none of audio/wav"),
        ("transcribe", "providerOptions", b"{}", "providerOptions: "),
        ("transcribe", "video", samples.WAV, "video: this field does not exist"),
    ],
    ids=lambda value: value if isinstance(value, str) and ":" not in value else None,
)
def test_a_file_that_is_not_what_it_is_called_is_refused(
    forms: Forms, path: str, field: str, content: bytes, told: str
) -> None:
    refused(forms.post(path, data={"prompt": "a"} if path == "generate-image" else {}, files={field: ("a.png", content)}), told)


@pytest.mark.parametrize("names", [("audio", "audio"), ("audio", "file"), ("file", "file")])
def test_several_recordings_are_refused(forms: Forms, names: tuple[str, str]) -> None:
    refused(forms.post("transcribe", files=[(name, WAV) for name in names]), "audio: this field is given more than once")


def test_a_recording_as_file_and_as_text_is_refused(forms: Forms) -> None:
    body = part("audio", samples.WAV, filename="a") + part("audio", base64.b64encode(samples.WAV)) + END
    refused(forms.raw("transcribe", body), "audio: this field is given more than once")


MALFORMED = {
    "no boundary": ("multipart/form-data", part("audio", samples.WAV, filename="a") + END),
    "an empty boundary": ("multipart/form-data; boundary=", part("audio", samples.WAV, filename="a") + END),
    "a boundary that is too long": (f"multipart/form-data; boundary={'x' * 205}", END),
    "a boundary with odd characters": ('multipart/form-data; boundary="<é>"', END),
    "another boundary": ("multipart/form-data; boundary=other", part("audio", samples.WAV, filename="a") + END),
    "nothing": (TYPE, b""),
    "no parts": (TYPE, END),
    "no multipart at all": (TYPE, b'{"audio": "a"}'),
    "a part without a name": (TYPE, part("", samples.WAV, filename="a") + END),
    "a part without headers": (TYPE, f"--{BOUNDARY}\r\n\r\n".encode() + samples.WAV + b"\r\n" + END),
    "a file without a name": (TYPE, part("audio", samples.WAV, filename="") + END),
    "a part with a megabyte of headers": (TYPE, part("audio", samples.WAV, f"X-Bomb: {'x' * 1_000_000}", filename="a") + END),
    "a part with ten thousand headers": (TYPE, part("audio", samples.WAV, *["X: y"] * 10_000, filename="a") + END),
    "base64 that is none": (
        TYPE, part("audio", b"%%%!", "Content-Transfer-Encoding: base64", filename="a") + END
    ),
    "multipart in multipart": (
        TYPE,
        part(
            "audio",
            b'--in\r\nContent-Disposition: file; filename="a.wav"\r\n\r\n' + samples.WAV + b"\r\n--in--",
            "Content-Type: multipart/mixed; boundary=in",
        )
        + END,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content_type", "body"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_form_is_refused(forms: Forms, content_type: str, body: bytes) -> None:
    refused(forms.raw("transcribe", body, content_type.encode("latin-1")))  # type: ignore[arg-type]


def test_too_many_fields_or_files_are_refused(forms: Forms) -> None:
    refused(forms.raw("transcribe", part("language", b"en") * 1100 + END), "too many fields or files")
    refused(forms.raw("transcribe", part("audio", samples.WAV, filename="a") * 110 + END), "too many fields or files")


def test_what_is_no_file_is_bounded_by_djangos_own_limit(forms: Forms, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    refused(forms.raw("generate-image", part("prompt", b"x" * 2000) + END), status=413)
    # Files do not count.
    assert forms.raw("transcribe", part("file", samples.WAV, filename="a") + END).status_code == 200


def test_a_file_above_the_limit_is_refused(forms: Forms, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "MAX_FILE_BYTES": 1000}
    refused(forms.post("transcribe", files={"audio": WAV}), "A file is larger than 1000 bytes", status=413)


@pytest.mark.parametrize("handler", ["MemoryFileUploadHandler", "TemporaryFileUploadHandler"])
def test_the_hosts_upload_handlers_are_used(api: Api, settings: Settings, handler: str) -> None:
    settings.FILE_UPLOAD_HANDLERS = [f"django.core.files.uploadhandler.{handler}"]
    body = part("audio", samples.WAV, filename="a") + END
    response = api.client.post(f"{BASE}/transcribe", body, content_type=TYPE, headers=api.headers)
    assert response.status_code == 200


def test_a_form_read_by_a_middleware_before_is_taken_as_it_is(api: Api, settings: Settings) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.api.test_forms.reads_the_form"]
    response = api.form("transcribe", {"audio": _Upload("a.wav", samples.WAV), "maxRetries": "1"})
    assert response.status_code == 200
    assert Scripted.requests[0]["max_retries"] == 1
    assert api.form("transcribe", {"colour": "red"}).status_code == 400


def reads_the_form(get_response: Any) -> Any:
    """A host's middleware that looks at forms."""

    def middleware(request: Any) -> Any:
        len(request.POST)
        return get_response(request)

    return middleware


class _Upload:
    """What Django's test client takes for a file."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self._content = content

    def read(self) -> bytes:
        return self._content


@pytest.mark.parametrize("limit", ["MAX_UPLOAD_BYTES", "MAX_FILE_BYTES"])
def test_limits_hold_under_wsgi_too(api: Api, settings: Settings, limit: str) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, limit: 1000}
    response = api.form("transcribe", {"audio": _Upload("a.wav", samples.WAV)})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize(
    ("path", "content_type", "taken"),
    [
        ("transcribe", "audio/wav", "application/json or multipart/form-data"),
        ("transcribe", "application/x-www-form-urlencoded", "application/json or multipart/form-data"),
        ("transcribe", "multipart/mixed; boundary=x", "application/json or multipart/form-data"),
        ("generate-speech", TYPE, "application/json"),
        ("stream-object", TYPE, "application/json"),
    ],
)
def test_another_content_type_is_refused_with_those_that_are_taken(
    forms: Forms, path: str, content_type: str, taken: str
) -> None:
    refused(forms.raw(path, samples.WAV, content_type), f"with Content-Type: {taken}.", status=415)


def test_json_is_still_json(forms: Forms) -> None:
    body = json.dumps({"audio": base64.b64encode(samples.WAV).decode()}).encode()
    assert forms.raw("transcribe", body, "application/json").status_code == 200
