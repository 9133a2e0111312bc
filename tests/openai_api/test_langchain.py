"""LangChain's classes for OpenAI, with nothing changed but their base URL and key."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

from ai_models.types import Chunk, ToolCallDelta
from tests.api.conftest import LiveServer, token_of
from tests.openai_api.actor import CALLS, DONE, VECTORS, Actor
from tests.openai_api.conftest import BASE
from tests.openai_api.test_sdk import ADA, OWN_WARNING, Person


class Weather(BaseModel):
    """Tells the weather."""

    city: str


@pytest.fixture
def model(server: LiveServer, user: User) -> ChatOpenAI:
    return ChatOpenAI(model="stage/lead", base_url=f"{server.url}{BASE}", api_key=SecretStr(token_of(user)), temperature=0)


def test_a_chat(model: ChatOpenAI) -> None:
    said = model.invoke([SystemMessage("Be brief."), HumanMessage("Hello")])
    assert said.content == "Hello you"
    assert said.usage_metadata is not None
    assert said.usage_metadata["total_tokens"] == 18
    assert said.usage_metadata["input_token_details"] == {"cache_read": 4, "cache_creation": 2}
    assert said.response_metadata["finish_reason"] == "stop"


def test_a_streamed_chat(model: ChatOpenAI) -> None:
    pieces = list(model.stream("Hello", stream_usage=True))
    assert "".join(str(piece.content) for piece in pieces) == "Hello you"
    (usage,) = [piece.usage_metadata for piece in pieces if piece.usage_metadata]
    assert usage["total_tokens"] == 18


async def test_a_chat_in_async_code(model: ChatOpenAI) -> None:
    assert (await model.ainvoke("Hello")).content == "Hello you"
    assert "".join([str(piece.content) async for piece in model.astream("Hello")]) == "Hello you"


def test_tools(model: ChatOpenAI) -> None:
    Actor.script = CALLS
    bound = model.bind_tools([Weather], strict=True)
    said = bound.invoke("Weather?")
    assert isinstance(said, AIMessage)
    assert [(call["name"], call["args"]) for call in said.tool_calls] == [("weather", {"city": "Oslo"}), ("now", {})]
    streamed: Any = None
    for piece in bound.stream("Weather?"):
        streamed = piece if streamed is None else streamed + piece
    assert streamed.tool_calls == said.tool_calls
    Actor.script = [Chunk(text="Rain."), DONE]
    results = [ToolMessage("Rain", tool_call_id=str(call["id"])) for call in said.tool_calls]
    assert bound.invoke([HumanMessage("Weather?"), said, *results]).content == "Rain."
    assert Actor.requests[-1]["messages"][2]["content"][0]["output"] == "Rain"


@OWN_WARNING
@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_an_object_of_a_class(model: ChatOpenAI, method: Any) -> None:
    Actor.script = ADA
    assert model.with_structured_output(Person, method=method).invoke("Ada, 36 years") == Person(name="Ada", age=36)


def test_an_object_by_a_tool(model: ChatOpenAI) -> None:
    call = ToolCallDelta(index=0, id="call_1", name="Weather", arguments='{"city": "Oslo"}')
    Actor.script = [Chunk(tool_calls=(call,)), Chunk(finish_reason="tool-calls")]
    assert model.with_structured_output(Weather, method="function_calling").invoke("Weather?") == Weather(city="Oslo")
    assert Actor.requests[-1]["provider_options"] == {"actor": {"parallel_tool_calls": False}}


@OWN_WARNING
def test_an_object_streamed(model: ChatOpenAI) -> None:
    Actor.script = ADA
    *_, last = model.with_structured_output(Person).stream("Ada, 36 years")
    assert last == Person(name="Ada", age=36)


def test_embeddings(server: LiveServer, user: User) -> None:
    vectors = OpenAIEmbeddings(
        model="stage/lead",
        base_url=f"{server.url}{BASE}",
        api_key=SecretStr(token_of(user)),
        check_embedding_ctx_length=False,
    )
    assert vectors.embed_query("a") == pytest.approx(VECTORS[0])
    assert vectors.embed_documents(["a", "b"]) == [pytest.approx(vector) for vector in VECTORS]
