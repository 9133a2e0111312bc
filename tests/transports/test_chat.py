from __future__ import annotations

from typing import Any

import pytest

from ai_models.exceptions import InvalidRequest, UpstreamInvalidResponse
from ai_models.transports import chat
from ai_models.types import TEXT_SETTINGS, InputTokenDetails, OutputTokenDetails, TextRequest

CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def test_every_setting_has_a_wire_name() -> None:
    request: Any = {
        "max_output_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 4, "presence_penalty": 0.1, "frequency_penalty": 0.2,
        "stop_sequences": ["END"], "seed": 3, "reasoning": "low",
        "tools": [{"name": "look", "description": "Look.", "input_schema": CLOSED}],
        "tool_choice": {"type": "tool", "tool_name": "look"},
    }  # fmt: skip
    assert request.keys() == TEXT_SETTINGS
    assert chat.settings(request) == {
        "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 4, "presence_penalty": 0.1, "frequency_penalty": 0.2,
        "stop": ["END"], "seed": 3, "reasoning_effort": "low",
        "tools": [{"type": "function", "function": {"name": "look", "description": "Look.", "parameters": CLOSED}}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
    }  # fmt: skip


def test_a_conversation_keeps_its_order_and_parts() -> None:
    request: TextRequest = {
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "file", "media_type": "image/png", "data": b"\x89PNG"},
                {"type": "file", "media_type": "image/png", "url": "https://example.org/a.png"},
                {"type": "file", "media_type": "application/pdf", "data": "JVBERg==", "filename": "a.pdf"},
            ]},
            {"role": "assistant", "content": [
                {"type": "reasoning", "text": "hm"},
                {"type": "text", "text": "Let me look."},
                {"type": "tool-call", "tool_call_id": "c1", "tool_name": "look", "input": {"x": 1}},
            ]},
            {"role": "tool", "content": [{"type": "tool-result", "tool_call_id": "c1", "tool_name": "t", "output": {"a": 1}}]},
        ],
    }  # fmt: skip
    assert chat.messages(request) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
        ]},
        {"role": "assistant", "content": "Let me look.", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": '{"a": 1}'},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("role", "part"),
    [
        ("system", {"type": "file", "media_type": "image/png", "data": "AA=="}),
        ("user", {"type": "tool-call", "tool_call_id": "c", "tool_name": "t", "input": {}}),
        ("user", {"type": "file", "media_type": "image/png"}),
        ("user", {"type": "file", "media_type": "image/png", "data": "AA==", "url": "https://example.org/"}),
        ("user", {"type": "file", "media_type": "application/pdf", "url": "https://example.org/"}),
        ("assistant", {"type": "tool-result", "tool_call_id": "c", "tool_name": "t", "output": "x"}),
        ("tool", {"type": "text", "text": "x"}),
    ],
)
def test_a_part_in_the_wrong_place_is_refused(role: Any, part: Any) -> None:
    with pytest.raises(InvalidRequest, match="messages"):
        chat.messages({"messages": [{"role": role, "content": [part]}]})


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        ({"type": "array", "items": CLOSED}, True),
        ({"type": "string"}, True),
        ({**CLOSED, "additionalProperties": True}, False),
        ({**CLOSED, "required": []}, False),
        ({"type": "object"}, False),
        ({"type": "array", "items": {"type": "object"}}, False),
        ({"$defs": {"x": {"type": "object"}}, "anyOf": [CLOSED]}, False),
    ],
)
def test_a_schema_is_strict_when_openai_would_take_it_as_such(schema: Any, strict: bool) -> None:
    assert chat.is_strict(schema) is strict


@pytest.mark.parametrize(
    "payload",
    [{}, {"choices": []}, {"choices": [{}]}, {"choices": "x"}, {"choices": [{"message": {"content": 7}}]},
     {"choices": [{"message": {"content": "", "tool_calls": [{"id": "c"}]}}]}, {"choices": [{"message": []}]}],
)  # fmt: skip
def test_what_is_no_completion_is_refused(payload: Any) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        chat.text_result(payload)


@pytest.mark.parametrize(
    "payload", [{"choices": [7]}, {"choices": 7}, {"choices": [{"delta": {"content": ["x"]}}]}, {"choices": [{"delta": 5}]}]
)
def test_what_is_no_chunk_is_refused(payload: Any) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        chat.chunk(payload)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"data": []},
        {"data": [{"embedding": "x"}]},
        {"data": [{"embedding": [None]}]},
        {"data": [{"index": 5, "embedding": [1]}]},
    ],
)
def test_what_is_no_embedding_is_refused(payload: Any) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        chat.embeddings(payload, 1)


def test_embeddings_are_put_in_the_order_of_their_inputs() -> None:
    payload = {"data": [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1]}], "usage": {"prompt_tokens": 4}}
    result = chat.embeddings(payload, 2)
    assert (result.embeddings, result.usage.tokens) == ([[1.0], [2.0]], 4)


def test_usage_tells_what_was_told() -> None:
    told = chat.usage(
        {
            "prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130,
            "prompt_tokens_details": {"cached_tokens": 60}, "completion_tokens_details": {"reasoning_tokens": 20},
        }
    )  # fmt: skip
    assert told.input_token_details == InputTokenDetails(no_cache=40, cache_read=60, cache_write=None)
    assert told.output_token_details == OutputTokenDetails(text=10, reasoning=20)


@pytest.mark.parametrize("count", [None, -1, "5", 1.5, True, 10**18, float("nan"), [], {}])
def test_a_count_that_cannot_be_is_unknown(count: Any) -> None:
    assert chat.usage({"prompt_tokens": count}).input_tokens is None


@pytest.mark.parametrize(
    ("text", "expected"), [("a\ud800b", "a\ufffdb"), ("a\0b", "a\ufffdb"), ("\ud83d\ude00", "😀"), ("grüße", "grüße")]
)
def test_text_can_be_stored_and_sent(text: str, expected: str) -> None:
    assert chat.clean(text) == expected
