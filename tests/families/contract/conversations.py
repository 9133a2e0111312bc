"""Conversations of more than text: files, reasoning that goes back to its vendor, tools and their results."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from ai_models import events, service
from ai_models.exceptions import UnsupportedFunctionality
from ai_models.serialization import to_json, validate
from ai_models.types import NamedTool, TextRequest
from tests.families.contract.base import TOOL, Contract, at, events_of, finish_of, streamed
from tests.samples import MP3, MP4, PDF, PNG, TEXT, WAV
from tests.upstreams.server import Upstream

URL = "https://files.example.org/a"
FILES: Mapping[str, Mapping[str, Any]] = {
    "image": {"data": PNG},
    "image by url": {"url": URL, "media_type": "image/png"},
    "some image by url": {"url": URL, "media_type": "image/*"},
    "pdf": {"data": PDF, "filename": "Q3 report (final).pdf"},
    "pdf by url": {"url": URL, "media_type": "application/pdf"},
    "text": {"data": TEXT, "media_type": "text/plain"},
    "text by url": {"url": URL, "media_type": "text/plain"},
    "wav": {"data": WAV},
    "mp3": {"data": MP3},
    "sound by url": {"url": URL, "media_type": "audio/wav"},
    "video": {"data": MP4},
    "program": {"data": b"MZ", "media_type": "application/octet-stream"},
}
NAMED: NamedTool = {"type": "tool", "tool_name": "look"}
CALLS = (("look", {"at": 1}), ("look", {"at": 2}))


def encoded(data: bytes) -> str:
    """A file in base64."""
    return base64.b64encode(data).decode()


class Conversations(Contract):
    """What a family makes of messages with parts.

    Attributes:
        turns_path: where the turns stand in a body; ``first_turn`` is the one of the user, system prompts before it left out.
        parts_key: where the parts stand in a turn.
        files: the vendor's parts for those of :data:`FILES` that it takes.
        tool_choice_path: where the choice of tools stands.
        tool_choices: the vendor's forms of it by ours, ``named`` among them; ``None`` where there is none and no tools.
        reasoned_parts: the vendor's parts of an answer that goes back, reasoning and text.
        tool_turns: the turns of a conversation about :data:`CALLS`, from the assistant's on.
    """

    turns_path: ClassVar[str]
    parts_key: ClassVar[str]
    files: ClassVar[Mapping[str, Any]]
    tool_choice_path: ClassVar[str]
    tool_choices: ClassVar[Mapping[str, Any]]
    reasoned_parts: ClassVar[Any]
    tool_turns: ClassVar[Any]

    def text_part(self, text: str) -> Any:
        """The vendor's part for a text."""
        return {"text": text}

    # --- files ---

    @pytest.mark.parametrize("name", FILES)
    async def test_files(self, upstream: Upstream, name: str) -> None:
        before, after = ({"type": "text", "text": text} for text in ("Before.", "After."))
        messages: Any = [{"role": "user", "content": [before, {"type": "file", **FILES[name]}, after]}]
        if name not in self.files:
            with pytest.raises(UnsupportedFunctionality, match=r"^messages: a file is .* takes "):
                await service.agenerate_text(messages=messages)
            assert upstream.connections == []
            return
        upstream.script(self.vendor.text("Hello"), self.vendor.stream("Hello"))
        assert (await service.agenerate_text(messages=messages)).warnings == ()
        await finish_of(service.astream_text(messages=messages))
        expected = [self.text_part("Before."), self.files[name], self.text_part("After.")]
        for request in upstream.requests:
            assert at(request.json, f"{self.turns_path}.0.{self.parts_key}") == expected

    async def test_a_file_alone_and_several(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.text("Hello"))
        image: Any = {"type": "file", "data": PNG}
        await service.agenerate_text(messages=[{"role": "user", "content": [image, image]}])
        assert at(upstream.request.json, f"{self.turns_path}.0.{self.parts_key}") == [self.files["image"]] * 2

    # --- reasoning ---

    async def test_reasoning_goes_back_as_it_came(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.text("Hello", reasoning="Well"), self.vendor.stream("Hello", reasoning=["We", "ll"]))
        plain, from_stream = await service.agenerate_text("Hi"), await finish_of(streamed())
        assert plain.content == from_stream.content
        as_json = json.loads(json.dumps(to_json(plain.content)))
        read = validate(TextRequest, {"messages": [{"role": "assistant", "content": as_json}]}, json_names=True)
        for content in (plain.content, from_stream.content, read["messages"][0]["content"]):
            upstream.script(self.vendor.text("Fine"))
            await self.say([{"role": "assistant", "content": content}])
            assert at(upstream.requests[-1].json, f"{self.turns_path}.1.{self.parts_key}") == self.reasoned_parts

    async def test_the_end_of_reasoning_tells_what_goes_back(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.stream("Hello", reasoning=["Well"]))
        seen = await events_of(streamed())
        (end,) = [event for event in seen if isinstance(event, events.ReasoningEnd)]
        assert isinstance(seen[-1], events.Finish)
        assert end.provider_metadata == seen[-1].result.content[0].provider_metadata

    async def test_the_reasoning_of_others_is_left_out(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.text("Fine"))
        foreign = {"type": "reasoning", "text": "Secretly", "provider_metadata": {"another": {"signature": "c2ln"}}}
        unsigned = {"type": "reasoning", "text": "Secretly"}
        await self.say([{"role": "assistant", "content": [foreign, unsigned, {"type": "text", "text": "Hello"}]}])
        assert "Secretly" not in upstream.request.body.decode()
        assert "c2ln" not in upstream.request.body.decode()

    async def say(self, messages: list[Any], **request: Any) -> Any:
        """Go on with a conversation that begins with the user."""
        first, last = ({"role": "user", "content": text} for text in ("Hi", "And?"))
        return await service.agenerate_text(messages=[first, *messages, last], **request)

    # --- tools ---

    @pytest.mark.parametrize("choice", ["auto", "none", "required", "named"])
    async def test_the_choice_of_tools(self, upstream: Upstream, choice: str) -> None:
        upstream.script(self.vendor.text("Hello"), self.vendor.stream("Hello"))
        given: Any = {"tools": [TOOL], "tool_choice": NAMED if choice == "named" else choice}
        assert (await service.agenerate_text("Hi", **given)).warnings == ()
        assert (await finish_of(streamed(**given))).warnings == ()
        for request in upstream.requests:
            if self.tool_choices[choice] is None:
                assert TOOL["name"] not in request.body.decode()
            else:
                assert at(request.json, self.tool_choice_path) == self.tool_choices[choice]

    async def test_several_tools_are_called_and_answer(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.tool_calls(*CALLS), self.vendor.tool_calls_stream(*CALLS))
        for result in (await service.agenerate_text("Hi", tools=[TOOL]), await finish_of(streamed(tools=[TOOL]))):
            assert [part.type for part in result.content] == ["text", "tool-call", "tool-call"]
            assert [(call.tool_name, call.input) for call in result.tool_calls] == list(CALLS)
            assert (result.text, result.finish_reason) == ("Let me look.", "tool-calls")
            first, second = (
                {"type": "tool-result", "tool_call_id": call.tool_call_id, "tool_name": call.tool_name, "output": output}
                for call, output in zip(result.tool_calls, ("one", {"a": 2}), strict=True)
            )
            upstream.script(self.vendor.text("Fine"))
            answered = [{"role": "assistant", "content": result.content}, {"role": "tool", "content": [first, second]}]
            await self.say(answered, tools=[TOOL])
            assert at(upstream.requests[-1].json, self.turns_path)[1:] == self.tool_turns

    async def test_calls_that_are_alike_all_go_back(self, upstream: Upstream) -> None:
        calls = (("look", {"at": 1.50, "text": "x"}), ("look", {"at": 1.50, "text": "x"}), ("look", {}))
        upstream.script(self.vendor.tool_calls(*calls), self.vendor.text("Fine"))
        result = await service.agenerate_text("Hi", tools=[TOOL])
        results = [
            {"type": "tool-result", "tool_call_id": call.tool_call_id, "tool_name": call.tool_name, "output": "one"}
            for call in result.tool_calls
        ]
        answered = [{"role": "assistant", "content": result.content}, {"role": "tool", "content": results}]
        await self.say(answered, tools=[TOOL])
        body = json.dumps(at(upstream.requests[-1].json, f"{self.turns_path}.1")).replace("\\", "")
        assert (body.count('{"at": 1.5, "text": "x"}'), body.count("{}")) == (2, 1)
