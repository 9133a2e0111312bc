"""Files that callers send are what their bytes say."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from ai_models import media
from ai_models.exceptions import InvalidRequest, PayloadTooLarge
from ai_models.serialization import to_json, validate
from ai_models.types import GeneratedFile, ImageRequest, ImageResult, TextRequest, TranscribeRequest
from tests import samples


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (samples.PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1" + bytes(20), "image/jpeg"),
        (b"GIF89a" + bytes(20), "image/gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 " + bytes(20), "image/webp"),
        (samples.WAV, "audio/wav"),
        (samples.MP3, "audio/mpeg"),
        (b"fLaC\0\0\0\x22" + bytes(40), "audio/flac"),
        (b"OggS\0\2" + bytes(22) + b"\x01\x13OpusHead", "audio/ogg"),
        (samples.MP4, "video/mp4"),
        (samples.PDF, "application/pdf"),
        (samples.TEXT, None),
        (b"", None),
    ],
)
def test_bytes_tell_their_media_type(data: bytes, kind: str | None) -> None:
    assert media.media_type(data) == kind


@pytest.mark.parametrize(
    "given",
    [
        samples.PNG,
        bytearray(samples.PNG),
        memoryview(samples.PNG),
        base64.b64encode(samples.PNG).decode(),
        f"data:image/png;base64,{base64.b64encode(samples.PNG).decode()}",
        io.BytesIO(samples.PNG),
    ],
    ids=["bytes", "bytearray", "memoryview", "base64", "data URL", "file"],
)
def test_a_file_comes_in_many_forms(given: Any) -> None:
    assert media.read(given) == samples.PNG


def test_a_file_on_disk_is_given_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(samples.PNG)
    assert media.read(path) == samples.PNG
    with pytest.raises(media.NotAFile, match="base64"):
        media.read(str(path))  # a caller's text is never the name of a file of ours


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b"", "the file is empty"),
        ("", "the file is empty"),
        ("no base64!", "this text is not base64"),
        (io.StringIO("text"), "open the file in binary mode"),
        (7, "give bytes, base64 text or an open binary file"),
    ],
    ids=["no bytes", "no text", "no base64", "a text file", "a number"],
)
def test_what_is_no_file_is_refused(given: Any, told: str) -> None:
    with pytest.raises(media.NotAFile, match=told):
        media.read(given)


@pytest.mark.parametrize(
    "wrap", [bytes, io.BytesIO, lambda data: base64.b64encode(data).decode()], ids=["bytes", "file", "base64"]
)
def test_a_file_that_is_too_large_is_refused(wrap: Any, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "MAX_FILE_BYTES": 1000}
    assert len(media.read(wrap(bytes(1000)))) == 1000
    with pytest.raises(PayloadTooLarge, match="1000"):
        media.read(wrap(bytes(1001)))


def test_a_text_file_called_png_is_refused() -> None:
    part = {"type": "file", "media_type": "image/png", "filename": "cat.png", "data": samples.TEXT}
    with pytest.raises(InvalidRequest, match=r"messages\.0\.content\.0: these bytes are not image/png$"):
        validate(TextRequest, {"messages": [{"role": "user", "content": [part]}]})
    with pytest.raises(InvalidRequest, match=r"images\.0: these bytes are none of image/png"):
        validate(ImageRequest, {"prompt": "x", "images": [samples.TEXT]})


def test_a_file_part_has_the_type_of_its_bytes() -> None:
    for declared in ({}, {"media_type": "image/jpeg"}, {"media_type": "image/*"}):
        part = {"type": "file", **declared, "data": samples.PNG}
        validated: Any = validate(TextRequest, {"messages": [{"role": "user", "content": [part]}]})
        assert validated["messages"][0]["content"][0]["media_type"] == "image/png"
    plain = {"type": "file", "media_type": "text/csv", "data": b"a,b"}
    validated = validate(TextRequest, {"messages": [{"role": "user", "content": [plain]}]})
    assert validated["messages"][0]["content"][0]["media_type"] == "text/csv"


@pytest.mark.parametrize("given", [{}, {"data": samples.PNG, "url": "https://example.org/a.png"}], ids=["nothing", "both"])
def test_a_file_part_has_exactly_one_of_data_and_url(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="exactly one of data and url"):
        validate(TextRequest, {"messages": [{"role": "user", "content": [{"type": "file", **given}]}]})


@pytest.mark.parametrize("size", ["big", "1024", "0x10", "1024x", "1024*1024", "-1x5", "1024x1024x3", "1024X1024", ""])
def test_a_wrong_size_is_told_with_a_right_one(size: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^size: give width and height in pixels, such as 1024x1024$"):
        validate(ImageRequest, {"prompt": "x", "size": size})


def test_files_are_base64_in_json_and_stay_out_of_representations() -> None:
    result = ImageResult(images=(GeneratedFile(bytes=samples.PNG, media_type="image/png"),))
    assert to_json(result)["images"] == [{"base64": base64.b64encode(samples.PNG).decode(), "mediaType": "image/png"}]
    assert "PNG" not in repr(result)
    audio = validate(TranscribeRequest, {"audio": base64.b64encode(samples.WAV).decode()}, json_names=True)
    assert audio["audio"] == samples.WAV
