"""A provider that tells long stories, the same one for the same prompt."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from typing import ClassVar

from ai_models.capabilities import Capability
from ai_models.families.base import Family
from ai_models.types import Chunk, TextRequest, Usage

PIECES = ("and then ", "the fox, ", "“says” ", "老虎 ", "un été ", "🦊 ", "\n", "\\", "0")
LENGTH = 150


def pieces(prompt: str) -> list[str]:
    """What a model answers to the prompt."""
    return random.Random(prompt).choices(PIECES, k=LENGTH)


class Story(Family):
    """Any of its models answers with :func:`pieces`; ``pauses`` waits in the middle until it is to go on."""

    type = "story"
    label = "Story"
    capabilities = frozenset({Capability.TEXT_GENERATION})

    _paused: ClassVar[list[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = []

    @classmethod
    def go_on(cls) -> None:
        """Let the stories go on that wait."""
        for loop, event in cls._paused:
            loop.call_soon_threadsafe(event.set)
        cls._paused.clear()

    async def do_stream_text(self, model: str, request: TextRequest) -> AsyncGenerator[Chunk]:
        for number, piece in enumerate(pieces(_last_text(request))):
            if model == "pauses" and number == LENGTH // 2:
                await self._pause()
            yield Chunk(text=piece)
            # Something else may happen between two pieces, as with a real provider.
            await asyncio.sleep(0)
        yield Chunk(finish_reason="stop", usage=Usage(input_tokens=1, output_tokens=LENGTH, total_tokens=LENGTH + 1))

    async def _pause(self) -> None:
        event = asyncio.Event()
        self._paused.append((asyncio.get_running_loop(), event))
        await event.wait()


def _last_text(request: TextRequest) -> str:
    if "prompt" in request:
        return request["prompt"]
    content = request["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
