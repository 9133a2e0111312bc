"""What a call through the service does: resolve, gate, call, retry, give up, warn."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

import ai_models
from ai_models import service, store
from ai_models.exceptions import (
    CapabilityNotEnabled,
    Internal,
    InvalidRequest,
    ModelNotFound,
    NoObjectGenerated,
    PermissionDenied,
    ProviderDisabled,
    ProviderNotFound,
    UnsupportedFunctionality,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from ai_models.models import ProviderCapability, ProviderInstance
from ai_models.transports.faults import NotPermitted
from ai_models.types import Chunk, EmbedResult, ToolCallDelta, Warning
from tests.polling import until
from tests.service.conftest import DONE, Puppet

ANSWER = [Chunk(text="Hello "), Chunk(text="you"), DONE]


async def test_an_answer_names_the_provider_and_model_that_gave_it(puppet: type[Puppet]) -> None:
    result = await ai_models.agenerate_text("Hi", model="fast")
    assert (result.text, result.provider, result.model, result.finish_reason) == ("Hello you", "main", "small-1", "stop")
    assert puppet.calls == [("small-1", {"prompt": "Hi", "model": "fast"})]


async def test_a_named_provider_uses_its_own_default_model_and_credential(puppet: type[Puppet]) -> None:
    result = await ai_models.agenerate_text(prompt="Hi", provider="other")
    assert (result.provider, result.model) == ("other", "other-1")
    assert [made.connection.secrets["apiKey"].reveal() for made in puppet.made] == ["canary-key-other"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({}, "prompt"),
        ({"prompt": "a", "messages": [{"role": "user", "content": "b"}]}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": "a", "temperature": 3}, "temperature"),
        ({"prompt": "a", "temperature": float("nan")}, "temperature"),
        ({"prompt": "a", "max_output_tokens": 0}, "max_output_tokens"),
        ({"prompt": "a", "maxOutputTokens": 5}, "maxOutputTokens"),
        ({"prompt": "a", "api_base": "http://evil"}, "api_base"),
        ({"prompt": "a", "timeout": {"chunk": -1}}, "timeout"),
        ({"prompt": "a", "messages": []}, "prompt"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "b"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "picture"}]}]}, "messages.0.content"),
        ({"prompt": "a", "headers": {"Authorization": "Bearer mine"}}, "headers"),
        ({"prompt": "a", "headers": {"X-Amz-Date": "now"}}, "headers"),
    ],
)
async def test_a_wrong_request_is_refused_by_field_and_calls_nobody(
    puppet: type[Puppet], request_: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await ai_models.agenerate_text(**request_)
    assert field in caught.value.message
    assert "evil" not in caught.value.message
    assert puppet.calls == []


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"timeout": "3"}, "timeout: input should be a valid number, or input should be a valid dictionary"),
        ({"timeout": {"chunk": 0}}, "timeout.chunk: input should be greater than 0"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.tool_name: field required"),
        ({"tools": [{"name": "a b"}]}, "tools.0.name: string should match pattern '^[A-Za-z0-9_-]"),
    ],
)
async def test_a_mistake_is_told_by_its_place_in_the_request(puppet: type[Puppet], request_: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await ai_models.agenerate_text("Hi", **request_)
    assert message in caught.value.message
    assert "[" not in caught.value.message.split(":")[0]


@pytest.mark.parametrize("parts", ["text", [{"type": "text", "text": 7}], [{"type": "file", "url": "ftp://x"}], [7]])
async def test_a_mistake_in_a_message_is_told_by_its_place(puppet: type[Puppet], parts: Any) -> None:
    messages = [{"role": "user", "content": parts}, {"role": "user", "content": 5}]
    with pytest.raises(InvalidRequest) as caught:
        await ai_models.agenerate_text(messages=messages)
    assert "messages.1.content: input should be a valid string, or input should be a valid list" in caught.value.message
    for wrong in ("function", "tagged", "union", "constrained"):
        assert wrong not in caught.value.message


async def test_unknown_providers_and_closed_gates_call_nobody(puppet: type[Puppet]) -> None:
    with pytest.raises(ProviderNotFound):
        await ai_models.agenerate_text("Hi", provider="none")
    with pytest.raises(CapabilityNotEnabled) as caught:
        await ai_models.aembed("Hi", provider="other")
    assert caught.value.config_path == "ai.providers.other.defaultModels.embeddings"
    assert puppet.calls == []


async def test_a_switch_thrown_by_an_administrator_holds_for_the_next_call(puppet: type[Puppet]) -> None:
    await ai_models.agenerate_text("Hi")
    await ProviderInstance.objects.filter(name="main").aget()
    instance = await ProviderInstance.objects.aget(name="main")
    instance.enabled = False
    await instance.asave()
    with pytest.raises(ProviderDisabled):
        await ai_models.agenerate_text("Hi")
    instance.enabled = True
    await instance.asave()
    capability = await ProviderCapability.objects.aget(instance=instance, capability="text-generation")
    capability.enabled = False
    await capability.asave()
    with pytest.raises(CapabilityNotEnabled, match="switched off"):
        await ai_models.agenerate_text("Hi")
    assert len(puppet.calls) == 1


def test_a_warm_call_makes_no_query(puppet: type[Puppet]) -> None:
    ai_models.generate_text("Hi")
    with CaptureQueriesContext(connection) as queries:
        ai_models.generate_text("Hi")
        list(ai_models.stream_text("Hi").text_stream)
        ai_models.embed("Hi")
    assert len(queries) == 0


async def test_a_warm_call_loads_no_snapshot(puppet: type[Puppet], monkeypatch: pytest.MonkeyPatch) -> None:
    await ai_models.agenerate_text("Hi")

    def refuse() -> None:
        raise AssertionError("a warm call read the database")

    monkeypatch.setattr(store, "_load", refuse)
    assert (await ai_models.agenerate_text("Hi")).text == "Hello you"


async def test_a_user_needs_the_capability_s_permission(puppet: type[Puppet]) -> None:
    user = await User.objects.acreate(username="someone")
    for caller in (user, AnonymousUser()):
        with pytest.raises(PermissionDenied, match=r"ai_models\.use_text_generation"):
            await ai_models.agenerate_text("Hi", user=caller)
    assert puppet.calls == []
    await user.user_permissions.aadd(await Permission.objects.aget(codename="use_text_generation"))
    user = await User.objects.aget(username="someone")
    assert (await ai_models.agenerate_text("Hi", user=user)).text == "Hello you"
    with pytest.raises(PermissionDenied, match="use_embeddings"):
        await ai_models.aembed("Hi", user=user)


async def test_a_sync_call_enforces_permissions_too(puppet: type[Puppet]) -> None:
    user = await User.objects.acreate(username="someone")
    with pytest.raises(PermissionDenied):
        await sync_to_async(ai_models.generate_text)("Hi", user=user)


# --- warnings ---------------------------------------------------------------------------------------------------------


async def test_a_setting_the_model_lacks_is_left_out_and_reported(puppet: type[Puppet]) -> None:
    result = await ai_models.agenerate_text("Hi", top_k=3, seed=1, temperature=0.5)
    assert [(warning.type, warning.setting) for warning in result.warnings] == [
        ("unsupported", "seed"),
        ("unsupported", "top_k"),
    ]
    assert puppet.calls == [("big-1", {"prompt": "Hi", "temperature": 0.5})]


async def test_a_stream_reports_it_as_well(puppet: type[Puppet]) -> None:
    result = await ai_models.astream_text("Hi", top_k=3).response
    assert [warning.setting for warning in result.warnings] == ["top_k"]


async def test_an_operator_can_have_such_calls_refused(puppet: type[Puppet], settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "ON_UNSUPPORTED": "error"}
    with pytest.raises(UnsupportedFunctionality, match="top_k"):
        await ai_models.agenerate_text("Hi", top_k=3)
    assert puppet.calls == []


async def test_an_unsupported_setting_that_a_family_reports_is_refused_alike(
    puppet: type[Puppet], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def do_embed(self: Puppet, model: str, request: Any) -> EmbedResult:
        return EmbedResult(embeddings=[[1.0]], warnings=(Warning(type="unsupported", setting="dimensions", message="No."),))

    monkeypatch.setattr(Puppet, "do_embed", do_embed)
    assert [warning.setting for warning in (await ai_models.aembed("a", dimensions=5)).warnings] == ["dimensions"]
    settings.AI_MODELS = {**settings.AI_MODELS, "ON_UNSUPPORTED": "error"}
    with pytest.raises(UnsupportedFunctionality, match="dimensions"):
        await ai_models.aembed("a", dimensions=5)


# --- attempts ---------------------------------------------------------------------------------------------------------


async def test_a_failing_provider_is_asked_again(puppet: type[Puppet]) -> None:
    puppet.scripts = [[UpstreamError("down", retry_after=0.01)], [UpstreamTimeout("late", retry_after=0.01)], ANSWER]
    assert (await ai_models.agenerate_text("Hi")).text == "Hello you"
    assert len(puppet.calls) == 3


@pytest.mark.parametrize("max_retries", [0, 1, 3])
async def test_attempts_are_counted(puppet: type[Puppet], max_retries: int) -> None:
    puppet.scripts = [[UpstreamError("down", retry_after=0.0)]]
    with pytest.raises(UpstreamError):
        await ai_models.agenerate_text("Hi", max_retries=max_retries)
    assert len(puppet.calls) == max_retries + 1


@pytest.mark.parametrize(
    "error",
    [
        UpstreamAuthFailed("refused"),
        UpstreamInvalidResponse("garbage"),
        UpstreamError("no", retryable=False),
        InvalidRequest("no"),
        UpstreamRateLimited("wait", retry_after=61.0),
        UpstreamRateLimited("wait", retry_after=5.0),
    ],
)
async def test_what_waiting_cannot_mend_is_not_repeated(puppet: type[Puppet], error: Exception) -> None:
    puppet.scripts = [[error]]
    started = time.monotonic()
    with pytest.raises(type(error)):
        await ai_models.agenerate_text("Hi", timeout=2.0)
    assert len(puppet.calls) == 1
    assert time.monotonic() - started < 1.5


async def test_a_provider_s_wish_to_wait_is_honoured(puppet: type[Puppet]) -> None:
    puppet.scripts = [[UpstreamRateLimited("wait", retry_after=0.3)], ANSWER]
    started = time.monotonic()
    await ai_models.agenerate_text("Hi")
    assert time.monotonic() - started >= 0.3


async def test_the_total_timeout_covers_all_attempts(puppet: type[Puppet]) -> None:
    puppet.scripts = [[60.0]]
    started = time.monotonic()
    with pytest.raises(UpstreamTimeout):
        await ai_models.agenerate_text("Hi", timeout=0.2)
    assert time.monotonic() - started < 2


async def test_a_bug_in_a_family_is_an_internal_error_that_tells_nothing(puppet: type[Puppet]) -> None:
    puppet.scripts = [[KeyError("canary-key-main")]]
    with pytest.raises(Internal) as caught:
        await ai_models.agenerate_text("Hi")
    assert "canary" not in caught.value.message


async def test_a_cancelled_call_ends_the_upstream_call(puppet: type[Puppet]) -> None:
    puppet.scripts = [[60.0]]
    task = asyncio.create_task(ai_models.agenerate_text("Hi"))
    await until(lambda: puppet.open == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert puppet.open == 0


# --- what a call teaches ----------------------------------------------------------------------------------------------


async def test_a_refused_credential_is_the_instance_s_state_until_a_call_succeeds(puppet: type[Puppet]) -> None:
    puppet.scripts = [[UpstreamAuthFailed("refused")], ANSWER]
    with pytest.raises(UpstreamAuthFailed):
        await ai_models.agenerate_text("Hi")
    assert (await store.acurrent()).instances["main"].state == "credential-rejected"
    await ai_models.agenerate_text("Hi")
    assert (await store.acurrent()).instances["main"].state == "ready"


async def test_a_model_that_a_credential_does_not_open_is_not_the_instance_s_state(puppet: type[Puppet]) -> None:
    puppet.scripts = [[NotPermitted("not this model")]]
    with pytest.raises(UpstreamAuthFailed):
        await ai_models.agenerate_text("Hi")
    assert (await store.acurrent()).instances["main"].state == "ready"


def test_a_sync_call_stores_it_on_the_caller_s_connection(puppet: type[Puppet]) -> None:
    puppet.scripts = [[UpstreamAuthFailed("refused")]]
    with pytest.raises(UpstreamAuthFailed):
        ai_models.generate_text("Hi")
    assert ProviderInstance.objects.get(name="main").state == "credential-rejected"


async def test_an_unknown_model_is_the_caller_s_mistake_only_when_the_caller_named_it(puppet: type[Puppet]) -> None:
    puppet.scripts = [[ModelNotFound("The provider does not know this model.")]]
    with pytest.raises(ModelNotFound) as named:
        await ai_models.agenerate_text("Hi", model="big-9")
    assert named.value.remedy == "caller"
    for call in (ai_models.agenerate_text("Hi"), ai_models.astream_text("Hi").response):
        with pytest.raises(ModelNotFound) as configured:
            await call
        assert (configured.value.remedy, configured.value.config_path) == ("admin", "ai.providers.main.defaultModels")


async def test_new_settings_get_a_new_connection_and_calls_under_way_keep_theirs(puppet: type[Puppet], seed: Any) -> None:
    from tests.service.conftest import CONFIG

    go_on = asyncio.Event()
    puppet.scripts = [[Chunk(text="old"), go_on, DONE], ANSWER]
    stream = ai_models.astream_text("Hi")
    text = stream.text_stream
    assert await anext(text) == "old"
    await sync_to_async(seed)(CONFIG.replace("canary-key-main", "canary-key-new"))
    await ai_models.agenerate_text("Hi")
    first, second = puppet.made
    assert (first.closed, second.connection.secrets["apiKey"].reveal()) == (False, "canary-key-new")
    go_on.set()
    assert (await stream.response).text == "old"
    await text.aclose()
    await until(lambda: first.closed)
    assert not second.closed


# --- objects and embeddings -------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Person:
    name: str
    age: int


async def test_an_object_is_validated_against_json_schema(puppet: type[Puppet]) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    puppet.scripts = [[Chunk(text='{"age": 36}')], [Chunk(text='{"age": "36"}')], [Chunk(text="I am 36.")]]
    assert (await ai_models.agenerate_object("Hi", schema=schema)).object == {"age": 36}
    for _ in range(2):
        with pytest.raises(NoObjectGenerated) as caught:
            await ai_models.agenerate_object("Hi", schema=schema)
        assert caught.value.text is not None
        assert "36" not in caught.value.message


async def test_a_class_as_schema_gives_an_instance(puppet: type[Puppet]) -> None:
    puppet.scripts = [[Chunk(text='```json\n{"name": "Ada", "age": 36}\n```')]]
    assert (await ai_models.agenerate_object("Hi", schema=Person)).object == Person("Ada", 36)
    assert puppet.calls[0][1]["schema"]["additionalProperties"] is False


@pytest.mark.parametrize(
    "schema",
    [None, {"type": "objekt"}, 7, {"$ref": "http://169.254.169.254/schema"}, {"$ref": "#"}, {"$ref": "#/nowhere"}],
)
async def test_a_wrong_schema_is_the_caller_s_mistake(puppet: type[Puppet], schema: Any) -> None:
    puppet.scripts = [[Chunk(text="{}")]]
    with pytest.raises(InvalidRequest, match="schema"):
        await ai_models.agenerate_object("Hi", schema=schema)


async def test_one_value_gives_one_vector_and_values_give_vectors(puppet: type[Puppet]) -> None:
    one = await ai_models.aembed("four")
    assert (one.embedding, one.embeddings) == ([4.0], None)
    many = await ai_models.aembed(values=["a", "bb"])
    assert (many.embedding, many.embeddings) == (None, [[1.0], [2.0]])
    with pytest.raises(InvalidRequest):
        await ai_models.aembed("a", values=["b"])


async def test_the_parts_of_an_answer_can_be_sent_back(puppet: type[Puppet]) -> None:
    call = ToolCallDelta(index=0, id="c1", name="look", arguments='{"x": 1}')
    puppet.scripts = [[Chunk(reasoning="hm"), Chunk(text="Let me see"), Chunk(tool_calls=(call,)), DONE], ANSWER]
    first = await ai_models.astream_text("Hi").response
    await ai_models.agenerate_text(
        messages=[
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": first.content},
            {
                "role": "tool",
                "content": [{"type": "tool-result", "tool_call_id": "c1", "tool_name": "look", "output": "a sky"}],
            },
        ]
    )
    assert puppet.calls[1][1]["messages"][1]["content"] == [
        {"type": "reasoning", "text": "hm"},
        {"type": "text", "text": "Let me see"},
        {"type": "tool-call", "tool_call_id": "c1", "tool_name": "look", "input": {"x": 1}},
    ]


async def test_warming_up_prepares_every_instance_that_can_be_called(
    puppet: type[Puppet], monkeypatch: pytest.MonkeyPatch
) -> None:
    warmed: list[str] = []

    async def warm_up(self: Puppet) -> None:
        warmed.append(self.connection.name)

    monkeypatch.setattr(Puppet, "warm_up", warm_up)
    await service.awarm_up()
    await ProviderInstance.objects.filter(name="other").aupdate(enabled=False)
    store.invalidate()
    await service.awarm_up()
    assert warmed == ["main", "other", "main"]
    assert puppet.calls == []
