"""The events of a stream. Websocket frames, server-sent events and terminal output are encodings of this one sequence.

A stream is ``Start``, then any number of blocks (text, reasoning, tool input) and partial objects, between the marks of a step
where the client counts steps, then exactly one of ``Finish``, ``Error`` and ``Abort``. Blocks of text and reasoning open with
``...Start``, grow by ``...Delta`` and close with ``...End``. A block of reasoning that the vendor keeps to itself has no
``...Delta``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ai_models.exceptions import AIModelsError
from ai_models.types import TextResult


@dataclass(frozen=True, slots=True)
class Event:
    """Base of every event. ``type`` is its name in every encoding."""

    type: ClassVar[str]


@dataclass(frozen=True, slots=True)
class Start(Event):
    """The stream begins."""

    type: ClassVar[str] = "start"
    message_id: str


@dataclass(frozen=True, slots=True)
class StartStep(Event):
    """One answer of a model begins, of possibly many to one message, between which the client runs tools."""

    type: ClassVar[str] = "start-step"


@dataclass(frozen=True, slots=True)
class FinishStep(Event):
    """The answer ends."""

    type: ClassVar[str] = "finish-step"


@dataclass(frozen=True, slots=True)
class TextStart(Event):
    """A block of text opens."""

    type: ClassVar[str] = "text-start"
    id: str


@dataclass(frozen=True, slots=True)
class TextDelta(Event):
    """More text of a block; never empty."""

    type: ClassVar[str] = "text-delta"
    id: str
    delta: str


@dataclass(frozen=True, slots=True)
class TextEnd(Event):
    """A block of text is complete."""

    type: ClassVar[str] = "text-end"
    id: str


@dataclass(frozen=True, slots=True)
class ReasoningStart(Event):
    """A block of reasoning opens."""

    type: ClassVar[str] = "reasoning-start"
    id: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta(Event):
    """More reasoning of a block; never empty."""

    type: ClassVar[str] = "reasoning-delta"
    id: str
    delta: str


@dataclass(frozen=True, slots=True)
class ReasoningEnd(Event):
    """A block of reasoning is complete.

    Attributes:
        provider_metadata: as in :class:`~ai_models.types.ReasoningContent`.
    """

    type: ClassVar[str] = "reasoning-end"
    id: str
    provider_metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ToolInputStart(Event):
    """The model begins to call a tool."""

    type: ClassVar[str] = "tool-input-start"
    tool_call_id: str
    tool_name: str


@dataclass(frozen=True, slots=True)
class ToolInputDelta(Event):
    """More of a tool call's JSON arguments."""

    type: ClassVar[str] = "tool-input-delta"
    tool_call_id: str
    input_text_delta: str


@dataclass(frozen=True, slots=True)
class ToolInputAvailable(Event):
    """A tool call is complete."""

    type: ClassVar[str] = "tool-input-available"
    tool_call_id: str
    tool_name: str
    input: Any


@dataclass(frozen=True, slots=True)
class PartialObject(Event):
    """The object of structured output as far as it is known; each replaces the one before. The last one is complete.

    Attributes:
        data: JSON; not yet held against the schema, but for the last one.
    """

    type: ClassVar[str] = "data-object"
    id: str
    data: Any


@dataclass(frozen=True, slots=True)
class Finish(Event):
    """The model ended its answer. ``result`` has everything, the whole text too."""

    type: ClassVar[str] = "finish"
    result: TextResult


@dataclass(frozen=True, slots=True)
class Error(Event):
    """The stream failed; what came before is incomplete."""

    type: ClassVar[str] = "error"
    error: AIModelsError


@dataclass(frozen=True, slots=True)
class Abort(Event):
    """The caller ended the stream before the model did."""

    type: ClassVar[str] = "abort"


TERMINAL = (Finish, Error, Abort)
"""Exactly one event of these classes ends a stream."""
