"""Endpoints that speak OpenAI's protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from asgiref.sync import sync_to_async

from ai_models import service
from ai_models.types import Usage
from tests.families.contract import files
from tests.families.contract.base import CANARY, SCHEMA, TOOL, failure_of, finish_of, streamed, text_failure
from tests.families.contract.credentials import DECOY, take_credentials, with_decoys
from tests.families.contract.streams import FIRST, at_once
from tests.families.test_openai import OpenAIContract
from tests.samples import MP4, PNG
from tests.upstreams import faults, openai, openai_media, replies
from tests.upstreams.replies import json_reply
from tests.upstreams.server import Upstream


class TestOpenAICompatible(OpenAIContract):
    """An endpoint with a key."""

    declaration: ClassVar[dict[str, Any]] = {"type": "openai-compatible", "apiKey": f"key-{CANARY}"}
    model = "llama-3.3-70b-versatile"
    image_model, speech_model, transcription_model, video_model = "flux", "kokoro", "whisper-large-v3", "wan"
    image_settings: ClassVar[Mapping[str, tuple[str, Any]]] = {
        "size": ("size", "1536x1024"),
        "aspect_ratio": ("aspect_ratio", "16:9"),
        "seed": ("seed", 7919),
    }
    speech_settings: ClassVar[Mapping[str, tuple[str, Any]]] = {
        "voice": ("voice", "marigold"),
        "output_format": ("response_format", "flac"),
        "instructions": ("instructions", "Whisper it."),
        "speed": ("speed", 1.375),
        "language": ("language", "pt-BR"),
    }
    transcription_settings: ClassVar[Mapping[str, tuple[str, Any]]] = {"language": ("language", "pt-BR")}
    video_settings: ClassVar[Mapping[str, tuple[str, Any]]] = {
        "aspect_ratio": ("aspect_ratio", "9:16"),
        "resolution": ("size", "1280x720"),
        "duration": ("seconds", "8"),
        "fps": ("fps", "47"),
        "seed": ("seed", "7919"),
    }
    wire_settings: ClassVar[dict[str, tuple[str, Any]]] = {
        "max_output_tokens": ("max_tokens", 1717),
        "temperature": ("temperature", 0.625),
        "top_p": ("top_p", 0.375),
        "top_k": ("top_k", 31),
        "presence_penalty": ("presence_penalty", 0.125),
        "frequency_penalty": ("frequency_penalty", 0.875),
        "stop_sequences": ("stop", ["HALT"]),
        "seed": ("seed", 7919),
        "reasoning": ("reasoning_effort", "low"),
    }

    async def test_without_a_credential_nothing_is_sent(self, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
        """The credential is optional here: the request goes out, with none at all."""
        with_decoys(monkeypatch)
        await sync_to_async(take_credentials)()
        upstream.script(openai.text("Hello"))
        assert (await service.agenerate_text("Hi")).text == "Hello"
        assert "authorization" not in upstream.request.headers
        assert DECOY not in upstream.request.everything

    async def test_text_is_told_before_a_chunk_of_another_form_that_arrives_with_it(self, upstream: Upstream) -> None:
        odd = b'data: {"choices": [{"delta": {"content": 5}}]}\n\n'
        upstream.always(at_once(faults.inserted(self.vendor.stream("Hello", " there"), FIRST, odd)))
        error, text = await failure_of(streamed())
        assert (error.code, text) == ("upstream_invalid_response", "Hello")

    async def test_images_are_asked_for_themselves(self, upstream: Upstream) -> None:
        upstream.script(self.image_reply(PNG))
        await self.image()
        assert upstream.request.json == {"model": "flux", "prompt": "A cat", "n": 1, "response_format": "b64_json"}

    async def test_speech_has_no_voice_of_its_own(self, upstream: Upstream) -> None:
        upstream.script(self.speech_reply())
        await self.speech()
        assert upstream.request.json == {"model": "kokoro", "input": "Hello there"}

    async def test_a_video_of_any_length_can_be_asked_for(self, upstream: Upstream) -> None:
        upstream.script(self.video_started())
        assert (await self.video(duration=2.5)).warnings == ()
        assert files.sent(upstream.request)["seconds"] == "2.5"

    async def test_another_form_of_transcript_can_be_asked_for(self, upstream: Upstream) -> None:
        upstream.script(openai_media.transcription())
        result = await self.transcription(provider_options={"openai-compatible": {"response_format": "json"}})
        assert (result.text, result.segments) == ("Hello there", ())
        assert files.sent(upstream.request) == {"model": "whisper-large-v3", "response_format": "json"}

    async def test_headers_of_an_instance_do_not_say_where_a_request_goes_or_ends(
        self, upstream: Upstream, reconfigure: Any
    ) -> None:
        await reconfigure(headers={"Host": "elsewhere.example", "Content-Length": "1", "X-Team": "platform"})
        upstream.script(openai.text("Hello"))
        assert (await service.agenerate_text("Hi")).text == "Hello"
        sent = upstream.request.headers
        assert (sent["host"], sent["x-team"]) == (upstream.url.removeprefix("http://"), "platform")
        assert int(sent["content-length"]) == len(upstream.request.body)

    async def test_headers_and_query_parameters_are_sent_with_everything(self, upstream: Upstream, reconfigure: Any) -> None:
        secret = f"s p&{CANARY}"
        await reconfigure(headers={"X-Team": "platform"}, queryParams={"api-version": "1", "token": secret})
        upstream.script(openai.text(), openai.stream("Hello"), openai.embeddings([1.0]), openai.models("a"))
        upstream.script(self.transcription_reply(), self.video_started(), self.video_completed(), self.video_bytes(MP4))
        await service.agenerate_text("Hi")
        await service.astream_text("Hi").response
        await service.aembed("x")
        await service.acheck("main")
        await self.transcription()
        reference = (await self.polled((await self.video()).reference)).reference
        assert await self.fetched(reference) == MP4
        assert [request.path.rpartition("/")[2] for request in upstream.requests] == [
            "completions",
            "completions",
            "embeddings",
            "models",
            "transcriptions",
            "videos",
            openai_media.VIDEO_ID,
            "content",
        ]
        for request in upstream.requests:
            assert request.headers["x-team"] == "platform"
            assert request.query == {"api-version": "1", "token": secret}

    async def test_ollamas_tag_goes_without_saying(self, upstream: Upstream) -> None:
        upstream.script(openai.models(*(f"{model}:latest" for model in self.configured().values())))
        assert (await self.checked())["models"].state == "passed"

    async def test_vectors_are_asked_for_as_the_instance_says(self, upstream: Upstream, reconfigure: Any) -> None:
        await reconfigure(encodingFormat="base64")
        upstream.script(openai.embeddings([1.0, -0.25], [2.0, 0.5], encoding_format="base64"))
        assert (await service.aembed(values=["a", "b"])).embeddings == [[1.0, -0.25], [2.0, 0.5]]
        assert upstream.request.json["encoding_format"] == "base64"

    @pytest.mark.parametrize("mode", ["json_object", "instructions"])
    async def test_structured_output_without_a_schema_mode(self, upstream: Upstream, reconfigure: Any, mode: str) -> None:
        await reconfigure(structuredOutput=mode)
        upstream.script(openai.text('```json\n{"age": 36}\n```'))
        result = await service.agenerate_object("How old?", schema=SCHEMA)
        assert result.object == {"age": 36}
        assert [(warning.type, warning.setting) for warning in result.warnings] == [("compatibility", "schema")]
        body = upstream.request.json
        assert body.get("response_format") == ({"type": "json_object"} if mode == "json_object" else None)
        assert '"age"' in body["messages"][0]["content"]

    @pytest.mark.parametrize("mode", ["json_object", "instructions"])
    async def test_streamed_structured_output_without_a_schema_mode(
        self, upstream: Upstream, reconfigure: Any, mode: str
    ) -> None:
        await reconfigure(structuredOutput=mode)
        upstream.script(openai.stream("```json\n", '{"age"', ": 36}", "\n```"))
        result = await service.astream_object("How old?", schema=SCHEMA).response
        assert result.object == {"age": 36}
        assert [(warning.type, warning.setting) for warning in result.warnings] == [("compatibility", "schema")]

    # --- quirks ---

    async def test_reasoning_has_two_names(self, upstream: Upstream) -> None:
        upstream.script(openai.message({"content": "Hello", "reasoning": "Well"}))
        upstream.script(openai.deltas({"reasoning": "We"}, {"reasoning": "ll"}, {"content": "Hello"}))
        for result in (await service.agenerate_text("Hi"), await finish_of(streamed())):
            assert (result.text, result.reasoning_text) == ("Hello", "Well")

    async def test_fields_that_nobody_knows_change_nothing(self, upstream: Upstream) -> None:
        more = {"x_groq": {"id": 7}, "annotations": [1], "refusal": None, "audio": {}, "content_filter_results": {"hate": []}}
        upstream.script(openai.message({"content": "Hello", **more}), openai.deltas({"content": "Hello", **more}))
        for result in (await service.agenerate_text("Hi"), await finish_of(streamed())):
            assert (result.text, result.finish_reason, result.usage) == ("Hello", "stop", self.usage)

    async def test_a_call_may_come_without_content_id_and_text_of_arguments(self, upstream: Upstream) -> None:
        call = {"function": {"name": "look", "arguments": {"at": 1}}}
        upstream.script(openai.message({"content": None, "tool_calls": [call, call]}, "tool_calls"))
        upstream.script(openai.deltas({"content": None, "tool_calls": [call, call]}, finish="tool_calls"))
        for result in (await service.agenerate_text("Hi", tools=[TOOL]), await finish_of(streamed(tools=[TOOL]))):
            assert [(call.tool_name, call.input) for call in result.tool_calls] == [("look", {"at": 1})] * 2
            assert len({call.tool_call_id for call in result.tool_calls}) == 2
            assert (result.text, result.finish_reason) == ("", "tool-calls")

    @pytest.mark.parametrize("kind", ["no index", "no index and no id", "always 0", "an id for each piece"])
    async def test_calls_that_are_badly_numbered_are_told_apart(self, upstream: Upstream, kind: str) -> None:
        def piece(place: int, name: str | None, arguments: str) -> dict[str, Any]:
            call: dict[str, Any] = {"function": {"name": name, "arguments": arguments} if name else {"arguments": arguments}}
            match kind:
                case "no index":
                    return {**call, "id": f"call_{place}"} if name else call
                case "no index and no id":
                    return call
                case "always 0":
                    return {**call, "index": 0, "id": f"call_{place}"} if name else {**call, "index": 0}
                case _:
                    return {**call, "index": place, "id": f"call_{place}_{len(arguments)}"}

        pieces = [
            piece(place, name, arguments)
            for place in (1, 2)
            for name, arguments in (("look", ""), (None, '{"at"'), (None, f": {place}}}"))
        ]
        upstream.script(openai.deltas(*({"tool_calls": [piece]} for piece in pieces), finish="tool_calls"))
        result = await finish_of(streamed(tools=[TOOL]))
        assert [(call.tool_name, call.input) for call in result.tool_calls] == [("look", {"at": 1}), ("look", {"at": 2})]

    async def test_nothing_may_be_said(self, upstream: Upstream) -> None:
        upstream.script(openai.message({"content": None}), openai.deltas({"content": None}))
        for result in (await service.agenerate_text("Hi"), await finish_of(streamed())):
            assert (result.text, result.content, result.finish_reason) == ("", (), "stop")

    async def test_an_answer_may_not_tell_why_it_ended(self, upstream: Upstream) -> None:
        upstream.script(openai.message({"content": "Hello"}, None))
        result = await service.agenerate_text("Hi")
        assert (result.text, result.finish_reason, result.raw_finish_reason) == ("Hello", "other", None)

    async def test_a_stream_that_does_not_tell_so_is_incomplete_though_it_says_done(self, upstream: Upstream) -> None:
        upstream.script(replies.stream([openai.event_of({"content": "Hello"}), replies.sse("[DONE]")]))
        error, text = await failure_of(streamed())
        assert (error.code, text) == ("upstream_invalid_response", "Hello")

    async def test_events_without_choices_say_nothing(self, upstream: Upstream) -> None:
        empty = [replies.sse({"id": "x", "choices": choices, "prompt_filter_results": []}) for choices in ([], None)]
        good = openai.stream("Hello", usage=None)
        upstream.script(replace(good, pieces=(*empty, *good.pieces)), json_reply({"id": "x", "choices": []}))
        result = await finish_of(streamed())
        assert (result.text, result.usage) == ("Hello", Usage())
        assert (await text_failure()).code == "upstream_invalid_response"

    async def test_nothing_is_sent_that_nobody_asked_for(self, upstream: Upstream) -> None:
        upstream.script(openai.text(), openai.stream("Hello"))
        await service.agenerate_text("Hi")
        await finish_of(streamed())
        plain = {"model": self.model, "messages": [{"role": "user", "content": "Hi"}]}
        in_stream = {**plain, "stream": True, "stream_options": {"include_usage": True}}
        assert [request.json for request in upstream.requests] == [plain, in_stream]
