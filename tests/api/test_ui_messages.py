from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote_from_bytes

import pytest

from ai_models.api.ui_messages import to_request
from ai_models.exceptions import InvalidRequest
from ai_models.serialization import validate
from ai_models.types import TextRequest
from tests.samples import PNG


def messages(*sent: dict[str, Any]) -> Any:
    """The messages as the service gets them, validated."""
    return validate(TextRequest, to_request({"messages": list(sent)}), json_names=True)["messages"]


def test_what_use_completion_sends_is_an_ordinary_request() -> None:
    assert to_request({"id": "a1", "prompt": "Hello", "model": "fast"}) == {"prompt": "Hello", "model": "fast"}


def test_what_use_chat_sends_becomes_messages() -> None:
    body = {
        "id": "chat-1",
        "trigger": "submit-message",
        "messageId": "m3",
        "messages": [
            {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]},
            {
                "id": "m2",
                "role": "assistant",
                "metadata": {"model": "x"},
                "parts": [
                    {"type": "step-start"},
                    {"type": "reasoning", "text": "A greeting.", "state": "done"},
                    {"type": "text", "text": "Hi.", "state": "done"},
                    {"type": "source-url", "sourceId": "s", "url": "https://example.org"},
                    {"type": "data-weather", "data": {}},
                ],
            },
            {"id": "m3", "role": "user", "parts": [{"type": "text", "text": "Bye"}]},
        ],
    }
    request = validate(TextRequest, to_request(body), json_names=True)
    assert request == {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
            {"role": "assistant", "content": [{"type": "reasoning", "text": "A greeting."}, {"type": "text", "text": "Hi."}]},
            {"role": "user", "content": [{"type": "text", "text": "Bye"}]},
        ]
    }


def test_what_a_vendor_wants_back_with_its_reasoning_is_kept() -> None:
    metadata = {"anthropic": {"signature": "c2ln", "redactedData": "aGlkZGVu"}}
    part = {"type": "reasoning", "text": "", "state": "done", "providerMetadata": metadata}
    (message,) = messages({"id": "m", "role": "assistant", "parts": [part]})
    assert message["content"] == [{"type": "reasoning", "text": "", "provider_metadata": metadata}]


def test_messages_in_the_services_own_form_pass_unchanged() -> None:
    assert messages({"role": "user", "content": "Hello"}) == [{"role": "user", "content": "Hello"}]


def test_a_system_message_becomes_one_text() -> None:
    turned = messages({"role": "system", "parts": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]})
    assert turned == [{"role": "system", "content": "Be brief."}]


@pytest.mark.parametrize(
    ("url", "part"),
    [
        (f"data:image/png;base64,{base64.b64encode(PNG).decode()}", {"data": PNG}),
        ("data:image/png," + quote_from_bytes(PNG), {"data": PNG}),
        ("https://example.org/a.png", {"url": "https://example.org/a.png"}),
    ],
)
def test_a_file_is_taken_from_its_data_url_or_left_to_the_provider(url: str, part: dict[str, Any]) -> None:
    file = {"type": "file", "mediaType": "image/png", "filename": "a.png", "url": url}
    turned = messages({"role": "user", "parts": [file]})
    assert turned[0]["content"] == [{"type": "file", "media_type": "image/png", "filename": "a.png", **part}]


def test_tool_calls_and_their_results_become_turns_in_order() -> None:
    call = {"toolCallId": "c1", "input": {"city": "Oslo"}}
    turned = messages(
        {
            "role": "assistant",
            "parts": [
                {"type": "step-start"},
                {"type": "tool-weather", **call, "state": "output-available", "output": "rain"},
                {
                    "type": "dynamic-tool",
                    "toolName": "map",
                    "toolCallId": "c2",
                    "input": {},
                    "state": "output-error",
                    "errorText": "no map",
                },
                {"type": "tool-later", "toolCallId": "c3", "state": "input-streaming"},
                {"type": "step-start"},
                {"type": "text", "text": "It rains."},
            ],
        }
    )
    assert turned == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool-call", "tool_call_id": "c1", "tool_name": "weather", "input": {"city": "Oslo"}},
                {"type": "tool-call", "tool_call_id": "c2", "tool_name": "map", "input": {}},
            ],
        },
        {
            "role": "tool",
            "content": [
                {"type": "tool-result", "tool_call_id": "c1", "tool_name": "weather", "output": "rain"},
                {"type": "tool-result", "tool_call_id": "c2", "tool_name": "map", "output": {"error": "no map"}},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "It rains."}]},
    ]


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ("text", "messages.0.parts"),
        (["text"], "messages.0.parts"),
        ([{"text": "no type"}], "messages.0.parts"),
        ([{"type": "text", "text": "a"}, {"type": "hologram"}], "messages.0.parts.1.type"),
        ([{"type": "file", "mediaType": "image/png"}], "messages.0.parts.0.url"),
        ([{"type": "file", "mediaType": "image/png", "url": "data:image/png"}], "messages.0.parts.0.url"),
        ([{"type": "text"}], "messages.0.content"),
        ([{"type": "file", "mediaType": "image/png", "url": "ftp://example.org/a"}], "messages.0.content"),
    ],
)
def test_what_cannot_be_understood_is_named(parts: Any, path: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        messages({"role": "user", "parts": parts})
    assert path in caught.value.message
