"""A provider family of a third party, as small as one can be: it answers with the question."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ai_models.capabilities import Capability
from ai_models.families.base import Family
from ai_models.families.fields import ConfigField
from ai_models.types import Chunk, TextRequest, TextResult


class Echo(Family):
    """Gives the prompt back, after a greeting."""

    type = "echo"
    label = "Echo"
    fields = (ConfigField(name="greeting", help="What stands before the echo.", default="You said:"),)
    capabilities = frozenset({Capability.TEXT_GENERATION})

    async def do_generate_text(self, model: str, request: TextRequest) -> TextResult:
        return TextResult(text=self._answer(request), finish_reason="stop")

    async def do_stream_text(self, model: str, request: TextRequest) -> AsyncIterator[Chunk]:
        for word in self._answer(request).split(" "):
            yield Chunk(text=word + " ")
        yield Chunk(finish_reason="stop")

    def _answer(self, request: TextRequest) -> str:
        said = request["prompt"] if "prompt" in request else str(request["messages"][-1]["content"])
        return f"{self.connection.options['greeting']} {said}"
