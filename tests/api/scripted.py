"""A provider family for these tests: the model's name says how it behaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import Any, ClassVar

from ai_models.capabilities import Capability
from ai_models.exceptions import UpstreamError, UpstreamRateLimited
from ai_models.families.base import Family
from ai_models.types import (
    Chunk,
    EmbedRequest,
    EmbedResult,
    GeneratedFile,
    Health,
    ImageRequest,
    ImageResult,
    ObjectRequest,
    SpeechRequest,
    SpeechResult,
    TextRequest,
    TextResult,
    TranscribeRequest,
    TranscriptionResult,
    TranscriptionSegment,
    Usage,
    Warning,
)
from tests import samples

CANARY = "canary-5f2b71"
"""Stands for what must not leave the process."""

WORDS = ("one ", "two ", "drei: 你好 😀")
STORY = tuple(f"{number}: {WORDS[number % 3]}\n" for number in range(150))
TELLING_SECONDS = 1.5
"""How long ``tells`` takes for the story."""

SHORT = 10
"""So many pieces of it are told by ``tells-shortly``."""

_STORIES = {"tells": STORY, "tells-shortly": STORY[:SHORT]}

OBJECT = ('{"name": "A', 'da", "age"', ": 36}")
MEDIA = (Capability.IMAGE_GENERATION, Capability.SPEECH_GENERATION, Capability.TRANSCRIPTION)

LEFT_OUT = Warning(type="unsupported", setting="seed", message="No seed: ünsupported.")
PICTURE = GeneratedFile(bytes=samples.PNG, media_type="image/png")


class Scripted(Family):
    """Models that do what their names say; ``overflows`` fills the connection and hangs, ``echoes`` answers with the last text.

    Attributes:
        calling: set while an upstream call is open.
        ended: set when the last one was ended, by whatever.
        picture: what images look like.
        flooded: how many chunks of ``floods`` were taken.
    """

    type = "scripted"
    label = "Scripted"
    capabilities = frozenset({Capability.TEXT_GENERATION, Capability.STRUCTURED_OUTPUT, Capability.EMBEDDINGS, *MEDIA})

    calling: ClassVar[threading.Event] = threading.Event()
    ended: ClassVar[threading.Event] = threading.Event()
    requests: ClassVar[list[Any]] = []
    picture: ClassVar[GeneratedFile] = PICTURE
    flooded: ClassVar[int] = 0

    async def do_generate_text(self, model: str, request: TextRequest) -> TextResult:
        self.requests.append(request)
        await self._behave(model)
        return TextResult(text="an answer", finish_reason="stop", usage=Usage(input_tokens=3, output_tokens=2, total_tokens=5))

    async def do_stream_text(self, model: str, request: TextRequest) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        if model != "hangs-later":
            await self._behave(model)
        if model.startswith("overflows"):
            yield Chunk(text="x" * 6_000_000)
        if model == "overflows":
            await self._behave("hangs")
        if model == "floods":
            async for chunk in self._flood():
                yield chunk
        for piece in _STORIES.get(model, WORDS):
            yield Chunk(text=piece)
            if model in _STORIES:
                await asyncio.sleep(TELLING_SECONDS / len(STORY))
        await self._behave(model.removesuffix("-later"))
        yield Chunk(finish_reason="stop", usage=Usage(input_tokens=3, output_tokens=3, total_tokens=6))

    async def do_generate_object(self, model: str, request: ObjectRequest) -> TextResult:
        return TextResult(text="".join(OBJECT), finish_reason="stop")

    async def do_stream_object(self, model: str, request: ObjectRequest) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        await self._behave(model)
        for piece in OBJECT:
            yield Chunk(text=piece)
        yield Chunk(finish_reason="stop")

    async def do_embed(self, model: str, request: EmbedRequest) -> EmbedResult:
        return EmbedResult(embeddings=[[float(len(value)), 1.0] for value in request["values"]])

    async def do_generate_image(self, model: str, request: ImageRequest) -> ImageResult:
        self.requests.append(request)
        await self._behave(model)
        warnings = (LEFT_OUT,) if "seed" in request else ()
        return ImageResult(images=(self.picture,) * request["n"], warnings=warnings, usage=Usage(total_tokens=7))

    async def do_generate_speech(self, model: str, request: SpeechRequest) -> SpeechResult:
        self.requests.append(request)
        await self._behave(model)
        return SpeechResult(audio=GeneratedFile(bytes=samples.WAV, media_type="audio/wav"))

    async def do_transcribe(self, model: str, request: TranscribeRequest) -> TranscriptionResult:
        self.requests.append(request)
        await self._behave(model)
        segment = TranscriptionSegment(text="Hello", start_second=0.0, end_second=0.1)
        return TranscriptionResult(text="Hello", segments=(segment,), language="en", duration_in_seconds=0.1)

    async def health_check(self) -> Health:
        return Health(healthy=True, message="It answers.", latency=0.012)

    async def _flood(self) -> AsyncGenerator[Chunk]:
        """Text without an end, as fast as it is taken."""
        self.calling.set()
        try:
            while True:
                yield Chunk(text="x" * 1000)
                Scripted.flooded += 1
                await asyncio.sleep(0)
        finally:
            self.ended.set()

    async def _behave(self, model: str) -> None:
        match model:
            case "hangs":
                self.calling.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    self.ended.set()
            case "breaks":
                raise RuntimeError(CANARY)
            case "fails":
                raise UpstreamError("The provider answered with an error.")
            case "limited":
                raise UpstreamRateLimited("The provider is limiting this instance.", retry_after=6.2)
