"""Each runtime with a real model: the one that runs on this machine. It has no tools, and needs none for typed output."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from agents import Agent as SDKAgent
from agents import ModelSettings, Runner
from asgiref.sync import sync_to_async
from langchain_core.messages import AIMessageChunk, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from openai.types.shared import Reasoning
from pydantic import BaseModel, Field
from pydantic_ai import Agent, Embedder

import ai_models
from ai_models.handles import TextModel
from ai_models.integrations.langchain import AIModelsEmbeddings, ChatAIModels
from ai_models.integrations.openai_agents import AIModelsModel as SDKModel
from ai_models.integrations.pydantic_ai import AIModelsEmbeddingModel, AIModelsModel
from tests.conftest import Seed

CONFIG = """
ai:
  defaultProvider: local
  providers:
    local:
      type: local
      contextSize: 1024
      defaultModels: {text-generation: smollm2, structured-output: smollm2, embeddings: multilingual-e5-small}
"""


class Person(BaseModel):
    """Somebody invented."""

    name: Annotated[str, Field(max_length=20)]
    age: Annotated[int, Field(ge=0, le=120)]


@pytest.fixture
async def local(transactional_db: None, seed: Seed) -> TextModel:
    """The local model."""
    await sync_to_async(seed)(CONFIG)
    return await ai_models.aresolve_model()


async def test_langgraph(local: TextModel) -> None:
    model = ChatAIModels(local, settings={"max_output_tokens": 24, "temperature": 0.0})

    async def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_edge(START, "think")
    app = graph.compile()
    asked: Any = {"messages": [HumanMessage("Count to ten.")]}
    whole = (await app.ainvoke(asked))["messages"][-1]
    assert 0 < whole.usage_metadata["output_tokens"] <= 24
    pieces = [message async for message, _ in app.astream(asked, stream_mode="messages")]
    told = [piece.content for piece in pieces if isinstance(piece, AIMessageChunk) and piece.content]
    assert len(told) > 3
    assert "".join(told) == whole.content
    person: Any = await model.with_structured_output(Person).ainvoke("Invent a person.", max_output_tokens=64)
    assert 0 <= person.age <= 120
    embeddings = AIModelsEmbeddings(await ai_models.aresolve_model("embeddings"))
    assert len(await embeddings.aembed_query("cat")) == 384


async def test_pydantic_ai(local: TextModel) -> None:
    model = AIModelsModel(local, settings={"max_tokens": 64, "temperature": 0.0})
    result = await Agent(model, output_type=Person).run("Invent a person.")
    assert 0 <= result.output.age <= 120
    assert result.usage.output_tokens > 0
    async with Agent(model, output_type=Person).run_stream("Invent a person.") as run:
        assert (await run.get_output()) == result.output
    async with Agent(model).run_stream("Count to ten.") as run:
        assert len([piece async for piece in run.stream_text(delta=True, debounce_by=None)]) > 3


async def test_openai_agents(local: TextModel) -> None:
    settings = ModelSettings(max_tokens=64, temperature=0.0)
    talker = SDKAgent(name="Talker", model=SDKModel(local), model_settings=settings)
    whole = await Runner.run(talker, "Count to ten.")
    assert whole.context_wrapper.usage.output_tokens > 0
    run = Runner.run_streamed(talker, "Count to ten.")
    deltas = [event async for event in run.stream_events() if event.type == "raw_response_event"]
    assert len(deltas) > 3
    assert run.final_output == whole.final_output
    typed = SDKAgent(name="Inventor", model=SDKModel(local), model_settings=settings, output_type=Person)
    assert 0 <= (await Runner.run(typed, "Invent a person.")).final_output.age <= 120


async def test_warnings_that_have_no_place_in_an_answer_are_logged_once(
    local: TextModel, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ModelSettings(max_tokens=2, reasoning=Reasoning(effort="low"))
    agent = SDKAgent(name="Ada", model=SDKModel(local), model_settings=settings)
    await Runner.run(agent, "Hi")
    async for _ in Runner.run_streamed(agent, "Hi").stream_events():
        pass
    handle = await ai_models.aresolve_model("embeddings")
    vectors = AIModelsEmbeddings(handle, settings={"dimensions": 9})
    await vectors.aembed_query("cat")
    await vectors.aembed_query("dog")
    logged = [record for record in caplog.records if record.name.startswith("ai_models.integrations")]
    assert [(record.name.rsplit(".")[-1], record.message.split(":")[0]) for record in logged] == [
        ("openai_agents", "reasoning"), ("langchain", "dimensions"),
    ]  # fmt: skip
    embedded = await Embedder(AIModelsEmbeddingModel(handle)).embed_query("cat", settings={"dimensions": 9})
    assert [warning["setting"] for warning in (embedded.provider_details or {})["warnings"]] == ["dimensions"]
