"""LangChain and LangGraph run on a handle: what they ask goes over the wire, what comes back is theirs."""

from __future__ import annotations

import base64
import pickle
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from pydantic import BaseModel
from typing_extensions import TypedDict

import ai_models
from ai_models.exceptions import CapabilityNotEnabled, InvalidRequest, NoObjectGenerated, PermissionDenied, UpstreamError
from ai_models.integrations.langchain import AIModelsEmbeddings, ChatAIModels
from tests.integrations.conftest import Configure, MakeUser, assert_holds_no_credential, switch_off
from tests.samples import PNG
from tests.upstreams import openai
from tests.upstreams.server import Upstream

USAGE = {
    "input_tokens": 20,
    "output_tokens": 7,
    "total_tokens": 27,
    "input_token_details": {"cache_read": 8},
    "output_token_details": {"reasoning": 3},
}


class Person(BaseModel):
    """Somebody."""

    age: int


class Pet(TypedDict):
    """An animal."""

    age: int


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def chat(**settings: Any) -> ChatAIModels:
    return ChatAIModels(ai_models.resolve_model(), settings=settings)


async def achat(configure: Configure, **settings: Any) -> ChatAIModels:
    await sync_to_async(configure)()
    return ChatAIModels(await ai_models.aresolve_model(), settings=settings)


def test_a_conversation_goes_out_and_an_answer_comes_back(gateway: Upstream) -> None:
    gateway.script(openai.text("Fine", reasoning="Polite."))
    turns = [SystemMessage("Be brief."), HumanMessage("Hi"), AIMessage("Hello"), HumanMessage("How are you?")]
    answer = chat(temperature=0.5).invoke(turns, stop=["END"], max_tokens=9)
    assert gateway.request.json == {
        "model": "big-1",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "How are you?"},
        ],
        "temperature": 0.5,
        "max_tokens": 9,
        "stop": ["END"],
    }
    assert answer.content == "Fine"
    assert answer.usage_metadata == USAGE
    assert answer.response_metadata == {
        "finish_reason": "stop", "model_name": openai.MODEL, "id": openai.ID, "provider": "main", "warnings": [],
    }  # fmt: skip
    assert {"type": "reasoning", "reasoning": "Polite."} in answer.content_blocks


def test_unknown_counts_are_unknown(gateway: Upstream) -> None:
    gateway.script(openai.text("Fine", usage=None))
    assert chat().invoke("Hi").usage_metadata is None


def test_an_unknown_argument_is_refused(gateway: Upstream) -> None:
    with pytest.raises(InvalidRequest, match="parallel_tool_calls"):
        chat().invoke("Hi", parallel_tool_calls=False)
    assert gateway.requests == []


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "base64": base64.b64encode(PNG).decode(), "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}},
    ],
)
def test_images_go_out(gateway: Upstream, block: dict[str, Any]) -> None:
    gateway.script(openai.text("A dot."))
    chat().invoke([HumanMessage([{"type": "text", "text": "What is it?"}, block])])
    text, image = gateway.request.json["messages"][0]["content"]
    assert text == {"type": "text", "text": "What is it?"}
    assert image["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def test_an_image_by_its_address_is_left_to_the_provider(gateway: Upstream) -> None:
    gateway.script(openai.text("A cat."))
    chat().invoke([HumanMessage([{"type": "image", "url": "https://example.com/cat.png"}])])
    assert gateway.request.json["messages"][0]["content"][0]["image_url"]["url"] == "https://example.com/cat.png"


def test_text_is_streamed(gateway: Upstream) -> None:
    gateway.script(openai.stream("Hel", "lo", reasoning=["Hm."]))
    chunks = list(chat().stream("Hi"))
    assert "".join(str(chunk.content) for chunk in chunks) == "Hello"
    assert len([chunk for chunk in chunks if chunk.content]) == 2
    whole: AIMessageChunk = sum(chunks[1:], chunks[0])  # type: ignore[arg-type,assignment]
    assert whole.usage_metadata == USAGE
    assert whole.response_metadata["finish_reason"] == "stop"
    assert whole.additional_kwargs == {"reasoning_content": "Hm."}


async def test_text_is_streamed_async(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.stream("Hel", "lo"))
    chunks = [chunk async for chunk in (await achat(configure)).astream("Hi")]
    assert [chunk.content for chunk in chunks if chunk.content] == ["Hel", "lo"]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("any", "required"),
        (True, "required"),
        ("auto", "auto"),
        ("weather", {"type": "function", "function": {"name": "weather"}}),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "function", "function": {"name": "weather"}}),
    ],
)
def test_tools_and_their_choice_go_out(gateway: Upstream, choice: Any, sent: Any) -> None:
    gateway.script(openai.tool_call("weather", {"city": "Oslo"}))
    answer = chat().bind_tools([weather], tool_choice=choice).invoke("Hi")
    (declared,) = gateway.request.json["tools"]
    assert declared["function"]["name"] == "weather"
    assert declared["function"]["parameters"]["properties"]["city"]["type"] == "string"
    assert gateway.request.json["tool_choice"] == sent
    assert answer.tool_calls == [{"name": "weather", "args": {"city": "Oslo"}, "id": "call_1", "type": "tool_call"}]
    assert answer.response_metadata["finish_reason"] == "tool-calls"


def test_tool_calls_that_are_no_json_are_invalid(gateway: Upstream) -> None:
    gateway.script(openai.tool_call("weather", "{city"))
    answer = chat().bind_tools([weather]).invoke("Hi")
    assert answer.tool_calls == []
    assert [(call["name"], call["args"]) for call in answer.invalid_tool_calls] == [("weather", "{city")]


def agent_graph(model: ChatAIModels) -> Any:
    """A graph that lets the model call a tool until it is content."""
    bound = model.bind_tools([weather])

    async def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode([weather]))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    return graph.compile()


async def test_a_graph_runs_the_tool_that_the_model_asks_for(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.tool_call("weather", {"city": "Oslo"}), openai.text("Sunny."))
    graph = agent_graph(await achat(configure))
    state = await graph.ainvoke({"messages": [HumanMessage("Weather in Oslo?")]})
    assert state["messages"][-1].content == "Sunny."
    assert isinstance(state["messages"][-2], ToolMessage)
    assert upstream.requests[1].json["messages"] == [
        {"role": "user", "content": "Weather in Oslo?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny in Oslo"},
    ]


async def test_a_graph_streams_messages_and_tool_calls(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.tool_call_stream("weather", '{"city":', ' "Oslo"}'), openai.stream("Sun", "ny."))
    graph = agent_graph(await achat(configure))
    told = [
        message
        async for message, _ in graph.astream({"messages": [HumanMessage("Weather?")]}, stream_mode="messages")
    ]  # fmt: skip
    pieces = [chunk for message in told for chunk in getattr(message, "tool_call_chunks", ())]
    assert "".join(piece["args"] or "" for piece in pieces) == '{"city": "Oslo"}'
    assert [message.content for message in told if isinstance(message, AIMessageChunk) and message.content] == ["Sun", "ny."]
    assert upstream.requests[1].json["messages"][2]["content"] == "sunny in Oslo"


@pytest.mark.parametrize("schema", [Person, Pet, Person.model_json_schema()], ids=["class", "typed-dict", "json-schema"])
def test_structured_output_satisfies_its_schema(gateway: Upstream, schema: Any) -> None:
    gateway.script(openai.text('{"age": 3}'), openai.stream('{"age"', ": 3}"))
    model = chat().with_structured_output(schema)
    expected = Person(age=3) if schema is Person else {"age": 3}
    assert model.invoke("Hi") == expected
    assert gateway.request.json["response_format"]["json_schema"]["schema"]["properties"]["age"]["type"] == "integer"
    assert "tools" not in gateway.request.json
    assert list(model.stream("Hi"))[-1] == expected


async def test_structured_output_with_the_raw_answer(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.text('{"age": 3}'), openai.text('{"age": "old"}'))
    model = (await achat(configure)).with_structured_output(Person, include_raw=True)
    good: Any = await model.ainvoke("Hi")
    assert (good["parsed"], good["parsing_error"], good["raw"].usage_metadata) == (Person(age=3), None, USAGE)
    bad: Any = await model.ainvoke("Hi")
    assert (bad["parsed"], bad["raw"].content) == (None, '{"age": "old"}')
    assert isinstance(bad["parsing_error"], OutputParserException)


def test_an_answer_that_breaks_its_schema_is_our_error(gateway: Upstream) -> None:
    gateway.script(openai.text('{"age": "old"}'), openai.stream('{"age": "old"}'))
    with pytest.raises(NoObjectGenerated):
        chat().with_structured_output(Person).invoke("Hi")
    with pytest.raises(NoObjectGenerated):
        list(chat().with_structured_output(Person).stream("Hi"))


def test_structured_output_by_a_tool(gateway: Upstream) -> None:
    gateway.script(openai.tool_call("Person", {"age": 3}))
    assert chat().with_structured_output(Person, method="function_calling").invoke("Hi") == Person(age=3)
    assert gateway.request.json["tool_choice"] == "required"
    with pytest.raises(ValueError, match="method"):
        chat().with_structured_output(Person, method="json_mode")


def test_what_is_given_with_a_schema_goes_out(gateway: Upstream) -> None:
    gateway.script(openai.text('{"age": 3}'))
    assert chat().with_structured_output(Person, strict=True, temperature=0.5).invoke("Hi") == Person(age=3)
    assert gateway.request.json["temperature"] == 0.5
    with pytest.raises(InvalidRequest, match="surprise"):
        chat().with_structured_output(Person, surprise=1).invoke("Hi")


def test_typed_output_beside_tools_as_agents_ask_for_it(gateway: Upstream) -> None:
    assert chat().profile == {"structured_output": True}
    gateway.script(openai.tool_call("weather", {"city": "Oslo"}), openai.text('{"age": 3}'), openai.text('{"age": 3}'))
    wanted = {"name": "Person", "schema": Person.model_json_schema(), "strict": True}
    typed = {"response_format": {"type": "json_schema", "json_schema": wanted}}
    model = chat().bind_tools([weather], **typed)
    asked = [HumanMessage("Weather?"), model.invoke("Weather?"), ToolMessage("sunny", tool_call_id="call_1")]
    assert asked[1].tool_calls[0]["name"] == "weather"  # type: ignore[attr-defined]
    assert model.invoke(asked).content == '{"age": 3}'
    for sent in gateway.requests:
        assert sent.json["response_format"]["json_schema"]["name"] == "Person"
        assert sent.json["tools"][0]["function"]["name"] == "weather"
    chat().bind_tools([], **typed).invoke("Hi")
    assert "tools" not in gateway.requests[-1].json
    with pytest.raises(InvalidRequest, match="response_format"):
        chat().invoke("Hi", response_format={"type": "json_object"})


def test_a_switched_off_capability_is_our_error(gateway: Upstream) -> None:
    model = chat()
    switch_off("text-generation")
    with pytest.raises(CapabilityNotEnabled):
        model.invoke("Hi")
    switch_off("structured-output")
    with pytest.raises(CapabilityNotEnabled):
        model.with_structured_output(Person).invoke("Hi")
    assert gateway.requests == []


def test_a_missing_permission_is_our_error(gateway: Upstream, make_user: MakeUser) -> None:
    user = make_user("text-generation")
    model = ChatAIModels(ai_models.resolve_model(user=user))
    user.user_permissions.clear()
    with pytest.raises(PermissionDenied):
        model.invoke("Hi")
    with pytest.raises(PermissionDenied):
        list(model.stream("Hi"))
    assert gateway.requests == []


async def test_a_failing_provider_is_our_error_in_a_graph(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.error(500), openai.error_in_stream("Hel"))
    graph = agent_graph(await achat(configure, max_retries=0))
    with pytest.raises(UpstreamError):
        await graph.ainvoke({"messages": [HumanMessage("Hi")]})
    with pytest.raises(UpstreamError):
        async for _ in graph.astream({"messages": [HumanMessage("Hi")]}, stream_mode="messages"):
            pass


def test_embeddings(gateway: Upstream) -> None:
    gateway.script(openai.embeddings([1.0, 2.0], [3.0, 4.0]), openai.embeddings([5.0, 6.0]))
    embeddings = AIModelsEmbeddings(ai_models.resolve_model("embeddings"), settings={"dimensions": 2})
    assert embeddings.embed_documents(["cat", "dog"]) == [[1.0, 2.0], [3.0, 4.0]]
    assert embeddings.embed_query("cat") == [5.0, 6.0]
    assert embeddings.embed_documents([]) == []
    assert [request.json["input"] for request in gateway.requests] == [["cat", "dog"], ["cat"]]
    assert gateway.requests[0].json["dimensions"] == 2
    assert_holds_no_credential(embeddings)


async def test_embeddings_async(configure: Configure, upstream: Upstream) -> None:
    upstream.script(openai.embeddings([1.0, 2.0]), openai.embeddings([5.0, 6.0]))
    await sync_to_async(configure)()
    embeddings = AIModelsEmbeddings(await ai_models.aresolve_model("embeddings"))
    assert await embeddings.aembed_documents(["cat"]) == [[1.0, 2.0]]
    assert await embeddings.aembed_query("cat") == [5.0, 6.0]


def test_the_model_holds_no_credential(gateway: Upstream) -> None:
    gateway.always(openai.text("Hello"))
    model = chat()
    model.invoke("Hi")
    assert_holds_no_credential(model)
    assert_holds_no_credential(model.bind_tools([weather]), pickled=False)
    assert pickle.loads(pickle.dumps(model)).invoke("Hi").content == "Hello"
    assert "handle" not in model.model_dump()
