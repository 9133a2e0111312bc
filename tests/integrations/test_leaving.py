"""Who stops listening to a runtime ends the call to the provider, in whichever way the runtime lets go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import pytest
from agents import Agent as SDKAgent
from agents import Runner
from asgiref.sync import sync_to_async
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from pydantic_ai import Agent
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models import ModelRequestParameters

import ai_models
from ai_models.handles import TextModel
from ai_models.integrations.langchain import ChatAIModels
from ai_models.integrations.openai_agents import AIModelsModel as SDKModel
from ai_models.integrations.pydantic_ai import AIModelsModel
from tests.integrations.conftest import Configure
from tests.upstreams import faults, openai
from tests.upstreams.server import Upstream


async def leave_langchain(handle: TextModel) -> None:
    async with aclosing(ChatAIModels(handle).astream("Hi")) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            if chunk.content:
                break


async def leave_langchain_sync(handle: TextModel) -> None:
    def read() -> None:
        chunks: Any = ChatAIModels(handle).stream("Hi")
        while not next(chunks).content:
            pass
        chunks.close()

    await asyncio.to_thread(read)


async def cancel_langgraph(handle: TextModel) -> None:
    async def answer(state: MessagesState) -> dict[str, list[AIMessage]]:
        return {"messages": [await ChatAIModels(handle).ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile()
    arrived = asyncio.Event()

    async def read() -> None:
        asked: Any = {"messages": [("user", "Hi")]}
        async for message, _ in graph.astream(asked, stream_mode="messages"):
            if getattr(message, "content", ""):
                arrived.set()

    await cancel(read, arrived)


async def leave_pydantic_ai(handle: TextModel) -> None:
    async with Agent(AIModelsModel(handle)).run_stream("Hi") as run:
        async for _ in run.stream_text(delta=True, debounce_by=None):
            break


async def stop_pydantic_ai(handle: TextModel) -> None:
    asked: list[Any] = [ModelRequest.user_text_prompt("Hi")]
    async with AIModelsModel(handle).request_stream(asked, None, ModelRequestParameters()) as response:
        async for _ in response:
            break
        await response.cancel()
    assert response.get().state == "interrupted"


async def stop_agents(handle: TextModel) -> None:
    run = Runner.run_streamed(SDKAgent(name="Ada", model=SDKModel(handle)), "Hi")
    async for event in run.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            run.cancel()
            break


async def cancel_agents(handle: TextModel) -> None:
    arrived = asyncio.Event()

    async def read() -> None:
        run = Runner.run_streamed(SDKAgent(name="Ada", model=SDKModel(handle)), "Hi")
        async for event in run.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                arrived.set()

    await cancel(read, arrived)


async def cancel(read: Callable[[], Awaitable[None]], arrived: asyncio.Event) -> None:
    """Cancel a task once its first text has arrived."""
    reading = asyncio.ensure_future(read())
    async with asyncio.timeout(30):
        await arrived.wait()
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading


@pytest.mark.parametrize(
    "leave",
    [
        leave_langchain, leave_langchain_sync, cancel_langgraph,
        leave_pydantic_ai, stop_pydantic_ai,
        stop_agents, cancel_agents,
    ],
)  # fmt: skip
async def test_leaving_ends_the_upstream_call(
    configure: Configure, upstream: Upstream, leave: Callable[[TextModel], Awaitable[None]]
) -> None:
    await sync_to_async(configure)()
    upstream.always(faults.hang_after(openai.stream("Hello", " there"), b"Hello"))
    await leave(await ai_models.aresolve_model())
    assert await upstream.await_closed()
