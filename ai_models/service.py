"""The methods that everything else is built on: validate, resolve, pass the gates, call the family, give the result.

All are async; :mod:`ai_models` also has a sync twin of each. Every error is an :class:`~ai_models.exceptions.AIModelsError`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Unpack

from ai_models import calls, connections, gates, media, objects, splitting, store
from ai_models.access import supported_by
from ai_models.assembly import Assembler, ObjectAssembler
from ai_models.capabilities import Capability
from ai_models.catalog import (
    CapabilityInfo,
    ModelInfo,
    ProviderInfo,
    Resolution,
    acheck,
    aclimb,
    aexplain,
    amodels,
    aprovider,
    aproviders,
    aresolve,
)
from ai_models.checking import Rung
from ai_models.exceptions import AIModelsError, InvalidRequest
from ai_models.pipeline import Call, calling
from ai_models.readiness import Readiness, areadiness
from ai_models.snapshot import InstanceFacts
from ai_models.streams import ObjectStream, TextStream
from ai_models.types import (
    Chunk,
    EmbedRequest,
    EmbedResult,
    ImageRequest,
    ImageResult,
    ObjectRequest,
    ObjectResult,
    SpeechRequest,
    SpeechResult,
    TextRequest,
    TextResult,
    TranscribeRequest,
    TranscriptionResult,
    Warning,
)

__all__ = [
    "CapabilityInfo",
    "ModelInfo",
    "ObjectStream",
    "ProviderInfo",
    "Readiness",
    "Resolution",
    "Rung",
    "TextStream",
    "acheck",
    "aclimb",
    "aclose",
    "aembed",
    "aexplain",
    "agenerate_image",
    "agenerate_object",
    "agenerate_speech",
    "agenerate_text",
    "amodels",
    "aprovider",
    "aproviders",
    "areadiness",
    "aresolve",
    "astream_object",
    "astream_text",
    "atranscribe",
    "awarm_up",
]

logger = logging.getLogger(__name__)


async def agenerate_text(prompt: str | None = None, /, *, user: Any = None, **request: Unpack[TextRequest]) -> TextResult:
    """Generate text.

    Args:
        prompt: the user's text, for a single turn; or give ``messages``.
        user: enforce this user's permissions; without one the caller is trusted.
        request: see :class:`~ai_models.types.TextRequest`.
    """
    async with calling(Capability.TEXT_GENERATION, TextRequest, _prompted(prompt, request), user) as call:
        return await call.answer(lambda: call.family.do_generate_text(call.model, call.request))


def astream_text(prompt: str | None = None, /, *, user: Any = None, **request: Unpack[TextRequest]) -> TextStream:
    """Generate text and read it while it is generated. Returns at once; the call is made with the first read.

    Args:
        prompt: the user's text, for a single turn; or give ``messages``.
        user: enforce this user's permissions; without one the caller is trusted.
        request: see :class:`~ai_models.types.TextRequest`.
    """

    @asynccontextmanager
    async def source() -> AsyncIterator[tuple[Assembler, AsyncGenerator[list[Chunk]]]]:
        async with calling(Capability.TEXT_GENERATION, TextRequest, _prompted(prompt, request), user) as call:
            base = TextResult(provider=call.facts.name, model=call.model, warnings=call.warnings)
            yield Assembler(base), call.chunks(lambda: call.family.do_stream_text(call.model, call.request))

    return TextStream(source)


async def agenerate_object(prompt: str | None = None, /, *, user: Any = None, **request: Unpack[ObjectRequest]) -> ObjectResult:
    """Generate an object that satisfies a schema.

    Args:
        prompt: the user's text, for a single turn; or give ``messages``.
        user: enforce this user's permissions; without one the caller is trusted.
        request: see :class:`~ai_models.types.ObjectRequest`; ``schema`` is required.

    Raises:
        NoObjectGenerated: the model's answer does not satisfy the schema.
    """
    async with calling(Capability.STRUCTURED_OUTPUT, ObjectRequest, _prompted(prompt, request), user) as call:
        schema = objects.Schema.of(call.request.get("schema"))
        wanted = call.having(schema=schema.json)
        return schema.read(await call.answer(lambda: call.family.do_generate_object(call.model, wanted.request)))


def astream_object(prompt: str | None = None, /, *, user: Any = None, **request: Unpack[ObjectRequest]) -> ObjectStream:
    """Generate an object and read it while it grows. Returns at once; the call is made with the first read.

    Args:
        prompt: the user's text, for a single turn; or give ``messages``.
        user: enforce this user's permissions; without one the caller is trusted.
        request: see :class:`~ai_models.types.ObjectRequest`; ``schema`` is required.
    """

    @asynccontextmanager
    async def source() -> AsyncIterator[tuple[Assembler, AsyncGenerator[list[Chunk]]]]:
        async with calling(Capability.STRUCTURED_OUTPUT, ObjectRequest, _prompted(prompt, request), user) as call:
            schema = objects.Schema.of(call.request.get("schema"))
            wanted = call.having(schema=schema.json)
            base = TextResult(provider=call.facts.name, model=call.model, warnings=call.warnings)
            chunks = call.chunks(lambda: call.family.do_stream_object(call.model, wanted.request))
            yield ObjectAssembler(base, schema), chunks

    return ObjectStream(source)


async def aembed(value: str | None = None, /, *, user: Any = None, **request: Unpack[EmbedRequest]) -> EmbedResult:
    """Turn texts into vectors. More texts than the provider takes at once are sent in several calls, side by side.

    Args:
        value: one text; or give ``values``.
        user: enforce this user's permissions; without one the caller is trusted.
        request: see :class:`~ai_models.types.EmbedRequest`.
    """
    given = _one_of(with_positional(request, "value", value), "value", "values")
    async with calling(Capability.EMBEDDINGS, EmbedRequest, given, user) as call:
        values = call.request.get("values") or [call.request["value"]]
        parts = [call.having(values=part) for part in splitting.batches(values, call.family.embeddings_per_call(call.model))]
        results = await splitting.answers(parts, lambda part: part.family.do_embed(part.model, part.request))
    result = splitting.joined_embeddings(results)
    if "value" not in call.request:
        return result
    return replace(result, embedding=next(iter(result.embeddings or ())), embeddings=None)


async def agenerate_image(prompt: str | None = None, /, *, user: Any = None, **request: Unpack[ImageRequest]) -> ImageResult:
    """Generate images, or edit the given ones. More images than the model makes at once take several calls, side by side.

    Args:
        prompt: what the images show, or how the given images are changed.
        user: enforce this user's permissions; without one the caller is trusted.
        request: see :class:`~ai_models.types.ImageRequest`.
    """
    given = with_positional(request, "prompt", prompt)
    if given.get("mask") is not None and not given.get("images"):
        raise InvalidRequest("mask: it needs images, of which it marks the part to change")
    async with calling(Capability.IMAGE_GENERATION, ImageRequest, given, user) as call:
        wanted = range(call.request.get("n", 1))
        parts = [_some_images(call, part) for part in splitting.batches(wanted, call.family.images_per_call(call.model))]
        results = await splitting.answers(parts, lambda part: part.family.do_generate_image(part.model, part.request))
    return splitting.joined_images(results)


def _some_images(call: Call[ImageRequest], numbers: Sequence[int]) -> Call[ImageRequest]:
    """The call for some of its images. Each part has a seed of its own, or all of them would be the same picture."""
    seed = {"seed": call.request["seed"] + numbers[0]} if "seed" in call.request else {}
    return call.having(n=len(numbers), **seed)


async def agenerate_speech(text: str | None = None, /, *, user: Any = None, **request: Unpack[SpeechRequest]) -> SpeechResult:
    """Speak a text.

    Args:
        text: what is spoken.
        user: enforce this user's permissions; without one the caller is trusted.
        request: see :class:`~ai_models.types.SpeechRequest`.
    """
    given = with_positional(request, "text", text)
    async with calling(Capability.SPEECH_GENERATION, SpeechRequest, given, user) as call:
        return await call.answer(lambda: call.family.do_generate_speech(call.model, call.request))


async def atranscribe(audio: Any = None, /, *, user: Any = None, **request: Unpack[TranscribeRequest]) -> TranscriptionResult:
    """Write down what is said in a recording.

    Args:
        audio: the recording: bytes, an open binary file, a path, or base64.
        user: enforce this user's permissions; without one the caller is trusted.
        request: see :class:`~ai_models.types.TranscribeRequest`.

    Raises:
        InvalidRequest: the bytes are no sound.
    """
    given = with_positional(request, "audio", audio)
    async with calling(Capability.TRANSCRIPTION, TranscribeRequest, given, user) as call:
        declared = call.request.get("media_type")
        try:
            kind = media.checked_type(call.request["audio"], declared, media.AUDIO_TYPES)
        except media.NotAFile as error:
            raise InvalidRequest(f"audio: {error}") from None
        heard = call.having(media_type=kind)
        result = await call.answer(lambda: call.family.do_transcribe(call.model, heard.request))
    if declared in (None, kind):
        return result
    message = f"The bytes are {kind}, whatever was declared."
    return replace(result, warnings=(*result.warnings, Warning(type="other", setting="media_type", message=message)))


async def awarm_up() -> None:
    """Load what the first calls would wait for, for every instance that can be called. Run it after the server is up."""
    snapshot = await store.acurrent()
    for facts in snapshot.instances.values():
        if any(gates.available(facts, supported_by(facts))):
            await _warm_up(facts)


async def _warm_up(facts: InstanceFacts) -> None:
    try:
        async with connections.connected(facts) as family:
            await calls.attempts(family.warm_up, calls.Limits.of({"max_retries": 0}))
    except AIModelsError as error:
        logger.warning("Provider %s could not be warmed up: %s", facts.name, error.message)


async def aclose() -> None:
    """Close every connection and stop local models. Calls made afterwards connect anew."""
    await connections.aclose()


def _prompted(prompt: str | None, request: Mapping[str, Any]) -> dict[str, Any]:
    return _one_of(with_positional(request, "prompt", prompt), "prompt", "messages")


def with_positional(request: Mapping[str, Any], name: str, positional: Any) -> dict[str, Any]:
    """The request with its positional argument under its name."""
    if positional is None:
        return dict(request)
    if request.get(name) is not None:
        raise InvalidRequest(f"{name}: it is given twice, by position and by name")
    return {**request, name: positional}


def _one_of(request: dict[str, Any], first: str, second: str) -> dict[str, Any]:
    if (request.get(first) is None) == (request.get(second) is None):
        raise InvalidRequest(f"{first}: give exactly one of {first} and {second}")
    return request
