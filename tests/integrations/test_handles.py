"""``resolve_model``: what a handle is pinned to, what each call judges anew, and what it never holds."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser

import ai_models
from ai_models import events
from ai_models.exceptions import (
    CapabilityNotEnabled,
    InvalidRequest,
    PermissionDenied,
    ProviderNotFound,
    UpstreamRateLimited,
)
from tests.integrations.conftest import Configure, MakeUser, assert_holds_no_credential, switch_off
from tests.upstreams import openai
from tests.upstreams.server import Upstream

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"], "additionalProperties": False}


def test_a_handle_tells_what_was_resolved(gateway: Upstream) -> None:
    handle = ai_models.resolve_model()
    assert (handle.capability, handle.provider, handle.model) == ("text-generation", "main", "big-1")
    assert (
        repr(handle) == "TextModel(capability=<Capability.TEXT_GENERATION: 'text-generation'>, provider='main', model='big-1')"
    )
    assert ai_models.resolve_model("embeddings").model == "vector-1"
    assert gateway.requests == []


def test_every_method_has_a_twin_that_waits(gateway: Upstream) -> None:
    handle = ai_models.resolve_model(model="fast")
    gateway.script(openai.text("Hello"), openai.stream("Hel", "lo"), openai.text('{"age": 3}'), openai.stream('{"age"', ": 4}"))
    assert handle.generate_text("Hi", temperature=0.5).text == "Hello"
    assert list(handle.stream_text("Hi").text_stream) == ["Hel", "lo"]
    assert handle.generate_object("Hi", schema=SCHEMA).object == {"age": 3}
    assert handle.stream_object("Hi", schema=SCHEMA).response.object == {"age": 4}
    assert gateway.requests[0].json["temperature"] == 0.5
    gateway.script(openai.embeddings([1.0, 2.0]))
    assert ai_models.resolve_model("embeddings").embed("cat").embedding == [1.0, 2.0]
    assert gateway.requests[-1].json["model"] == "vector-1"


async def test_every_method_is_async(configure: Configure, upstream: Upstream) -> None:
    await sync_to_async(configure)()
    handle = await ai_models.aresolve_model(provider="main")
    upstream.script(
        openai.text("Hello"), openai.stream("Hel", "lo"), openai.text('{"age": 3}'), openai.stream('{"age"', ": 4}")
    )
    assert (await handle.agenerate_text("Hi")).text == "Hello"
    assert [piece async for piece in handle.astream_text("Hi").text_stream] == ["Hel", "lo"]
    assert (await handle.agenerate_object("Hi", schema=SCHEMA)).object == {"age": 3}
    assert (await handle.astream_object("Hi", schema=SCHEMA).response).object == {"age": 4}
    upstream.script(openai.embeddings([1.0, 2.0]))
    embeddings = await ai_models.aresolve_model("embeddings")
    assert (await embeddings.aembed("cat")).embedding == [1.0, 2.0]


def test_a_handle_keeps_to_its_instance(gateway: Upstream, configure: Configure) -> None:
    gateway.always(openai.text("Hello"))
    handle = ai_models.resolve_model()
    configure(default="other")
    assert handle.generate_text("Hi").provider == "main"
    assert ai_models.resolve_model().provider == "other"
    assert gateway.request.path == "/main/v1/chat/completions"


def test_a_handle_follows_its_alias(gateway: Upstream, configure: Configure) -> None:
    gateway.always(openai.text("Hello"))
    handle = ai_models.resolve_model(model="fast")
    assert handle.model == "small-1"
    configure(fast="small-2")
    handle.generate_text("Hi")
    assert gateway.request.json["model"] == "small-2"


def test_an_alias_that_structured_output_does_not_have_stands_for_its_model(gateway: Upstream) -> None:
    gateway.always(openai.text('{"age": 3}'))
    ai_models.resolve_model(model="fast").generate_object("Hi", schema=SCHEMA)
    assert gateway.request.json["model"] == "small-1"


def test_without_a_name_objects_come_from_the_default_model_for_objects(gateway: Upstream, configure: Configure) -> None:
    gateway.always(openai.text('{"age": 3}'))
    configure(structured="exact-1")
    ai_models.resolve_model().generate_object("Hi", schema=SCHEMA)
    assert gateway.request.json["model"] == "exact-1"


def test_another_model_of_the_same_instance(gateway: Upstream) -> None:
    gateway.always(openai.text('{"age": 3}'))
    handle = ai_models.resolve_model().using("huge-1")
    handle.generate_text("Hi")
    handle.generate_object("Hi", schema=SCHEMA)
    assert [request.json["model"] for request in gateway.requests] == ["huge-1", "huge-1"]
    assert ai_models.resolve_model("embeddings").using("vector-2").model == "vector-2"


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"capability": "image-generation"}, InvalidRequest),
        ({"capability": "telepathy"}, InvalidRequest),
        ({"provider": "nobody"}, ProviderNotFound),
        ({"provider": "other", "capability": "embeddings"}, CapabilityNotEnabled),
    ],
)
def test_what_could_not_be_called_is_not_resolved(gateway: Upstream, request_: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ai_models.resolve_model(**request_)


@pytest.mark.parametrize(("name", "value"), [("provider", "other"), ("model", "other-1"), ("user", AnonymousUser())])
def test_a_call_cannot_name_what_the_handle_has(gateway: Upstream, name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=name):
        ai_models.resolve_model().generate_text("Hi", **{name: value})
    assert gateway.requests == []


def test_the_gates_are_judged_with_every_call(gateway: Upstream) -> None:
    handle = ai_models.resolve_model()
    switch_off("text-generation")
    with pytest.raises(CapabilityNotEnabled, match="switched off"):
        handle.generate_text("Hi")
    with pytest.raises(CapabilityNotEnabled, match="switched off"):
        ai_models.resolve_model()
    assert gateway.requests == []


def test_the_permission_is_judged_at_once(gateway: Upstream, make_user: MakeUser) -> None:
    with pytest.raises(PermissionDenied, match="use_embeddings"):
        ai_models.resolve_model("embeddings", user=make_user("text-generation"))
    with pytest.raises(PermissionDenied):
        ai_models.resolve_model(user=AnonymousUser())


def test_a_revoked_permission_ends_a_handle_that_is_held(gateway: Upstream, make_user: MakeUser) -> None:
    gateway.always(openai.text("Hello"))
    user = make_user("text-generation")
    handle = ai_models.resolve_model(user=user)
    assert handle.generate_text("Hi").text == "Hello"
    with pytest.raises(PermissionDenied, match="use_structured_output"):
        handle.generate_object("Hi", schema=SCHEMA)
    user.user_permissions.clear()
    with pytest.raises(PermissionDenied):
        handle.generate_text("Hi")
    with pytest.raises(PermissionDenied):
        _ = handle.stream_text("Hi").response
    assert len(gateway.requests) == 1


async def test_a_deleted_user_may_nothing(configure: Configure, upstream: Upstream, make_user: MakeUser) -> None:
    upstream.always(openai.text("Hello"))
    await sync_to_async(configure)()
    user = await sync_to_async(make_user)("text-generation")
    handle = await ai_models.aresolve_model(user=user)
    assert (await handle.agenerate_text("Hi")).text == "Hello"
    await user.adelete()
    with pytest.raises(PermissionDenied):
        await handle.agenerate_text("Hi")
    with pytest.raises(PermissionDenied):
        await handle.astream_text("Hi").response


def test_a_model_that_asks_for_tools_has_no_object_yet(gateway: Upstream) -> None:
    gateway.script(openai.tool_call("look", {"at": 1}, id=""), openai.tool_call_stream("look", '{"at"', ": 1}"))
    handle = ai_models.resolve_model()
    whole = handle.generate_object("Hi", schema=SCHEMA, tools=[{"name": "look"}])
    stream = handle.stream_object("Hi", schema=SCHEMA, tools=[{"name": "look"}])
    available = [event for event in stream.events if isinstance(event, events.ToolInputAvailable)]
    for result in (whole, stream.response):
        assert (result.object, result.finish_reason) == (None, "tool-calls")
        assert [(call.tool_name, call.input) for call in result.tool_calls] == [("look", {"at": 1})]
    assert whole.tool_calls[0].tool_call_id.startswith("call_"), "a call that the provider gave no id has one"
    assert [(event.tool_name, event.input) for event in available] == [("look", {"at": 1})]


def test_failures_of_the_provider_arrive(gateway: Upstream) -> None:
    gateway.always(openai.error(429))
    with pytest.raises(UpstreamRateLimited):
        ai_models.resolve_model().generate_text("Hi", max_retries=0)


def test_a_handle_holds_no_credential(gateway: Upstream, make_user: MakeUser) -> None:
    gateway.always(openai.text("Hello"))
    user = make_user("text-generation")
    handle = ai_models.resolve_model(user=user)
    handle.generate_text("Hi")
    assert_holds_no_credential(handle)
    assert user.password.encode() not in pickle.dumps(handle)
    assert pickle.loads(pickle.dumps(handle)) == handle
    assert pickle.loads(pickle.dumps(handle)).generate_text("Hi").text == "Hello"
