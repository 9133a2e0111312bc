"""Vectors, images, speech and transcripts as OpenAI's API answers with them.

https://platform.openai.com/docs/api-reference/embeddings, .../images, .../audio
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ai_models.api import downloads
from ai_models.api.answer import Answer
from ai_models.encoding import dump_bytes
from ai_models.exceptions import UnsupportedFunctionality
from ai_models.openai_api.errors import Told
from ai_models.openai_api.requests import EmbeddingsRequest, ImagesRequest, SpeechRequest, TranscriptionRequest
from ai_models.types import (
    EmbedResult,
    ImageResult,
    SpeechResult,
    TranscriptionResult,
    TranscriptionSegment,
    Usage,
)
from ai_models.vectors import packed

_TEXT = "text/plain; charset=utf-8"
_FORMATS = {"image/png": "png", "image/jpeg": "jpeg", "image/webp": "webp"}


def embeddings(body: EmbeddingsRequest, result: EmbedResult, told: Told) -> Answer:
    """A list of vectors, in the order of the texts."""
    form: Callable[[Sequence[float]], Any] = packed if body.get("encoding_format") == "base64" else list
    tokens = result.usage.tokens
    return _json(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": form(vector)}
                for index, vector in enumerate(result.embeddings or ())
            ],
            "model": body["model"],
            "usage": None if tokens is None else {"prompt_tokens": tokens, "total_tokens": tokens},
        },
        told.about(result),
    )


def images(body: ImagesRequest, result: ImageResult, told: Told) -> Answer:
    """Images in base64."""
    answer: dict[str, Any] = {
        "created": int(time.time()),
        "data": [{"b64_json": base64.b64encode(image.bytes).decode()} for image in result.images],
    }
    formats = {_FORMATS.get(image.media_type) for image in result.images}
    if len(formats) == 1 and None not in formats:
        answer["output_format"] = formats.pop()
    if (usage := _usage(result.usage)) is not None:
        answer["usage"] = {**usage, "input_tokens_details": None}
    return _json(answer, told.about(result))


def speech(body: SpeechRequest, result: SpeechResult, told: Told) -> Answer:
    """The sound itself."""
    headers = {**downloads.file_headers(result.audio, "audio"), **downloads.told(result, told.about(result))}
    return Answer(result.audio.bytes, downloads.content_type(result.audio.media_type, "audio"), headers)


def transcription(body: TranscriptionRequest, result: TranscriptionResult, told: Told) -> Answer:
    """A transcript in the format that was asked for.

    Raises:
        UnsupportedFunctionality: it is one with times, and the provider told none.
    """
    wanted = body.get("response_format", "json")
    if wanted in _TEXTS:
        headers = {**downloads.SAFE_HEADERS, **downloads.told(result, told.about(result))}
        return Answer(_TEXTS[wanted](result).encode(), _TEXT, headers)
    answer: dict[str, Any] = {"text": result.text} if wanted == "json" else _verbose(result)
    if (usage := _usage(result.usage)) is not None:
        answer["usage"] = {"type": "tokens", **usage}
    return _json(answer, told.about(result))


def _json(answer: dict[str, Any], warnings: list[dict[str, Any]]) -> Answer:
    return Answer(dump_bytes({**answer, "warnings": warnings} if warnings else answer))


def _usage(reported: Usage) -> dict[str, int | None] | None:
    figures = {
        "input_tokens": reported.input_tokens,
        "output_tokens": reported.output_tokens,
        "total_tokens": reported.total_tokens,
    }
    return None if all(figure is None for figure in figures.values()) else figures


# What Whisper tells of a segment and the service does not know.
_UNKNOWN = dict.fromkeys(("seek", "tokens", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob"))


def _verbose(result: TranscriptionResult) -> dict[str, Any]:
    return {
        "task": "transcribe",
        "language": result.language,
        "duration": result.duration_in_seconds,
        "text": result.text,
        "segments": [
            {"id": number, "start": segment.start_second, "end": segment.end_second, "text": segment.text, **_UNKNOWN}
            for number, segment in enumerate(result.segments)
        ],
    }


def _plain(result: TranscriptionResult) -> str:
    return f"{result.text}\n"


def _srt(result: TranscriptionResult) -> str:
    return "".join(f"{number}\n{cue}" for number, cue in enumerate(_cues(result, ","), start=1))


def _vtt(result: TranscriptionResult) -> str:
    return "WEBVTT\n\n" + "".join(_cues(result, "."))


def _cues(result: TranscriptionResult, point: str) -> Iterable[str]:
    """Times and text of each segment; without segments, all of the text is one."""
    segments = result.segments
    if not segments and result.text:
        if result.duration_in_seconds is None:
            raise UnsupportedFunctionality("response_format: the provider tells no times; ask for json or text.")
        segments = (TranscriptionSegment(text=result.text, start_second=0.0, end_second=result.duration_in_seconds),)
    for segment in segments:
        start, end = _clock(segment.start_second, point), _clock(segment.end_second, point)
        yield f"{start} --> {end}\n{_one_cue(segment.text)}\n\n"


def _clock(seconds: float, point: str) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def _one_cue(text: str) -> str:
    """Text that cannot end its cue, nor be taken for times."""
    return " ".join(text.split()).replace("-->", "->")


_TEXTS: Mapping[str, Callable[[TranscriptionResult], str]] = {"text": _plain, "srt": _srt, "vtt": _vtt}
