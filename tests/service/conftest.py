"""Two provider instances of a family that behaves as a test says, behind the real service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any, ClassVar

import pytest
from pytest_django import Settings

from ai_models.capabilities import Capability
from ai_models.exceptions import AIModelsError
from ai_models.families.base import Family
from ai_models.families.fields import API_KEY
from ai_models.types import TEXT_SETTINGS, Chunk, EmbedRequest, EmbedResult, ObjectRequest, TextRequest, TextResult, Usage
from tests.conftest import Seed

Step = Chunk | AIModelsError | Exception | asyncio.Event | float


class Puppet(Family):
    """Plays its script: a chunk is given, an error raised, an event waited for, a number slept (seconds of a hanging provider).

    Attributes:
        scripts: one for each call, the last one again and again; a plain call plays the text of its chunks at once.
        calls: model and request of each call.
        open: streams that are open now.
    """

    type = "puppet"
    label = "Puppet"
    fields = (API_KEY,)
    capabilities = frozenset({Capability.TEXT_GENERATION, Capability.STRUCTURED_OUTPUT, Capability.EMBEDDINGS})

    scripts: ClassVar[list[list[Step]]] = []
    calls: ClassVar[list[tuple[str, Any]]] = []
    made: ClassVar[list[Puppet]] = []
    open: ClassVar[int] = 0
    closed: bool = False

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.made.append(self)

    async def supported_settings(self, model: str) -> frozenset[str]:
        return TEXT_SETTINGS - {"top_k", "seed"}

    async def do_generate_text(self, model: str, request: TextRequest) -> TextResult:
        text = "".join([chunk.text async for chunk in self._play(model, request)])
        return TextResult(text=text, finish_reason="stop", usage=Usage(input_tokens=1, output_tokens=2, total_tokens=3))

    async def do_stream_text(self, model: str, request: TextRequest) -> AsyncGenerator[Chunk]:
        async with aclosing(self._play(model, request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def do_generate_object(self, model: str, request: ObjectRequest) -> TextResult:
        return await self.do_generate_text(model, request)

    async def do_embed(self, model: str, request: EmbedRequest) -> EmbedResult:
        self.calls.append((model, request))
        return EmbedResult(embeddings=[[float(len(value))] for value in request["values"]])

    async def aclose(self) -> None:
        self.closed = True

    async def _play(self, model: str, request: Any) -> AsyncGenerator[Chunk]:
        self.calls.append((model, request))
        script = self.scripts[min(len(self.calls), len(self.scripts)) - 1]
        Puppet.open += 1
        try:
            for step in script:
                if isinstance(step, Chunk):
                    yield step
                elif isinstance(step, asyncio.Event):
                    await step.wait()
                elif isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    raise step
        finally:
            Puppet.open -= 1


CONFIG = """
ai:
  defaultProvider: main
  providers:
    main:
      type: puppet
      apiKey: canary-key-main
      defaultModels: {text-generation: big-1, structured-output: big-1, embeddings: vector-1}
      modelAliases: {text-generation: {fast: small-1}}
    other:
      type: puppet
      apiKey: canary-key-other
      defaultModels: {text-generation: other-1}
"""

Play = Callable[..., None]


@pytest.fixture
def puppet(transactional_db: None, settings: Settings, seed: Seed) -> Iterator[type[Puppet]]:
    """The family, its instances seeded, with an answer of two words as its script."""
    settings.AI_MODELS = {**settings.AI_MODELS, "FAMILIES": (f"{__name__}.Puppet",)}
    seed(CONFIG)
    Puppet.scripts = [[Chunk(text="Hello "), Chunk(text="you"), DONE]]
    Puppet.calls, Puppet.made, Puppet.open = [], [], 0
    yield Puppet
    assert Puppet.open == 0, "a call was left open"


DONE = Chunk(finish_reason="stop", raw_finish_reason="end", usage=Usage(input_tokens=3, output_tokens=2, total_tokens=5))
