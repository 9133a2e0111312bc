"""One small call for each capability, which shows that it works, and is paid for. Each says what came of it."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Final, TypeVar

from ai_models import objects
from ai_models.capabilities import Capability
from ai_models.exceptions import AIModelsError, UpstreamError, UpstreamInvalidResponse
from ai_models.families.base import Family
from ai_models.transports import sound
from ai_models.types import ObjectRequest, TextRequest

R = TypeVar("R", TextRequest, ObjectRequest)

SECONDS: Final = 60.0
"""How long one call may take."""

_START_SECONDS: Final = 45.0  # of a video's call; the rest is for calling it off
_TOKENS: Final = 64  # a model that thinks first ends within so few as well, if only at this limit
_SCHEMA: Final = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}


async def _text(family: Family, model: str) -> str:
    request: TextRequest = {"prompt": "Answer with one word: yes."}
    result = await family.do_generate_text(model, await _short(family, Capability.TEXT_GENERATION, model, request))
    if not result.text and result.finish_reason != "length":
        raise UpstreamInvalidResponse(f"The model gave no text, and ended with {result.finish_reason}.")
    return "answered."


async def _object(family: Family, model: str) -> str:
    request: ObjectRequest = {"prompt": "Set ok to true.", "schema": _SCHEMA}
    result = await family.do_generate_object(model, await _short(family, Capability.STRUCTURED_OUTPUT, model, request))
    if result.finish_reason == "length":
        return "answered, and was cut off at the limit of this call."
    objects.Schema.of(_SCHEMA).read(result)
    return "answered with an object of the schema."


async def _short(family: Family, capability: Capability, model: str, request: R) -> R:
    """The request for an answer that is cut off soon, where the model has that."""
    supported = await family.supported_settings(capability, model)
    if supported is None or "max_output_tokens" in supported:
        request["max_output_tokens"] = _TOKENS
    return request


async def _embedding(family: Family, model: str) -> str:
    result = await family.do_embed(model, {"values": ["word"]})
    if not result.embeddings or not result.embeddings[0]:
        raise UpstreamInvalidResponse("The model gave no vector.")
    return f"gave a vector of {len(result.embeddings[0])} numbers."


async def _image(family: Family, model: str) -> str:
    result = await family.do_generate_image(model, {"prompt": "A grey circle", "n": 1})
    return f"made an image of {len(result.image.bytes)} bytes."


async def _speech(family: Family, model: str) -> str:
    result = await family.do_generate_speech(model, {"text": "OK"})
    return f"spoke {len(result.audio.bytes)} bytes."


async def _transcript(family: Family, model: str) -> str:
    await family.do_transcribe(model, {"audio": _tone(), "media_type": "audio/wav"})
    return "listened to half a second of a tone."


async def _video(family: Family, model: str) -> str:
    async with asyncio.timeout(_START_SECONDS):
        operation = await family.do_start_video(model, {"prompt": "A grey circle", "n": 1})
    if operation.status == "failed":
        raise operation.error or UpstreamError("The provider could not make the video.")
    if type(family).do_cancel_video is Family.do_cancel_video:
        return "took the request. The provider cannot be told that the video is not wanted, and makes it."
    try:
        await family.do_cancel_video(model, operation.reference)
    except AIModelsError as error:
        return f"took the request. The video could not be called off: {error.message}"
    return "took the request, and the video was called off."


@cache
def _tone() -> bytes:
    """Half a second of a quiet tone, as a WAV file."""
    rate, hertz, loudness = 16_000, 440, 1000
    samples = (round(loudness * math.sin(2 * math.pi * hertz * number / rate)) for number in range(rate // 2))
    return sound.wav(struct.pack(f"<{rate // 2}h", *samples), rate)


CALLS: Final[Mapping[Capability, Callable[[Family, str], Awaitable[str]]]] = {
    Capability.TEXT_GENERATION: _text,
    Capability.STRUCTURED_OUTPUT: _object,
    Capability.EMBEDDINGS: _embedding,
    Capability.IMAGE_GENERATION: _image,
    Capability.SPEECH_GENERATION: _speech,
    Capability.TRANSCRIPTION: _transcript,
    Capability.VIDEO_GENERATION: _video,
}
"""By capability, the call of a model by the provider's name. It goes on with "MODEL ...", or raises an ``AIModelsError``."""
