"""OpenAI's own JavaScript client against the facade."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from ai_models.exceptions import UpstreamError, UpstreamRateLimited
from ai_models.models import ProviderInstance
from ai_models.testing import ScriptedModels
from ai_models.testing.samples import png, wav
from ai_models.types import TextResult, ToolCall
from tests.api.conftest import LiveServer, MakeUser, token_of
from tests.api.scripted import WORDS, Scripted
from tests.javascript import node
from tests.polling import until

CALL = TextResult(
    tool_calls=(ToolCall(tool_call_id="c1", tool_name="weather", input={"city": "Paris"}),), finish_reason="tool-calls"
)
ADA = {"name": "Ada", "age": 36}
WARM = "It is warm, 21°."

pytestmark = pytest.mark.usefixtures("libraries")

Client = Callable[..., Any]


@pytest.fixture
def openai(server: LiveServer, user: User) -> Client:
    """Runs a function of ``scripts/openai.js`` as the user."""
    defaults = {"url": server.url, "token": token_of(user)}
    return lambda scenario, **given: node.call("openai.js", scenario, **{**defaults, **given})


def test_a_chat_is_completed(openai: Client, models: ScriptedModels) -> None:
    models.answer(WARM)
    answer = openai("chat")
    assert answer["message"]["content"] == WARM
    assert (answer["object"], answer["model"], answer["finish_reason"]) == ("chat.completion", "scripted/any", "stop")
    assert answer["usage"]["completion_tokens"] == len(WARM.split())
    assert models.asked[0].request["max_output_tokens"] == 10


def test_a_chat_is_streamed(openai: Client, models: ScriptedModels) -> None:
    models.answer(WARM)
    assert openai("stream") == {"text": WARM, "pieces": 4, "tokens": 5}


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_and_answered(openai: Client, models: ScriptedModels, streamed: bool) -> None:
    models.answer(CALL, WARM)
    assert openai("tools", streamed=streamed) == {"text": WARM, "asked": ["Paris"]}
    assert [message["role"] for message in models.asked[1].request["messages"]] == ["user", "assistant", "tool"]


def test_objects_are_parsed(openai: Client, models: ScriptedModels) -> None:
    models.answer(ADA)
    assert openai("object") == [ADA, ADA]


def test_embeddings_are_the_same_in_every_encoding(openai: Client, models: ScriptedModels) -> None:
    seen = openai("embeddings")
    decoded = [struct.unpack("<8f", base64.b64decode(text)) for text in seen["raw"]]
    for vectors in (seen["base64"], seen["float"]):
        assert [pytest.approx(vector) for vector in vectors] == [list(vector) for vector in decoded]
    assert seen["float"][0] != seen["float"][1]


def test_images_speech_and_transcriptions(openai: Client, models: ScriptedModels) -> None:
    models.answer(None, None, "Hello")
    seen = openai("files")
    assert [base64.b64decode(image) for image in seen["images"]] == [png(), png()]
    assert (seen["type"], base64.b64decode(seen["sound"])) == ("audio/wav", wav())
    assert (seen["text"], seen["plain"].strip()) == ("Hello", "Hello")


def test_models_are_listed(openai: Client, models: ScriptedModels) -> None:
    seen = openai("models")
    assert {"id": "scripted/scripted", "object": "model"} in seen["listed"]
    assert seen["id"] == seen["listed"][0]["id"]


@pytest.mark.parametrize("wrong", [{"temperature": 9}, {"n": 2}, {"top_p": 2}])
def test_a_wrong_request_has_its_exception(openai: Client, models: ScriptedModels, wrong: dict[str, Any]) -> None:
    seen = openai("error", request=wrong)
    assert (seen["name"], seen["status"], seen["code"]) == ("BadRequestError", 400, "invalid_request")
    assert (seen["type"], seen["param"]) == ("invalid_request_error", *wrong)
    assert seen["requestID"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("failure", "name", "status", "code"),
    [
        (UpstreamError("It failed."), "InternalServerError", 502, "upstream_error"),
        (UpstreamRateLimited("Too many.", retry_after=6.2), "RateLimitError", 429, "upstream_rate_limited"),
    ],
)
def test_a_failure_has_its_exception(
    openai: Client, models: ScriptedModels, failure: Any, name: str, status: int, code: str, stream: bool
) -> None:
    models.answer(failure)
    seen = openai("error", request={"stream": stream})
    assert (seen["name"], seen["status"], seen["code"]) == (name, status, code)
    assert failure.message in seen["message"]


def test_a_failure_in_mid_stream_is_thrown(openai: Client, models: ScriptedModels) -> None:
    models.answer(["It is ", UpstreamError("It failed.")])
    seen = openai("error", request={"stream": True})
    assert (seen["name"], seen["code"]) == ("APIError", "upstream_error")


def test_strangers_have_their_exceptions(openai: Client, models: ScriptedModels, make_user: MakeUser) -> None:
    assert openai("error", request={}, token="wrong")["name"] == "AuthenticationError"
    assert openai("error", request={}, token=token_of(make_user("eve")))["name"] == "PermissionDeniedError"


def test_a_provider_that_is_switched_off_is_a_conflict(openai: Client, provider: ProviderInstance) -> None:
    provider.enabled = False
    provider.save()
    seen = openai("error", request={"model": "main/echoes"})
    assert (seen["name"], seen["status"], seen["code"]) == ("ConflictError", 409, "provider_disabled")


async def test_a_stream_that_is_aborted_ends_the_call(openai: Client) -> None:
    assert openai("aborted", ask="main/hangs-later") == "".join(WORDS)
    await until(Scripted.ended.is_set)
