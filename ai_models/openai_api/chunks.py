"""The events of a stream as chunks of a chat completion, which are server-sent events.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ai_models import events
from ai_models.api import sse
from ai_models.encoding import dumps
from ai_models.events import Event
from ai_models.integrations import chat
from ai_models.openai_api import errors
from ai_models.openai_api.completions import FENCE, finish_reason, head, object_text, usage
from ai_models.openai_api.errors import Told
from ai_models.types import ObjectResult

_DONE = sse.DONE.decode()


class Chunks:
    """Encodes one stream.

    Args:
        model: as the caller named it.
        include_usage: whether token counts are told in a chunk of their own, before the last line.
        is_object: whether the text is JSON.
        request_id: stands in an error.
    """

    def __init__(
        self,
        model: str,
        told: Told,
        *,
        include_usage: bool = False,
        is_object: bool = False,
        request_id: str = "-",
    ) -> None:
        self._head = head("chat.completion.chunk", model)
        # All chunks but the last ones differ in their delta alone.
        opening = dumps(self._head).removesuffix("}")
        self._before = f'data: {opening},"choices":[{{"index":0,"delta":'
        no_usage = ',"usage":null' if include_usage else ""
        self._after = f',"logprobs":null,"finish_reason":null}}]{no_usage}}}\n\n'
        self._include_usage = include_usage
        self._is_object = is_object
        self._told = told
        self._request_id = request_id
        self._begun = False
        self._fenced: bool | None = None if is_object else False
        self._positions: dict[str, int] = {}
        self._without_arguments: set[str] = set()
        self._thoughts: dict[str, list[str]] = {}

    def encode(self, event: Event) -> str:
        """The lines that tell an event; empty for one that OpenAI's clients are not told of."""
        return "".join(self._lines(event))

    def _lines(self, event: Event) -> Iterator[str]:
        match event:
            case events.TextDelta(delta=delta):
                if not self._is_fenced(delta):
                    yield from self._delta({"content": delta}, content="")
            case events.ReasoningDelta(id=identity, delta=delta):
                self._thoughts.setdefault(identity, []).append(delta)
                yield from self._delta({"reasoning_content": delta})
            case events.ReasoningEnd(id=identity, provider_metadata=wanted_back):
                thoughts = "".join(self._thoughts.pop(identity, ()))
                if wanted_back is not None:
                    yield from self._delta({"thinking_blocks": [chat.thinking_block(thoughts, wanted_back)]})
            case events.ToolInputStart(tool_call_id=identity, tool_name=name):
                self._positions[identity] = len(self._positions)
                self._without_arguments.add(identity)
                yield from self._call(identity, {"name": name, "arguments": ""}, id=identity, type="function")
            case events.ToolInputDelta(tool_call_id=identity, input_text_delta=delta):
                self._without_arguments.discard(identity)
                yield from self._call(identity, {"arguments": delta})
            case events.ToolInputAvailable(tool_call_id=identity) if identity in self._without_arguments:
                yield from self._call(identity, {"arguments": "{}"})
            case events.Finish():
                yield from self._finish(event)
            case events.Error(error=error):
                yield _line(errors.body(error, self._request_id, self._told.names))

    def _delta(self, delta: Mapping[str, Any], content: str | None = None) -> Iterator[str]:
        """A chunk; before the first one, the one that says who speaks."""
        if not self._begun:
            self._begun = True
            yield self._chunk({"role": "assistant", "content": content, "refusal": None})
        yield self._chunk(delta)

    def _chunk(self, delta: Mapping[str, Any]) -> str:
        return f"{self._before}{dumps(delta)}{self._after}"

    def _call(self, identity: str, function: Mapping[str, Any], **more: str) -> Iterator[str]:
        call = {"index": self._positions[identity], **more, "function": function}
        return self._delta({"tool_calls": [call]})

    def _is_fenced(self, delta: str) -> bool:
        """Whether what stands around the JSON is to be left out, for which its end must be known."""
        if self._fenced is None and delta.strip():
            self._fenced = delta.lstrip().startswith(FENCE[0])
        return bool(self._fenced)

    def _finish(self, event: events.Finish) -> Iterator[str]:
        result = event.result
        if self._fenced:
            text = result.text if result.tool_calls else object_text(cast(ObjectResult, result))
            yield from self._delta({"content": text}, content="")
        if not self._begun:
            yield self._chunk({"role": "assistant", "content": "", "refusal": None})
        reason, more = finish_reason(result)
        last: dict[str, Any] = {
            **self._head,
            "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": reason}],
        }
        if self._include_usage:
            last["usage"] = None
        if warnings := self._told.about(result, *more):
            last["warnings"] = warnings
        yield _line(last)
        if self._include_usage:
            yield _line({**self._head, "choices": [], "usage": usage(result.usage)})
        yield _DONE


def _line(value: Mapping[str, Any]) -> str:
    return f"data: {dumps(value)}\n\n"
