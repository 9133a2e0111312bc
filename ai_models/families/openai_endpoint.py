"""A whole endpoint of OpenAI's protocol: beyond text also images, sound and videos."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ai_models import transports, types
from ai_models.capabilities import Capability
from ai_models.families.openai_protocol import OpenAIProtocol

if TYPE_CHECKING:
    from ai_models.transports.multipart import Upload
    from ai_models.types import (
        ImageRequest,
        ImageResult,
        SpeechRequest,
        SpeechResult,
        TranscribeRequest,
        TranscriptionResult,
        VideoOperation,
        VideoRequest,
    )


class OpenAIEndpoint(OpenAIProtocol):
    """Base of the families with such an endpoint.

    Settings go out under the protocol's names, and under ours where it has none; a subclass says in the ``..._settings``
    methods what differs for its models.
    """

    capabilities = frozenset(Capability)

    async def supported_settings(self, capability: Capability, model: str) -> frozenset[str] | None:
        """All of them; but a job of this protocol makes one video."""
        return types.SETTINGS[capability] - {"n"} if capability is Capability.VIDEO_GENERATION else None

    def embeddings_per_call(self, model: str) -> int | None:
        """2048. https://platform.openai.com/docs/api-reference/embeddings/create#embeddings_create-input"""
        return 2048

    def image_settings(self, model: str, request: ImageRequest) -> dict[str, Any]:
        """The request's settings by the endpoint's names. Images are wanted in the answer: an address would not be followed."""
        return {"response_format": "b64_json", **_given(request, "size", "aspect_ratio", "seed")}

    def speech_settings(self, model: str, request: SpeechRequest) -> dict[str, Any]:
        """The request's settings by the endpoint's names."""
        return _given(request, "voice", "instructions", "speed", "language", output_format="response_format")

    def transcription_settings(self, model: str, request: TranscribeRequest) -> dict[str, Any]:
        """The request's settings by the endpoint's names. Of the forms of an answer, this one tells most."""
        return {"response_format": "verbose_json", **_given(request, "language")}

    def video_settings(self, model: str, request: VideoRequest) -> dict[str, Any]:
        """The request's settings by the endpoint's names."""
        settings = _given(request, "aspect_ratio", "fps", "seed", resolution="size")
        return {**settings, "seconds": f"{request['duration']:g}"} if "duration" in request else settings

    async def do_generate_image(self, model: str, request: ImageRequest) -> ImageResult:
        settings = {**self.image_settings(model, request), **self.options(request)}
        body = {"model": model, "prompt": request["prompt"], "n": request["n"], **settings}
        if "images" in request:
            form = transports.multipart.Form(body, _images(request))
            result = await self.transport.edit_image(form, headers=request.get("headers"))
        else:
            result = await self.transport.generate_image(body, headers=request.get("headers"))
        if len(result.images) >= request["n"]:
            return result
        message = f"The provider made {len(result.images)} of the {request['n']} images."
        return replace(result, warnings=(types.Warning(type="other", setting="n", message=message),))

    async def do_generate_speech(self, model: str, request: SpeechRequest) -> SpeechResult:
        settings = {**self.speech_settings(model, request), **self.options(request)}
        body = {"model": model, "input": request["text"], **settings}
        return await self.transport.generate_speech(body, headers=request.get("headers"))

    async def do_transcribe(self, model: str, request: TranscribeRequest) -> TranscriptionResult:
        fields = {"model": model, **self.transcription_settings(model, request), **self.options(request)}
        form = transports.multipart.Form(
            fields, [transports.multipart.Upload.of("file", request["audio"], request["media_type"])]
        )
        return await self.transport.transcribe(form, headers=request.get("headers"))

    async def do_start_video(self, model: str, request: VideoRequest) -> VideoOperation:
        settings = {**self.video_settings(model, request), **self.options(request)}
        fields = {"model": model, "prompt": request["prompt"], **settings}
        files = [transports.multipart.Upload.of("input_reference", request["image"])] if "image" in request else []
        form = transports.multipart.Form(fields, files)
        return await self.transport.start_video(form, headers=request.get("headers"))

    async def do_poll_video(self, model: str, reference: Mapping[str, Any]) -> VideoOperation:
        return await self.transport.video(transports.openai_media.video_id(reference.get("id")))

    def do_fetch_video(self, model: str, reference: Mapping[str, Any], index: int) -> AsyncGenerator[bytes]:
        return self.transport.video_content(transports.openai_media.video_id(reference.get("id")))

    async def do_cancel_video(self, model: str, reference: Mapping[str, Any]) -> None:
        await self.transport.delete_video(transports.openai_media.video_id(reference.get("id")))


def _given(request: Mapping[str, Any], *names: str, **renamed: str) -> dict[str, Any]:
    """Of these settings those that the request has, some under another name."""
    wire_names = {**{name: name for name in names}, **renamed}
    return {wire: request[name] for name, wire in wire_names.items() if name in request}


def _images(request: ImageRequest) -> list[Upload]:
    """The files of an edit. One image is ``image``, several are ``image[]``, as OpenAI's own clients send them."""
    images = request["images"]
    files = [transports.multipart.Upload.of("image" if len(images) == 1 else "image[]", image) for image in images]
    return [*files, transports.multipart.Upload.of("mask", request["mask"])] if "mask" in request else files
