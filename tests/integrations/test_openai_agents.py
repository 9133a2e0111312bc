"""The OpenAI Agents SDK runs on a handle: what its agents ask goes over the wire, what comes back is theirs."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agents import (
    Agent,
    ModelSettings,
    RunConfig,
    Runner,
    Span,
    Trace,
    TracingProcessor,
    add_trace_processor,
    function_tool,
    set_trace_processors,
    trace,
)
from agents.models.interface import ModelTracing
from agents.retry import ModelRetryAdviceRequest
from asgiref.sync import sync_to_async
from openai.types.responses import ResponseTextDeltaEvent
from openai.types.shared import Reasoning
from pydantic import BaseModel

import ai_models
from ai_models.exceptions import (
    AIModelsError,
    CapabilityNotEnabled,
    InvalidRequest,
    NoObjectGenerated,
    PermissionDenied,
    UpstreamError,
    UpstreamRateLimited,
)
from ai_models.integrations.openai_agents import AIModelsModel, AIModelsProvider
from tests.integrations.conftest import Configure, MakeUser, assert_holds_no_credential, switch_off
from tests.samples import PNG
from tests.upstreams import openai
from tests.upstreams.server import Upstream

ROOT = Path(__file__).parent.parent.parent
DECOY = "sk-decoy-of-the-environment"


class Person(BaseModel):
    """Somebody."""

    age: int


@function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


@pytest.fixture(autouse=True)
def _decoy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment, which nothing here may use."""
    monkeypatch.setenv("OPENAI_API_KEY", DECOY)


@pytest.fixture
def spans() -> Iterator[list[Span[Any]]]:
    """What a tracing processor of the host's sees."""
    found: list[Span[Any]] = []

    class Collect(TracingProcessor):
        def on_trace_start(self, trace: Trace) -> None: ...
        def on_trace_end(self, trace: Trace) -> None: ...
        def on_span_start(self, span: Span[Any]) -> None: ...
        def on_span_end(self, span: Span[Any]) -> None:
            found.append(span)

        def shutdown(self) -> None: ...
        def force_flush(self) -> None: ...

    add_trace_processor(Collect())
    yield found
    set_trace_processors([])


async def model(configure: Configure) -> AIModelsModel:
    await sync_to_async(configure)()
    return AIModelsModel(await ai_models.aresolve_model())


async def test_a_conversation_goes_out_and_an_answer_comes_back(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.text("Hello", reasoning="Polite."), openai.text("Fine"))
    settings = ModelSettings(
        temperature=0.5, max_tokens=9, reasoning=Reasoning(effort="xhigh"),
        extra_headers={"x-team": "core"}, extra_args={"stop_sequences": ["END"]},
    )  # fmt: skip
    agent = Agent(name="Ada", instructions="Be brief.", model=await model(configure), model_settings=settings)
    first = await Runner.run(agent, "Hi")
    second = await Runner.run(agent, [*first.to_input_list(), {"role": "user", "content": "How are you?"}])
    assert upstream.requests[0].json == {
        "model": "big-1",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "max_tokens": 9,
        "stop": ["END"],
        "reasoning_effort": "high",
    }
    assert upstream.requests[0].headers["x-team"] == "core"
    assert DECOY not in upstream.requests[0].everything
    assert upstream.requests[1].json["messages"][1:] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "How are you?"},
    ]
    assert (first.final_output, second.final_output) == ("Hello", "Fine")
    assert [item.type for item in first.raw_responses[0].output] == ["reasoning", "message"]
    usage = first.context_wrapper.usage
    assert (usage.requests, usage.input_tokens, usage.output_tokens, usage.total_tokens) == (1, 20, 7, 27)
    assert (usage.input_tokens_details.cached_tokens, usage.output_tokens_details.reasoning_tokens) == (8, 3)


async def test_files_go_out(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.text("A dot."))
    image = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    content = [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": image, "detail": "auto"}]
    asked: Any = [{"role": "user", "content": content}]
    await Runner.run(Agent(name="Ada", model=await model(configure)), asked)
    assert upstream.request.json["messages"][0]["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": image}},
    ]


async def test_text_is_streamed(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.stream("Hel", "lo", reasoning=["Hm."]))
    run = Runner.run_streamed(Agent(name="Ada", model=await model(configure)), "Hi")
    pieces = [
        event.data.delta
        async for event in run.stream_events()
        if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent)
    ]
    assert pieces == ["Hel", "lo"]
    assert run.final_output == "Hello"
    usage = run.context_wrapper.usage
    assert (usage.requests, usage.input_tokens, usage.input_tokens_details.cached_tokens) == (1, 20, 8)


@pytest.mark.parametrize("streamed", [False, True])
async def test_unknown_counts_are_not_made_up(configure: Configure, upstream: Upstream, streamed: bool) -> None:
    upstream.script(openai.stream("Fine", usage=None) if streamed else openai.text("Fine", usage=None))
    result = await run(Agent(name="Ada", model=await model(configure)), "Hi", streamed)
    assert (result.context_wrapper.usage.requests, result.context_wrapper.usage.total_tokens) == (1, 0)


async def run(agent: Agent[Any], asked: str, streamed: bool, **options: Any) -> Any:
    """The result of a run, streamed or not."""
    if not streamed:
        return await Runner.run(agent, asked, **options)
    result = Runner.run_streamed(agent, asked, **options)
    async for _ in result.stream_events():
        pass
    return result


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_agent_runs_the_tool_that_the_model_asks_for(configure: Configure, upstream: Upstream, streamed: bool) -> None:
    if streamed:
        upstream.script(openai.tool_call_stream("weather", '{"city":', ' "Oslo"}'), openai.stream('{"age"', ": 3}"))
    else:
        upstream.script(openai.tool_call("weather", {"city": "Oslo"}), openai.text('{"age": 3}'))
    settings = ModelSettings(tool_choice="weather")
    agent = Agent(
        name="Ada", model=await model(configure), tools=[weather], output_type=Person, model_settings=settings
    )  # fmt: skip
    result = await run(agent, "Weather?", streamed)
    assert result.final_output == Person(age=3)
    first, second = (request.json for request in upstream.requests)
    assert first["tools"][0]["function"]["name"] == "weather"
    assert first["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert first["response_format"]["json_schema"]["strict"] is True
    assert second["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": "sunny in Oslo"}
    assert json.loads(second["messages"][-2]["tool_calls"][0]["function"]["arguments"]) == {"city": "Oslo"}
    assert result.context_wrapper.usage.input_tokens == 40


@pytest.mark.parametrize("streamed", [False, True])
async def test_agents_hand_over_to_each_other(configure: Configure, upstream: Upstream, streamed: bool) -> None:
    if streamed:
        upstream.script(openai.tool_call_stream("transfer_to_bob", "{}"), openai.stream("Bob here."))
    else:
        upstream.script(openai.tool_call("transfer_to_bob", {}), openai.text("Bob here."))
    await sync_to_async(configure)()
    provider = AIModelsProvider(await ai_models.aresolve_model())
    bob = Agent(name="Bob", model="fast")
    ada = Agent(name="Ada", handoffs=[bob])
    result = await run(ada, "Hi", streamed, run_config=RunConfig(model_provider=provider))
    assert (result.final_output, result.last_agent.name) == ("Bob here.", "Bob")
    first, second = (request.json for request in upstream.requests)
    assert [tool["function"]["name"] for tool in first["tools"]] == ["transfer_to_bob"]
    assert (first["model"], second["model"]) == ("big-1", "small-1")
    # What the SDK fills in for OpenAI's own default model is not sent to others.
    assert "reasoning_effort" not in first


async def test_settings_that_do_not_exist_are_logged(
    configure: Configure, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.always(openai.text("Fine"))
    settings = ModelSettings(store=False, truncation="auto")
    agent = Agent(name="Ada", model=await model(configure), model_settings=settings)
    await Runner.run(agent, "Hi")
    await Runner.run(agent, "Hi")
    assert [record.message for record in caplog.records if record.name.startswith("ai_models")] == [
        "Settings that ai_models does not have were left out: store, truncation"
    ]


async def test_conversations_that_are_kept_at_openai_are_refused(configure: Configure, upstream: Upstream) -> None:
    agent = Agent(name="Ada", model=await model(configure))
    with pytest.raises(InvalidRequest, match="previous_response_id"):
        await Runner.run(agent, "Hi", previous_response_id="resp_1")
    assert upstream.requests == []


async def test_a_withheld_answer_is_a_refusal(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.text("", finish="content_filter"))
    handed = await model(configure)
    response = await handed.get_response(None, "Hi", ModelSettings(), [], None, [], ModelTracing.DISABLED)
    assert response.to_input_items()[0]["content"][0]["type"] == "refusal"  # type: ignore[typeddict-item,index]
    upstream.script(openai.text("Fine"))
    turns: list[Any] = [{"role": "user", "content": "Hi"}, *response.to_input_items(), {"role": "user", "content": "And?"}]
    await Runner.run(Agent(name="Ada", model=handed), turns)
    assert upstream.requests[1].json["messages"][1]["content"].startswith("Response withheld")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_switched_off_capability_is_our_error(configure: Configure, upstream: Upstream, streamed: bool) -> None:
    agent = Agent(name="Ada", model=await model(configure), output_type=Person)
    await sync_to_async(switch_off)("structured-output")
    with pytest.raises(CapabilityNotEnabled):
        await run(agent, "Hi", streamed)
    assert upstream.requests == []


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_missing_permission_is_our_error(
    configure: Configure, upstream: Upstream, make_user: MakeUser, streamed: bool
) -> None:
    await sync_to_async(configure)()
    user = await sync_to_async(make_user)("text-generation")
    agent = Agent(name="Ada", model=AIModelsModel(await ai_models.aresolve_model(user=user)))
    await user.user_permissions.aclear()
    with pytest.raises(PermissionDenied):
        await run(agent, "Hi", streamed)
    assert upstream.requests == []


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_failing_provider_is_our_error(configure: Configure, upstream: Upstream, streamed: bool) -> None:
    upstream.script(openai.error_in_stream("Hel") if streamed else openai.error(500))
    settings = ModelSettings(extra_args={"max_retries": 0})
    agent = Agent(name="Ada", model=await model(configure), model_settings=settings)
    with pytest.raises(UpstreamError):
        await run(agent, "Hi", streamed)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_that_breaks_its_schema_is_our_error(configure: Configure, upstream: Upstream, streamed: bool) -> None:
    upstream.script(openai.stream('{"age": "old"}') if streamed else openai.text('{"age": "old"}'))
    with pytest.raises(NoObjectGenerated):
        await run(Agent(name="Ada", model=await model(configure), output_type=Person), "Hi", streamed)


async def test_the_runner_is_told_whether_to_try_again(configure: Configure) -> None:
    handed = await model(configure)

    def advice(error: Exception) -> Any:
        return handed.get_retry_advice(ModelRetryAdviceRequest(error=error, attempt=1, stream=False))

    limited = advice(UpstreamRateLimited("Slow down.", retry_after=3.0))
    assert (limited.suggested, limited.retry_after) == (True, 3.0)
    assert advice(CapabilityNotEnabled("No.")).suggested is False
    assert advice(ValueError("?")) is None


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_host_sees_traces(
    configure: Configure, upstream: Upstream, spans: list[Span[Any]], streamed: bool
) -> None:  # fmt: skip
    upstream.script(openai.stream("Fine") if streamed else openai.text("Fine"), openai.error(400))
    agent = Agent(name="Ada", model=await model(configure))
    with trace("a test"):
        await run(agent, "Hi", streamed)
        with pytest.raises(AIModelsError):
            await Runner.run(agent, "Hi")
    calls = [span for span in spans if span.span_data.type == "generation"]
    assert [call.error is None for call in calls] == [True, False]
    told = calls[0].export()
    assert told is not None
    assert (told["span_data"]["model"], told["span_data"]["usage"]["input_tokens"]) == ("big-1", 20)
    assert told["span_data"]["input"] == [{"role": "user", "content": "Hi"}]


TRACED = """
import os, sys
import django

def watch(event, arguments):
    if event == "socket.getaddrinfo":
        print(arguments[0], flush=True)
        os._exit(0)

sys.addaudithook(watch)
django.setup()
import {imported}
from agents import agent_span, flush_traces, trace
with trace("a run"), agent_span("Ada"):
    pass
flush_traces()
print("nobody")
"""


@pytest.mark.parametrize(
    ("imported", "reached"), [("agents", "api.openai.com"), ("ai_models.integrations.openai_agents", "nobody")]
)
def test_with_the_adapter_traces_stay_here(imported: str, reached: str) -> None:
    """The first case is the SDK alone: with a key in the environment it tells OpenAI."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": DECOY, "NO_PROXY": "*"}
    command = [sys.executable, "-c", TRACED.format(imported=imported)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == reached


async def test_the_model_holds_no_credential(configure: Configure, upstream: Upstream) -> None:
    upstream.always(openai.text("Hello"))
    handed = await model(configure)
    await Runner.run(Agent(name="Ada", model=handed), "Hi")
    assert_holds_no_credential(handed)
    assert_holds_no_credential(AIModelsProvider(handed.handle))
