"""OpenAI's own Python client, with nothing changed but its base URL and key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from openai import AsyncOpenAI, OpenAI
from openai.lib.streaming.chat import ContentDoneEvent
from pydantic import BaseModel

from ai_models.exceptions import UpstreamError
from ai_models.models import ProviderInstance
from ai_models.types import Chunk
from tests import samples
from tests.api.conftest import LiveServer, MakeUser, token_of
from tests.api.scripted import WORDS, Scripted
from tests.openai_api.actor import CALLS, DONE, VECTORS, Actor
from tests.openai_api.conftest import BASE
from tests.polling import until

MODEL = "stage/lead"
HELLO: Any = [{"role": "user", "content": "Hello"}]


class Person(BaseModel):
    name: str
    age: int


class Weather(BaseModel):
    """Tells the weather."""

    city: str


ADA = [Chunk(text='{"name": "Ada"'), Chunk(text=', "age": 36}'), DONE]


# The clients write out what they parsed, and warn themselves that they have no type for it.
OWN_WARNING = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")


@pytest.fixture
def client(server: LiveServer, user: User) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}{BASE}", api_key=token_of(user)) as made:
        yield made


@pytest.fixture
async def aclient(server: LiveServer, user: User) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{server.url}{BASE}", api_key=await sync_to_async(token_of)(user)) as made:
        yield made


def test_a_chat(client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=9, temperature=0)
    assert completion.choices[0].message.content == "Hello you"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens_details is not None
    assert (completion.usage.total_tokens, completion.usage.prompt_tokens_details.cached_tokens) == (18, 4)
    assert completion._request_id


def test_a_streamed_chat(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="main/echoes", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    *told, last = stream
    assert "".join(chunk.choices[0].delta.content or "" for chunk in told) == "".join(WORDS)
    assert told[-1].choices[0].finish_reason == "stop"
    assert last.usage is not None
    assert last.usage.completion_tokens == 3


def test_tools_plain_and_streamed(client: OpenAI) -> None:
    Actor.script = CALLS
    tools = [openai.pydantic_function_tool(Weather, name="weather")]
    message = client.chat.completions.create(model=MODEL, messages=HELLO, tools=tools).choices[0].message
    assert message.tool_calls is not None
    assert [call.function.name for call in message.tool_calls if call.type == "function"] == ["weather", "now"]

    with client.chat.completions.stream(model=MODEL, messages=HELLO, tools=tools) as stream:
        final = stream.get_final_completion().choices[0].message
    assert final.tool_calls is not None
    assert [call.function.arguments for call in final.tool_calls] == ['{"city": "Oslo"}', "{}"]
    assert final.tool_calls[0].function.parsed_arguments == Weather(city="Oslo")

    Actor.script = [Chunk(text="Rain."), DONE]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "Rain"} for call in final.tool_calls]
    for said in (message, final, final.to_dict()):
        again: Any = [*HELLO, said, *results]
        assert client.chat.completions.create(model=MODEL, messages=again).choices[0].message.content == "Rain."
        assert Actor.requests[-1]["messages"][2]["content"][0]["tool_name"] == "weather"


@OWN_WARNING
def test_an_object_of_a_class(client: OpenAI) -> None:
    Actor.script = ADA
    completion = client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Person)
    message = completion.choices[0].message
    assert message.parsed == Person(name="Ada", age=36)
    again: Any = [*HELLO, message, *HELLO]
    assert client.chat.completions.parse(model=MODEL, messages=again, response_format=Person).choices[0].message.parsed


def test_an_object_of_a_class_streamed(client: OpenAI) -> None:
    Actor.script = ADA
    with client.chat.completions.stream(model=MODEL, messages=HELLO, response_format=Person) as stream:
        done = [event.parsed for event in stream if isinstance(event, ContentDoneEvent)]
        assert done == [Person(name="Ada", age=36)]
        assert stream.get_final_completion().choices[0].message.parsed == done[0]


@pytest.mark.parametrize("options", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
def test_embeddings(client: OpenAI, options: Any) -> None:
    told = client.embeddings.create(model=MODEL, input=["a", "b"], **options)
    assert [item.index for item in told.data] == [0, 1]
    if options.get("encoding_format") != "base64":
        assert [item.embedding for item in told.data] == [pytest.approx(vector) for vector in VECTORS]
    assert told.usage.total_tokens == 5


def test_images(client: OpenAI) -> None:
    told = client.images.generate(model=MODEL, prompt="A cat", n=2, size="1024x1024")
    assert told.data is not None
    assert len(told.data) == 2
    assert told.data[0].b64_json
    assert (told.output_format, told.usage and told.usage.total_tokens) == ("png", 99)


def test_speech(client: OpenAI) -> None:
    spoken = client.audio.speech.create(model=MODEL, input="Hi", voice="alloy")
    assert spoken.content == samples.MP3
    with client.audio.speech.with_streaming_response.create(model=MODEL, input="Hi", voice="alloy") as response:
        assert b"".join(response.iter_bytes()) == samples.MP3


def test_transcriptions(client: OpenAI) -> None:
    file = ("speech.wav", samples.WAV)
    assert client.audio.transcriptions.create(model=MODEL, file=file).text == "Good morning. Good night."
    verbose = client.audio.transcriptions.create(
        model=MODEL, file=file, response_format="verbose_json", timestamp_granularities=["segment"]
    )
    assert verbose.segments is not None
    assert [(segment.id, segment.start, segment.tokens) for segment in verbose.segments] == [
        (0, 0.0, None),
        (1, 3661.0049, None),
    ]
    assert client.audio.transcriptions.create(model=MODEL, file=file, response_format="srt").startswith("1\n00:00:00,000")
    assert client.audio.transcriptions.create(model=MODEL, file=file, response_format="text", language="en", temperature=0)


def test_models(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"main/echoes", "stage/lead", "stage/star"} <= set(names)
    assert client.models.retrieve("stage/star").owned_by == "stage"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("stage/nobody")


@pytest.mark.parametrize(
    ("model", "options", "raised", "code"),
    [
        (MODEL, {"n": 2}, openai.BadRequestError, "invalid_request"),
        ("main/fails", {}, openai.InternalServerError, "upstream_error"),
        ("main/breaks", {}, openai.InternalServerError, "internal"),
        ("main/limited", {}, openai.RateLimitError, "upstream_rate_limited"),
    ],
)
def test_errors_are_raised_as_what_they_are(client: OpenAI, model: str, options: Any, raised: Any, code: str) -> None:
    with pytest.raises(raised) as caught:
        client.with_options(max_retries=0).chat.completions.create(model=model, messages=HELLO, **options)
    assert caught.value.code == code
    assert caught.value.request_id
    assert caught.value.body["requestId"] == caught.value.request_id


def test_a_field_is_named_in_an_error(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=0)
    assert (caught.value.param, caught.value.type) == ("max_tokens", "invalid_request_error")


def test_wrong_keys_and_missing_permissions_are_raised_as_such(client: OpenAI, make_user: MakeUser) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="nonsense").models.list()
    with pytest.raises(openai.PermissionDeniedError):
        client.with_options(api_key=token_of(make_user("eve"))).chat.completions.create(model=MODEL, messages=HELLO)


def test_what_cannot_succeed_is_not_tried_again(client: OpenAI, stage: ProviderInstance) -> None:
    Actor.script = [UpstreamError("It is refused.", retryable=False)]
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model=MODEL, messages=HELLO)
    assert len(Actor.requests) == 1
    stage.enabled = False
    stage.save()
    answers = []
    with pytest.raises(openai.ConflictError) as caught:
        client.with_options(max_retries=5).chat.completions.create(model=MODEL, messages=HELLO)
    answers.append(caught.value.response.request.headers["x-stainless-retry-count"])
    assert answers == ["0"]


def test_what_may_succeed_is_tried_again(client: OpenAI) -> None:
    with pytest.raises(openai.InternalServerError):
        client.with_options(max_retries=1).chat.completions.create(model="main/fails", messages=HELLO)
    assert len(Scripted.requests) == 2


def test_a_failure_in_mid_stream_is_raised(client: OpenAI) -> None:
    Actor.script = [Chunk(text="Hello"), UpstreamError("The provider went away.")]
    stream = client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="The provider went away") as caught:
        list(stream)
    assert caught.value.code == "upstream_error"


async def test_a_chat_in_async_code(aclient: AsyncOpenAI) -> None:
    completion = await aclient.chat.completions.create(model=MODEL, messages=HELLO)
    assert completion.choices[0].message.content == "Hello you"
    stream = await aclient.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Hello you"
    vectors = await aclient.embeddings.create(model=MODEL, input="a")
    assert vectors.data[0].embedding == pytest.approx(VECTORS[0])
    Actor.script = ADA
    parsed = await aclient.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Person)
    assert parsed.choices[0].message.parsed == Person(name="Ada", age=36)
    assert [model.id async for model in aclient.models.list()]


async def test_many_chats_at_once(aclient: AsyncOpenAI) -> None:
    async def told() -> str:
        stream = await aclient.chat.completions.create(model="main/echoes", messages=HELLO, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert await asyncio.gather(*(told() for _ in range(20))) == ["".join(WORDS)] * 20


async def test_leaving_a_stream_ends_the_upstream_call(aclient: AsyncOpenAI) -> None:
    stream = await aclient.chat.completions.create(model="main/hangs-later", messages=HELLO, stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    await until(Scripted.ended.is_set, 5)
