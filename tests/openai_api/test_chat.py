"""Chat completions as one answer: what is asked of the service, and what comes back, on the wire."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from pytest_django import Settings

from ai_models.models import ProviderInstance
from ai_models.types import Chunk, InputTokenDetails, ToolCallDelta, Usage
from tests import samples
from tests.api.scripted import Scripted
from tests.openai_api.actor import CALLS, DONE, REASONED, Actor
from tests.openai_api.conftest import HELLO, Facade, error_of

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"], "additionalProperties": False}
AGE = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells it.", "parameters": {"type": "object", "properties": {}}},
}
PNG_URL = f"data:image/png;base64,{base64.b64encode(samples.PNG).decode()}"


def answer(facade: Facade, **fields: Any) -> Any:
    response = facade.chat(**fields)
    assert response.status_code == 200, response.content
    return response.json()


def asked(facade: Facade, **fields: Any) -> Any:
    """What the family was asked for."""
    answer(facade, **fields)
    return Actor.requests[-1]


def refused(facade: Facade, **fields: Any) -> tuple[str, str]:
    """The field that a request is refused for, and the message."""
    response = facade.chat(**fields)
    error = error_of(response)
    assert (response.status_code, error["code"], error["type"]) == (400, "invalid_request", "invalid_request_error")
    assert not Actor.requests
    return error["param"], error["message"]


# --- the answer -------------------------------------------------------------------------------------------------------


def test_an_answer_has_exactly_openais_shape(facade: Facade) -> None:
    response = facade.chat()
    assert response["Content-Type"] == "application/json"
    assert response["X-Request-ID"]
    completion = response.json()
    assert completion.pop("id").startswith("chatcmpl-")
    assert abs(completion.pop("created") - time.time()) < 60
    assert completion == {
        "object": "chat.completion",
        "model": "stage/lead",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello you", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 11,
            "completion_tokens": 7,
            "total_tokens": 18,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    }


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        (None, None),
        (Usage(output_tokens=0), {"prompt_tokens": None, "completion_tokens": 0, "total_tokens": None}),
        (
            Usage(input_tokens=1, output_tokens=2, total_tokens=3, input_token_details=InputTokenDetails(cache_read=0)),
            {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "prompt_tokens_details": {"cached_tokens": 0}},
        ),
    ],
)
def test_an_unknown_figure_is_never_nought(facade: Facade, usage: Usage | None, told: Any) -> None:
    Actor.script = [Chunk(text="a"), Chunk(finish_reason="stop", usage=usage)]
    assert answer(facade)["usage"] == told


@pytest.mark.parametrize(
    ("reason", "told"),
    [("stop", "stop"), ("length", "length"), ("content-filter", "content_filter"), ("tool-calls", "tool_calls")],
)
def test_finish_reasons_have_openais_names(facade: Facade, reason: Any, told: str) -> None:
    Actor.script = [Chunk(finish_reason=reason)]
    completion = answer(facade)
    assert completion["choices"][0]["finish_reason"] == told
    assert "warnings" not in completion


@pytest.mark.parametrize("reason", ["other", "error"])
def test_a_finish_reason_that_openai_does_not_have_is_warned_of(facade: Facade, reason: Any) -> None:
    Actor.script = [Chunk(text="a"), Chunk(finish_reason=reason)]
    completion = answer(facade)
    assert completion["choices"][0]["finish_reason"] == "stop"
    assert [(warning["type"], warning["setting"]) for warning in completion["warnings"]] == [("other", None)]
    assert "finish_reason" in completion["warnings"][0]["message"]


def test_reasoning_is_told_and_goes_back_as_it_came(facade: Facade) -> None:
    Actor.script = REASONED
    message = answer(facade)["choices"][0]["message"]
    assert message["content"] == "Yes"
    assert message["reasoning_content"] == "Let me see."
    (block,) = message["thinking_blocks"]
    assert (block["type"], block["thinking"]) == ("thinking", "Let me see.")
    sent = asked(facade, messages=[*HELLO, message, *HELLO])["messages"][1]["content"]
    assert sent == [
        {"type": "reasoning", "text": "Let me see.", "provider_metadata": {"actor": {"signature": "s1"}}},
        {"type": "text", "text": "Yes"},
    ]


# --- settings ---------------------------------------------------------------------------------------------------------


def test_settings_reach_the_service_under_its_names(facade: Facade) -> None:
    request = asked(
        facade,
        max_completion_tokens=9,
        temperature=0.5,
        top_p=1,
        top_k=4,
        presence_penalty=-1,
        frequency_penalty=1.5,
        stop=["a", "b"],
        reasoning_effort="low",
        provider_options={"actor": {"mood": "gay"}, "others": {"x": 1}},
    )
    assert {name: request[name] for name in request if name not in {"messages", "model", "provider"}} == {
        "max_output_tokens": 9,
        "temperature": 0.5,
        "top_p": 1.0,
        "top_k": 4,
        "presence_penalty": -1.0,
        "frequency_penalty": 1.5,
        "stop_sequences": ["a", "b"],
        "reasoning": "low",
        "provider_options": {"actor": {"mood": "gay"}, "others": {"x": 1}},
    }


def test_older_names_and_single_values_are_understood(facade: Facade) -> None:
    request = asked(facade, max_tokens=9, stop="a")
    assert (request["max_output_tokens"], request["stop_sequences"]) == (9, ["a"])


@pytest.mark.parametrize("level", ["xhigh", "max"])
def test_more_effort_than_there_is_becomes_the_most_with_a_warning(facade: Facade, level: str) -> None:
    completion = answer(facade, reasoning_effort=level)
    assert Actor.requests[0]["reasoning"] == "high"
    (warning,) = completion["warnings"]
    assert (warning["type"], warning["setting"]) == ("compatibility", "reasoning_effort")


NULLABLE = (
    "stream", "stream_options", "response_format", "tools", "tool_choice", "max_tokens", "max_completion_tokens", "temperature",
    "top_p", "presence_penalty", "frequency_penalty", "seed", "stop", "reasoning_effort", "logit_bias", "parallel_tool_calls",
    "service_tier", "verbosity", "metadata", "user", "audio", "function_call", "functions", "logprobs", "modalities", "n",
    "prediction", "store", "top_logprobs", "web_search_options", "colour",
)  # fmt: skip


def test_null_counts_as_absent_everywhere(facade: Facade) -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "a", "prompt_cache_breakpoint": None}], "name": None}
    said = {"role": "assistant", "content": None, "tool_calls": None, "refusal": "No.", "audio": None, "function_call": None}
    tool = {"type": "function", "function": {"name": "f", "description": None, "parameters": {"default": None}, "strict": None}}
    completion = answer(facade, **{**dict.fromkeys(NULLABLE), "messages": [message, said, message], "tools": [tool]})
    assert "warnings" not in completion
    assert Actor.requests[0]["tools"] == [{"name": "f", "input_schema": {"default": None}}]
    assert Actor.requests[0]["messages"][1]["content"] == [{"type": "text", "text": "No."}]


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "ada", "metadata": {"a": "b"}, "safety_identifier": "x", "store": False},
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "prompt_cache_options": {"ttl": "30m"}},
        {"n": 1, "logprobs": False, "top_logprobs": 0, "modalities": ["text"], "stream": False},
        {"stream_options": {"include_usage": True, "include_obfuscation": False}, "response_format": {"type": "text"}},
        {"tools": [], "stop": [], "logit_bias": {}, "parallel_tool_calls": True, "service_tier": "auto", "verbosity": "medium"},
    ],
)
def test_what_asks_for_nothing_changes_nothing(facade: Facade, fields: dict[str, Any]) -> None:
    assert "warnings" not in answer(facade, **fields)
    assert Actor.requests[0].keys() == {"model", "provider", "messages"}


def test_vendor_settings_go_to_a_family_that_has_them(facade: Facade) -> None:
    request = asked(
        facade,
        logit_bias={"50256": -100},
        parallel_tool_calls=False,
        service_tier="flex",
        verbosity="low",
        provider_options={"actor": {"mood": "gay"}},
    )
    assert isinstance(request["provider_options"]["actor"]["logit_bias"]["50256"], int)
    assert request["provider_options"] == {
        "actor": {
            "mood": "gay",
            "logit_bias": {"50256": -100},
            "parallel_tool_calls": False,
            "service_tier": "flex",
            "verbosity": "low",
        }
    }


def test_vendor_settings_are_reported_where_the_family_lacks_them(facade: Facade) -> None:
    completion = answer(facade, model="main/echoes", logit_bias={"1": 1}, verbosity="low")
    assert completion["warnings"] == [
        {"type": "unsupported", "setting": name, "message": f"The model does not support {name}; it was left out."}
        for name in ("logit_bias", "verbosity")
    ]
    assert Scripted.requests[0]["provider_options"] == {"scripted": {}}


def test_vendor_settings_are_refused_there_when_the_app_is_strict(facade: Facade, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "ON_UNSUPPORTED": "error"}
    response = facade.chat(model="main/echoes", logit_bias={"1": 1})
    error = error_of(response)
    assert (response.status_code, error["code"]) == (422, "unsupported_functionality")
    assert "logit_bias" in error["message"]
    assert not Scripted.requests


def test_warnings_of_the_service_have_openais_names(facade: Facade) -> None:
    assert answer(facade, model="stage/endless", max_tokens=5, seed=7)["warnings"] == [
        {"type": "unsupported", "setting": name, "message": f"The model does not support {name}; it was left out."}
        for name in ("max_tokens", "seed")
    ]


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({"colour": "red"}, "colour", "this field does not exist"),
        ({"headers": {"x": "y"}}, "headers", "this field does not exist"),
        ({"n": 2}, "n", "send several requests"),
        ({"logprobs": True}, "logprobs", "not told"),
        ({"top_logprobs": 2}, "top_logprobs", "not told"),
        ({"audio": {"voice": "alloy", "format": "mp3"}}, "audio", "audio/speech"),
        ({"modalities": ["text", "audio"]}, "modalities", "audio/speech"),
        ({"functions": []}, "functions", "send tools"),
        ({"function_call": "auto"}, "function_call", "send tool_choice"),
        ({"web_search_options": {}}, "web_search_options", "tool of your own"),
        ({"prediction": {"type": "content", "content": "a"}}, "prediction", "not passed on"),
        ({"moderation": {"model": "m"}}, "moderation", "nothing is moderated"),
        ({"store": True}, "store", "nothing is stored"),
        ({"temperature": 2.5}, "temperature", "less than or equal to 2"),
        ({"temperature": "hot"}, "temperature", "number"),
        ({"top_p": -1}, "top_p", "greater than or equal to 0"),
        ({"max_tokens": 0}, "max_tokens", "greater than 0"),
        ({"max_completion_tokens": 0}, "max_completion_tokens", "greater than 0"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens", "send one of them"),
        ({"stop": ["a"] * 65}, "stop", "at most 64"),
        ({"reasoning_effort": "endless"}, "reasoning_effort", "'none', 'minimal', 'low'"),
        ({"stream": "yes"}, "stream", "boolean"),
        ({"stream_options": {"colour": 1}}, "stream_options.colour", "this field does not exist"),
        ({"logit_bias": [1]}, "logit_bias", "dictionary"),
        ({"messages": []}, "messages", "at least 1 item"),
        ({"messages": "Hello"}, "messages", "list"),
        ({"messages": [{"role": "critic", "content": "Meh"}]}, "messages[0]", "system, developer, user, assistant, tool"),
        ({"messages": [{"content": "Meh"}]}, "messages[0]", "role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "required"),
        ({"messages": [*HELLO, {"role": "user", "content": 5}]}, "messages[1].content", "string"),
        ({"messages": [{"role": "user", "content": "a", "x": 1}]}, "messages[0].x", "does not exist"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0].tool_call_id", "required"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "function"),
        ({"tools": [{"type": "function", "function": {"name": "no spaces"}}]}, "tools[0].name", "pattern"),
        ({"tool_choice": "perhaps"}, "tool_choice", "'auto', 'none' or 'required'"),
        ({"response_format": {"type": "xml"}}, "response_format", "text, json_object, json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
            "response_format.json_schema.schema",
            "req",
        ),
        ({"provider_options": {"actor": 5}}, "provider_options.actor", "dictionary"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_honoured_is_refused_by_its_field(facade: Facade, fields: dict[str, Any], param: str, told: str) -> None:
    named, message = refused(facade, **fields)
    assert named == param
    assert message.startswith(f"{param}: ")
    assert told in message


def test_a_refusal_repeats_nothing_of_what_was_sent(facade: Facade) -> None:
    secret = "s3cret-4711"
    fields = {"temperature": secret, "tool_choice": secret, "verbosity": [secret], "response_format": {"type": secret}}
    _, message = refused(facade, **fields, messages=[{"role": secret}, {"role": "user", "content": [{"type": secret}]}])
    assert secret not in message
    assert message.count("; ") >= 5


def test_a_vendor_setting_that_the_family_refuses_is_named(facade: Facade) -> None:
    response = facade.chat(provider_options={"actor": {"api_base": "http://example.com"}})
    assert response.status_code == 400
    assert error_of(response)["param"] == "provider_options.actor"


# --- the conversation -------------------------------------------------------------------------------------------------


def test_every_role_is_understood(facade: Facade) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    request = asked(
        facade,
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "I look.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "Rain"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "It "}, {"type": "refusal", "refusal": "No."}]},
            {"role": "assistant", "content": "Rain.", "reasoning_content": "Hm."},
        ],
    )
    assert request["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "Hello"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look."},
                {"type": "tool-call", "tool_call_id": "call_1", "tool_name": "weather", "input": {"city": "Oslo"}},
            ],
        },
        {
            "role": "tool",
            "content": [{"type": "tool-result", "tool_call_id": "call_1", "tool_name": "weather", "output": "Rain"}],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "It "}, {"type": "text", "text": "No."}]},
        {"role": "assistant", "content": [{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": "Rain."}]},
    ]


def test_files_are_understood(facade: Facade) -> None:
    wav, pdf = (base64.b64encode(data).decode() for data in (samples.WAV, samples.PDF))
    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "auto"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.jpg"}},
        {"type": "input_audio", "input_audio": {"data": wav, "format": "wav"}},
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{pdf}", "filename": "a.pdf"}},
    ]
    request = asked(facade, messages=[{"role": "user", "content": parts}])
    assert request["messages"][0]["content"] == [
        {"type": "text", "text": "Look:"},
        {"type": "file", "data": samples.PNG, "media_type": "image/png"},
        {"type": "file", "url": "https://example.com/cat.jpg", "media_type": "image/jpeg"},
        {"type": "file", "data": samples.WAV, "media_type": "audio/wav"},
        {"type": "file", "data": samples.PDF, "media_type": "application/pdf", "filename": "a.pdf"},
    ]


@pytest.mark.parametrize(
    ("part", "param", "told"),
    [
        ({"type": "file", "file": {"file_id": "file-1"}}, "messages[0].content[0].file.file_data", "no files are kept here"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,!"}}, "messages[0].content[0].data", "base64"),
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, "messages[0].content[0].url", "https?"),
        ({"type": "image_url", "image_url": "https://example.com/a.png"}, "messages[0].content[0].image_url", "dictionary"),
        ({"type": "refusal", "refusal": "No."}, "messages[0].content[0]", "text, image_url, input_audio, file"),
    ],
)
def test_a_part_that_no_model_is_sent_is_refused(facade: Facade, part: dict[str, Any], param: str, told: str) -> None:
    named, message = refused(facade, messages=[{"role": "user", "content": [part]}])
    assert named == param
    assert told in message


def test_what_the_service_has_no_word_for_is_warned_of(facade: Facade) -> None:
    image = {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}}
    strict = {"type": "function", "function": {**WEATHER["function"], "strict": True}}
    messages = [{"role": "user", "name": "ada", "content": "Hello"}, {"role": "user", "content": [image]}]
    warnings = answer(facade, messages=messages, tools=[strict])["warnings"]
    assert [(warning["type"], warning["setting"]) for warning in warnings] == [
        ("unsupported", "messages.content.image_url.detail"),
        ("unsupported", "messages.name"),
        ("unsupported", "tools.function.strict"),
    ]


# --- tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "tool", "tool_name": "weather"}),
    ],
)
def test_tools_are_offered(facade: Facade, choice: Any, told: Any) -> None:
    request = asked(facade, tools=[WEATHER], tool_choice=choice)
    function = WEATHER["function"]
    assert request["tools"] == [{"name": "weather", "description": "Tells it.", "input_schema": function["parameters"]}]
    assert request["tool_choice"] == told


def test_tool_calls_come_back_as_openai_tells_them(facade: Facade) -> None:
    Actor.script = CALLS
    choice = answer(facade, tools=[WEATHER])["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}},
            {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
        ],
    }
    sent = asked(facade, messages=[*HELLO, choice["message"], {"role": "tool", "tool_call_id": "call_2", "content": "noon"}])
    assert sent["messages"][1]["content"][0]["input"] == {"city": "Oslo"}
    assert sent["messages"][2]["content"][0]["tool_name"] == "now"


def test_arguments_that_are_no_json_come_back_as_they_are(facade: Facade) -> None:
    Actor.script = [Chunk(tool_calls=(ToolCallDelta(index=0, id="c", name="f", arguments="{oops"),)), DONE]
    assert answer(facade)["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == "{oops"


# --- objects ----------------------------------------------------------------------------------------------------------


def test_an_object_satisfies_the_schema(facade: Facade) -> None:
    Actor.script = [Chunk(text='{"age": '), Chunk(text="36}"), DONE]
    message = answer(facade, response_format=AGE)["choices"][0]["message"]
    assert message == {"role": "assistant", "content": '{"age": 36}', "refusal": None}
    request = Actor.requests[0]
    assert (request["schema"], request["schema_name"]) == (SCHEMA, "person")
    assert "schema_description" not in request


def test_any_object_is_structured_output_too(facade: Facade) -> None:
    Actor.script = [Chunk(text='{"a": [null]}'), DONE]
    assert answer(facade, response_format={"type": "json_object"})["choices"][0]["message"]["content"] == '{"a": [null]}'
    assert Actor.requests[0]["schema"] == {"type": "object"}


def test_a_fence_around_an_object_is_left_out(facade: Facade) -> None:
    Actor.script = [Chunk(text='```json\n{"age": 36}\n```'), DONE]
    assert answer(facade, response_format=AGE)["choices"][0]["message"]["content"] == '{"age":36}'


def test_a_schema_may_hold_null_and_a_description(facade: Facade) -> None:
    Actor.script = [Chunk(text='{"age": null}'), DONE]
    schema = {"type": "object", "properties": {"age": {"enum": [None, 1], "default": None}}}
    declared = {"name": "person", "description": "One person.", "schema": schema, "strict": None}
    request = asked(facade, response_format={"type": "json_schema", "json_schema": declared})
    assert (request["schema"], request["schema_description"]) == (schema, "One person.")


@pytest.mark.parametrize(("text", "told"), [('{"age": "old"}', "does not satisfy the schema"), ("Hello", "is not JSON")])
def test_an_answer_that_breaks_the_schema_is_an_error(facade: Facade, text: str, told: str) -> None:
    Actor.script = [Chunk(text=text), DONE]
    response = facade.chat(response_format=AGE)
    error = error_of(response)
    assert (response.status_code, error["code"], error["type"]) == (502, "no_object_generated", "server_error")
    assert told in error["message"]


def test_an_object_that_is_cut_off_is_not_worth_another_try(facade: Facade) -> None:
    Actor.script = [Chunk(text='{"age": '), Chunk(finish_reason="length")]
    response = facade.chat(response_format=AGE, max_tokens=1)
    assert "cut off" in error_of(response)["message"]
    assert response["x-should-retry"] == "false"


def test_a_schema_that_is_none_is_refused_by_openais_name(facade: Facade) -> None:
    declared = {"name": "a", "schema": {"type": "colour"}}
    named, message = refused(facade, response_format={"type": "json_schema", "json_schema": declared})
    assert named == "response_format"
    assert "not valid JSON Schema" in message


def test_a_model_may_call_tools_before_it_gives_an_object(facade: Facade) -> None:
    Actor.script = CALLS
    choice = answer(facade, response_format=AGE, tools=[WEATHER])["choices"][0]
    assert choice["message"]["content"] is None
    assert [call["id"] for call in choice["message"]["tool_calls"]] == ["call_1", "call_2"]
    assert choice["finish_reason"] == "tool_calls"


def test_an_alias_for_text_holds_for_objects_too(facade: Facade) -> None:
    Actor.script = [Chunk(text='{"age": 36}'), DONE]
    assert answer(facade, model="stage/star", response_format=AGE)["model"] == "stage/star"
    assert Actor.requests[0]["model"] == "lead"


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "instance", "model"),
    [
        ("stage/lead", "stage", "lead"),
        ("stage/star", "stage", "star"),
        ("stage/org/model:free", "stage", "org/model:free"),
    ],
)
def test_a_name_begins_with_an_instance(facade: Facade, name: str, instance: str, model: str) -> None:
    assert answer(facade, model=name)["model"] == name
    assert (Actor.requests[0]["provider"], Actor.requests[0]["model"]) == (instance, model)


@pytest.mark.parametrize("name", ["echoes", "openai/gpt-4o", "Stage/lead", "/echoes", "stage"])
def test_any_other_name_is_a_model_of_the_default_provider(facade: Facade, name: str) -> None:
    assert answer(facade, model=name)["model"] == name
    assert not Actor.requests
    assert Scripted.requests[0]["model"] == name
    assert "provider" not in Scripted.requests[0]


@pytest.mark.parametrize("fields", [{"model": None}, {"model": ""}, {"model": "stage/"}, {"model": 5}])
def test_a_model_is_required(facade: Facade, fields: dict[str, Any]) -> None:
    named, _ = refused(facade, **fields)
    assert named == "model"


def test_a_name_without_a_default_provider(facade: Facade, provider: ProviderInstance) -> None:
    provider.is_default = False
    provider.save()
    for extra in ({}, {"response_format": AGE}, {"verbosity": "low"}):
        response = facade.chat(model="echoes", **extra)
        error = error_of(response)
        assert (response.status_code, error["code"], error["type"]) == (404, "provider_not_found", "not_found_error")
        assert error["configPath"] == "ai.defaultProvider"
