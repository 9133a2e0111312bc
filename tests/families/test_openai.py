"""OpenAI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import httpx
import openai as sdk
import pytest

from ai_models import service
from ai_models.types import (
    GeneratedFile,
    InputTokenDetails,
    OutputTokenDetails,
    TranscriptionResult,
    TranscriptionSegment,
    Usage,
)
from tests.families.contract import (
    Embeddings,
    FamilyContract,
    Images,
    ServerSentEvents,
    Speech,
    Transcription,
    Video,
    files,
)
from tests.families.contract.answers import SETTINGS
from tests.families.contract.base import CANARY, NAME, Vendor, at, text_failure
from tests.families.contract.conversations import URL, encoded
from tests.samples import MP3, PDF, PNG, TEXT, WAV
from tests.upstreams import forms, openai, openai_media
from tests.upstreams.recorded import Recorded
from tests.upstreams.replies import Reply, json_reply, raw
from tests.upstreams.server import Upstream

USAGE = Usage(
    input_tokens=20,
    output_tokens=7,
    total_tokens=27,
    input_token_details=InputTokenDetails(no_cache=12, cache_read=8),
    output_token_details=OutputTokenDetails(text=4, reasoning=3),
)


class OpenAIContract(FamilyContract, Embeddings, Images, Speech, Transcription, Video, ServerSentEvents):
    """What the families that speak OpenAI's protocol have in common."""

    vendor: ClassVar[Vendor] = openai
    encoding_format = "float"
    embedding_model = "text-embedding-3-large"
    text_path = stream_path = "/chat/completions"
    check_target = "/models"
    system_path, prompt_path = "messages.0.content", "messages.1.content"
    turns_path, parts_key = "messages", "content"
    tool_name_path = "tools.0.function.name"
    schema_path = "response_format.json_schema.schema"
    usage, output_tokens = USAGE, "completion_tokens"
    finish_reasons: ClassVar[dict[str, str]] = {
        "stop": "stop",
        "length": "length",
        "content_filter": "content-filter",
        "tool_calls": "tool-calls",
        "something_new": "other",
    }

    files: ClassVar[Mapping[str, Any]] = {
        "image": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded(PNG)}"}},
        "image by url": {"type": "image_url", "image_url": {"url": URL}},
        "some image by url": {"type": "image_url", "image_url": {"url": URL}},
        "pdf": {
            "type": "file",
            "file": {"filename": "Q3 report (final).pdf", "file_data": f"data:application/pdf;base64,{encoded(PDF)}"},
        },
        "wav": {"type": "input_audio", "input_audio": {"data": encoded(WAV), "format": "wav"}},
        "mp3": {"type": "input_audio", "input_audio": {"data": encoded(MP3), "format": "mp3"}},
    }
    tool_choice_path = "tool_choice"
    tool_choices: ClassVar[Mapping[str, Any]] = {
        "auto": "auto",
        "none": "none",
        "required": "required",
        "named": {"type": "function", "function": {"name": "look"}},
    }
    reasoned_parts = "Hello"
    tool_turns: ClassVar[list[Any]] = [
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {"id": "call_0", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}},
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": 2}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_0", "content": "one"},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"a": 2}'},
        {"role": "user", "content": "And?"},
    ]

    image_path, edit_path = "/images/generations", "/images/edits"
    image_usage = Usage(input_tokens=50, output_tokens=196, total_tokens=246)
    speech_path = "/audio/speech"
    transcription_path = "/audio/transcriptions"
    transcript = TranscriptionResult(
        text="Hello there",
        segments=(
            TranscriptionSegment(text=" Hello", start_second=0.0, end_second=1.25),
            TranscriptionSegment(text=" there", start_second=1.25, end_second=2.5),
        ),
        language="english",
        duration_in_seconds=2.5,
    )
    video_path = "/videos"
    video_poll = ("GET", f"/videos/{openai_media.VIDEO_ID}")
    video_content = ("GET", f"/videos/{openai_media.VIDEO_ID}/content")
    video_cancel = ("DELETE", f"/videos/{openai_media.VIDEO_ID}")

    def text_part(self, text: str) -> Any:
        return {"type": "text", "text": text}

    @staticmethod
    def too_long() -> Reply:
        return openai.error(400, "This model's maximum context length is 8 tokens.", code="context_length_exceeded")

    def check_credential(self, request: Recorded) -> None:
        assert request.headers["authorization"] == f"Bearer key-{CANARY}"

    def embedding_reply(self, request: Recorded) -> Reply:
        assert request.json["encoding_format"] == self.encoding_format
        vectors = ([float(len(text)), 0.5] for text in request.json["input"])
        return openai.embeddings(*vectors, encoding_format=self.encoding_format)

    def image_reply(self, *images: bytes) -> Reply:
        return openai_media.images(*images)

    def images_asked(self, request: Recorded) -> int:
        return int(files.sent(request)["n"])

    def imageless_replies(self) -> Mapping[str, Reply]:
        return {
            "none": openai_media.image_items(),
            "no list": json_reply({"created": 1, "data": None}),
            "an empty item": openai_media.image_items({}),
            "an item of nothing": openai_media.image_items(None),
            "no base64": openai_media.image_items({"b64_json": "***"}),
            "no text": openai_media.image_items({"b64_json": 7}),
            "one of two": openai_media.image_items({"b64_json": "iVBORw0KGgo="}, {"b64_json": ""}),
        }

    def speech_reply(self) -> Reply:
        return openai_media.speech(MP3)

    def speechless_replies(self) -> Mapping[str, Reply]:
        return {
            "nothing": openai_media.speech(b""),
            "a picture": openai_media.speech(PNG),
            "text": openai_media.speech(TEXT, "application/octet-stream"),
            "JSON": json_reply({"audio": "soon"}),
        }

    def transcription_reply(self) -> Reply:
        return openai_media.verbose_transcription((0.0, 1.25, " Hello"), (1.25, 2.5, " there"))

    def textless_replies(self) -> Mapping[str, Reply]:
        return {"nothing": json_reply({}), "no text": json_reply({"text": None}), "a list": json_reply([])}

    def video_started(self, identity: Any = openai_media.VIDEO_ID) -> Reply:
        return openai_media.video("queued", id=identity)

    def video_running(self, progress: int) -> Reply:
        return openai_media.video("in_progress", progress=progress)

    def video_completed(self) -> Reply:
        return openai_media.video("completed", progress=100)

    def video_failed(self, *, refused: bool) -> Reply:
        code = "moderation_blocked" if refused else "server_error"
        return openai_media.video("failed", error={"code": code, "message": f"The key {CANARY} is at fault."})

    def video_bytes(self, data: bytes) -> Reply:
        return openai_media.video_content(data)

    def video_given_up(self) -> Reply:
        return openai_media.video_deleted()

    async def test_more_embeddings_than_one_call_takes_are_split(self, upstream: Upstream) -> None:
        upstream.always(self.embedding_reply)
        result = await service.aembed(values=["a"] * 2049)
        assert len(result.embeddings or ()) == 2049
        assert sorted(len(request.json["input"]) for request in upstream.requests) == [1, 2048]

    async def test_an_address_in_place_of_an_image_is_not_fetched(self, upstream: Upstream) -> None:
        """Whoever answers could name any address, of this network too."""
        upstream.script(openai_media.image_items({"url": f"{upstream.url}/image.png"}))
        error = await files.raised(self.image())
        assert (error.code, error.retryable) == ("upstream_invalid_response", False)
        assert "b64_json" in error.message
        assert upstream.url not in error.message
        assert len(upstream.requests) == 1

    async def test_fewer_images_than_asked_for_are_reported(self, upstream: Upstream) -> None:
        upstream.script(self.image_reply(PNG))
        result = await self.image(n=2)
        assert [(warning.type, warning.setting) for warning in result.warnings] == [("other", "n")]
        assert len(result.images) == 1

    async def test_several_images_are_edited_together(self, upstream: Upstream) -> None:
        upstream.script(self.image_reply(PNG), self.image_reply(PNG))
        await self.image(images=[PNG])
        await self.image(images=[PNG, PNG], mask=PNG, n=2)
        one, several = ([(file.name, file.filename) for file in forms.files(request)] for request in upstream.requests)
        assert one == [("image", "image.png")]
        assert several == [("image[]", "image.png"), ("image[]", "image.png"), ("mask", "mask.png")]

    @pytest.mark.parametrize(
        ("asked", "sound", "declared", "found"),
        [
            ("wav", WAV, "audio/wav", "audio/wav"),
            ("wav", MP3, "audio/wav", "audio/mpeg"),
            ("opus", b"OggS" + bytes(60), "audio/opus", "audio/ogg"),
            ("pcm", b"\xff\xf3" + bytes(60), "audio/pcm", "audio/pcm"),
            ("pcm", bytes(60), "application/octet-stream", "audio/pcm"),
            ("mp3", b"\xff\xe3" + bytes(60), "application/octet-stream", "audio/mpeg"),
            (None, bytes(60), "audio/basic", "audio/basic"),
        ],
    )
    async def test_what_a_sound_is_its_bytes_tell_where_they_can(
        self, upstream: Upstream, asked: str | None, sound: bytes, declared: str, found: str
    ) -> None:
        upstream.script(openai_media.speech(sound, declared))
        result = await self.speech(output_format=asked)
        assert result.audio == GeneratedFile(bytes=sound, media_type=found)

    async def test_a_transcript_in_plain_text_is_one(self, upstream: Upstream) -> None:
        upstream.script(raw(" Olá\n".encode(), "text/plain; charset=utf-8"))
        result = await self.transcription()
        assert (result.text, result.segments, result.language, result.duration_in_seconds) == ("Olá", (), None, None)

    async def test_figures_of_a_transcript_that_cannot_be_are_unknown(self, upstream: Upstream) -> None:
        segments = [{"text": "Hello", "start": 0, "end": "1.5"}, {"text": "there", "start": -1, "end": None}, {"text": 7}, 7]
        body = {"text": "Hello there", "language": 7, "duration": "long", "segments": segments, "usage": {"seconds": 3}}
        upstream.script(json_reply(body), json_reply({"text": "Hello", "segments": None, "duration": True}))
        result = await self.transcription()
        assert result.segments == (TranscriptionSegment(text="Hello", start_second=0.0, end_second=1.5),)
        assert (result.language, result.duration_in_seconds, result.usage) == (None, 3.0, Usage())
        assert (await self.transcription()).duration_in_seconds is None

    async def test_a_recording_that_the_vendor_does_not_understand_is_the_callers_fault(self, upstream: Upstream) -> None:
        upstream.script(openai.error(400, f"Audio file might be corrupted, said {CANARY}."))
        error = await files.raised(self.transcription())
        assert (error.code, error.retryable) == ("invalid_request", False)
        assert CANARY not in error.message

    @pytest.mark.parametrize("status", ["", "paused", None, 7])
    async def test_a_video_that_stands_nowhere_is_refused(self, upstream: Upstream, status: Any) -> None:
        upstream.script(openai_media.video(status))
        assert (await files.raised(self.video())).code == "upstream_invalid_response"

    async def test_several_videos_are_one_and_a_warning(self, upstream: Upstream) -> None:
        upstream.script(self.video_started())
        operation = await self.video(n=2)
        assert [(warning.type, warning.setting) for warning in operation.warnings] == [("unsupported", "n")]
        assert files.sent(upstream.request) == {"model": self.video_model, "prompt": "A cat walks by"}

    async def test_one_video_is_what_there_is_anyway(self, upstream: Upstream) -> None:
        upstream.script(self.video_started())
        assert (await self.video(n=1)).warnings == ()

    async def test_a_video_that_is_gone_is_no_unknown_model(self, upstream: Upstream) -> None:
        upstream.script(self.video_started(), openai.error(404), openai.error(404))
        reference = (await self.video()).reference
        error = await files.raised(self.polled(reference))
        assert (error.code, error.retryable) == ("upstream_error", False)
        assert "video" in error.message
        await self.given_up(reference)

    async def test_a_refused_video_is_refused_at_once(self, upstream: Upstream) -> None:
        upstream.script(openai.error(400, code="moderation_blocked"))
        assert (await files.raised(self.video())).code == "content_policy_violation"

    async def test_a_quota_that_is_used_up_is_not_retried(self, upstream: Upstream) -> None:
        upstream.always(openai.error(429, code="insufficient_quota"))
        error = await text_failure(max_retries=2)
        assert (error.code, error.retryable, error.remedy) == ("upstream_rate_limited", False, "admin")
        assert len(upstream.requests) == 1

    async def test_a_refused_content_has_a_code_of_its_own(self, upstream: Upstream) -> None:
        upstream.always(openai.error(400, code="content_policy_violation"))
        assert (await text_failure()).code == "content_policy_violation"

    async def test_tool_arguments_that_are_no_json_are_passed_on_as_text(self, upstream: Upstream) -> None:
        upstream.script(openai.tool_call("look", '{"at": '))
        (call,) = (await service.agenerate_text("Hi")).tool_calls
        assert (call.input, call.invalid) == ('{"at": ', True)

    async def test_embeddings_are_in_the_order_of_their_values(self, upstream: Upstream) -> None:
        data = [{"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": [2.0]}]
        upstream.script(json_reply({"object": "list", "data": data, "model": "m"}))
        assert (await service.aembed(values=["a", "b"])).embeddings == [[2.0], [1.0]]

    # --- checks ---

    def check_reply(self, *models: str) -> Reply:
        return openai.models(*models)

    def check_forbidden(self) -> Reply:
        return openai.error(403, f"Missing scopes: api.model.read. The key is {CANARY}.", code="missing_scope")

    async def test_a_country_that_is_not_served_is_a_refusal(self, upstream: Upstream) -> None:
        upstream.script(openai.error(403, code="unsupported_country_region_territory"))
        assert (await service.acheck(NAME)).check == "credential-rejected"

    @pytest.mark.parametrize("answer", [{}, {"data": []}, {"data": 7}, {"data": [7, {"id": 7}, {}]}])
    async def test_a_list_of_nothing_is_no_list(self, upstream: Upstream, answer: Any) -> None:
        upstream.script(json_reply(answer))
        rungs = await self.checked()
        assert (rungs["authentication"].state, rungs["models"].state) == ("passed", "skipped")


class TestOpenAI(OpenAIContract):
    """OpenAI's own endpoint."""

    encoding_format = "base64"
    declaration: ClassVar[dict[str, Any]] = {"type": "openai", "apiKey": f"key-{CANARY}"}
    model = "gpt-4o"
    image_model, speech_model, transcription_model, video_model = "gpt-image-1", "gpt-4o-mini-tts", "whisper-1", "sora-2"
    image_settings: ClassVar[Mapping[str, tuple[str, Any]]] = {"size": ("size", "1536x1024")}
    images_per_call = 4
    speech_settings: ClassVar[Mapping[str, tuple[str, Any]]] = {
        "voice": ("voice", "marigold"),
        "output_format": ("response_format", "flac"),
        "instructions": ("instructions", "Whisper it."),
    }
    transcription_settings: ClassVar[Mapping[str, tuple[str, Any]]] = {"language": ("language", "pt")}
    video_settings: ClassVar[Mapping[str, tuple[str, Any]]] = {"resolution": ("size", "1280x720"), "duration": ("seconds", "8")}
    wire_settings: ClassVar[dict[str, tuple[str, Any]]] = {
        "max_output_tokens": ("max_completion_tokens", 1717),
        "temperature": ("temperature", 0.625),
        "top_p": ("top_p", 0.375),
        "presence_penalty": ("presence_penalty", 0.125),
        "frequency_penalty": ("frequency_penalty", 0.875),
        "stop_sequences": ("stop", ["HALT"]),
        "seed": ("seed", 7919),
    }

    async def test_reasoning_models_take_reasoning_and_no_sampling(self, upstream: Upstream) -> None:
        upstream.script(openai.text())
        result = await service.agenerate_text("Hi", model="o4-mini", **SETTINGS)
        body = upstream.request.json
        assert (body["reasoning_effort"], body["max_completion_tokens"], body["seed"]) == ("low", 1717, 7919)
        assert body.keys().isdisjoint({"temperature", "top_p", "presence_penalty", "frequency_penalty", "stop", "top_k"})
        assert len(result.warnings) == 6

    async def test_image_models_are_asked_for_what_they_take(self, upstream: Upstream) -> None:
        upstream.always(lambda request: self.image_reply(*[PNG] * self.images_asked(request)))
        for model in ("gpt-image-1", "dall-e-2", "dall-e-3"):
            assert len((await self.image(model=model, n=2)).images) == 2
        asked = [(body["model"], body["n"], body.get("response_format")) for body in (r.json for r in upstream.requests)]
        assert asked == [
            ("gpt-image-1", 2, None),
            ("dall-e-2", 2, "b64_json"),
            ("dall-e-3", 1, "b64_json"),
            ("dall-e-3", 1, "b64_json"),
        ]

    async def test_image_options_of_the_vendor_are_sent(self, upstream: Upstream) -> None:
        upstream.always(self.image_reply(PNG))
        options = {"quality": "high", "output_compression": 40, "user": "u-1"}
        await self.image(provider_options={"openai": options})
        await self.image(provider_options={"openai": options}, images=[PNG])
        made, edited = (files.sent(request) for request in upstream.requests)
        assert {name: made[name] for name in options} == options
        assert {name: edited[name] for name in options} == {"quality": "high", "output_compression": "40", "user": "u-1"}

    async def test_options_belong_to_a_capability(self, upstream: Upstream) -> None:
        for call in (self.image, self.speech, self.transcription, self.video):
            error = await files.raised(call(provider_options={"openai": {"service_tier": "flex"}}))
            assert (error.code, "service_tier" in error.message) == ("invalid_request", True)
        assert upstream.requests == []

    async def test_speech_has_a_voice_that_nobody_has_to_choose(self, upstream: Upstream) -> None:
        upstream.script(self.speech_reply())
        await self.speech()
        assert upstream.request.json == {"model": "gpt-4o-mini-tts", "input": "Hello there", "voice": "alloy"}

    async def test_first_speech_models_take_a_speed_and_no_instructions(self, upstream: Upstream) -> None:
        upstream.script(self.speech_reply())
        result = await self.speech(model="tts-1-hd", speed=1.5, instructions="Whisper it.")
        assert [(warning.type, warning.setting) for warning in result.warnings] == [("unsupported", "instructions")]
        assert upstream.request.json["speed"] == 1.5
        assert "instructions" not in upstream.request.json

    async def test_transcription_models_are_asked_for_what_they_can_tell(self, upstream: Upstream) -> None:
        tokens = {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59}
        upstream.always(openai_media.transcription(usage=tokens))
        for model in ("whisper-1", "gpt-4o-transcribe", "gpt-4o-transcribe-diarize"):
            result = await self.transcription(model=model)
            assert (result.text, result.segments) == ("Hello there", ())
            assert result.usage == Usage(input_tokens=14, output_tokens=45, total_tokens=59)
        assert [files.sent(request) for request in upstream.requests] == [
            {"model": "whisper-1", "response_format": "verbose_json", "timestamp_granularities[]": "segment"},
            {"model": "gpt-4o-transcribe", "response_format": "json"},
            {"model": "gpt-4o-transcribe-diarize", "response_format": "diarized_json", "chunking_strategy": "auto"},
        ]

    async def test_a_languages_region_is_left_out_and_reported(self, upstream: Upstream) -> None:
        upstream.always(self.transcription_reply())
        result = await self.transcription(language="pt-BR")
        assert [(warning.type, warning.setting) for warning in result.warnings] == [("compatibility", "language")]
        assert (await self.transcription(language="pt")).warnings == ()
        assert [files.sent(request)["language"] for request in upstream.requests] == ["pt", "pt"]

    async def test_transcription_options_of_the_vendor_are_sent(self, upstream: Upstream) -> None:
        upstream.script(self.transcription_reply())
        options = {"prompt": 'Ada, "Grace"\r\n--x', "temperature": 0.5, "languages": ["en", "pt"]}
        await self.transcription(provider_options={"openai": options})
        sent = files.sent(upstream.request)
        assert (sent["prompt"], sent["temperature"], sent["languages[]"]) == (options["prompt"], "0.5", ["en", "pt"])

    @pytest.mark.parametrize("duration", [5, 4.5, 3600])
    async def test_a_video_has_one_of_the_lengths_that_there_are(self, upstream: Upstream, duration: float) -> None:
        error = await files.raised(self.video(duration=duration))
        assert (error.code, error.message) == ("invalid_request", "duration: the model makes videos of 4, 8, 12 seconds")
        assert upstream.requests == []

    async def test_forms_are_those_of_the_vendors_own_client(self, upstream: Upstream) -> None:
        upstream.always(
            lambda request: {"edits": self.image_reply(PNG), "videos": self.video_started()}.get(
                request.path.rpartition("/")[2], self.transcription_reply()
            )
        )
        await self.image(images=[PNG], prompt="P", size="1024x1024")
        await self.image(images=[PNG, PNG], mask=PNG, prompt="P", n=2)
        await self.transcription(language="en", provider_options={"openai": {"temperature": 0.5}})
        await self.video(prompt="P", image=PNG, resolution="1280x720", duration=8)
        png = ("image.png", PNG, "image/png")
        with sdk.OpenAI(
            base_url=upstream.url + self.base_path, api_key="k", http_client=httpx.Client(trust_env=False)
        ) as client:
            client.images.edit(model="gpt-image-1", prompt="P", n=1, size="1024x1024", image=png)
            client.images.edit(model="gpt-image-1", prompt="P", n=2, image=[png, png], mask=("mask.png", PNG, "image/png"))
            client.audio.transcriptions.create(
                model="whisper-1",
                file=("file.wav", WAV, "audio/wav"),
                language="en",
                response_format="verbose_json",
                timestamp_granularities=["segment"],
                temperature=0.5,
            )
            client.videos.create(
                model="sora-2",
                prompt="P",
                seconds="8",
                size="1280x720",
                input_reference=("input_reference.png", PNG, "image/png"),
            )
        said = [(request.target, files.sent(request), forms.files(request)) for request in upstream.requests]
        assert said[:4] == said[4:]

    async def test_organization_and_project_are_sent(self, upstream: Upstream, reconfigure: Any) -> None:
        await reconfigure(organization="org-1", project="proj-1")
        upstream.script(openai.text())
        await service.agenerate_text("Hi")
        headers = upstream.request.headers
        assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")

    @pytest.mark.parametrize("name", ["messages", "stream", "n", "unheard_of"])
    async def test_options_that_are_not_the_vendors_are_refused(self, upstream: Upstream, name: str) -> None:
        assert (await text_failure(provider_options={"openai": {name: 1}})).code == "invalid_request"
        assert upstream.requests == []

    async def test_options_of_the_vendor_are_sent(self, upstream: Upstream) -> None:
        upstream.script(openai.text())
        await service.agenerate_text("Hi", provider_options={"openai": {"service_tier": "flex"}, "anthropic": {"thinking": {}}})
        assert at(upstream.request.json, "service_tier") == "flex"
        assert "thinking" not in upstream.request.json
