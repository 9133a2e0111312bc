"""Models with scripted answers, as the tests of a host use them: without a database, a configuration or a network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

import ai_models
from ai_models.capabilities import Capability
from ai_models.exceptions import (
    CapabilityNotEnabled,
    InvalidRequest,
    NoObjectGenerated,
    PermissionDenied,
    ProviderNotFound,
    UpstreamError,
)
from ai_models.testing import scripted_models
from ai_models.testing.samples import png, wav
from ai_models.types import TextResult, ToolCall, Usage


@dataclass
class Person:
    name: str
    age: int


def test_text_is_what_the_script_says() -> None:
    with scripted_models("A short summary.") as models:
        result = ai_models.generate_text("Summarise this", max_output_tokens=20, model="fast")
    assert (result.text, result.finish_reason, result.provider) == ("A short summary.", "stop", "scripted")
    asked = models.asked[0]
    assert (asked.capability, asked.provider, asked.model) == (Capability.TEXT_GENERATION, "scripted", "fast")
    assert asked.request["max_output_tokens"] == 20


def test_answers_are_given_one_after_the_other_and_the_last_again() -> None:
    with scripted_models("one") as models:
        models.answer("two", "three")
        assert [ai_models.generate_text("a").text for _ in range(4)] == ["one", "two", "three", "three"]


async def test_streams_tell_pieces() -> None:
    with scripted_models(["Hel", "lo ", "you"], "word by word") as models:
        assert [piece async for piece in ai_models.astream_text("a").text_stream] == ["Hel", "lo ", "you"]
        stream = ai_models.astream_text("a")
        assert [piece async for piece in stream.text_stream] == ["word ", "by ", "word"]
        assert (await stream.response).usage == Usage(input_tokens=1, output_tokens=3, total_tokens=4)
        assert len(models.asked) == 2


async def test_a_stream_breaks_off_where_the_script_says() -> None:
    with scripted_models(["Hel", UpstreamError("It broke.")]):
        pieces = ai_models.astream_text("a", max_retries=0).text_stream
        assert await anext(pieces) == "Hel"
        with pytest.raises(UpstreamError, match="It broke"):
            await anext(pieces)


def test_an_error_is_raised() -> None:
    with scripted_models(UpstreamError("No.", retryable=False)), pytest.raises(UpstreamError, match="No"):
        ai_models.generate_text("a")


def test_a_function_answers_by_the_request() -> None:
    with scripted_models(lambda request: request["prompt"].upper()):
        assert ai_models.generate_text("loud").text == "LOUD"


def test_an_object_is_a_mapping_and_still_validated() -> None:
    with scripted_models({"name": "Ada", "age": 36}, {"name": "Ada"}):
        assert ai_models.generate_object("a", schema=Person).object == Person("Ada", 36)
        with pytest.raises(NoObjectGenerated):
            ai_models.generate_object("a", schema=Person)


async def test_an_object_grows() -> None:
    with scripted_models(['{"name": "A', 'da", "age": 36}']):
        stream = ai_models.astream_object("a", schema=Person)
        assert [part async for part in stream.partial_object_stream][-1] == {"name": "Ada", "age": 36}


async def test_tool_calls_and_reasoning_are_told_whole_and_in_pieces() -> None:
    call = ToolCall(tool_call_id="c-1", tool_name="weather", input={"city": "Ulm"})
    answer = TextResult(reasoning_text="Hm.", tool_calls=(call,), finish_reason="tool-calls")
    with scripted_models(answer):
        whole = await ai_models.agenerate_text("a")
        streamed = await ai_models.astream_text("a").response
    for result in (whole, streamed):
        assert (result.tool_calls, result.reasoning_text, result.finish_reason) == ((call,), "Hm.", "tool-calls")


def test_everything_else_has_an_answer_by_itself() -> None:
    with scripted_models():
        assert ai_models.generate_text("Say this").text == "Say this"
        first, second, again = ai_models.embed(values=["a", "b", "a"]).embeddings or ()
        assert first == again != second
        assert sum(value * value for value in first) == pytest.approx(1)
        assert [image.media_type for image in ai_models.generate_image("a", n=2).images] == ["image/png"] * 2
        assert ai_models.generate_speech("a").audio.media_type == "audio/wav"
        assert ai_models.transcribe(wav()).text == ""


def test_files_and_vectors_are_answers_too() -> None:
    with scripted_models([[1.0, 0.0]], png(2, 2), wav(0.2), "Hello"):
        assert ai_models.embed("a").embedding == [1.0, 0.0]
        assert ai_models.generate_image("a").image.bytes == png(2, 2)
        assert ai_models.generate_speech("a").audio.bytes == wav(0.2)
        assert ai_models.transcribe(wav()).text == "Hello"


def test_instances_have_the_names_that_the_code_uses() -> None:
    with scripted_models("a", providers=("openai", "groq")) as models:
        ai_models.generate_text("a", provider="groq")
        ai_models.generate_text("a")
        with pytest.raises(ProviderNotFound):
            ai_models.generate_text("a", provider="anthropic")
    assert [asked.provider for asked in models.asked] == ["groq", "openai"]


def test_gates_permissions_and_validation_are_judged_as_ever() -> None:
    stranger: Any = SimpleNamespace(has_perm=lambda permission: False)
    with scripted_models("a", capabilities=frozenset({Capability.TEXT_GENERATION})) as models:
        with pytest.raises(CapabilityNotEnabled):
            ai_models.embed("a")
        with pytest.raises(PermissionDenied):
            ai_models.generate_text("a", user=stranger)
        with pytest.raises(InvalidRequest):
            ai_models.generate_text("a", temperature=9)
    assert not models.asked


def test_nothing_is_left_behind() -> None:
    with scripted_models("outer"):
        with scripted_models("inner"):
            assert ai_models.generate_text("a").text == "inner"
        assert ai_models.generate_text("a").text == "outer"


@pytest.mark.django_db(transaction=True)
def test_the_configured_providers_are_back_afterwards() -> None:
    with scripted_models("a"):
        pass
    with pytest.raises(ProviderNotFound):
        ai_models.generate_text("a")


def test_unknown_answers_are_json() -> None:
    with scripted_models({"a": 1}):
        assert json.loads(ai_models.generate_text("a").text) == {"a": 1}
