"""pydantic-ai runs on a handle: what its agents ask goes over the wire, what comes back is theirs."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, Embedder, ImageUrl, ModelRetry, ToolOutput, UnexpectedModelBehavior
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import UnsupportedSettingWarning
from pydantic_ai.messages import ModelRequest, ModelResponse, ThinkingPart, ToolCallPart
from pydantic_ai.models.fallback import FallbackModel

import ai_models
from ai_models.exceptions import AIModelsError, CapabilityNotEnabled, InvalidRequest, PermissionDenied, UpstreamError
from ai_models.integrations.pydantic_ai import AIModelsEmbeddingModel, AIModelsModel, AIModelsSettings
from tests.integrations.conftest import Configure, MakeUser, assert_holds_no_credential, switch_off
from tests.samples import PNG
from tests.upstreams import openai
from tests.upstreams.server import Upstream


class Person(BaseModel):
    """Somebody."""

    age: int


async def model(configure: Configure, **options: Any) -> AIModelsModel:
    await sync_to_async(configure)()
    return AIModelsModel(await ai_models.aresolve_model(), **options)


@pytest.fixture
def own_loop() -> Iterator[None]:
    """The event loop that ``run_sync`` keeps for its thread, closed in the end."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.run_until_complete(ai_models.aclose())
    loop.close()
    asyncio.set_event_loop(None)


def test_an_agent_runs_sync(gateway: Upstream, own_loop: None) -> None:
    gateway.always(openai.text("Fine"))
    agent = Agent(AIModelsModel(ai_models.resolve_model()))
    assert [agent.run_sync("Hi").output for _ in range(2)] == ["Fine", "Fine"]


async def test_a_conversation_goes_out_and_an_answer_comes_back(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.text("Hello", reasoning="Polite."), openai.text("Fine"))
    agent = Agent(await model(configure), instructions="Be brief.", system_prompt="You are Ada.")
    settings = AIModelsSettings(
        temperature=0.5, max_tokens=9, stop_sequences=["END"], thinking="xhigh", extra_headers={"x-team": "core"}
    )
    first = await agent.run("Hi", model_settings=settings)
    second = await agent.run("How are you?", message_history=first.all_messages())
    assert upstream.requests[0].json == {
        "model": "big-1",
        "messages": [
            {"role": "system", "content": "You are Ada."},
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
        ],
        "temperature": 0.5,
        "max_tokens": 9,
        "stop": ["END"],
        "reasoning_effort": "high",
    }
    assert upstream.requests[0].headers["x-team"] == "core"
    assert upstream.requests[1].json["messages"][2:] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "How are you?"},
    ]
    assert second.output == "Fine"
    answer = first.new_messages()[-1]
    assert isinstance(answer, ModelResponse)
    assert (answer.provider_name, answer.model_name, answer.finish_reason) == ("main", openai.MODEL, "stop")
    assert isinstance(answer.parts[0], ThinkingPart)
    usage = first.usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (20, 8, 7)
    assert usage.details == {"reasoning_tokens": 3}


async def test_unknown_counts_are_unmeasured(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.text("Fine", usage=None), openai.stream("Fine", usage=None))
    agent = Agent(await model(configure))
    assert (await agent.run("Hi")).usage.unmeasured_requests == 1
    async with agent.run_stream("Hi") as run:
        assert await run.get_output() == "Fine"
        assert run.usage.unmeasured_requests == 1


async def test_vendor_settings_and_those_that_do_not_exist(configure: Configure, upstream: Upstream) -> None:
    upstream.always(openai.text("Fine"))
    agent = Agent(await model(configure, settings=AIModelsSettings(ai_models_provider_options={"openai": {}})))
    assert (await agent.run("Hi")).output == "Fine"
    with pytest.warns(UnsupportedSettingWarning, match="extra_body"):
        await agent.run("Hi", model_settings={"extra_body": {"n": 2}})
    nonsense = AIModelsSettings(ai_models_provider_options={"openai-compatible": {"nonsense": 1}})
    with pytest.raises(InvalidRequest, match="nonsense"):
        await agent.run("Hi", model_settings=nonsense)


async def test_files_go_out(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.text("A dot."))
    agent = Agent(await model(configure))
    await agent.run(["What is it?", BinaryContent(PNG, media_type="image/png"), ImageUrl("https://example.com/cat.png")])
    assert upstream.request.json["messages"][0]["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
    ]


async def test_text_is_streamed(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.stream("Hel", "lo", reasoning=["Hm."]))
    agent = Agent(await model(configure))
    async with agent.run_stream("Hi") as run:
        pieces = [piece async for piece in run.stream_text(delta=True, debounce_by=None)]
    assert pieces == ["Hel", "lo"]
    assert run.usage.input_tokens == 20
    answer = run.all_messages()[-1]
    assert isinstance(answer, ModelResponse)
    assert [part.part_kind for part in answer.parts] == ["thinking", "text"]
    assert (answer.state, answer.finish_reason) == ("complete", "stop")


async def test_typed_output_needs_no_tools(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.text('{"age": 3}'))
    result = await Agent(await model(configure), output_type=Person).run("Hi")
    assert result.output == Person(age=3)
    assert "tools" not in upstream.request.json
    declared = upstream.request.json["response_format"]["json_schema"]
    assert (declared["name"], declared["schema"]["properties"]["age"]["type"]) == ("Person", "integer")


async def test_typed_output_is_streamed_while_it_grows(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.stream('{"name": "A', 'da", "age"', ": 3}"))

    class Named(BaseModel):
        name: str
        age: int = 0

    async with Agent(await model(configure), output_type=Named).run_stream("Hi") as run:
        seen = [output async for output in run.stream_output(debounce_by=None)]
    assert seen[0].name == "A"
    assert seen[-1] == Named(name="Ada", age=3)
    assert "response_format" in upstream.request.json


async def test_an_answer_that_breaks_its_schema_is_asked_for_again(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.text('{"age": "old"}'), openai.text('{"age": 3}'))
    agent = Agent(await model(configure), output_type=Person)
    assert (await agent.run("Hi")).output == Person(age=3)
    told = json.dumps(upstream.requests[1].json["messages"])
    assert "valid integer" in told
    upstream.always(openai.text("I would rather not."))
    with pytest.raises(UnexpectedModelBehavior):
        await agent.run("Hi")


async def test_typed_output_by_a_tool(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.tool_call("final_result", {"age": 3}))
    result = await Agent(await model(configure), output_type=ToolOutput(Person)).run("Hi")
    assert result.output == Person(age=3)
    assert upstream.request.json["tools"][0]["function"]["name"] == "final_result"
    assert upstream.request.json["tool_choice"] == "required"


def with_weather(agent: Agent[None, Any]) -> Agent[None, Any]:
    @agent.tool_plain
    def weather(city: str) -> str:
        """The weather of a city."""
        if city == "Atlantis":
            raise ModelRetry("It sank.")
        return f"sunny in {city}"

    return agent


async def test_an_agent_runs_the_tool_that_the_model_asks_for(configure: Configure, upstream: Upstream) -> None:
    upstream.script(
        openai.tool_call("weather", {"city": "Atlantis"}, id="call_0"),
        openai.tool_call("weather", {"city": "Oslo"}),
        openai.text('{"age": 3}'),
    )
    agent = with_weather(Agent(await model(configure), output_type=Person))
    result = await agent.run("Weather?")
    assert result.output == Person(age=3)
    (declared,) = upstream.requests[0].json["tools"]
    assert declared["function"]["description"] == "The weather of a city."
    assert "response_format" in upstream.requests[0].json
    assert "It sank." in upstream.requests[1].json["messages"][-1]["content"]
    assert upstream.requests[2].json["messages"][-2:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny in Oslo"},
    ]
    assert result.usage.input_tokens == 60


async def test_an_agent_streams_with_tools(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.tool_call_stream("weather", '{"city":', ' "Oslo"}'), openai.stream("Sun", "ny."))
    agent = with_weather(Agent(await model(configure)))
    async with agent.run_stream("Weather?") as run:
        assert [piece async for piece in run.stream_text(delta=True, debounce_by=None)] == ["Sun", "ny."]
    calls = [part for message in run.all_messages() for part in message.parts if isinstance(part, ToolCallPart)]
    assert [(call.tool_name, call.args_as_dict()) for call in calls] == [("weather", {"city": "Oslo"})]
    assert upstream.requests[1].json["messages"][-1]["content"] == "sunny in Oslo"


async def test_a_switched_off_capability_is_our_error(configure: Configure, upstream: Upstream) -> None:
    agent = Agent(await model(configure), output_type=Person)
    await sync_to_async(switch_off)("structured-output")
    with pytest.raises(CapabilityNotEnabled):
        await agent.run("Hi")
    assert upstream.requests == []


async def test_a_missing_permission_is_our_error(configure: Configure, upstream: Upstream, make_user: MakeUser) -> None:
    await sync_to_async(configure)()
    user = await sync_to_async(make_user)("text-generation")
    agent = Agent(AIModelsModel(await ai_models.aresolve_model(user=user)))
    await user.user_permissions.aclear()
    with pytest.raises(PermissionDenied):
        await agent.run("Hi")
    with pytest.raises(PermissionDenied):
        async with agent.run_stream("Hi"):
            pass
    assert upstream.requests == []


async def test_a_failing_provider_is_our_error(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.error(500), openai.error(500), openai.error_in_stream("Hel"))
    agent = Agent(await model(configure, settings={"max_retries": 0}))
    with pytest.raises(UpstreamError):
        await agent.run("Hi")
    with pytest.raises(UpstreamError):
        async with agent.run_stream("Hi"):
            pass
    with pytest.raises(UpstreamError):
        async with agent.run_stream("Hi") as run:
            await run.get_output()


async def test_another_model_takes_over_where_one_fails(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.error(500), openai.text("Fine"))
    first = await model(configure, settings={"max_retries": 0})
    second = AIModelsModel(await ai_models.aresolve_model(provider="other"))
    agent = Agent(FallbackModel(first, second, fallback_on=(AIModelsError,)))
    assert (await agent.run("Hi")).output == "Fine"
    assert [request.json["model"] for request in upstream.requests] == ["big-1", "other-1"]


async def test_embeddings(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.embeddings([1.0, 2.0], [3.0, 4.0]))
    await sync_to_async(configure)()
    embedder = Embedder(AIModelsEmbeddingModel(await ai_models.aresolve_model("embeddings")))
    result = await embedder.embed_documents(["cat", "dog"], settings={"dimensions": 2})
    assert result["dog"] == [3.0, 4.0]
    assert (result.provider_name, result.model_name, result.usage.input_tokens) == ("main", "vector-1", 5)
    assert upstream.request.json["dimensions"] == 2
    with pytest.raises(InvalidRequest, match="truncate"):
        await embedder.embed_query("cat", settings={"truncate": True})


async def test_the_model_holds_no_credential(configure: Configure, upstream: Upstream) -> None:
    upstream.always(openai.text("Hello"))
    held = await model(configure)
    await model_request(held, [ModelRequest.user_text_prompt("Hi")])
    assert_holds_no_credential(held)
