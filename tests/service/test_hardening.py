"""What callers and providers can try: each attempt is refused with a clear error, and nothing else happens."""

from __future__ import annotations

import asyncio
import datetime
import time
from pathlib import Path
from typing import Any

import pydantic
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from pytest_django import Settings

import ai_models
from ai_models import connections, service, store
from ai_models.exceptions import (
    AIModelsError,
    InvalidRequest,
    NoObjectGenerated,
    NotReady,
    UnsupportedFunctionality,
    UpstreamInvalidResponse,
    UpstreamTimeout,
)
from ai_models.models import ProviderInstance
from ai_models.transports import litellm
from ai_models.types import Chunk, Usage
from tests.conftest import Seed
from tests.polling import until
from tests.service.conftest import DONE, Puppet
from tests.upstreams import openai
from tests.upstreams.replies import Wait, json_reply, sse, stream
from tests.upstreams.server import Upstream

# --- schemas ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", ["str", "", "__import__('pathlib').Path('{}').touch()", 7, [], True])
async def test_a_schema_is_never_evaluated(puppet: type[Puppet], tmp_path: Path, schema: Any) -> None:
    trap = tmp_path / "trap"
    with pytest.raises(InvalidRequest, match="schema"):
        await ai_models.agenerate_object("Hi", schema=schema.format(trap) if isinstance(schema, str) else schema)
    assert not trap.exists()
    assert puppet.calls == []


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ({"type": "string", "pattern": "^(a|aa)+$"}, '"' + "a" * 60 + '!"'),
        ({"type": "object", "patternProperties": {"^(a|aa)+$": {}}}, '{"' + "a" * 60 + '!": 1}'),
        ({"additionalProperties": False, "patternProperties": {"^(a|aa)+$": {}}}, '{"' + "a" * 60 + '!": 1}'),
        ({"items": {"allOf": [{"type": "integer"}] * 2000}}, str([0] * 2000)),
        (
            {"$ref": "#/$defs/d0", "$defs": {
                **{f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}, "d40": {"type": "integer"}
            }},
            "1",
        ),
    ],
)  # fmt: skip
async def test_a_schema_cannot_hold_the_process(puppet: type[Puppet], schema: Any, answer: str) -> None:
    puppet.scripts = [[Chunk(text=answer)]]
    started = time.thread_time()
    with pytest.raises(InvalidRequest, match="takes too long"):
        await ai_models.agenerate_object("Hi", schema=schema)
    assert time.thread_time() - started < 5  # the check of the schema itself included


@pytest.mark.parametrize(
    ("schema", "answer", "told"),
    [
        ({"pattern": "(?:(?:a{1000}){1000}){1000}"}, '"a"', "repeats more"),
        ({"pattern": "a{4294967296}"}, '"a"', "not valid"),
        ({"unevaluatedProperties": False, "patternProperties": {"^(a+)+$": {}}}, '{"a": 1}', "used together"),
        ({"multipleOf": 0.0001}, "1" + "0" * 400, "cannot be checked"),
        ({"enum": [1], "$ref": "#/enum/0"}, "1", "cannot be checked"),
    ],
    ids=["memory", "overflow", "unstoppable", "an endless number", "no schema"],
)
async def test_a_schema_that_breaks_the_checking_is_refused(
    puppet: type[Puppet], schema: dict[str, Any], answer: str, told: str
) -> None:
    puppet.scripts = [[Chunk(text=answer)]]
    with pytest.raises(InvalidRequest, match=told):
        await ai_models.agenerate_object("Hi", schema=schema)


async def test_additional_properties_are_those_that_nothing_names(puppet: type[Puppet]) -> None:
    schema = {"properties": {"a": {}}, "patternProperties": {"^x-": {}}, "additionalProperties": {"type": "integer"}}
    puppet.scripts = [[Chunk(text='{"a": "", "x-b": "", "c": 1}')], [Chunk(text='{"a": "", "x-b": "", "c": "1"}')]]
    assert (await ai_models.agenerate_object("Hi", schema=schema)).object == {"a": "", "x-b": "", "c": 1}
    with pytest.raises(NoObjectGenerated, match=r"at c\."):
        await ai_models.agenerate_object("Hi", schema=schema)


async def test_a_recursive_schema_works(puppet: type[Puppet]) -> None:
    tree = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}, "required": ["children"]}
    puppet.scripts = [[Chunk(text='{"children": [{"children": []}]}')], [Chunk(text='{"children": [{}]}')]]
    assert (await ai_models.agenerate_object("Hi", schema=tree)).object == {"children": [{"children": []}]}
    with pytest.raises(NoObjectGenerated, match=r"children\[0\]"):
        await ai_models.agenerate_object("Hi", schema=tree)


class Appointment(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    day: datetime.date


async def test_a_strict_model_reads_json(puppet: type[Puppet]) -> None:
    puppet.scripts = [[Chunk(text='{"day": "2026-01-02"}')]]
    assert (await ai_models.agenerate_object("Hi", schema=Appointment)).object == Appointment(day=datetime.date(2026, 1, 2))


@pytest.mark.parametrize("answer", ["NaN", "Infinity", "1e999", "[" * 200 + "]" * 200])
async def test_an_object_that_no_json_can_carry_is_none(puppet: type[Puppet], answer: str) -> None:
    puppet.scripts = [[Chunk(text=answer)]]
    with pytest.raises(NoObjectGenerated):
        await ai_models.agenerate_object("Hi", schema={})


# --- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"headers": {"x": "a\r\nb: c"}}, "headers"),
        ({"headers": {"x y": "a"}}, "headers"),
        ({"headers": {"authorization ": "a"}}, "headers"),
        ({"tools": [{"description": "nameless"}]}, "tools.0.name"),
        ({"tools": [{"name": "t", "input_schema": {"x": object()}}]}, "tools.0.input_schema"),
        ({"provider_options": {"puppet": {"x": object()}}}, "provider_options.puppet"),
        ({"prompt": "again"}, "prompt"),
    ],
)
async def test_what_cannot_be_sent_is_refused(puppet: type[Puppet], request_: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await ai_models.agenerate_text("Hi", **request_)
    assert field in caught.value.message
    assert puppet.calls == []


FAMILIES = {
    "anthropic": "apiKey: k",
    "google": "apiKey: k",
    "bedrock": "accessKeyId: a\n      secretAccessKey: s\n      region: eu-west-1",
}


def at(upstream: Upstream, family: str, settings: str = "apiKey: k") -> str:
    return f"""
ai:
  defaultProvider: main
  providers:
    main:
      type: {family}
      {settings}
      baseURL: {upstream.url}
      defaultModels: {{text-generation: some-model}}
"""


@pytest.mark.parametrize(
    "model", ["../../../v9/secret", "x?alt=1#", "http://evil.example/x", "a/b", "..", "a b", "a%2fb", "a\nb"]
)
@pytest.mark.parametrize("family", FAMILIES)
async def test_a_model_s_name_steers_no_address(
    transactional_db: None, seed: Seed, upstream: Upstream, family: str, model: str
) -> None:
    await sync_to_async(seed)(at(upstream, family, FAMILIES[family]))
    with pytest.raises(InvalidRequest, match="model"):
        await ai_models.agenerate_text("Hi", model=model)
    assert upstream.requests == []


@pytest.mark.parametrize("family", FAMILIES)
async def test_this_server_fetches_no_url_of_a_caller(
    transactional_db: None, seed: Seed, upstream: Upstream, upstreams: Any, family: str
) -> None:
    elsewhere = upstreams()
    await sync_to_async(seed)(at(upstream, family, FAMILIES[family]))
    part = {"type": "file", "media_type": "image/png", "url": f"{elsewhere.url}/a.png"}
    request: Any = {"messages": [{"role": "user", "content": [part]}], "max_retries": 0}
    upstream.always(json_reply({}))
    for call in (ai_models.agenerate_text(**request), ai_models.astream_text(**request).response):
        with pytest.raises(AIModelsError) as caught:
            await call
        assert isinstance(caught.value, UnsupportedFunctionality if family == "bedrock" else UpstreamInvalidResponse)
    assert elsewhere.connections == []
    told = [part["url"] in sent.body.decode() for sent in upstream.requests]
    assert told == ([] if family == "bedrock" else [True, True])


# --- answers ---------------------------------------------------------------------------------------------------------


async def test_a_stream_has_a_size_limit(transactional_db: None, seed: Seed, upstream: Upstream, settings: Settings) -> None:
    await sync_to_async(seed)(at(upstream, "openai"))
    settings.AI_MODELS = {**settings.AI_MODELS, "MAX_RESPONSE_BYTES": 50_000}
    upstream.always(openai.stream(*["x" * 1000] * 100))
    with pytest.raises(UpstreamInvalidResponse, match="larger than allowed"):
        await ai_models.astream_text("Hi").response


async def test_a_finished_answer_does_not_wait_for_a_talking_provider(
    transactional_db: None, seed: Seed, upstream: Upstream
) -> None:
    await sync_to_async(seed)(at(upstream, "openai"))
    end = sse({"choices": [{"index": 0, "delta": {"content": "done"}, "finish_reason": "stop"}]})
    pings: list[Any] = [piece for _ in range(100) for piece in (Wait(0.1), b": ping\n\n")]
    upstream.script(stream([end, *pings]))
    started = time.monotonic()
    result = await ai_models.astream_text("Hi", timeout={"chunk": 2}).response
    assert (result.text, result.finish_reason) == ("done", "stop")
    assert time.monotonic() - started < 2


async def test_figures_alone_are_no_progress(puppet: type[Puppet]) -> None:
    puppet.scripts = [[Chunk(text="a"), *[0.05, Chunk(usage=Usage(input_tokens=1))] * 100]]
    with pytest.raises(UpstreamTimeout):
        await ai_models.astream_text("Hi", timeout={"chunk": 0.3}).response


async def test_the_first_chunk_s_limit_is_not_multiplied_by_attempts(puppet: type[Puppet]) -> None:
    puppet.scripts = [[60.0]]
    started = time.monotonic()
    with pytest.raises(UpstreamTimeout):
        await ai_models.astream_text("Hi", timeout={"first_chunk": 0.3}, max_retries=3).response
    assert time.monotonic() - started < 1
    assert len(puppet.calls) == 1


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"messages": [{"role": "user", "content": "a \ud800"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "\udc00"}]}]}, "messages"),
        ({"prompt": "a", "system": "\ud800"}, "system"),
        ({"prompt": "a", "tools": [{"name": "t", "input_schema": {"\ud800": 1}}]}, "tools"),
        ({"prompt": "a", "provider_options": {"other": {"x": ["\ud800"]}}}, "provider_options"),
    ],
    ids=["message", "part", "system", "key", "option"],
)
async def test_text_that_nothing_can_carry_is_refused(puppet: type[Puppet], request_: Any, field: str) -> None:
    """JSON of others is held to it when it is read; a caller in this process has no such reader before it."""
    with pytest.raises(InvalidRequest, match=f"^{field}: .*surrogate"):
        await ai_models.agenerate_text(**request_)
    assert puppet.calls == []


@pytest.mark.parametrize("reason", [["stop"], {"a": 1}, 7, "\ud800"])
async def test_a_reason_that_is_no_text_is_other(transactional_db: None, seed: Seed, upstream: Upstream, reason: Any) -> None:
    await sync_to_async(seed)(at(upstream, "openai"))
    upstream.always(openai.text("Hi", finish=reason))
    assert (await ai_models.agenerate_text("Hi")).finish_reason == "other"


# --- connections -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["deleted", "disabled"])
async def test_the_connection_of_an_instance_that_is_gone_is_closed(puppet: type[Puppet], change: str) -> None:
    await ai_models.agenerate_text("Hi", provider="other")
    (family,) = puppet.made
    row = await ProviderInstance.objects.aget(name="other")
    if change == "deleted":
        await row.adelete()
    else:
        row.enabled = False
        await row.asave()
    await ai_models.agenerate_text("Hi")
    await until(lambda: family.closed)


async def test_closing_lets_calls_under_way_finish(puppet: type[Puppet]) -> None:
    go_on = asyncio.Event()
    puppet.scripts = [[Chunk(text="a"), go_on, DONE]]
    reader = asyncio.ensure_future(ai_models.astream_text("Hi").response)
    await until(lambda: puppet.open == 1)
    await service.aclose()
    assert not puppet.made[0].closed
    go_on.set()
    assert (await reader).text == "a"
    await until(lambda: puppet.made[0].closed)


def test_event_loops_that_ended_leave_no_session(transactional_db: None, seed: Seed, upstream: Upstream) -> None:
    seed(at(upstream, "openai"))
    upstream.always(openai.text("Hi"))
    for _ in range(5):
        asyncio.run(ai_models.agenerate_text("Hi"))  # type: ignore[arg-type]
    facts = store.current().instances["main"]
    family: Any = connections._entries[facts.id].family
    assert len(family.transport._client._sessions) == 1
    assert upstream.open_connections <= 1


async def test_closing_twice_at_once_leaves_the_reader_alone(puppet: type[Puppet]) -> None:
    puppet.scripts = [[Chunk(text="a"), 60.0]]
    text = ai_models.astream_text("Hi")
    reader = asyncio.ensure_future(text.response)
    await until(lambda: puppet.open == 1)
    await asyncio.gather(text.aclose(), text.aclose())
    assert (await reader).finish_reason == "other"


# --- permissions -----------------------------------------------------------------------------------------------------


def test_sync_and_async_explain_alike(puppet: type[Puppet]) -> None:
    user = User.objects.create(username="viewer")
    user.user_permissions.add(Permission.objects.get(codename="view_providerinstance"))
    user = User.objects.get(username="viewer")
    explained = ai_models.resolve(capability="text-generation", user=user)
    assert explained == asyncio.run(_aresolve(user))
    assert not explained.available
    assert next(gate.code for gate in explained.gates if gate.gate == "permission") == "permission_denied"


async def _aresolve(user: Any) -> Any:
    return await ai_models.aresolve(capability="text-generation", user=user)


async def test_a_database_that_cannot_be_asked_is_no_permission(puppet: type[Puppet]) -> None:
    from django.db import OperationalError

    class Unreachable:
        async def ahas_perm(self, permission: str) -> bool:
            raise OperationalError("down")

        def has_perm(self, permission: str) -> bool:
            raise OperationalError("down")

    for call in (ai_models.agenerate_text, sync_to_async(ai_models.generate_text)):
        with pytest.raises(NotReady):
            await call("Hi", user=Unreachable())
    assert puppet.calls == []


async def test_warming_up_loads_what_translates(transactional_db: None, seed: Seed, upstream: Upstream) -> None:
    await sync_to_async(seed)(at(upstream, "anthropic"))
    litellm._litellm_handler.cache_clear()
    await service.awarm_up()
    assert litellm._litellm_handler.cache_info().currsize == 1
    assert upstream.connections == []
