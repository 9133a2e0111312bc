"""Requests are in the vendor's format, and its answers are read whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from pytest_django import Settings

from ai_models import events, service
from ai_models.exceptions import NoObjectGenerated, UnsupportedFunctionality
from ai_models.types import Usage
from tests.families.contract.base import NAME, SCHEMA, TOOL, Contract, at, events_of, failure_of, finish_of, streamed
from tests.upstreams import faults
from tests.upstreams.replies import Reply
from tests.upstreams.server import Upstream

SETTINGS: Mapping[str, Any] = {
    "max_output_tokens": 1717,
    "temperature": 0.625,
    "top_p": 0.375,
    "top_k": 31,
    "presence_penalty": 0.125,
    "frequency_penalty": 0.875,
    "stop_sequences": ["HALT"],
    "seed": 7919,
    "reasoning": "low",
}
"""Every setting, with values that are found in a body."""


class Answers(Contract):
    """Text, streams, settings, tools and structured output."""

    system_path: ClassVar[str]
    """Where the system prompt stands in a body that has one."""

    prompt_path: ClassVar[str]
    """Where the prompt stands in a body with a system prompt."""

    tool_name_path: ClassVar[str]
    schema_path: ClassVar[str]
    """Where the schema of structured output stands."""

    excluded_by_reasoning: ClassVar[frozenset[str]] = frozenset()
    """Settings that the model has, and does not take while it reasons."""

    structured_by_tool: ClassVar[bool] = False
    """Whether ``structured_model`` has no schema mode and is made to call a tool."""

    # --- text ---

    async def test_text(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.text("Hello there", reasoning="Well"))
        result = await service.agenerate_text("Hi", system="Be brief.")
        assert (result.text, result.reasoning_text) == ("Hello there", "Well")
        assert [part.type for part in result.content] == ["reasoning", "text"]
        assert (result.provider, result.model, result.warnings) == (NAME, self.model, ())
        assert result.usage == self.usage
        request = upstream.request
        assert (request.method, request.target) == ("POST", self.base_path + self.text_path)
        assert request.headers["content-type"] == "application/json"
        assert at(request.json, self.system_path) == "Be brief."
        assert at(request.json, self.prompt_path) == "Hi"

    async def test_stream(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.stream("Hello", " there", reasoning=["We", "ll"]))
        seen = await events_of(streamed(system="Be brief."))
        assert [event.type for event in seen] == [
            "start",
            "reasoning-start",
            "reasoning-delta",
            "reasoning-delta",
            "reasoning-end",
            "text-start",
            "text-delta",
            "text-delta",
            "text-end",
            "finish",
        ]
        assert [event.delta for event in seen if isinstance(event, events.TextDelta)] == ["Hello", " there"]
        assert isinstance(seen[-1], events.Finish)
        result = seen[-1].result
        assert (result.text, result.reasoning_text, result.finish_reason) == ("Hello there", "Well", "stop")
        assert (result.provider, result.model, result.usage) == (NAME, self.model, self.usage)
        assert upstream.request.target == self.base_path + self.stream_path
        assert at(upstream.request.json, self.prompt_path) == "Hi"

    async def test_a_plain_answer_and_its_stream_say_the_same(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.text("Hello", reasoning="Well"), self.vendor.stream("Hello", reasoning=["Well"]))
        assert await service.agenerate_text("Hi") == await finish_of(streamed())

    async def test_finish_reasons(self, upstream: Upstream) -> None:
        for raw, ours in self.finish_reasons.items():
            upstream.script(self.vendor.text(finish=raw), self.vendor.stream("Hello", finish=raw))
            plain, from_stream = await service.agenerate_text("Hi"), await finish_of(streamed())
            assert (raw, plain.raw_finish_reason, plain.finish_reason) == (raw, raw, ours)
            assert (raw, from_stream.raw_finish_reason, from_stream.finish_reason) == (raw, raw, ours)

    async def test_a_base_url_with_a_slash_at_its_end_is_the_same(self, upstream: Upstream, reconfigure: Any) -> None:
        await reconfigure(baseURL=f"{upstream.url}{self.base_path}/")
        upstream.script(self.vendor.text())
        await service.agenerate_text("Hi")
        assert upstream.request.target == self.base_path + self.text_path

    async def test_calls_share_a_connection(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.text(), self.vendor.stream("Hello"), self.vendor.text())
        await service.agenerate_text("Hi")
        await finish_of(streamed())
        await service.agenerate_text("Hi")
        assert [request.connection for request in upstream.requests] == [0, 0, 0]

    # --- settings ---

    def given(self, *, reasoning: bool) -> dict[str, Any]:
        """Every setting but reasoning, or every one that goes with it."""
        left_out = self.excluded_by_reasoning if reasoning else {"reasoning"}
        return {name: value for name, value in SETTINGS.items() if name not in left_out}

    @pytest.mark.parametrize("reasoning", [True, False])
    async def test_settings_have_the_vendors_names(self, upstream: Upstream, reasoning: bool) -> None:
        upstream.script(self.vendor.text())
        given = self.given(reasoning=reasoning)
        await service.agenerate_text("Hi", **given)
        wire = {name: told for name, told in self.wire_settings.items() if name in given}
        body = upstream.request.json
        assert {name: at(body, path) for name, (path, _) in wire.items()} == {name: value for name, (_, value) in wire.items()}

    @pytest.mark.parametrize("reasoning", [True, False])
    async def test_settings_that_the_model_has_not_are_left_out_and_reported(self, upstream: Upstream, reasoning: bool) -> None:
        upstream.script(self.vendor.text(), self.vendor.stream("Hello"))
        given = self.given(reasoning=reasoning)
        unsupported = sorted(given.keys() - self.wire_settings)
        for result in (await service.agenerate_text("Hi", **given), await finish_of(streamed(**given))):
            assert [(warning.type, warning.setting) for warning in result.warnings] == [
                ("unsupported", name) for name in unsupported
            ]
        for request in upstream.requests:
            assert [name for name in unsupported if json.dumps(SETTINGS[name]).strip("[]") in request.body.decode()] == []

    async def test_settings_that_exclude_each_other_are_left_out_and_reported(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.text(), self.vendor.stream("Hello"))
        given = {name: value for name, value in SETTINGS.items() if name in self.wire_settings}
        for result in (await service.agenerate_text("Hi", **given), await finish_of(streamed(**given))):
            warned = {(warning.type, warning.setting) for warning in result.warnings}
            assert warned == {("unsupported", name) for name in self.excluded_by_reasoning}
        for request in upstream.requests:
            assert [
                name for name in self.excluded_by_reasoning if json.dumps(SETTINGS[name]).strip("[]") in request.body.decode()
            ] == []

    async def test_unsupported_settings_are_refused_where_the_settings_say_so(
        self, upstream: Upstream, settings: Settings
    ) -> None:
        settings.AI_MODELS = {**settings.AI_MODELS, "ON_UNSUPPORTED": "error"}
        upstream.script(self.vendor.text(), self.vendor.text())
        for reasoning in (True, False):
            given = self.given(reasoning=reasoning)
            await service.agenerate_text("Hi", **{name: given[name] for name in self.wire_settings if name in given})
        for name in SETTINGS.keys() - self.wire_settings:
            with pytest.raises(UnsupportedFunctionality, match=name):
                await service.agenerate_text("Hi", **{name: SETTINGS[name]})
        for name in self.excluded_by_reasoning:
            with pytest.raises(UnsupportedFunctionality, match=name):
                await service.agenerate_text("Hi", **{name: SETTINGS[name], "reasoning": "low"})
        assert len(upstream.requests) == 2

    # --- usage ---

    async def test_usage_that_was_not_told_is_unknown(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.text(usage=None), self.vendor.stream("Hello", usage=None))
        assert (await service.agenerate_text("Hi")).usage == Usage()
        assert (await finish_of(streamed())).usage == Usage()

    @pytest.mark.parametrize("lie", [-1, "many", float("nan"), 10**18, None, [7]], ids=repr)
    async def test_usage_that_cannot_be_is_unknown(self, upstream: Upstream, lie: Any) -> None:
        usage = {**self.vendor.USAGE, self.output_tokens: lie}
        upstream.script(self.vendor.text("Hello", usage=usage), self.vendor.stream("Hello", usage=usage))
        for result in (await service.agenerate_text("Hi"), await finish_of(streamed())):
            assert (result.text, result.usage.output_tokens) == ("Hello", None)

    # --- text that is no text ---

    @pytest.mark.parametrize("raw", [b"\xff", b"\\ud800", b"\\u0000"], ids=["not UTF-8", "lone surrogate", "NUL"])
    async def test_text_that_cannot_be_stored_is_replaced(self, upstream: Upstream, raw: bytes) -> None:
        upstream.script(faults.replaced(self.vendor.text("a~b"), b"~", raw), *self.spoiled_stream(raw))
        assert (await service.agenerate_text("Hi")).text == "a\ufffdb"
        for _ in self.spoiled_stream(raw):
            assert (await finish_of(streamed())).text == "a\ufffdb"

    def spoiled_stream(self, raw: bytes) -> list[Reply]:
        """Streams with such text; a binary framing has checksums, so that it cannot be spoiled."""
        return [faults.replaced(self.vendor.stream("a~b"), b"~", raw)]

    # --- tools ---

    async def test_tools(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.tool_call("look", {"at": 1}))
        result = await service.agenerate_text("Hi", tools=[TOOL], tool_choice="auto")
        (call,) = result.tool_calls
        assert (call.tool_name, call.input, call.invalid, result.finish_reason) == ("look", {"at": 1}, False, "tool-calls")
        assert at(upstream.request.json, self.tool_name_path) == "look"
        assert "Looks." in upstream.request.body.decode()

    async def test_streamed_tools(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.tool_call_stream("look", '{"at"', ": 1}"))
        seen = await events_of(streamed(tools=[TOOL]))
        (available,) = [event for event in seen if isinstance(event, events.ToolInputAvailable)]
        assert (available.tool_name, available.input) == ("look", {"at": 1})
        deltas = [event.input_text_delta for event in seen if isinstance(event, events.ToolInputDelta)]
        assert json.loads("".join(deltas)) == {"at": 1}
        assert isinstance(seen[-1], events.Finish)
        assert seen[-1].result.finish_reason == "tool-calls"

    async def test_a_tool_may_have_any_name(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.tool_call("json_tool_call", {"at": 1}))
        upstream.script(self.vendor.tool_call_stream("json_tool_call", '{"at": 1}'))
        given: Any = {"tools": [{**TOOL, "name": "json_tool_call"}]}
        for result in (await service.agenerate_text("Hi", **given), await finish_of(streamed(**given))):
            assert [(call.tool_name, call.input) for call in result.tool_calls] == [("json_tool_call", {"at": 1})]
            assert (result.text, result.warnings) == ("", ())

    # --- structured output ---

    async def test_structured_output(self, upstream: Upstream) -> None:
        upstream.script(self.object_reply('{"age": 36}'))
        result = await service.agenerate_object("How old?", schema=SCHEMA)
        assert (result.object, result.finish_reason, result.tool_calls) == ({"age": 36}, "stop", ())
        assert at(upstream.request.json, self.schema_path) == SCHEMA
        kinds = [(warning.type, warning.setting) for warning in result.warnings]
        assert kinds == ([("compatibility", "schema")] if self.structured_by_tool else [])

    async def test_streamed_structured_output(self, upstream: Upstream) -> None:
        upstream.script(self.object_stream_reply('{"age"', ": 36", "}"))
        stream = service.astream_object("How old?", schema=SCHEMA)
        seen = await events_of(stream)
        result = await stream.response
        assert result.object == {"age": 36}
        assert (json.loads(result.text), result.tool_calls, result.finish_reason) == ({"age": 36}, (), "stop")
        assert [event.data for event in seen if isinstance(event, events.PartialObject)][-1] == {"age": 36}
        assert not any(isinstance(event, events.ToolInputStart) for event in seen)
        assert at(upstream.request.json, self.schema_path) == SCHEMA
        kinds = [(warning.type, warning.setting) for warning in result.warnings]
        assert kinds == ([("compatibility", "schema")] if self.structured_by_tool else [])

    async def test_a_streamed_object_that_breaks_its_schema_is_an_error(self, upstream: Upstream) -> None:
        upstream.script(self.object_stream_reply('{"age"', ': "old"', "}"))
        error, _ = await failure_of(service.astream_object("How old?", schema=SCHEMA))
        assert error.code == "no_object_generated"

    async def test_a_tool_may_be_asked_for_before_the_object(self, upstream: Upstream) -> None:
        upstream.script(self.vendor.tool_call("look", {"at": 1}))
        result = await service.agenerate_object("How old?", schema=SCHEMA, tools=[TOOL])
        assert [(call.tool_name, call.input) for call in result.tool_calls] == [("look", {"at": 1})]
        assert (result.object, result.finish_reason) == (None, "tool-calls")

    async def test_an_object_that_breaks_its_schema_is_refused(self, upstream: Upstream) -> None:
        upstream.script(self.object_reply('{"age": "old"}'))
        with pytest.raises(NoObjectGenerated, match="age") as caught:
            await service.agenerate_object("How old?", schema=SCHEMA)
        assert caught.value.text is not None
        assert json.loads(caught.value.text) == {"age": "old"}
        assert len(upstream.requests) == 1

    def object_reply(self, text: str) -> Reply:
        return self.vendor.tool_call("json_tool_call", text) if self.structured_by_tool else self.vendor.text(text)

    def object_stream_reply(self, *pieces: str) -> Reply:
        if self.structured_by_tool:
            return self.vendor.tool_call_stream("json_tool_call", *pieces)
        return self.vendor.stream(*pieces)
