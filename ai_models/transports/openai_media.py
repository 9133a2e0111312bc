"""Between our types and OpenAI's format of images, sound and videos. No input or output happens here.

https://platform.openai.com/docs/api-reference/images, .../audio, .../videos
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

from ai_models import media
from ai_models.exceptions import UpstreamInvalidResponse
from ai_models.transports import chat_answers, encoded, faults
from ai_models.types import (
    GeneratedFile,
    ImageResult,
    SpeechResult,
    TranscriptionResult,
    TranscriptionSegment,
    Usage,
    VideoOperation,
)

_SOUNDS = {
    "mp3": "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav", "pcm": "audio/pcm",
}  # fmt: skip
# The first four are OpenAI's, https://platform.openai.com/docs/api-reference/videos/object; servers of others say the rest.
_STATUSES: Mapping[str, Literal["running", "completed", "failed"]] = {
    "queued": "running", "in_progress": "running", "completed": "completed", "failed": "failed",
    "pending": "running", "processing": "running", "running": "running", "succeeded": "completed",
    "cancelled": "failed", "canceled": "failed", "expired": "failed",
}  # fmt: skip
_IDENTITY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~:=-]{0,511}")


def images(payload: Mapping[str, Any]) -> ImageResult:
    """The images of an answer.

    Raises:
        UpstreamInvalidResponse: there is none, or something that is none.
    """
    items = payload.get("data")
    if not isinstance(items, list) or not items:
        raise faults.Unsuitable("The provider's answer has no image.")
    return ImageResult(
        images=tuple(_image(item) for item in items),
        usage=usage(payload.get("usage")),
        response=chat_answers.response_info(payload),
    )


def speech(data: bytes, declared: str, asked: str | None) -> SpeechResult:
    """Sound. What it is, its bytes tell; raw samples do not, so that what was asked for and what is declared are believed.

    Args:
        declared: the answer's content type.
        asked: the name of a format, ``mp3``.

    Raises:
        UpstreamInvalidResponse: it is no sound.
    """
    raw = asked == "pcm" and not data.startswith(b"RIFF")
    found = _SOUNDS["pcm"] if raw else media.media_type(data) or _SOUNDS.get(asked or "") or declared
    if not data or not found.startswith(("audio/", "video/")):
        raise faults.Unsuitable("The provider's answer is no sound.")
    return SpeechResult(audio=GeneratedFile(bytes=data, media_type=found))


def transcript(payload: Mapping[str, Any]) -> TranscriptionResult:
    """A transcript, with what is known about it.

    Raises:
        UpstreamInvalidResponse: it has no text.
    """
    text, language, reported = payload.get("text"), payload.get("language"), payload.get("usage")
    if not isinstance(text, str):
        raise UpstreamInvalidResponse("The provider's answer is not a transcript.")
    billed = reported.get("seconds") if isinstance(reported, Mapping) else None
    duration = _seconds(payload.get("duration"))
    return TranscriptionResult(
        text=text,
        segments=tuple(segment for item in _list(payload.get("segments")) if (segment := _segment(item)) is not None),
        language=language if isinstance(language, str) else None,
        duration_in_seconds=_seconds(billed) if duration is None else duration,
        usage=usage(reported),
        response=chat_answers.response_info(payload),
    )


def usage(reported: object) -> Usage:
    """Token counts of what is not text; what is missing or no sensible number is unknown."""
    if not isinstance(reported, Mapping):
        return Usage()
    return Usage(
        input_tokens=chat_answers.count(reported.get("input_tokens")),
        output_tokens=chat_answers.count(reported.get("output_tokens")),
        total_tokens=chat_answers.count(reported.get("total_tokens")),
    )


def video(payload: Mapping[str, Any], identity: str | None = None) -> VideoOperation:
    """Where the work on a video stands.

    Args:
        identity: the id that was asked for; the answer's own when it was not asked by one.

    Raises:
        UpstreamInvalidResponse: it is not the format of a video, or its id is none.
    """
    status = _STATUSES.get(str(payload.get("status")))
    if status is None:
        raise UpstreamInvalidResponse("The provider's answer does not say where the video stands.")
    progress = payload.get("progress")
    return VideoOperation(
        reference={"id": identity or video_id(payload.get("id"))},
        status=status,
        progress=round(progress) if isinstance(progress, int | float) and 0 <= progress <= 100 else None,
        videos=("video/mp4",) if status == "completed" else (),
        error=faults.from_failed_work(payload.get("error")) if status == "failed" else None,
    )


def video_id(value: object) -> str:
    """An id that can stand in an address without changing it.

    Raises:
        UpstreamInvalidResponse: it is something else.
    """
    if not isinstance(value, str) or not _IDENTITY.fullmatch(value):
        raise UpstreamInvalidResponse("The provider's answer has no usable id of a video.")
    return value


def _image(item: object) -> GeneratedFile:
    fields = item if isinstance(item, Mapping) else {}
    if not fields.get("b64_json") and fields.get("url"):
        raise UpstreamInvalidResponse(
            "The provider answered with the address of an image, which is not fetched: it could be anywhere. "
            "The endpoint must answer with b64_json.",
            retryable=False,
        )
    return encoded.image(fields.get("b64_json"))


def _segment(item: object) -> TranscriptionSegment | None:
    """One stretch; ``None`` when it has no text or no times."""
    if not isinstance(item, Mapping) or not isinstance(item.get("text"), str):
        return None
    start, end = _seconds(item.get("start")), _seconds(item.get("end"))
    if start is None or end is None:
        return None
    return TranscriptionSegment(text=item["text"], start_second=start, end_second=end)


def _seconds(value: object) -> float | None:
    """A time, which some answers have as text; ``None`` for what cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
