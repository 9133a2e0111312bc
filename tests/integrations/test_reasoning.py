"""Between a tool's call and its result a vendor gets back the reasoning that it signed; runtimes keep it that long."""

from __future__ import annotations

import json
from typing import Any

import pytest
from agents import Agent as SDKAgent
from agents import Runner, function_tool
from asgiref.sync import sync_to_async
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.utils import convert_to_messages
from pydantic_ai import Agent, ModelMessagesTypeAdapter

import ai_models
from ai_models.handles import TextModel
from ai_models.integrations.langchain import ChatAIModels
from ai_models.integrations.openai_agents import AIModelsModel as SDKModel
from ai_models.integrations.pydantic_ai import AIModelsModel
from tests.conftest import Seed
from tests.integrations.test_langchain import agent_graph
from tests.upstreams import anthropic
from tests.upstreams.server import Upstream

CONFIG = """
ai:
  defaultProvider: claude
  providers:
    claude: {{type: anthropic, baseURL: {url}, apiKey: a-key, defaultModels: {{text-generation: claude-sonnet-4-5}}}}
"""
THOUGHTS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Which city?", "signature": "c2lnbmVk"},
    {"type": "redacted_thinking", "data": "aGlkZGVu"},
    {"type": "thinking", "thinking": "Oslo.", "signature": "c2Vjb25k"},
]
CALL: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}


@pytest.fixture
async def claude(transactional_db: None, seed: Seed, upstream: Upstream) -> TextModel:
    """A model whose vendor signs its reasoning."""
    await sync_to_async(seed)(CONFIG.format(url=upstream.url))
    return await ai_models.aresolve_model()


def think(upstream: Upstream, *, streamed: bool) -> None:
    """The model thinks and calls a tool, and then answers."""
    if not streamed:
        upstream.script(anthropic.content(*THOUGHTS, CALL, finish="tool_use"), anthropic.text("Sunny."))
        return
    deltas: list[tuple[Any, list[Any]]] = []
    for block in (*THOUGHTS, CALL):
        if block["type"] == "thinking":
            parts = [{"type": "thinking_delta", "thinking": part} for part in (block["thinking"][:3], block["thinking"][3:])]
            opened: Any = {"type": "thinking", "thinking": "", "signature": ""}
            deltas.append((opened, [*parts, {"type": "signature_delta", "signature": block["signature"]}]))
        elif block["type"] == "tool_use":
            asked = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            deltas.append(({**block, "input": {}}, [asked]))
        else:
            deltas.append((block, []))
    upstream.script(anthropic.content_stream(*deltas, finish="tool_use"), anthropic.stream("Sunny."))


def assert_sent_back(upstream: Upstream, turn: int = -1) -> None:
    assert upstream.requests[turn].json["messages"][1] == {"role": "assistant", "content": [*THOUGHTS, CALL]}


@pytest.mark.parametrize("streamed", [False, True])
async def test_langgraph(claude: TextModel, upstream: Upstream, streamed: bool) -> None:
    think(upstream, streamed=streamed)
    graph = agent_graph(ChatAIModels(claude))
    asked: Any = {"messages": [HumanMessage("Weather in Oslo?")]}
    if streamed:
        async for _ in graph.astream(asked, stream_mode="messages"):
            pass
    else:
        await graph.ainvoke(asked)
    assert_sent_back(upstream)


@pytest.mark.parametrize("streamed", [False, True])
async def test_pydantic_ai(claude: TextModel, upstream: Upstream, streamed: bool) -> None:
    think(upstream, streamed=streamed)
    agent = Agent(AIModelsModel(claude))

    @agent.tool_plain
    def weather(city: str) -> str:
        return f"sunny in {city}"

    if streamed:
        async with agent.run_stream("Weather in Oslo?") as run:
            await run.get_output()
            history = run.all_messages_json()
    else:
        history = (await agent.run("Weather in Oslo?")).all_messages_json()
    assert_sent_back(upstream)
    upstream.script(anthropic.text("Tomorrow too."))
    await agent.run("And tomorrow?", message_history=ModelMessagesTypeAdapter.validate_json(history))
    assert_sent_back(upstream)


@pytest.mark.parametrize("streamed", [False, True])
async def test_openai_agents(claude: TextModel, upstream: Upstream, streamed: bool) -> None:
    think(upstream, streamed=streamed)

    @function_tool
    def weather(city: str) -> str:
        return f"sunny in {city}"

    agent = SDKAgent(name="Helper", model=SDKModel(claude), tools=[weather])
    run: Any
    if streamed:
        run = Runner.run_streamed(agent, "Weather in Oslo?")
        async for _ in run.stream_events():
            pass
    else:
        run = await Runner.run(agent, "Weather in Oslo?")
    assert_sent_back(upstream)
    upstream.script(anthropic.text("Tomorrow too."))
    history = json.loads(json.dumps([*run.to_input_list(), {"role": "user", "content": "And tomorrow?"}]))
    await Runner.run(agent, history)
    assert_sent_back(upstream)


async def test_reasoning_of_other_models_is_left_out(claude: TextModel, upstream: Upstream) -> None:
    upstream.script(anthropic.text("Fine"))
    blocks: list[str | dict[Any, Any]] = [
        {"type": "thinking", "thinking": "Secretly", "signature": "Zm9yZWlnbg"},
        {"type": "reasoning", "reasoning": "Secretly"},
        {"type": "text", "text": "Hello"},
    ]
    kept = {"thinking_blocks": [{"type": "thinking", "thinking": "Secretly", "signature": "Zm9yZWlnbg"}]}
    said = AIMessage(blocks, additional_kwargs=kept)
    await ChatAIModels(claude).ainvoke(convert_to_messages([HumanMessage("Hi"), said, HumanMessage("And?")]))
    assert upstream.request.json["messages"][1]["content"] == [{"type": "text", "text": "Hello"}]
