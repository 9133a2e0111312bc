from __future__ import annotations

from typing import Any

import pytest

from ai_models.exceptions import InvalidRequest
from ai_models.transports import chat_requests
from ai_models.types import TEXT_SETTINGS, TextRequest

CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def test_every_setting_has_a_wire_name() -> None:
    request: Any = {
        "max_output_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 4, "presence_penalty": 0.1, "frequency_penalty": 0.2,
        "stop_sequences": ["END"], "seed": 3, "reasoning": "low",
        "tools": [{"name": "look", "description": "Look.", "input_schema": CLOSED}],
        "tool_choice": {"type": "tool", "tool_name": "look"},
    }  # fmt: skip
    assert request.keys() == TEXT_SETTINGS
    assert chat_requests.settings(request) == {
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
                {"type": "file", "media_type": "application/pdf", "data": b"%PDF", "filename": "a.pdf"},
            ]},
            {"role": "assistant", "content": [
                {"type": "reasoning", "text": "hm"},
                {"type": "text", "text": "Let me look."},
                {"type": "tool-call", "tool_call_id": "c1", "tool_name": "look", "input": {"x": 1}},
            ]},
            {"role": "tool", "content": [{"type": "tool-result", "tool_call_id": "c1", "tool_name": "t", "output": {"a": 1}}]},
        ],
    }  # fmt: skip
    assert chat_requests.messages(request) == [
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
        ("system", {"type": "file", "media_type": "image/png", "data": b"a"}),
        ("user", {"type": "tool-call", "tool_call_id": "c", "tool_name": "t", "input": {}}),
        ("user", {"type": "file", "url": "https://example.org/"}),
        ("assistant", {"type": "tool-result", "tool_call_id": "c", "tool_name": "t", "output": "x"}),
        ("tool", {"type": "text", "text": "x"}),
    ],
)
def test_a_part_in_the_wrong_place_is_refused(role: Any, part: Any) -> None:
    with pytest.raises(InvalidRequest, match="messages"):
        chat_requests.messages({"messages": [{"role": role, "content": [part]}]})


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
    assert chat_requests.is_strict(schema) is strict
