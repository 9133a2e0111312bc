"""Two provider instances of a family that behaves as a test says, behind the real service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, ClassVar

import pytest
from pytest_django import Settings

from ai_models.capabilities import Capability
from ai_models.exceptions import AIModelsError, UpstreamError
from ai_models.families.base import Family
from ai_models.families.fields import API_KEY
from ai_models.types import (
    SETTINGS,
    Chunk,
    EmbeddingUsage,
    EmbedRequest,
    EmbedResult,
    GeneratedFile,
    ImageRequest,
    ImageResult,
    ObjectRequest,
    SpeechRequest,
    SpeechResult,
    TextRequest,
    TextResult,
    TranscribeRequest,
    TranscriptionResult,
    Usage,
)
from tests import samples
from tests.conftest import Seed

Step = Chunk | AIModelsError | Exception | asyncio.Event | float


class Puppet(Family):
    """Plays its script: a chunk is given, an error raised, an event waited for, a number slept (seconds of a hanging provider).

    Attributes:
        scripts: one for each call, the last one again and again; a plain call plays the text of its chunks at once.
        calls: model and request of each call.
        open: calls that are under way now; ``most_at_once`` of them were.
        per_call: how many texts or images the family takes at once.
        fails_on: the text that it cannot embed.
    """

    type = "puppet"
    label = "Puppet"
    fields = (API_KEY,)
    capabilities = frozenset(Capability)

    scripts: ClassVar[list[list[Step]]] = []
    calls: ClassVar[list[tuple[str, Any]]] = []
    made: ClassVar[list[Puppet]] = []
    open: ClassVar[int] = 0
    most_at_once: ClassVar[int] = 0
    per_call: ClassVar[int | None] = None
    fails_on: ClassVar[str | None] = None
    closed: bool = False

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.made.append(self)

    async def supported_settings(self, capability: Capability, model: str) -> frozenset[str]:
        return SETTINGS[capability] - {"top_k", "seed"}

    async def do_generate_text(self, model: str, request: TextRequest) -> TextResult:
        text = "".join([chunk.text async for chunk in self._play(model, request)])
        return TextResult(text=text, finish_reason="stop", usage=Usage(input_tokens=1, output_tokens=2, total_tokens=3))

    async def do_stream_text(self, model: str, request: TextRequest) -> AsyncGenerator[Chunk]:
        async with aclosing(self._play(model, request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def do_generate_object(self, model: str, request: ObjectRequest) -> TextResult:
        return await self.do_generate_text(model, request)

    def do_stream_object(self, model: str, request: ObjectRequest) -> AsyncGenerator[Chunk]:
        return self.do_stream_text(model, request)

    def embeddings_per_call(self, model: str) -> int | None:
        return self.per_call

    def images_per_call(self, model: str) -> int | None:
        return self.per_call

    async def do_embed(self, model: str, request: EmbedRequest) -> EmbedResult:
        self.calls.append((model, request))
        values = request["values"]
        async with self._under_way():
            # Later texts are answered first, so that only their order puts them right.
            await asyncio.sleep(0.03 / len(values[0]))
            if self.fails_on in values:
                raise UpstreamError("It cannot be embedded.", retryable=False)
            return EmbedResult(embeddings=[[float(len(value))] for value in values], usage=EmbeddingUsage(tokens=len(values)))

    async def do_generate_image(self, model: str, request: ImageRequest) -> ImageResult:
        self.calls.append((model, request))
        image = GeneratedFile(bytes=samples.PNG, media_type="image/png")
        return ImageResult(images=(image,) * request["n"], usage=Usage(input_tokens=1, total_tokens=5))

    async def do_generate_speech(self, model: str, request: SpeechRequest) -> SpeechResult:
        self.calls.append((model, request))
        return SpeechResult(audio=GeneratedFile(bytes=samples.WAV, media_type="audio/wav"))

    async def do_transcribe(self, model: str, request: TranscribeRequest) -> TranscriptionResult:
        self.calls.append((model, request))
        return TranscriptionResult(text="Hello", duration_in_seconds=0.1)

    @asynccontextmanager
    async def _under_way(self) -> AsyncIterator[None]:
        Puppet.open += 1
        Puppet.most_at_once = max(Puppet.most_at_once, Puppet.open)
        try:
            yield
        finally:
            Puppet.open -= 1

    async def aclose(self) -> None:
        self.closed = True

    async def _play(self, model: str, request: Any) -> AsyncGenerator[Chunk]:
        self.calls.append((model, request))
        script = self.scripts[min(len(self.calls), len(self.scripts)) - 1]
        async with self._under_way():
            for step in script:
                if isinstance(step, Chunk):
                    yield step
                elif isinstance(step, asyncio.Event):
                    await step.wait()
                elif isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    raise step


CONFIG = """
ai:
  defaultProvider: main
  providers:
    main:
      type: puppet
      apiKey: canary-key-main
      defaultModels:
        text-generation: big-1
        structured-output: big-1
        embeddings: vector-1
        image-generation: image-1
        speech-generation: voice-1
        transcription: ear-1
      modelAliases: {text-generation: {fast: small-1}}
    other:
      type: puppet
      apiKey: canary-key-other
      defaultModels: {text-generation: other-1}
"""


@pytest.fixture
def puppet(transactional_db: None, settings: Settings, seed: Seed) -> Iterator[type[Puppet]]:
    """The family, its instances seeded, with an answer of two words as its script."""
    settings.AI_MODELS = {**settings.AI_MODELS, "FAMILIES": (f"{__name__}.Puppet",)}
    seed(CONFIG)
    Puppet.scripts = [[Chunk(text="Hello "), Chunk(text="you"), DONE]]
    Puppet.calls, Puppet.made, Puppet.open, Puppet.most_at_once = [], [], 0, 0
    Puppet.per_call = Puppet.fails_on = None
    yield Puppet
    assert Puppet.open == 0, "a call was left open"


DONE = Chunk(finish_reason="stop", raw_finish_reason="end", usage=Usage(input_tokens=3, output_tokens=2, total_tokens=5))
