"""What takes a body, one row per address, and how the service is called for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ai_models import naming, pipeline, service
from ai_models.api.answer import Answer
from ai_models.api.operation import Operation
from ai_models.capabilities import Capability
from ai_models.openai_api import answers, requests
from ai_models.openai_api.errors import Told
from ai_models.openai_api.fields import Asked
from ai_models.streams import TextStream
from ai_models.types import Warning

_FEW_VECTORS = 16
"""So many are written on the event loop; more in a thread, so that other requests go on."""

_METHODS: Mapping[Capability, Callable[..., Awaitable[Any]]] = {
    Capability.TEXT_GENERATION: service.agenerate_text,
    Capability.STRUCTURED_OUTPUT: service.agenerate_object,
    Capability.EMBEDDINGS: service.aembed,
    Capability.IMAGE_GENERATION: service.agenerate_image,
    Capability.SPEECH_GENERATION: service.agenerate_speech,
    Capability.TRANSCRIPTION: service.atranscribe,
}
_STREAMS: Mapping[Capability, Callable[..., TextStream]] = {
    Capability.TEXT_GENERATION: service.astream_text,
    Capability.STRUCTURED_OUTPUT: service.astream_object,
}


@dataclass(slots=True)
class Call:
    """A call of the service, ready to be made."""

    capability: Capability
    arguments: Mapping[str, Any]
    told: Told

    async def result(self) -> Any:
        """Make it."""
        return await _METHODS[self.capability](**self.arguments)

    def stream(self) -> TextStream:
        """Make it, and read the answer while it is made."""
        return _STREAMS[self.capability](**self.arguments)


async def prepare(capability: Capability, asked: Asked, model: str, user: Any, warnings: tuple[Warning, ...] = ()) -> Call:
    """The call that a request asks for.

    Args:
        model: as the caller named it.
        warnings: about the request, beside what is left out.

    Raises:
        AIModelsError: vendors' settings are among what is asked for, and the call could not be made.
        UnsupportedFunctionality: something would be left out, and the app's settings say that this is refused.
    """
    provider, name = await naming.split(model, capability)
    arguments = {**asked.fields, "provider": provider, "model": name, "user": user}
    left_out = asked.left_out
    if asked.options:
        taken, others = await naming.vendor_settings(capability, provider, name, asked.options, user)
        arguments["provider_options"] = _merged(asked.fields.get("provider_options", {}), taken)
        left_out = left_out | others
    if left_out:
        warnings += pipeline.left_out(left_out)
    return Call(capability, arguments, Told(warnings, asked.names))


def _merged(first: Mapping[str, Mapping[str, Any]], second: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {family: {**first.get(family, {}), **second.get(family, {})} for family in {**first, **second}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Operation):
    """An address that takes a body and answers with a whole result.

    Attributes:
        answer: takes the request, the result and what else is to be told.
        is_large: whether it takes long to write the answer about a result.
    """

    capability: Capability
    answer: Callable[[Any, Any, Told], Answer]
    is_large: Callable[[Any], bool] = lambda result: False


CHAT = Operation(name="chat/completions", summary="Generate text or an object", request=requests.ChatRequest, result=None)

ENDPOINTS = (
    Endpoint(
        name="embeddings",
        summary="Turn texts into vectors",
        request=requests.EmbeddingsRequest,
        result=None,
        capability=Capability.EMBEDDINGS,
        answer=answers.embeddings,
        is_large=lambda result: len(result.embeddings) > _FEW_VECTORS,
    ),
    Endpoint(
        name="images/generations",
        summary="Generate images",
        request=requests.ImagesRequest,
        result=None,
        capability=Capability.IMAGE_GENERATION,
        answer=answers.images,
        is_large=lambda result: True,
    ),
    Endpoint(
        name="audio/speech",
        summary="Speak a text",
        request=requests.SpeechRequest,
        result=None,
        capability=Capability.SPEECH_GENERATION,
        answer=answers.speech,
    ),
    Endpoint(
        name="audio/transcriptions",
        summary="Write down what is said in a recording",
        request=requests.TranscriptionRequest,
        result=None,
        aliases={f"{name}[]": name for name in requests.TranscriptionRequest.__annotations__},
        capability=Capability.TRANSCRIPTION,
        answer=answers.transcription,
    ),
)
