"""The scripted replies are in the vendors' formats: the vendors' own clients read them, where those are at hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import openai as openai_sdk
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import EventStreamError
from botocore.session import Session

from tests.samples import MP3, MP4, PNG, WAV
from tests.upstreams import anthropic, bedrock, google, openai, openai_media, sigv4
from tests.upstreams.replies import Reply
from tests.upstreams.server import Upstream
from tests.upstreams.test_faults import meaning

ACCESS_KEY, SECRET_KEY = "AKIDSCRIPTED", "scripted-secret-key"


def events(reply: Reply) -> list[Any]:
    return meaning(b"".join(piece for piece in reply.pieces if isinstance(piece, bytes)))


def body(reply: Reply) -> Any:
    (piece,) = reply.pieces
    assert isinstance(piece, bytes)
    return json.loads(piece)


class TestOpenAI:
    @pytest.fixture
    def client(self, upstream: Upstream) -> Iterator[openai_sdk.OpenAI]:
        http = httpx.Client(trust_env=False)
        with openai_sdk.OpenAI(base_url=f"{upstream.url}/v1", api_key="k", max_retries=0, http_client=http) as client:
            yield client

    def ask(self, client: openai_sdk.OpenAI, **options: Any) -> Any:
        return client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}], **options)

    def test_text(self, upstream: Upstream, client: openai_sdk.OpenAI) -> None:
        upstream.always(openai.text("Hello", reasoning="Hm"))
        answer = self.ask(client)
        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello", "stop")
        assert answer.choices[0].message.reasoning_content == "Hm"
        assert answer.usage.prompt_tokens_details.cached_tokens == 8

    def test_stream(self, upstream: Upstream, client: openai_sdk.OpenAI) -> None:
        upstream.always(openai.stream("Hel", "lo", reasoning=["Hm"]))
        chunks = list(self.ask(client, stream=True))
        assert chunks[0].choices[0].delta.role == "assistant"
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello"
        assert chunks[-2].choices[0].finish_reason == "stop"
        assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 27)

    def test_tool_calls(self, upstream: Upstream, client: openai_sdk.OpenAI) -> None:
        upstream.script(openai.tool_call("look", {"at": 1}), openai.tool_call_stream("look", '{"at"', ": 1}"))
        (call,) = self.ask(client).choices[0].message.tool_calls
        assert (call.function.name, json.loads(call.function.arguments)) == ("look", {"at": 1})
        deltas = [
            c.choices[0].delta.tool_calls[0]
            for c in self.ask(client, stream=True)
            if c.choices and c.choices[0].delta.tool_calls
        ]
        assert (deltas[0].id, deltas[0].function.name) == ("call_1", "look")
        assert "".join(delta.function.arguments for delta in deltas) == '{"at": 1}'

    def test_embeddings_and_models(self, upstream: Upstream, client: openai_sdk.OpenAI) -> None:
        upstream.script(openai.embeddings([1.0, 2.0], [3.0, 4.0]), openai.models("a", "b"))
        answer = client.embeddings.create(model="m", input=["x", "y"], encoding_format="float")
        assert ([item.embedding for item in answer.data], answer.usage.total_tokens) == ([[1.0, 2.0], [3.0, 4.0]], 5)
        assert [model.id for model in client.models.list()] == ["a", "b"]

    def test_images(self, upstream: Upstream, client: openai_sdk.OpenAI) -> None:
        upstream.always(openai_media.images(PNG, PNG))
        answer = client.images.generate(model="gpt-image-1", prompt="A cat", n=2)
        assert [base64.b64decode(item.b64_json or "") for item in answer.data or ()] == [PNG, PNG]
        assert answer.usage is not None
        assert answer.usage.total_tokens == 246

    def test_sound(self, upstream: Upstream, client: openai_sdk.OpenAI) -> None:
        upstream.script(openai_media.speech(MP3), openai_media.transcription("Hi"))
        upstream.script(openai_media.verbose_transcription((0.0, 1.5, " Hi")))
        assert client.audio.speech.create(model="tts-1", voice="alloy", input="Hi").read() == MP3
        plain = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", WAV))
        assert plain.text == "Hi"
        told = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", WAV), response_format="verbose_json")
        assert (told.text, told.language, told.duration) == ("Hi", "english", 2.5)
        assert [(segment.start, segment.end, segment.text) for segment in told.segments or ()] == [(0.0, 1.5, " Hi")]

    def test_videos(self, upstream: Upstream, client: openai_sdk.OpenAI) -> None:
        failure = {"code": "moderation_blocked", "message": "No."}
        upstream.script(openai_media.video(), openai_media.video("failed", error=failure), openai_media.video_content(MP4))
        upstream.script(openai_media.video_deleted())
        job = client.videos.create(prompt="A cat", model="sora-2")
        assert (job.id, job.status, job.progress) == (openai_media.VIDEO_ID, "queued", 0)
        failed = client.videos.retrieve(job.id)
        assert failed.error is not None
        assert failed.error.code == "moderation_blocked"
        assert client.videos.download_content(job.id).read() == MP4
        assert client.videos.delete(job.id).deleted

    def test_errors(self, upstream: Upstream, client: openai_sdk.OpenAI) -> None:
        upstream.script(
            openai.error(429, code="insufficient_quota", headers=(("Retry-After", "7"),)), openai.error_in_stream("Hel")
        )
        with pytest.raises(openai_sdk.RateLimitError) as caught:
            self.ask(client)
        assert (caught.value.code, caught.value.response.headers["retry-after"]) == ("insufficient_quota", "7")
        with pytest.raises(openai_sdk.APIError, match="It failed"):
            list(self.ask(client, stream=True))
        assert body(openai.error_with_200("No"))["error"]["message"] == "No"


class TestAnthropic:
    def test_text(self) -> None:
        message = body(anthropic.text("Hello", reasoning="Hm"))
        assert [part["type"] for part in message["content"]] == ["thinking", "text"]
        assert (message["stop_reason"], message["usage"]["cache_read_input_tokens"]) == ("end_turn", 8)

    def test_stream_has_the_documented_order_of_events(self) -> None:
        assert [event["type"] for event in events(anthropic.stream("Hel", "lo"))] == [
            "message_start",
            "ping",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]

    def test_every_event_is_named_after_its_type(self) -> None:
        for piece in anthropic.stream("Hello", reasoning=["Hm"]).pieces:
            assert isinstance(piece, bytes)
            name, data, *_ = piece.decode().split("\n")
            assert name.removeprefix("event: ") == json.loads(data.removeprefix("data: "))["type"]

    def test_usage_comes_in_two_parts(self) -> None:
        first, *_, delta, _ = events(anthropic.stream("Hello"))
        assert (first["message"]["usage"]["input_tokens"], delta["usage"]) == (10, {"output_tokens": 7})

    def test_thinking_comes_before_text_in_a_block_of_its_own(self) -> None:
        deltas = [
            (e["index"], e["delta"]["type"])
            for e in events(anthropic.stream("Hello", reasoning=["Hm"]))
            if "index" in e and "delta" in e
        ]
        assert deltas == [(0, "thinking_delta"), (0, "signature_delta"), (1, "text_delta")]

    def test_tool_calls(self) -> None:
        assert body(anthropic.tool_call("look", {"at": 1}))["content"][0]["input"] == {"at": 1}
        streamed = events(anthropic.tool_call_stream("look", '{"at"', ": 1}"))
        assert streamed[2]["content_block"]["name"] == "look"
        assert [e["delta"]["partial_json"] for e in streamed if e["type"] == "content_block_delta"] == ['{"at"', ": 1}"]

    def test_errors(self) -> None:
        assert body(anthropic.error(529))["error"]["type"] == "overloaded_error"
        assert body(anthropic.error_with_200())["type"] == "error"
        assert events(anthropic.error_in_stream("Hel"))[-1]["type"] == "error"

    def test_models(self) -> None:
        page = body(anthropic.models("a", "b", more=True))
        assert ([model["id"] for model in page["data"]], page["has_more"], page["last_id"]) == (["a", "b"], True, "b")


class TestGoogle:
    def test_text(self) -> None:
        answer = body(google.text("Hello", reasoning="Hm"))
        assert answer["candidates"][0]["content"]["parts"] == [{"text": "Hm", "thought": True}, {"text": "Hello"}]
        assert (answer["candidates"][0]["finishReason"], answer["usageMetadata"]["totalTokenCount"]) == ("STOP", 27)

    def test_stream_tells_the_finish_reason_in_its_last_event_only(self) -> None:
        reasons = [event["candidates"][0].get("finishReason") for event in events(google.stream("Hel", "lo"))]
        assert reasons == [None, "STOP"]

    def test_tool_calls(self) -> None:
        for answer in (body(google.tool_call("look", {"at": 1})), *events(google.tool_call_stream("look", '{"at"', ": 1}"))):
            assert answer["candidates"][0]["content"]["parts"][0]["functionCall"]["args"] == {"at": 1}

    def test_embeddings_and_models(self) -> None:
        assert body(google.embeddings([1.0], [2.0]))["embeddings"] == [{"values": [1.0]}, {"values": [2.0]}]
        assert body(google.embedding([1.0])) == {"embedding": {"values": [1.0]}}
        assert body(google.models("a"))["models"][0]["name"] == "models/a"
        assert body(google.models("a", token="t"))["nextPageToken"] == "t"

    def test_errors(self) -> None:
        assert body(google.error(429))["error"] == {"code": 429, "message": "It failed.", "status": "RESOURCE_EXHAUSTED"}
        assert "error" in body(google.error_with_200())
        assert "error" in events(google.error_in_stream("Hel"))[-1]


class TestBedrock:
    @pytest.fixture
    def client(self, upstream: Upstream) -> Iterator[Any]:
        client = Session().create_client(
            "bedrock-runtime",
            region_name="eu-west-1",
            endpoint_url=upstream.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            aws_session_token="scripted-token",
        )
        yield client
        client.close()

    def ask(self, method: Callable[..., Any]) -> Any:
        return method(modelId=bedrock.MODEL, messages=[{"role": "user", "content": [{"text": "Hi"}]}])

    def streamed(self, client: Any) -> list[Any]:
        with closing(self.ask(client.converse_stream)["stream"]) as stream:
            return list(stream)

    def test_text(self, upstream: Upstream, client: Any) -> None:
        upstream.always(bedrock.text("Hello", reasoning="Hm"))
        answer = self.ask(client.converse)
        thought, text = answer["output"]["message"]["content"]
        assert (thought["reasoningContent"]["reasoningText"]["text"], text["text"]) == ("Hm", "Hello")
        assert (answer["stopReason"], answer["usage"]["cacheReadInputTokens"]) == ("end_turn", 8)

    def test_stream(self, upstream: Upstream, client: Any) -> None:
        upstream.always(bedrock.stream("Hel", "lo", reasoning=["Hm"]))
        streamed = self.streamed(client)
        deltas = [event["contentBlockDelta"]["delta"] for event in streamed if "contentBlockDelta" in event]
        thoughts = [{"reasoningContent": {"text": "Hm"}}, {"reasoningContent": {"signature": "c2ln"}}]
        assert deltas == [*thoughts, {"text": "Hel"}, {"text": "lo"}]
        assert streamed[-2] == {"messageStop": {"stopReason": "end_turn"}}
        assert streamed[-1]["metadata"]["usage"] == bedrock.USAGE

    def test_tool_calls(self, upstream: Upstream, client: Any) -> None:
        upstream.script(bedrock.tool_call("look", {"at": 1}), bedrock.tool_call_stream("look", '{"at"', ": 1}"))
        (part,) = self.ask(client.converse)["output"]["message"]["content"]
        assert (part["toolUse"]["name"], part["toolUse"]["input"]) == ("look", {"at": 1})
        streamed = self.streamed(client)
        assert streamed[1]["contentBlockStart"]["start"]["toolUse"]["name"] == "look"
        deltas = [event["contentBlockDelta"]["delta"]["toolUse"]["input"] for event in streamed if "contentBlockDelta" in event]
        assert deltas == ['{"at"', ": 1}"]

    def test_embeddings(self, upstream: Upstream, client: Any) -> None:
        upstream.always(bedrock.embeddings([1.0, 2.0]))
        answer = client.invoke_model(modelId="amazon.titan-embed-text-v2:0", body=b'{"inputText": "x"}')
        assert json.loads(answer["body"].read())["embedding"] == [1.0, 2.0]

    def test_errors(self, upstream: Upstream, client: Any) -> None:
        upstream.script(bedrock.error(403), bedrock.error_in_stream("Hel"))
        with pytest.raises(client.exceptions.AccessDeniedException, match="It failed"):
            self.ask(client.converse)
        with pytest.raises(EventStreamError, match="modelStreamErrorException"):
            self.streamed(client)
        assert body(bedrock.error_with_200())["message"] == "It failed."

    def test_lists(self, upstream: Upstream, client: Any) -> None:
        upstream.always(bedrock.async_invokes())
        assert client.list_async_invokes(maxResults=1)["asyncInvokeSummaries"] == []
        assert upstream.request.target == "/async-invoke?maxResults=1"
        assert body(bedrock.models("a"))["modelSummaries"][0]["modelId"] == "a"

    def test_the_verifier_knows_a_good_signature(self, upstream: Upstream, client: Any) -> None:
        upstream.always(bedrock.text())
        self.ask(client.converse)
        assert "%3A" in upstream.request.path
        signed = sigv4.verify(upstream.request, SECRET_KEY)
        assert signed == sigv4.Signed(ACCESS_KEY, "eu-west-1", "bedrock", "scripted-token")

    def test_the_verifier_signs_queries_as_botocore_does(self, upstream: Upstream) -> None:
        upstream.always(bedrock.models("a"))
        request = AWSRequest("GET", f"{upstream.url}/foundation-models?b=2%20x&a=1")
        SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "bedrock", "eu-west-1").add_auth(request)
        httpx.get(request.url, headers=dict(request.headers), trust_env=False)
        assert sigv4.verify(upstream.request, SECRET_KEY).access_key_id == ACCESS_KEY

    def test_the_verifier_refuses_another_key_and_no_signature(self, upstream: Upstream, client: Any) -> None:
        upstream.always(bedrock.text())
        self.ask(client.converse)
        with pytest.raises(sigv4.BadSignature, match="does not fit"):
            sigv4.verify(upstream.request, "another-key")
        httpx.get(upstream.url, trust_env=False)
        with pytest.raises(sigv4.BadSignature, match="no SigV4"):
            sigv4.verify(upstream.requests[1], SECRET_KEY)
