"""From the chunks of a stream to its events, and to the result that stands at its end."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from ai_models import events
from ai_models.events import Event
from ai_models.transports import chat
from ai_models.types import Chunk, FinishReason, ResponseInfo, TextResult, ToolCall, Usage


@dataclass(slots=True)
class _ToolCall:
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)


class Assembler:
    """Takes chunks in order, gives events in order, and keeps what the result needs.

    Args:
        base: provider, model and warnings of the result.
    """

    def __init__(self, base: TextResult) -> None:
        self._base = base
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, _ToolCall] = {}
        self._open: tuple[str, str] | None = None
        self._blocks = 0
        self._finish_reason: FinishReason = "other"
        self._raw: str | None = None
        self._usage = Usage()
        self._response = ResponseInfo()

    def feed(self, chunk: Chunk) -> Iterator[Event]:
        """The events that a chunk makes."""
        self._usage = chunk.usage or self._usage
        self._response = chunk.response or self._response
        if chunk.reasoning:
            yield from self._grow("reasoning", chunk.reasoning)
        if chunk.text:
            yield from self._grow("text", chunk.text)
        for piece in chunk.tool_calls:
            yield from self._close_block()
            call = self._calls.get(piece.index)
            if call is None:
                call = self._calls[piece.index] = _ToolCall(piece.id or f"call_{uuid.uuid4().hex}", piece.name or "")
                yield events.ToolInputStart(call.id, call.name)
            if piece.arguments:
                call.arguments.append(piece.arguments)
                yield events.ToolInputDelta(call.id, piece.arguments)
        if chunk.finish_reason:
            self._finish_reason, self._raw = chunk.finish_reason, chunk.raw_finish_reason

    def finish(self) -> Iterator[Event]:
        """The events after the last chunk, ``Finish`` among them."""
        yield from self._close_block()
        result = self.result()
        for call in result.tool_calls:
            yield events.ToolInputAvailable(call.tool_call_id, call.tool_name, call.input)
        yield events.Finish(result)

    def result(self) -> TextResult:
        """The result so far."""
        text, reasoning = "".join(self._text), "".join(self._reasoning)
        calls: tuple[ToolCall, ...] = tuple(
            chat.tool_call(call.id, call.name, "".join(call.arguments)) for call in self._calls.values()
        )
        return TextResult(
            provider=self._base.provider,
            model=self._base.model,
            warnings=self._base.warnings,
            text=text,
            reasoning_text=reasoning or None,
            tool_calls=calls,
            finish_reason=self._finish_reason,
            raw_finish_reason=self._raw,
            usage=self._usage,
            response=self._response,
        )

    def _grow(self, kind: str, delta: str) -> Iterator[Event]:
        """More of the open block, or a new block when another kind is open."""
        if self._open is None or self._open[0] != kind:
            yield from self._close_block()
            self._blocks += 1
            self._open = (kind, f"{kind}-{self._blocks}")
            yield events.TextStart(self._open[1]) if kind == "text" else events.ReasoningStart(self._open[1])
        identity = self._open[1]
        if kind == "text":
            self._text.append(delta)
            yield events.TextDelta(identity, delta)
        else:
            self._reasoning.append(delta)
            yield events.ReasoningDelta(identity, delta)

    def _close_block(self) -> Iterator[Event]:
        if self._open is not None:
            kind, identity = self._open
            self._open = None
            yield events.TextEnd(identity) if kind == "text" else events.ReasoningEnd(identity)
