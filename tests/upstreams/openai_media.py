"""The OpenAI API of images, sound and videos: ``/v1/images``, ``/v1/audio``, ``/v1/videos``."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from tests.upstreams.openai import HEADERS
from tests.upstreams.replies import Reply, json_reply, raw

IMAGE_USAGE: Mapping[str, Any] = {
    "input_tokens": 50,
    "output_tokens": 196,
    "total_tokens": 246,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
}
VIDEO_ID = "video_68d7512d07848190b3e45da0ecbebcde"


def images(*files: bytes, usage: Mapping[str, Any] | None = IMAGE_USAGE) -> Reply:
    """Images, as the models answer that do not answer with addresses."""
    body: dict[str, Any] = {"created": 1_700_000_000, "data": [{"b64_json": base64.b64encode(file).decode()} for file in files]}
    return json_reply(body if usage is None else {**body, "usage": usage}, headers=HEADERS)


def image_items(*items: Any) -> Reply:
    """An answer with these items in place of images."""
    return json_reply({"created": 1_700_000_000, "data": list(items)}, headers=HEADERS)


def speech(sound: bytes, content_type: str = "audio/mpeg") -> Reply:
    """Sound, as it is; the vendor sends it in chunks."""
    return Reply(headers=(("Content-Type", content_type), *HEADERS), pieces=(sound,) if sound else (), framing="chunked")


def transcription(text: str = "Hello there", *, usage: Mapping[str, Any] | None = None) -> Reply:
    """The ``json`` form."""
    return json_reply({"text": text} if usage is None else {"text": text, "usage": usage}, headers=HEADERS)


def verbose_transcription(*segments: tuple[float, float, str], language: str = "english", duration: Any = 2.5) -> Reply:
    """The ``verbose_json`` form."""
    body = {
        "task": "transcribe",
        "language": language,
        "duration": duration,
        "text": "".join(text for _, _, text in segments).strip(),
        "segments": [_segment(number, *segment) for number, segment in enumerate(segments)],
        "usage": {"type": "duration", "seconds": 3},
    }
    return json_reply(body, headers=HEADERS)


def _segment(number: int, start: float, end: float, text: str) -> dict[str, Any]:
    said = {"id": number, "seek": 0, "start": start, "end": end, "text": text}
    figures = {"temperature": 0.0, "avg_logprob": -0.3, "compression_ratio": 0.9, "no_speech_prob": 0.01}
    tokens: Sequence[int] = [50364, 2425]
    return {**said, "tokens": tokens, **figures}


def video(status: str = "queued", *, progress: int = 0, id: Any = VIDEO_ID, error: Mapping[str, Any] | None = None) -> Reply:
    """A job."""
    body = {
        "id": id,
        "object": "video",
        "model": "sora-2",
        "status": status,
        "progress": progress,
        "created_at": 1_700_000_000,
        "seconds": "8",
        "size": "1280x720",
        "error": error,
    }
    return json_reply(body, headers=HEADERS)


def video_content(data: bytes) -> Reply:
    return raw(data, "video/mp4", headers=HEADERS)


def video_deleted(id: str = VIDEO_ID) -> Reply:
    return json_reply({"id": id, "object": "video.deleted", "deleted": True}, headers=HEADERS)
