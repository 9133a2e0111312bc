"""From the chunks of a stream to its events, and to the result that stands at its end."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ai_models import events
from ai_models.events import Event
from ai_models.objects import Schema, partial, whole
from ai_models.transports import chat_answers
from ai_models.types import (
    Chunk,
    FinishReason,
    ObjectResult,
    ReasoningContent,
    ResponseInfo,
    TextContent,
    TextResult,
    ToolCall,
    Usage,
)


@dataclass(slots=True)
class _Block:
    """Text or reasoning."""

    id: str
    reasoning: bool
    pieces: list[str] = field(default_factory=list)
    metadata: Mapping[str, Any] | None = None

    @property
    def content(self) -> TextContent | ReasoningContent:
        text = "".join(self.pieces)
        return ReasoningContent(text=text, provider_metadata=self.metadata) if self.reasoning else TextContent(text=text)


@dataclass(slots=True)
class _ToolCall:
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)

    @property
    def content(self) -> ToolCall:
        return chat_answers.tool_call(self.id, self.name, "".join(self.arguments))


class Assembler:
    """Takes chunks in order, gives events in order, and keeps what the result needs.

    Args:
        base: provider, model and warnings of the result.
    """

    def __init__(self, base: TextResult) -> None:
        self._base = base
        self._parts: list[_Block | _ToolCall] = []
        self._calls: dict[int, _ToolCall] = {}
        self._open: _Block | None = None
        self._blocks = 0
        self._finish_reason: FinishReason = "other"
        self._raw: str | None = None
        self._usage = Usage()
        self._response = ResponseInfo()
        self._warnings = base.warnings

    def feed(self, chunk: Chunk) -> list[Event]:
        """The events that a chunk makes."""
        told: list[Event] = []
        self._usage = chunk.usage or self._usage
        self._response = chunk.response or self._response
        if chunk.warnings:
            self._warnings += chunk.warnings
        if chunk.reasoning:
            self._grow(told, chunk.reasoning, reasoning=True)
        if chunk.reasoning_metadata is not None:
            self._opened(told, reasoning=True)
            self._close_block(told, chunk.reasoning_metadata)
        if chunk.text:
            self._grow(told, chunk.text, reasoning=False)
        for piece in chunk.tool_calls:
            self._close_block(told)
            call = self._calls.get(piece.index)
            if call is None:
                call = self._calls[piece.index] = _ToolCall(piece.id or f"call_{uuid.uuid4().hex}", piece.name or "")
                self._parts.append(call)
                told.append(events.ToolInputStart(call.id, call.name))
            if piece.arguments:
                call.arguments.append(piece.arguments)
                told.append(events.ToolInputDelta(call.id, piece.arguments))
        if chunk.finish_reason:
            self._finish_reason, self._raw = chunk.finish_reason, chunk.raw_finish_reason
        return told

    def finish(self) -> Iterator[Event]:
        """The events after the last chunk, ``Finish`` among them."""
        yield from self._closed()
        yield from self._end(self.result())

    def result(self) -> TextResult:
        """The result so far."""
        content = tuple(part.content for part in self._parts)
        reasoning = "".join(part.text for part in content if isinstance(part, ReasoningContent))
        return TextResult(
            provider=self._base.provider,
            model=self._base.model,
            warnings=self._warnings,
            text=self._text(),
            content=content,
            reasoning_text=reasoning or None,
            tool_calls=tuple(part for part in content if isinstance(part, ToolCall)),
            finish_reason=self._finish_reason,
            raw_finish_reason=self._raw,
            usage=self._usage,
            response=self._response,
        )

    def _text(self) -> str:
        blocks = (part.pieces for part in self._parts if isinstance(part, _Block) and not part.reasoning)
        return "".join(piece for pieces in blocks for piece in pieces)

    def _end(self, result: TextResult) -> Iterator[Event]:
        for call in result.tool_calls:
            yield events.ToolInputAvailable(call.tool_call_id, call.tool_name, call.input)
        yield events.Finish(result)

    def _grow(self, told: list[Event], delta: str, *, reasoning: bool) -> None:
        """More of the open block, or a new block when none of this kind is open."""
        block = self._open
        if block is None or block.reasoning != reasoning:
            block = self._opened(told, reasoning=reasoning)
        block.pieces.append(delta)
        told.append(events.ReasoningDelta(block.id, delta) if reasoning else events.TextDelta(block.id, delta))

    def _opened(self, told: list[Event], *, reasoning: bool) -> _Block:
        if self._open is not None and self._open.reasoning == reasoning:
            return self._open
        self._close_block(told)
        self._blocks += 1
        block = self._open = _Block(f"{'reasoning' if reasoning else 'text'}-{self._blocks}", reasoning)
        self._parts.append(block)
        told.append(events.ReasoningStart(block.id) if reasoning else events.TextStart(block.id))
        return block

    def _close_block(self, told: list[Event], metadata: Mapping[str, Any] | None = None) -> None:
        if (block := self._open) is not None:
            self._open = None
            block.metadata = metadata
            told.append(events.ReasoningEnd(block.id, metadata) if block.reasoning else events.TextEnd(block.id))

    def _closed(self) -> list[Event]:
        told: list[Event] = []
        self._close_block(told)
        return told


class ObjectAssembler(Assembler):
    """An assembler whose text is JSON: it also gives the object as it grows, and holds the whole one against the schema.

    Reading JSON from its beginning costs more each time it has grown, so it is read again only when it has grown by a
    sixteenth: however the text comes in pieces, the work stays in proportion to its length.
    """

    _ID = "object-1"

    def __init__(self, base: TextResult, schema: Schema) -> None:
        super().__init__(base)
        self._schema = schema
        self._length = self._next = 0
        self._seen: Any = None
        self._object: Any = None

    def feed(self, chunk: Chunk) -> list[Event]:
        told = super().feed(chunk)
        self._length += len(chunk.text)
        if chunk.text and self._length >= self._next:
            self._next = self._length + self._length // 16
            told += self._partial(partial(self._text()))
        return told

    def finish(self) -> Iterator[Event]:
        """The events after the last chunk.

        Raises:
            NoObjectGenerated: the text does not satisfy the schema.
        """
        yield from self._closed()
        result = self._schema.read(super().result())
        self._object = result.object
        if not result.tool_calls:
            yield from self._partial(whole(result.text))
        yield from self._end(result)

    def result(self) -> ObjectResult:
        """The result so far; its ``object`` is ``None`` until it is complete."""
        return ObjectResult.of(super().result(), self._object)

    def _partial(self, value: Any) -> Iterator[Event]:
        if value is not None and value != self._seen:
            self._seen = value
            yield events.PartialObject(self._ID, value)
