"""OpenAI's chat format in the service's words: what is not asked for in the runtimes' own tests."""

from __future__ import annotations

from typing import Any

import pytest

from ai_models.exceptions import InvalidRequest
from ai_models.integrations import chat

IMAGE = {"type": "image_url", "image_url": "https://example.com/cat.png"}


def test_files_keep_what_is_told_about_them() -> None:
    parts = [
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QQ==", "filename": "a.pdf"}},
        {"type": "input_audio", "input_audio": {"format": "wav", "data": "QQ=="}},
        IMAGE,
        {"type": "image_url", "image_url": {"url": "https://example.com/cat?size=2"}},
    ]
    assert chat.messages([{"role": "user", "content": parts}])[0]["content"] == [
        {"type": "file", "data": "data:application/pdf;base64,QQ==", "media_type": "application/pdf", "filename": "a.pdf"},
        {"type": "file", "data": "data:audio/wav;base64,QQ==", "media_type": "audio/wav"},
        {"type": "file", "url": "https://example.com/cat.png", "media_type": "image/png"},
        {"type": "file", "url": "https://example.com/cat?size=2", "media_type": "image/*"},
    ]


def test_a_tool_s_result_gets_the_name_of_its_call() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{at"}}
    turns: list[dict[str, Any]] = [
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ]
    system, asked, told = chat.messages(turns)
    assert system == {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}
    assert asked["content"] == [{"type": "tool-call", "tool_call_id": "call_1", "tool_name": "look", "input": "{at"}]
    assert told["content"] == [{"type": "tool-result", "tool_call_id": "call_1", "tool_name": "look", "output": "a\nb"}]


def test_reasoning_and_refusals_of_the_model_go_back_to_it() -> None:
    said = [{"type": "text", "text": "It is "}, {"type": "refusal", "refusal": "secret."}]
    wanted_back = [chat.thinking_block("Signed.", {"vendor": {"signature": "s"}})]
    turns: list[dict[str, Any]] = [
        {"role": "assistant", "content": said, "reasoning_content": "Hm."},
        {"role": "assistant", "content": "a", "reasoning_content": "Signed.", "thinking_blocks": wanted_back},
    ]
    first, second = chat.messages(turns)
    assert first["content"] == [
        {"type": "reasoning", "text": "Hm."},
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "secret."},
    ]
    assert second["content"][0] == {
        "type": "reasoning",
        "text": "Signed.",
        "provider_metadata": {"vendor": {"signature": "s"}},
    }


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "user", "content": [{"type": "video"}]},
        {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]},
        {"role": "assistant", "content": [IMAGE]},
        {"role": "tool", "tool_call_id": "call_1", "content": [IMAGE]},
        {"role": "critic", "content": "Meh."},
    ],
)
def test_what_no_model_is_sent_is_refused(turn: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="messages"):
        chat.messages([turn])


def test_tools_that_a_provider_runs_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="web_search"):
        chat.tools([{"type": "web_search"}])


def test_a_tool_without_parameters_takes_an_empty_object() -> None:
    assert chat.tools([{"type": "function", "function": {"name": "look"}}]) == [
        {"name": "look", "input_schema": {"type": "object", "properties": {}}}
    ]


def test_choices() -> None:
    assert [chat.tool_choice(choice) for choice in ("any", True, False, "none")] == ["required", "required", "none", "none"]
    named = [chat.tool_choice({"type": "function", "function": {"name": name}}) for name in ("any", "auto")]
    assert named == [{"type": "tool", "tool_name": "any"}, {"type": "tool", "tool_name": "auto"}]
