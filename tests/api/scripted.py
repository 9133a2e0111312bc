"""A provider family for these tests: the model's name says how it behaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import ClassVar

from ai_models.capabilities import Capability
from ai_models.exceptions import UpstreamError, UpstreamRateLimited
from ai_models.families.base import Family
from ai_models.types import Chunk, EmbedRequest, EmbedResult, Health, ObjectRequest, TextRequest, TextResult, Usage

CANARY = "canary-5f2b71"
"""Stands for what must not leave the process."""

WORDS = ("one ", "two ", "drei: 你好 😀")


class Scripted(Family):
    """``echoes`` answers with the request's last text; ``hangs``, ``breaks``, ``fails`` and ``limited`` do so.

    Attributes:
        calling: set while an upstream call is open.
        ended: set when the last one was ended, by whatever.
    """

    type = "scripted"
    label = "Scripted"
    capabilities = frozenset({Capability.TEXT_GENERATION, Capability.STRUCTURED_OUTPUT, Capability.EMBEDDINGS})

    calling: ClassVar[threading.Event] = threading.Event()
    ended: ClassVar[threading.Event] = threading.Event()
    requests: ClassVar[list[TextRequest]] = []

    async def do_generate_text(self, model: str, request: TextRequest) -> TextResult:
        self.requests.append(request)
        await self._behave(model)
        return TextResult(text="an answer", finish_reason="stop", usage=Usage(input_tokens=3, output_tokens=2, total_tokens=5))

    async def do_stream_text(self, model: str, request: TextRequest) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        if model != "hangs-later":
            await self._behave(model)
        for word in WORDS:
            yield Chunk(text=word)
        await self._behave(model.removesuffix("-later"))
        yield Chunk(finish_reason="stop", usage=Usage(input_tokens=3, output_tokens=3, total_tokens=6))

    async def do_generate_object(self, model: str, request: ObjectRequest) -> TextResult:
        return TextResult(text='{"age": 36}', finish_reason="stop")

    async def do_embed(self, model: str, request: EmbedRequest) -> EmbedResult:
        return EmbedResult(embeddings=[[float(len(value)), 1.0] for value in request["values"]])

    async def health_check(self) -> Health:
        return Health(healthy=True, message="It answers.", latency=0.012)

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
