"""Google."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from ai_models import service
from ai_models.exceptions import ContentPolicyViolation, UnsupportedFunctionality
from ai_models.testing.samples import wav
from ai_models.types import GeneratedFile, InputTokenDetails, OutputTokenDetails, ToolCall, Usage
from tests.families.contract import Embeddings, FamilyContract, Images, ServerSentEvents, Speech, files, speech
from tests.families.contract.base import CANARY, NAME, TOOL, Contract, Vendor, at, finish_of, streamed, text_failure
from tests.families.contract.conversations import URL, encoded
from tests.samples import MP3, MP4, PDF, PNG, TEXT, WAV
from tests.upstreams import google
from tests.upstreams.recorded import Recorded
from tests.upstreams.replies import Reply, json_reply
from tests.upstreams.server import Upstream

pytestmark = pytest.mark.usefixtures("warm_litellm")

SAMPLES = bytes(4800)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01"
REFUSALS = [
    {"candidates": [{"content": {}, "finishReason": "IMAGE_SAFETY", "index": 0}]},
    {"candidates": [{"finishReason": "PROHIBITED_CONTENT"}]},
    {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}},
]


class OnGoogle(Contract):
    """One instance of the family."""

    vendor: ClassVar[Vendor] = google
    declaration: ClassVar[dict[str, Any]] = {"type": "google", "apiKey": f"key-{CANARY}"}
    base_path = "/front/v1beta"
    model = "gemini-2.5-flash"

    def check_credential(self, request: Recorded) -> None:
        assert request.headers["x-goog-api-key"] == f"key-{CANARY}"
        assert "authorization" not in request.headers


class TestGoogle(OnGoogle, FamilyContract, Embeddings, Images, Speech, ServerSentEvents):
    """The Gemini API, with the Gemini models that draw and speak."""

    embedding_model = "gemini-embedding-001"
    embedding_tokens = None
    check_target = "/models?pageSize=1000"
    check_tells_permission = False
    text_path = "/models/gemini-2.5-flash:generateContent"
    stream_path = "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    system_path, prompt_path = "system_instruction.parts.0.text", "contents.0.parts.0.text"
    turns_path, parts_key = "contents", "parts"
    tool_name_path = "tools.0.function_declarations.0.name"
    schema_path = "generationConfig.response_json_schema"
    dimensions_path = "requests.0.outputDimensionality"
    usage = Usage(
        input_tokens=20,
        output_tokens=7,
        total_tokens=27,
        input_token_details=InputTokenDetails(no_cache=12, cache_read=8),
        output_token_details=OutputTokenDetails(text=4, reasoning=3),
    )
    output_tokens = "candidatesTokenCount"
    finish_stands_in_last_delta = True
    finish_reasons: ClassVar[dict[str, str]] = {
        "STOP": "stop",
        "MAX_TOKENS": "length",
        "SAFETY": "content-filter",
        "RECITATION": "content-filter",
        "SOMETHING_NEW": "other",
    }
    wire_settings: ClassVar[dict[str, tuple[str, Any]]] = {
        "max_output_tokens": ("generationConfig.max_output_tokens", 1717),
        "temperature": ("generationConfig.temperature", 0.625),
        "top_p": ("generationConfig.top_p", 0.375),
        "top_k": ("generationConfig.top_k", 31),
        "presence_penalty": ("generationConfig.presence_penalty", 0.125),
        "frequency_penalty": ("generationConfig.frequency_penalty", 0.875),
        "stop_sequences": ("generationConfig.stop_sequences", ["HALT"]),
        "seed": ("generationConfig.seed", 7919),
        "reasoning": ("generationConfig.thinkingConfig.includeThoughts", True),
    }

    files: ClassVar[dict[str, Any]] = {
        "image": {"inlineData": {"mimeType": "image/png", "data": encoded(PNG)}},
        "image by url": {"fileData": {"mimeType": "image/png", "fileUri": URL}},
        "some image by url": {"fileData": {"fileUri": URL}},
        "pdf": {"inlineData": {"mimeType": "application/pdf", "data": encoded(PDF)}},
        "pdf by url": {"fileData": {"mimeType": "application/pdf", "fileUri": URL}},
        "text": {"inlineData": {"mimeType": "text/plain", "data": encoded(TEXT)}},
        "text by url": {"fileData": {"mimeType": "text/plain", "fileUri": URL}},
        "wav": {"inlineData": {"mimeType": "audio/wav", "data": encoded(WAV)}},
        "mp3": {"inlineData": {"mimeType": "audio/mpeg", "data": encoded(MP3)}},
        "sound by url": {"fileData": {"mimeType": "audio/wav", "fileUri": URL}},
        "video": {"inlineData": {"mimeType": "video/mp4", "data": encoded(MP4)}},
    }
    tool_choice_path = "toolConfig.functionCallingConfig"
    tool_choices: ClassVar[dict[str, Any]] = {
        "auto": {"mode": "AUTO"},
        "none": {"mode": "NONE"},
        "required": {"mode": "ANY"},
        "named": {"mode": "ANY", "allowed_function_names": ["look"]},
    }
    reasoned_parts: ClassVar[list[Any]] = [{"text": "Hello"}]
    tool_turns: ClassVar[list[Any]] = [
        {
            "role": "model",
            "parts": [
                {"text": "Let me look."},
                {"function_call": {"name": "look", "args": {"at": 1}}},
                {"function_call": {"name": "look", "args": {"at": 2}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"function_response": {"name": "look", "response": {"content": "one"}}},
                {"function_response": {"name": "look", "response": {"a": 2}}},
            ],
        },
        {"role": "user", "parts": [{"text": "And?"}]},
    ]

    image_model = "gemini-2.5-flash-image"
    image_path = edit_path = "/models/gemini-2.5-flash-image:generateContent"
    image_prompt_path = "contents.0.parts.0.text"
    image_settings: ClassVar[dict[str, tuple[str, Any]]] = {
        "aspect_ratio": ("generationConfig.imageConfig.aspectRatio", "16:9"),
        "seed": ("generationConfig.seed", 7919),
    }
    images_per_call = 1
    masks = False
    image_usage = Usage(
        input_tokens=20,
        output_tokens=7,
        total_tokens=27,
        input_token_details=InputTokenDetails(no_cache=12, cache_read=8),
        output_token_details=OutputTokenDetails(reasoning=3),
    )
    speech_model = "gemini-2.5-flash-preview-tts"
    speech_path = "/models/gemini-2.5-flash-preview-tts:generateContent"
    speech_text_path = "contents.0.parts.0.text"
    speech_given: ClassVar[Mapping[str, Any]] = {
        name: value for name, value in speech.SETTINGS.items() if name != "output_format"
    }
    speech_settings: ClassVar[dict[str, tuple[str, Any]]] = {
        "voice": ("generationConfig.speechConfig.voiceConfig.prebuiltVoiceConfig.voiceName", "marigold"),
        "instructions": ("contents.0.parts.0.text", "Whisper it: Hello there"),
        "language": ("generationConfig.speechConfig.languageCode", "pt-BR"),
    }
    speech_audio = GeneratedFile(bytes=wav(0.1, 24_000), media_type="audio/wav")

    @staticmethod
    def too_long() -> Reply:
        return google.error(400, "The input token count (9) exceeds the maximum number of tokens allowed (8).")

    def embedding_reply(self, request: Recorded) -> Reply:
        assert request.path == f"{self.base_path}/models/{self.embedding_model}:batchEmbedContents"
        texts = [item["content"]["parts"][0]["text"] for item in request.json["requests"]]
        return google.embeddings(*([float(len(text)), 0.5] for text in texts))

    async def test_a_blocked_prompt_is_an_answer_without_text(self, upstream: Upstream) -> None:
        blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": google.USAGE, "modelVersion": google.MODEL}
        upstream.script(json_reply(blocked))
        result = await service.agenerate_text("Hi")
        assert (result.text, result.finish_reason, result.raw_finish_reason) == ("", "content-filter", "SAFETY")

    async def test_a_stream_needs_no_done(self, upstream: Upstream) -> None:
        upstream.script(google.stream("Hello"))
        assert (await finish_of(streamed())).text == "Hello"

    async def test_more_embeddings_than_one_call_takes_are_split_and_keep_their_order(self, upstream: Upstream) -> None:
        upstream.always(self.embedding_reply)
        result = await service.aembed(values=["a" * (1 + number % 50) for number in range(250)])
        assert [vector[0] for vector in result.embeddings or ()] == [1.0 + number % 50 for number in range(250)]
        assert sorted(len(request.json["requests"]) for request in upstream.requests) == [50, 100, 100]

    def check_reply(self, *models: str) -> Reply:
        return google.models(*models)

    async def test_a_check_finds_a_key_refused_with_status_400(self, upstream: Upstream) -> None:
        upstream.script(google.error(400, "API key not valid. Please pass a valid API key."))
        assert (await service.acheck(NAME)).check == "credential-rejected"

    async def test_thoughts_that_take_all_of_a_checks_call_are_an_answer(self, upstream: Upstream) -> None:
        upstream.script(google.models(self.model), google.content(finish="MAX_TOKENS"))
        assert (await self.checked("text-generation"))["text-generation"].state == "passed"
        assert at(upstream.requests[-1].json, "generationConfig.max_output_tokens") == 64

    async def test_the_list_of_models_may_have_pages(self, upstream: Upstream) -> None:
        upstream.script(google.models("a", token="t/2"), google.models(*self.configured().values()))
        assert (await self.checked())["models"].state == "passed"
        assert [request.query for request in upstream.requests] == [
            {"pageSize": "1000"},
            {"pageSize": "1000", "pageToken": "t/2"},
        ]

    async def test_a_key_that_is_refused_with_status_400_is_a_refused_credential(self, upstream: Upstream) -> None:
        upstream.always(google.error(400, "API key not valid. Please pass a valid API key."))
        assert (await text_failure()).code == "upstream_auth_failed"

    # --- reasoning and tools ---

    @pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-pro-preview"])
    async def test_the_signature_of_a_call_goes_back_with_it(self, upstream: Upstream, model: str) -> None:
        """Gemini 3 refuses a call of its own that comes back without: it travels in the call's id, through every client."""
        call = {"functionCall": {"id": "call_1", "name": "look", "args": {"at": 1}}, "thoughtSignature": "c2ln"}
        other = {"functionCall": {"id": "call_2", "name": "look", "args": {"at": 2}}}
        upstream.script(google.content(call, other), google.content_stream(call, other))
        given: Any = {"model": model, "tools": [TOOL]}
        for result in (await service.agenerate_text("Hi", **given), await finish_of(streamed(**given))):
            results = [
                {"type": "tool-result", "tool_call_id": call.tool_call_id, "tool_name": "look", "output": "one"}
                for call in result.tool_calls
            ]
            upstream.script(google.text())
            await self.say([{"role": "assistant", "content": result.content}, {"role": "tool", "content": results}], **given)
            body = upstream.requests[-1].json
            signatures = [part.get("thoughtSignature") for part in at(body, "contents.1.parts")]
            calls = [(part["function_call"]["name"], part["function_call"]["args"]) for part in at(body, "contents.1.parts")]
            assert (signatures, calls) == (["c2ln", None], [("look", {"at": 1}), ("look", {"at": 2})])
            answered = [part["function_response"]["name"] for part in at(body, "contents.2.parts")]
            assert answered == ["look", "look"]

    async def test_a_call_of_another_model_has_the_signature_that_google_gives_for_it(self, upstream: Upstream) -> None:
        """https://ai.google.dev/gemini-api/docs/thought-signatures#faqs"""
        upstream.script(google.text())
        call = {"type": "tool-call", "tool_call_id": "call_1", "tool_name": "look", "input": {}}
        result = {"type": "tool-result", "tool_call_id": "call_1", "tool_name": "look", "output": "one"}
        turns = [{"role": "assistant", "content": [call]}, {"role": "tool", "content": [result]}]
        await self.say(turns, model="gemini-3-pro-preview", tools=[TOOL])
        signature = at(upstream.request.json, "contents.1.parts.0.thoughtSignature")
        assert base64.b64decode(signature) == b"skip_thought_signature_validator"

    async def test_parts_keep_their_order(self, upstream: Upstream) -> None:
        upstream.script(
            google.content(
                {"text": "First", "thought": True},
                {"text": "Let me "},
                {"text": "look."},
                {"functionCall": {"id": "call_1", "name": "look", "args": {"at": 1}}},
                {"text": "Wait."},
            )
        )
        result = await service.agenerate_text("Hi", tools=[TOOL])
        told = [part.tool_name if isinstance(part, ToolCall) else part.text for part in result.content]
        assert told == ["First", "Let me look.", "look", "Wait."]

    @pytest.mark.parametrize(
        ("model", "effort", "sent"),
        [
            ("gemini-2.5-flash", "none", {"thinkingBudget": 0, "includeThoughts": False}),
            ("gemini-2.5-flash", "low", {"thinkingBudget": 1024, "includeThoughts": True}),
            ("gemini-2.5-flash", "high", {"thinkingBudget": 4096, "includeThoughts": True}),
            ("gemini-3-pro-preview", "low", {"thinkingLevel": "low", "includeThoughts": True}),
            ("gemini-3-pro-preview", "high", {"thinkingLevel": "high", "includeThoughts": True}),
        ],
    )
    async def test_how_much_it_thinks(self, upstream: Upstream, model: str, effort: Any, sent: Any) -> None:
        upstream.script(google.text())
        await service.agenerate_text("Hi", model=model, reasoning=effort)
        assert upstream.request.json["generationConfig"] == {"thinkingConfig": sent}

    @pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-pro-preview"])
    async def test_nothing_is_sent_that_nobody_asked_for(self, upstream: Upstream, model: str) -> None:
        upstream.script(google.text())
        await service.agenerate_text("Hi", model=model)
        assert upstream.request.json == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}

    # --- images ---

    def image_reply(self, *images: bytes) -> Reply:
        return google.content(
            google.file(PNG, "image/png", thought=True), *(google.file(image, "image/png") for image in images)
        )

    def images_asked(self, request: Recorded) -> int:
        return 1

    def imageless_replies(self) -> Mapping[str, Reply]:
        return {
            "none": google.content({"text": "I would rather not."}),
            "no image": json_reply({"candidates": [{"content": {}, "finishReason": "NO_IMAGE"}]}),
            "no candidate": json_reply({"candidates": []}),
            "no list": json_reply({"candidates": {"content": 7}}),
            "no base64": google.content(google.file("***", "image/png")),
            "only a draft": google.content(google.file(PNG, "image/png", thought=True)),
        }

    async def test_a_gemini_model_is_asked_for_images_alone(self, upstream: Upstream) -> None:
        upstream.script(self.image_reply(PNG))
        await self.image(images=[JPEG], provider_options={"google": {"imageSize": "2K"}})
        assert at(upstream.request.json, "generationConfig") == {
            "responseModalities": ["IMAGE"],
            "imageConfig": {"imageSize": "2K"},
        }
        assert at(upstream.request.json, "contents.0.parts.1.inlineData.mimeType") == "image/jpeg"

    @pytest.mark.parametrize("answer", REFUSALS)
    async def test_a_refusal_is_no_fault_of_the_provider(self, upstream: Upstream, answer: Any) -> None:
        upstream.always(json_reply(answer))
        for call in (self.image, self.speech):
            assert isinstance(await files.raised(call(max_retries=2)), ContentPolicyViolation)
        assert len(upstream.requests) == 2

    async def test_a_mask_is_refused(self, upstream: Upstream) -> None:
        assert isinstance(await files.raised(self.image(images=[PNG], mask=PNG)), UnsupportedFunctionality)
        assert upstream.requests == []

    # --- speech ---

    def speech_reply(self) -> Reply:
        return google.content(google.file(SAMPLES, "audio/L16;codec=pcm;rate=24000"))

    def speechless_replies(self) -> Mapping[str, Reply]:
        return {
            "none": google.content({"text": "Hello"}),
            "nothing": google.content(google.file(b"", "audio/L16;codec=pcm;rate=24000")),
            "no base64": google.content(google.file("***", "audio/L16;codec=pcm;rate=24000")),
            "a picture": google.content(google.file(PNG, "image/png")),
            "a picture that says it is sound": google.content(google.file(PNG, "audio/wav")),
        }

    async def test_somebody_speaks_when_nobody_is_named(self, upstream: Upstream) -> None:
        upstream.script(self.speech_reply())
        result = await self.speech()
        assert at(upstream.request.json, "generationConfig") == {
            "responseModalities": ["AUDIO"],
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
        }
        assert result.provider_metadata == {"google": {"sample_rate": 24_000}}

    @pytest.mark.parametrize(
        ("asked", "declared", "sound", "found"),
        [
            ("pcm", "audio/L16;codec=pcm;rate=24000", SAMPLES, GeneratedFile(bytes=SAMPLES, media_type="audio/pcm")),
            ("wav", "audio/l16; rate=16000", SAMPLES, GeneratedFile(bytes=wav(0.15, 16_000), media_type="audio/wav")),
            ("wav", "audio/pcm", SAMPLES, GeneratedFile(bytes=wav(0.1, 24_000), media_type="audio/wav")),
            ("wav", "audio/pcm;rate=0000", SAMPLES, GeneratedFile(bytes=wav(0.1, 24_000), media_type="audio/wav")),
            ("pcm", "audio/L16", b"\xff\xfb" + SAMPLES, GeneratedFile(bytes=b"\xff\xfb" + SAMPLES, media_type="audio/pcm")),
            ("wav", "audio/wav", WAV, GeneratedFile(bytes=WAV, media_type="audio/wav")),
        ],
    )
    async def test_the_forms_of_sound(
        self, upstream: Upstream, asked: str, declared: str, sound: bytes, found: GeneratedFile
    ) -> None:
        upstream.script(google.content(google.file(sound, declared)))
        result = await self.speech(output_format=asked)
        assert (result.audio, result.warnings) == (found, ())

    async def test_a_form_of_sound_that_there_is_not_is_reported(self, upstream: Upstream) -> None:
        upstream.script(self.speech_reply())
        result = await self.speech(output_format="flac")
        assert result.audio == self.speech_audio
        assert [(warning.type, warning.setting) for warning in result.warnings] == [("unsupported", "output_format")]

    async def test_several_voices_take_the_place_of_one(self, upstream: Upstream) -> None:
        upstream.script(self.speech_reply())
        voices = {"speakerVoiceConfigs": [{"speaker": "Joe"}]}
        await self.speech(provider_options={"google": {"multiSpeakerVoiceConfig": voices}})
        assert at(upstream.request.json, "generationConfig.speechConfig") == {"multiSpeakerVoiceConfig": voices}


class TestImagen(OnGoogle, Images):
    """Imagen, which has a request of its own."""

    image_model = "imagen-4.0-generate-001"
    image_path = "/models/imagen-4.0-generate-001:predict"
    image_prompt_path = "instances.0.prompt"
    image_settings: ClassVar[dict[str, tuple[str, Any]]] = {"aspect_ratio": ("parameters.aspectRatio", "16:9")}
    images_per_call = 4

    def image_reply(self, *images: bytes) -> Reply:
        return google.predictions(*images)

    def images_asked(self, request: Recorded) -> int:
        return int(at(request.json, "parameters.sampleCount"))

    def imageless_replies(self) -> Mapping[str, Reply]:
        return {
            "nothing": json_reply({}),
            "none": google.predictions(),
            "no list": json_reply({"predictions": {"a": 1}}),
            "no base64": json_reply({"predictions": [{"bytesBase64Encoded": "***"}]}),
            "no text": json_reply({"predictions": [{"bytesBase64Encoded": 7}]}),
        }

    async def test_more_images_than_one_call_makes_are_split(self, upstream: Upstream) -> None:
        upstream.always(lambda request: self.image_reply(*[PNG] * self.images_asked(request)))
        assert len((await self.image(n=10)).images) == 10
        assert sorted(self.images_asked(request) for request in upstream.requests) == [2, 4, 4]

    async def test_what_was_withheld_is_told(self, upstream: Upstream) -> None:
        upstream.script(google.predictions(PNG, withheld=1), google.predictions(withheld=2))
        result = await self.image(n=2)
        assert [(warning.type, warning.setting) for warning in result.warnings] == [("other", "n")]
        assert at(upstream.request.json, "parameters.includeRaiReason") is True
        assert isinstance(await files.raised(self.image(n=2)), ContentPolicyViolation)
