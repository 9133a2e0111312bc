"""Anthropic."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from ai_models import service
from ai_models.exceptions import UnsupportedFunctionality
from ai_models.families.anthropic import Anthropic
from ai_models.testing.conformance import connection
from ai_models.transports import listing
from ai_models.types import InputTokenDetails, ReasoningContent, TextContent, ToolCall, Usage
from tests.families.contract import FamilyContract, ServerSentEvents
from tests.families.contract.answers import Answers
from tests.families.contract.base import CANARY, NAME, TOOL, Contract, Vendor, at, finish_of, streamed, text_failure
from tests.families.contract.conversations import NAMED, URL, encoded
from tests.samples import PDF, PNG, TEXT
from tests.upstreams import anthropic, faults
from tests.upstreams.recorded import Recorded
from tests.upstreams.replies import Reply
from tests.upstreams.server import Upstream

pytestmark = pytest.mark.usefixtures("warm_litellm")


class MessagesAPI(Contract):
    """The API's names and forms."""

    vendor: ClassVar[Vendor] = anthropic
    declaration: ClassVar[dict[str, Any]] = {"type": "anthropic", "apiKey": f"key-{CANARY}"}
    model = "claude-sonnet-4-5"
    text_path = stream_path = "/messages"
    check_target = "/models?limit=1000"
    system_path, prompt_path = "system.0.text", "messages.0.content.0.text"
    turns_path, parts_key = "messages", "content"
    tool_name_path = "tools.0.name"
    schema_path = "output_format.schema"
    usage = Usage(
        input_tokens=20,
        output_tokens=7,
        total_tokens=27,
        input_token_details=InputTokenDetails(no_cache=10, cache_read=8, cache_write=2),
    )
    output_tokens = "output_tokens"
    finish_reasons: ClassVar[dict[str, str]] = {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "tool_use": "tool-calls",
        "refusal": "content-filter",
        "pause_turn": "other",
        "something_new": "other",
    }
    wire_settings: ClassVar[dict[str, tuple[str, Any]]] = {
        "max_output_tokens": ("max_tokens", 1717),
        "temperature": ("temperature", 0.625),
        "top_p": ("top_p", 0.375),
        "top_k": ("top_k", 31),
        "stop_sequences": ("stop_sequences", ["HALT"]),
        "reasoning": ("thinking.type", "enabled"),
    }

    excluded_by_reasoning = frozenset({"temperature", "top_p", "top_k"})
    files: ClassVar[dict[str, Any]] = {
        "image": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": encoded(PNG)}},
        "image by url": {"type": "image", "source": {"type": "url", "url": URL}},
        "some image by url": {"type": "image", "source": {"type": "url", "url": URL}},
        "pdf": {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": encoded(PDF)},
            "title": "Q3 report (final).pdf",
        },
        "pdf by url": {"type": "document", "source": {"type": "url", "url": URL}},
        "text": {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": TEXT.decode()}},
    }
    tool_choice_path = "tool_choice"
    tool_choices: ClassVar[dict[str, Any]] = {
        "auto": {"type": "auto"},
        "none": {"type": "none"},
        "required": {"type": "any"},
        "named": {"type": "tool", "name": "look"},
    }
    reasoned_parts: ClassVar[list[Any]] = [
        {"type": "thinking", "thinking": "Well", "signature": "c2lnbmVk"},
        {"type": "text", "text": "Hello"},
    ]
    tool_turns: ClassVar[list[Any]] = [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "toolu_0", "name": "look", "input": {"at": 1}},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 2}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_0", "content": "one"},
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": '{"a": 2}'},
                {"type": "text", "text": "And?"},
            ],
        },
    ]

    def text_part(self, text: str) -> Any:
        return {"type": "text", "text": text}

    @staticmethod
    def too_long() -> Reply:
        return anthropic.error(400, "prompt is too long: 200001 tokens > 200000 maximum")

    def check_credential(self, request: Recorded) -> None:
        assert request.headers["x-api-key"] == f"key-{CANARY}"
        assert request.headers["anthropic-version"] == "2023-06-01"
        assert "authorization" not in request.headers


class TestAnthropic(MessagesAPI, FamilyContract, ServerSentEvents):
    """The whole contract, and what is Anthropic's own."""

    async def test_a_base_url_may_leave_v1_out(self, upstream: Upstream, reconfigure: Any) -> None:
        await reconfigure(baseURL=f"{upstream.url}/front")
        upstream.script(anthropic.text())
        await service.agenerate_text("Hi")
        assert upstream.request.target == "/front/v1/messages"

    def check_reply(self, *models: str) -> Reply:
        return anthropic.models(*models)

    async def test_the_list_of_models_may_have_pages(self, upstream: Upstream) -> None:
        upstream.script(anthropic.models("a", "b", more=True), anthropic.models(self.model))
        assert (await self.checked())["models"].state == "passed"
        assert [request.query for request in upstream.requests] == [
            {"limit": "1000"},
            {"limit": "1000", "after_id": "b"},
        ]

    async def test_a_list_without_an_end_is_left(self, upstream: Upstream) -> None:
        upstream.always(anthropic.models("a", more=True))
        assert (await self.checked())["models"].state == "warning"
        assert len(upstream.requests) == listing.MOST_PAGES

    @pytest.mark.parametrize(
        ("model", "known"),
        [
            ("claude-sonnet-4-5", True),
            ("claude-sonnet-4-5-20250929", True),
            ("claude-sonnet-4-5-latest", True),
            ("claude-3-5-haiku-latest", False),
            ("claude-sonnet-4-5-20250930", False),
            ("claude-sonnet-4-50", False),
        ],
    )
    async def test_names_may_leave_the_date_out(self, model: str, known: bool) -> None:
        family = Anthropic(connection(Anthropic, {}, {"apiKey": "k"}))
        assert family.knows(model, frozenset({anthropic.MODEL})) is known

    async def test_a_check_sends_the_instances_headers(self, upstream: Upstream, reconfigure: Any) -> None:
        await reconfigure(headers={"X-Team": "platform", "x-api-key": "another"})
        upstream.script(anthropic.models(self.model))
        await service.acheck(NAME)
        assert upstream.request.headers["x-team"] == "platform"
        self.check_credential(upstream.request)

    async def test_it_has_no_embeddings(self, upstream: Upstream) -> None:
        with pytest.raises(UnsupportedFunctionality):
            await service.aembed("x", model="any")
        assert upstream.connections == []

    # --- reasoning ---

    async def test_parts_keep_their_order_and_redacted_thoughts_go_back(self, upstream: Upstream) -> None:
        upstream.script(anthropic.content(*BLOCKS, finish="tool_use"))
        upstream.script(
            anthropic.content_stream(
                *(({**block, **BLANK.get(block["type"], {})}, deltas(block)) for block in BLOCKS), finish="tool_use"
            )
        )
        plain, from_stream = await service.agenerate_text("Hi", tools=[TOOL]), await finish_of(streamed(tools=[TOOL]))
        assert plain.content == from_stream.content
        assert plain.content == (
            ReasoningContent(text="First", provider_metadata={"anthropic": {"signature": "c2ln"}}),
            ReasoningContent(text="", provider_metadata={"anthropic": {"redactedData": "aGlkZGVu"}}),
            TextContent(text="Let me look."),
            ReasoningContent(text="", provider_metadata={"anthropic": {"signature": "a2VwdA=="}}),
            ToolCall(tool_call_id="toolu_1", tool_name="look", input={"at": 1}),
        )
        assert (plain.text, plain.reasoning_text) == ("Let me look.", "First")
        upstream.script(anthropic.text())
        result = {"type": "tool-result", "tool_call_id": "toolu_1", "tool_name": "look", "output": "one"}
        turns = [{"role": "assistant", "content": plain.content}, {"role": "tool", "content": [result]}]
        await self.say(turns, tools=[TOOL], reasoning="low")
        assert at(upstream.requests[-1].json, "messages.1.content") == BLOCKS

    @pytest.mark.parametrize("tool_choice", ["required", NAMED])
    async def test_it_does_not_think_before_a_call_that_it_is_made_to_do(self, upstream: Upstream, tool_choice: Any) -> None:
        upstream.script(anthropic.tool_call("look", {"at": 1}))
        given: Any = {"tools": [TOOL], "tool_choice": tool_choice, "reasoning": "low", "temperature": 0.5}
        result = await service.agenerate_text("Hi", **given)
        assert [(warning.type, warning.setting) for warning in result.warnings] == [("unsupported", "reasoning")]
        assert "thinking" not in upstream.request.json
        assert upstream.request.json["temperature"] == 0.5

    @pytest.mark.parametrize(
        ("model", "effort", "sent"),
        [
            ("claude-sonnet-4-5", "none", None),
            ("claude-sonnet-4-5", "low", {"type": "enabled", "budget_tokens": 1024}),
            ("claude-sonnet-4-5", "high", {"type": "enabled", "budget_tokens": 4096}),
            ("claude-opus-4-6", "none", None),
            ("claude-opus-4-6", "medium", {"type": "adaptive", "display": "summarized"}),
        ],
    )
    async def test_how_much_it_thinks(self, upstream: Upstream, model: str, effort: Any, sent: Any) -> None:
        upstream.script(anthropic.text())
        await service.agenerate_text("Hi", model=model, reasoning=effort)
        body = upstream.request.json
        assert body.get("thinking") == sent
        assert body.get("output_config") == ({"effort": effort} if sent and sent["type"] == "adaptive" else None)
        assert sent is None or body["max_tokens"] > sent.get("budget_tokens", 0)

    async def test_a_limit_that_thoughts_alone_would_reach_is_refused(self, upstream: Upstream) -> None:
        error = await text_failure(reasoning="low", max_output_tokens=1024)
        assert (error.code, "max_output_tokens" in error.message) == ("invalid_request", True)
        assert upstream.connections == []

    # --- the prompt cache ---

    async def test_what_is_cached_is_told(self, upstream: Upstream) -> None:
        """In a stream the figures stand at its start, and mostly all of them again at its end."""
        at_the_start = anthropic.stream("Hello")
        again = faults.replaced(at_the_start, b'{"output_tokens": 7}', json.dumps(anthropic.USAGE).encode())
        assert again != at_the_start
        upstream.script(anthropic.text(), at_the_start, again)
        cached: Any = {"provider_options": {"anthropic": {"cache_control": {"type": "ephemeral"}}}}
        results = [await service.agenerate_text("Hi", **cached), *[await finish_of(streamed(**cached)) for _ in range(2)]]
        assert [result.usage for result in results] == [self.usage] * 3
        for request in upstream.requests:
            assert request.json["cache_control"] == {"type": "ephemeral"}

    async def test_nothing_is_sent_that_nobody_asked_for(self, upstream: Upstream) -> None:
        upstream.script(anthropic.text())
        await service.agenerate_text("Hi")
        body = upstream.request.json
        assert body.pop("max_tokens") > 0  # the API demands it
        assert body == {"model": self.model, "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}
        assert "anthropic-beta" not in upstream.request.headers


class TestAnthropicWithoutSchemaMode(MessagesAPI, Answers):
    """A model that answers with an object by calling a tool; only its answers differ."""

    structured_model = "claude-3-haiku-20240307"
    structured_by_tool = True
    schema_path = "tools.0.input_schema"


def deltas(block: dict[str, Any]) -> list[dict[str, Any]]:
    """What makes the block, streamed; some come whole."""
    match block["type"]:
        case "thinking":
            thought = [{"type": "thinking_delta", "thinking": block["thinking"]}] if block["thinking"] else []
            return [*thought, {"type": "signature_delta", "signature": block["signature"]}]
        case "text":
            return [{"type": "text_delta", "text": block["text"]}]
        case "tool_use":
            return [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        case _:
            return []


BLANK = {"thinking": {"thinking": "", "signature": ""}, "text": {"text": ""}, "tool_use": {"input": {}}}
"""How a block opens in a stream."""

BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "First", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "aGlkZGVu"},
    {"type": "text", "text": "Let me look."},
    {"type": "thinking", "thinking": "", "signature": "a2VwdA=="},
    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}},
]
