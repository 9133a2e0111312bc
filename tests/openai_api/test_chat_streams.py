"""Chat completions in chunks, over a real connection."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from ai_models.exceptions import UpstreamError, UpstreamRateLimited
from ai_models.types import Chunk, ToolCallDelta
from tests.api.conftest import LiveServer, MakeUser
from tests.api.scripted import CANARY, WORDS, Scripted
from tests.openai_api.actor import CALLS, DONE, REASONED, Actor
from tests.openai_api.conftest import Facade, chunks, error_of, stream
from tests.openai_api.test_chat import AGE, WEATHER


def deltas(server: LiveServer, user: User, **fields: Any) -> list[Any]:
    """The deltas of a stream that ends well."""
    response = stream(server, user, **fields)
    assert response.status_code == 200, response.text
    *told, done = chunks(response.text)
    assert done == "[DONE]"
    return [chunk["choices"][0]["delta"] for chunk in told]


def content(server: LiveServer, user: User, **fields: Any) -> str:
    return "".join(delta.get("content") or "" for delta in deltas(server, user, **fields))


def test_a_stream_has_exactly_openais_shape(server: LiveServer, user: User) -> None:
    response = stream(server, user)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-request-id"]
    assert "x-vercel-ai-ui-message-stream" not in response.headers
    *told, done = chunks(response.text)
    assert done == "[DONE]"
    identity, created = told[0]["id"], told[0]["created"]
    assert identity.startswith("chatcmpl-")
    assert told == [
        {
            "id": identity,
            "object": "chat.completion.chunk",
            "created": created,
            "model": "stage/lead",
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}],
        }
        for delta, reason in (
            ({"role": "assistant", "content": "", "refusal": None}, None),
            ({"content": "Hello "}, None),
            ({"content": "you"}, None),
            ({}, "stop"),
        )
    ]


def test_usage_comes_in_a_chunk_of_its_own_when_it_is_asked_for(server: LiveServer, user: User) -> None:
    *told, last, done = chunks(stream(server, user, stream_options={"include_usage": True}).text)
    assert done == "[DONE]"
    assert [chunk["usage"] for chunk in told] == [None] * 4
    assert last["choices"] == []
    assert last["object"] == "chat.completion.chunk"
    assert last["usage"]["total_tokens"] == 18
    assert last["usage"]["completion_tokens_details"] == {"reasoning_tokens": 3}


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_usage": None}])
def test_usage_does_not_come_unasked(server: LiveServer, user: User, options: Any) -> None:
    assert "usage" not in stream(server, user, stream_options=options).text


def test_unknown_usage_is_null(server: LiveServer, user: User) -> None:
    Actor.script = [Chunk(text="a"), Chunk(finish_reason="stop")]
    *_, last, _ = chunks(stream(server, user, stream_options={"include_usage": True}).text)
    assert last["usage"] is None


def test_text_arrives_as_it_was_said(server: LiveServer, user: User) -> None:
    assert content(server, user, model="main/echoes") == "".join(WORDS)


def test_an_empty_answer_is_one(server: LiveServer, user: User) -> None:
    Actor.script = [Chunk(finish_reason="content-filter")]
    first, last, done = chunks(stream(server, user).text)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert last["choices"][0]["finish_reason"] == "content_filter"
    assert done == "[DONE]"


def test_tool_calls_are_told_in_pieces(server: LiveServer, user: User) -> None:
    Actor.script = CALLS
    told = deltas(server, user, tools=[WEATHER])
    function = {"name": "weather", "arguments": ""}
    assert told == [
        {"role": "assistant", "content": None, "refusal": None},
        {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ' "Oslo"}'}}]},
        {"tool_calls": [{"index": 1, "id": "call_2", "type": "function", "function": {"name": "now", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]
    *_, last, _ = chunks(stream(server, user).text)
    assert last["choices"][0]["finish_reason"] == "tool_calls"


def test_reasoning_is_told_in_pieces_and_then_as_its_vendor_wants_it_back(server: LiveServer, user: User) -> None:
    Actor.script = REASONED
    role, first, second, block, text, _ = deltas(server, user)
    assert role == {"role": "assistant", "content": None, "refusal": None}
    assert (first, second) == ({"reasoning_content": "Let me "}, {"reasoning_content": "see."})
    assert block["thinking_blocks"][0]["thinking"] == "Let me see."
    assert text == {"content": "Yes"}


def test_warnings_stand_in_the_last_chunk(server: LiveServer, user: User) -> None:
    told = chunks(stream(server, user, model="stage/endless", max_tokens=5, reasoning_effort="max").text)[:-1]
    assert [("warnings" in chunk) for chunk in told] == [False, False, False, True]
    warnings = told[-1]["warnings"]
    assert [warning["setting"] for warning in warnings] == ["reasoning_effort", "max_tokens"]


def test_a_finish_reason_that_openai_does_not_have_is_warned_of(server: LiveServer, user: User) -> None:
    Actor.script = [Chunk(text="a"), Chunk(finish_reason="other")]
    last = chunks(stream(server, user).text)[-2]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["warnings"][0]["type"] == "other"


# --- objects ----------------------------------------------------------------------------------------------------------


def test_an_object_is_streamed_as_text(server: LiveServer, user: User) -> None:
    Actor.script = [Chunk(text='{"age"'), Chunk(text=": 36"), Chunk(text="}"), DONE]
    told = deltas(server, user, response_format=AGE)
    assert [delta["content"] for delta in told[1:-1]] == ['{"age"', ": 36", "}"]
    assert Actor.requests[0]["schema_name"] == "person"


@pytest.mark.parametrize("pieces", [['```json\n{"age"', ": 36}\n```"], ["\n", "`", '``\n{"age": 36', "}", "\n```\n"]])
def test_a_fence_around_an_object_is_left_out(server: LiveServer, user: User, pieces: list[str]) -> None:
    Actor.script = [*(Chunk(text=piece) for piece in pieces), DONE]
    assert content(server, user, response_format=AGE).strip() == '{"age":36}'


def test_backticks_in_plain_text_stay(server: LiveServer, user: User) -> None:
    Actor.script = [Chunk(text="```\n1\n```"), DONE]
    assert content(server, user) == "```\n1\n```"


def test_tools_and_an_object_go_together(server: LiveServer, user: User) -> None:
    Actor.script = [Chunk(text="`hm` "), *CALLS]
    told = deltas(server, user, response_format=AGE, tools=[WEATHER])
    assert sum("tool_calls" in delta for delta in told) == 5
    assert "".join(delta.get("content") or "" for delta in told) == "`hm` "


def test_an_object_that_breaks_the_schema_ends_in_an_error(server: LiveServer, user: User) -> None:
    Actor.script = [Chunk(text='{"age": "old"}'), DONE]
    told = chunks(stream(server, user, response_format=AGE).text)
    assert told[-1]["error"]["code"] == "no_object_generated"
    assert told[-2]["choices"][0]["finish_reason"] is None


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"colour": "red"}, 400, "invalid_request", "colour"),
        ({"stop": ["a"] * 65}, 400, "invalid_request", "stop"),
        ({"temperature": 3}, 400, "invalid_request", "temperature"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": 5}}}}, 400,
         "invalid_request", "response_format"),
        ({"model": "main/limited"}, 429, "upstream_rate_limited", None),
        ({"model": "main/fails"}, 502, "upstream_error", None),
        ({"model": "main/breaks"}, 500, "internal", None),
    ],
)  # fmt: skip
def test_a_failure_before_the_first_chunk_is_an_ordinary_error(
    server: LiveServer, user: User, fields: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    response = stream(server, user, **fields)
    error = error_of(response)
    assert (response.status_code, error["code"], error["param"]) == (status, code, param)
    assert CANARY not in response.text


def test_a_limit_tells_when_to_come_back(server: LiveServer, user: User) -> None:
    response = stream(server, user, model="main/limited")
    assert response.headers["retry-after"] == "7"
    assert response.headers["x-should-retry"] == "true"
    assert error_of(response)["retryAfter"] == 6.2


def test_a_stranger_gets_an_ordinary_error(server: LiveServer, make_user: MakeUser) -> None:
    response = stream(server, make_user("eve"))
    assert (response.status_code, error_of(response)["code"]) == (403, "permission_denied")
    assert not Actor.requests


@pytest.mark.parametrize(
    ("failure", "code", "kind"),
    [
        (UpstreamError("The provider answered with an error."), "upstream_error", "server_error"),
        (UpstreamRateLimited("Too much.", retry_after=3.0), "upstream_rate_limited", "rate_limit_error"),
    ],
)
def test_a_failure_in_mid_stream_is_the_last_line(
    server: LiveServer, user: User, failure: UpstreamError, code: str, kind: str
) -> None:
    Actor.script = [Chunk(text="Hello"), failure]
    response = stream(server, user)
    assert response.status_code == 200
    *told, last = chunks(response.text)
    assert told[1]["choices"][0]["delta"] == {"content": "Hello"}
    assert last.keys() == {"error"}
    assert (last["error"]["code"], last["error"]["type"], last["error"]["message"]) == (code, kind, failure.message)
    assert last["error"]["requestId"] == response.headers["x-request-id"]
    assert "[DONE]" not in response.text


def test_a_fault_in_mid_stream_tells_nothing_of_itself(server: LiveServer, user: User) -> None:
    text = stream(server, user, model="main/breaks-later").text
    assert chunks(text)[-1]["error"]["code"] == "internal"
    assert CANARY not in text
    assert "[DONE]" not in text


def test_a_call_of_a_tool_that_is_cut_off_is_an_error(server: LiveServer, user: User) -> None:
    Actor.script = [Chunk(tool_calls=(ToolCallDelta(index=0, id="c", name="f", arguments='{"a'),)), UpstreamError("Cut.")]
    assert chunks(stream(server, user).text)[-1]["error"]["message"] == "Cut."


def test_a_stream_is_refused_under_wsgi(facade: Facade) -> None:
    response = facade.chat(stream=True)
    assert (response.status_code, error_of(response)["code"]) == (422, "unsupported_functionality")
    assert not Actor.requests


def test_the_default_providers_models_stream_by_their_own_names(server: LiveServer, user: User) -> None:
    assert chunks(stream(server, user, model="echoes").text)[0]["model"] == "echoes"
    assert Scripted.requests
