"""Amazon Bedrock."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from asgiref.sync import sync_to_async

from ai_models import events, service
from ai_models.exceptions import (
    ContentPolicyViolation,
    CredentialUnavailable,
    UnsupportedFunctionality,
    UpstreamAuthFailed,
)
from ai_models.families.bedrock import Bedrock
from ai_models.testing.conformance import connection
from ai_models.transports.faults import NotPermitted
from ai_models.types import InputTokenDetails, ReasoningContent, TextContent, Usage
from tests.families.contract import Embeddings, FamilyContract, Images, files
from tests.families.contract.base import (
    CANARY,
    NAME,
    SCHEMA,
    TOOL,
    Contract,
    Vendor,
    at,
    events_of,
    failure_of,
    finish_of,
    streamed,
    text_failure,
)
from tests.families.contract.conversations import NAMED, encoded
from tests.families.contract.credentials import DECOY, take_credentials
from tests.samples import MP4, PDF, PNG, TEXT
from tests.transports import test_masks
from tests.upstreams import bedrock, eventstream, sigv4
from tests.upstreams.recorded import Recorded
from tests.upstreams.replies import Reply, json_reply
from tests.upstreams.server import Upstream

pytestmark = pytest.mark.usefixtures("warm_litellm")

SECRET = f"secret-{CANARY}"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ENCODED_MODEL = bedrock.MODEL.replace(":", "%3A")


def digest(data: bytes) -> str:
    """What the name of a document ends with."""
    return hashlib.blake2s(data, digest_size=4).hexdigest()


class OnBedrock(Contract):
    """One instance of the family, with keys of its own."""

    vendor: ClassVar[Vendor] = bedrock
    declaration: ClassVar[dict[str, Any]] = {
        "type": "bedrock",
        "region": "eu-west-1",
        "accessKeyId": "AKIDOWN",
        "secretAccessKey": SECRET,
    }
    base_path = "/front"
    model = bedrock.MODEL

    def check_credential(self, request: Recorded) -> None:
        assert sigv4.verify(request, SECRET) == sigv4.Signed("AKIDOWN", "eu-west-1", "bedrock", None)
        assert "x-api-key" not in request.headers


class TestBedrock(OnBedrock, FamilyContract, Embeddings, Images):
    """The Converse API, and InvokeModel with Amazon's models."""

    check_target = "/async-invoke?maxResults=1"
    check_lists = False
    embedding_model = "amazon.titan-embed-text-v2:0"
    embedding_tokens = 10
    text_path = f"/model/{ENCODED_MODEL}/converse"
    stream_path = f"/model/{ENCODED_MODEL}/converse-stream"
    system_path, prompt_path = "system.0.text", "messages.0.content.0.text"
    turns_path, parts_key = "messages", "content"
    tool_name_path = "toolConfig.tools.0.toolSpec.name"
    schema_path = "toolConfig.tools.0.toolSpec.inputSchema.json"
    structured_by_tool = True
    error_with_200_code = "upstream_invalid_response"
    credential_field = "accessKeyId"
    other_credential: ClassVar[dict[str, str]] = {"accessKeyId": "another-one"}
    usage = Usage(
        input_tokens=20,
        output_tokens=7,
        total_tokens=27,
        input_token_details=InputTokenDetails(no_cache=10, cache_read=8, cache_write=2),
    )
    output_tokens = "outputTokens"
    finish_reasons: ClassVar[dict[str, str]] = {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "tool_use": "tool-calls",
        "guardrail_intervened": "content-filter",
        "content_filtered": "content-filter",
        "something_new": "other",
    }
    wire_settings: ClassVar[dict[str, tuple[str, Any]]] = {
        "max_output_tokens": ("inferenceConfig.maxTokens", 1717),
        "temperature": ("inferenceConfig.temperature", 0.625),
        "top_p": ("inferenceConfig.topP", 0.375),
        "top_k": ("additionalModelRequestFields.top_k", 31),
        "stop_sequences": ("inferenceConfig.stopSequences", ["HALT"]),
    }

    files: ClassVar[dict[str, Any]] = {
        "image": {"image": {"format": "png", "source": {"bytes": encoded(PNG)}}},
        "pdf": {"document": {"format": "pdf", "source": {"bytes": encoded(PDF)}, "name": f"Q3-report-(final)-{digest(PDF)}"}},
        "text": {"document": {"format": "txt", "source": {"bytes": encoded(TEXT)}, "name": f"document-{digest(TEXT)}"}},
        "video": {"video": {"format": "mp4", "source": {"bytes": encoded(MP4)}}},
    }
    tool_choice_path = "toolConfig.toolChoice"
    tool_choices: ClassVar[dict[str, Any]] = {
        "auto": {"auto": {}},
        "none": None,
        "required": {"any": {}},
        "named": {"tool": {"name": "look"}},
    }
    reasoned_parts: ClassVar[list[Any]] = [
        {"reasoningContent": {"reasoningText": {"text": "Well", "signature": "c2ln"}}},
        {"text": "Hello"},
    ]
    tool_turns: ClassVar[list[Any]] = [
        {
            "role": "assistant",
            "content": [
                {"text": "Let me look."},
                {"toolUse": {"toolUseId": "tooluse_0", "name": "look", "input": {"at": 1}}},
                {"toolUse": {"toolUseId": "tooluse_1", "name": "look", "input": {"at": 2}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "tooluse_0", "content": [{"text": "one"}]}},
                {"toolResult": {"toolUseId": "tooluse_1", "content": [{"text": '{"a": 2}'}]}},
                {"text": "And?"},
            ],
        },
    ]

    image_model = "amazon.nova-canvas-v1:0"
    image_path = edit_path = "/model/amazon.nova-canvas-v1%3A0/invoke"
    image_prompt_path = "textToImageParams.text"
    image_settings: ClassVar[dict[str, tuple[str, Any]]] = {
        "size": ("imageGenerationConfig.width", 1536),
        "seed": ("imageGenerationConfig.seed", 7919),
    }
    images_per_call = 5

    @staticmethod
    def too_long() -> Reply:
        return bedrock.error(400, "Input is too long for requested model.")

    def embedding_reply(self, request: Recorded) -> Reply:
        return bedrock.embeddings([float(len(request.json["inputText"])), 0.5])

    def spoiled_stream(self, raw: bytes) -> list[Reply]:
        return []

    def malformed(self, good: Reply) -> Reply:
        pieces = [piece for piece in good.pieces if isinstance(piece, bytes)]
        return replace(good, pieces=tuple(piece.replace(b" there", b" theme") for piece in pieces))

    async def test_without_a_credential_nothing_is_sent(self, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
        """An instance without keys uses the machine's; when there are none either, it is refused."""
        await sync_to_async(take_credentials)()
        for name, value in {
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/none",
            "AWS_SHARED_CREDENTIALS_FILE": "/none",
        }.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(CredentialUnavailable) as caught:
            await service.agenerate_text("Hi")
        assert caught.value.config_path == f"ai.providers.{NAME}.accessKeyId"
        assert upstream.connections == []

    async def test_without_keys_of_its_own_it_uses_the_machines(
        self, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.setenv(name, DECOY)
        await sync_to_async(take_credentials)()
        upstream.script(bedrock.text(), bedrock.stream("Hello"))
        await service.agenerate_text("Hi")
        await finish_of(streamed())
        for request in upstream.requests:
            assert sigv4.verify(request, DECOY) == sigv4.Signed(DECOY, "eu-west-1", "bedrock", DECOY)

    async def test_a_session_token_is_sent_and_signed(self, upstream: Upstream, reconfigure: Any) -> None:
        await reconfigure(sessionToken="token-1")
        upstream.script(bedrock.text())
        await service.agenerate_text("Hi")
        assert sigv4.verify(upstream.request, SECRET).session_token == "token-1"
        assert "x-amz-security-token" in upstream.request.headers["authorization"]

    async def test_a_model_may_be_an_inference_profile(self, upstream: Upstream) -> None:
        profile = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123"
        upstream.script(bedrock.text())
        await service.agenerate_text("Hi", model=profile)
        assert upstream.request.path == f"/front/model/{profile.replace(':', '%3A').replace('/', '%2F')}/converse"
        sigv4.verify(upstream.request, SECRET)

    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("throttlingException", "upstream_rate_limited"),
            ("validationException", "invalid_request"),
            ("internalServerException", "upstream_error"),
            ("serviceUnavailableException", "upstream_error"),
        ],
    )
    async def test_exceptions_in_mid_stream_have_their_code(
        self, upstream: Upstream, exception_after: Callable[[str], Reply], name: str, code: str
    ) -> None:
        upstream.script(exception_after(name))
        error, text = await failure_of(streamed())
        assert (error.code, text) == (code, "Hello")

    @pytest.fixture
    def exception_after(self) -> Callable[[str], Reply]:
        """A stream that ends with this exception after its first text."""

        def build(name: str) -> Reply:
            good = bedrock.error_in_stream("Hello")
            return replace(good, pieces=(*tuple(good.pieces)[:-1], eventstream.exception(name, "It failed.")))

        return build

    async def test_embeddings_of_many_texts_keep_their_order(self, upstream: Upstream) -> None:
        """Titan takes one text at a time, so each has a call of its own."""
        upstream.always(self.embedding_reply)
        result = await service.aembed(values=["a" * number for number in range(1, 13)])
        assert [vector[0] for vector in result.embeddings or ()] == [float(number) for number in range(1, 13)]
        assert (len(upstream.requests), result.usage.tokens) == (12, 60)

    async def test_cohere_embeds_many_texts_at_a_time(self, upstream: Upstream) -> None:
        upstream.always(lambda request: bedrock.cohere_embeddings(*([float(len(text)), 0.5] for text in request.json["texts"])))
        values = ["a" * (1 + number % 50) for number in range(150)]
        result = await service.aembed(values=values, model="cohere.embed-english-v3")
        assert [vector[0] for vector in result.embeddings or ()] == [float(len(value)) for value in values]
        assert sorted(len(request.json["texts"]) for request in upstream.requests) == [54, 96]

    # --- checks ---

    def check_reply(self, *models: str) -> Reply:
        return bedrock.async_invokes()

    @pytest.mark.parametrize("code", ["UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException"])
    async def test_keys_that_aws_does_not_take_are_refused(self, upstream: Upstream, code: str) -> None:
        upstream.script(bedrock.error(403, "The security token included in the request is invalid.", code=code))
        assert (await service.acheck(NAME)).check == "credential-rejected"

    async def test_the_machines_keys_are_checked_where_it_has_none_of_its_own(
        self, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.setenv(name, DECOY)
        await sync_to_async(take_credentials)()
        upstream.script(bedrock.async_invokes())
        rungs = await self.checked()
        assert rungs["credential"].message == "It uses the machine's credential."
        assert sigv4.verify(upstream.request, DECOY).access_key_id == DECOY

    # --- reasoning and tools ---

    async def test_parts_keep_their_order_and_redacted_thoughts_go_back(self, upstream: Upstream) -> None:
        blocks = [
            {"reasoningContent": {"reasoningText": {"text": "First", "signature": "c2ln"}}},
            {"reasoningContent": {"redactedContent": "aGlkZGVu"}},
            {"text": "Hello"},
        ]
        upstream.script(bedrock.content(*blocks))
        upstream.script(
            bedrock.content_stream(
                [{"reasoningContent": {"text": "First"}}, {"reasoningContent": {"signature": "c2ln"}}],
                [{"reasoningContent": {"redactedContent": "aGlkZGVu"}}],
                [{"text": "Hel"}, {"text": "lo"}],
            )
        )
        plain, from_stream = await service.agenerate_text("Hi"), await finish_of(streamed())
        assert plain.content == from_stream.content
        assert plain.content == (
            ReasoningContent(text="First", provider_metadata={"bedrock": {"signature": "c2ln"}}),
            ReasoningContent(text="", provider_metadata={"bedrock": {"redactedData": "aGlkZGVu"}}),
            TextContent(text="Hello"),
        )
        upstream.script(bedrock.text())
        await self.say([{"role": "assistant", "content": plain.content}])
        assert at(upstream.requests[-1].json, "messages.1.content") == blocks

    async def test_text_after_a_call_keeps_its_place(self, upstream: Upstream) -> None:
        call = {"toolUse": {"toolUseId": "tooluse_1", "name": "look", "input": {}}}
        upstream.script(bedrock.content({"text": "Let me look."}, call, {"text": "Wait."}, finish="tool_use"))
        result = await service.agenerate_text("Hi", tools=[TOOL])
        assert [part.type for part in result.content] == ["text", "tool-call", "text"]

    async def test_tools_that_must_not_be_called_are_told_of_where_they_were(self, upstream: Upstream) -> None:
        """Converse has no such choice, and refuses a conversation about tools that it is not told of."""
        upstream.script(bedrock.text())
        call = {"type": "tool-call", "tool_call_id": "tooluse_1", "tool_name": "look", "input": {}}
        result = {"type": "tool-result", "tool_call_id": "tooluse_1", "tool_name": "look", "output": "one"}
        turns = [{"role": "assistant", "content": [call]}, {"role": "tool", "content": [result]}]
        answer = await self.say(turns, tools=[TOOL], tool_choice="none")
        assert [(warning.type, warning.setting) for warning in answer.warnings] == [("unsupported", "tool_choice")]
        assert at(upstream.request.json, self.tool_name_path) == "look"
        assert "toolChoice" not in upstream.request.json["toolConfig"]

    @pytest.mark.parametrize(
        ("model", "sent"),
        [
            (CLAUDE, {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
            ("openai.gpt-oss-120b-1:0", {"reasoning_effort": "low"}),
        ],
    )
    async def test_it_does_not_think_before_a_call_that_it_is_made_to_do(
        self, upstream: Upstream, model: str, sent: Any
    ) -> None:
        upstream.script(bedrock.text(), bedrock.tool_call("look", {"at": 1}))
        assert (await service.agenerate_text("Hi", model=model, reasoning="low")).warnings == ()
        assert upstream.request.json["additionalModelRequestFields"] == sent
        result = await service.agenerate_text("Hi", model=model, reasoning="low", tools=[TOOL], tool_choice=NAMED)
        assert [(warning.type, warning.setting) for warning in result.warnings] == [("unsupported", "reasoning")]
        body = upstream.requests[-1].json
        assert "additionalModelRequestFields" not in body
        assert at(body, "toolConfig.toolChoice") == {"tool": {"name": "look"}}

    async def test_an_object_grows_while_it_is_made(self, upstream: Upstream) -> None:
        upstream.script(bedrock.tool_call_stream("json_tool_call", '{"a', 'ge"', ": 3", "6}"))
        seen = await events_of(service.astream_object("How old?", schema=SCHEMA))
        assert [event.delta for event in seen if isinstance(event, events.TextDelta)] == ['{"a', 'ge"', ": 3", "6}"]
        assert at(upstream.request.json, "toolConfig.toolChoice") == {"tool": {"name": "json_tool_call"}}

    async def test_a_model_that_thinks_is_not_made_to_call_a_tool(self, upstream: Upstream) -> None:
        upstream.script(bedrock.text('{"age": 36}', reasoning="Well"))
        result = await service.astream_object("How old?", schema=SCHEMA, model=CLAUDE, reasoning="low").response
        assert (result.object, result.reasoning_text, result.warnings) == ({"age": 36}, "Well", ())
        assert (result.usage, result.finish_reason) == (self.usage, "stop")
        assert json.loads(at(upstream.request.json, "outputConfig.textFormat.structure.jsonSchema.schema")) == SCHEMA

    async def test_an_object_comes_in_one_piece_where_no_tool_can_be_chosen(self, upstream: Upstream) -> None:
        upstream.script(bedrock.tool_call("json_tool_call", {"age": 36}))
        result = await service.astream_object("How old?", schema=SCHEMA, model="meta.llama3-1-70b-instruct-v1:0").response
        assert (result.object, result.tool_calls, result.finish_reason) == ({"age": 36}, (), "stop")
        assert [(warning.type, warning.setting) for warning in result.warnings] == [("compatibility", "schema")]
        assert upstream.request.path.endswith("/converse")

    async def test_claude_samples_in_its_own_way_while_it_thinks(self, upstream: Upstream) -> None:
        upstream.script(bedrock.text())
        given: Any = {"temperature": 0.5, "top_p": 0.97, "top_k": 31}
        result = await service.agenerate_text("Hi", model=CLAUDE, reasoning="low", **given)
        assert [warning.setting for warning in result.warnings] == ["temperature", "top_k"]
        assert upstream.request.json["inferenceConfig"].keys() == {"topP", "maxTokens"}

    async def test_a_limit_that_thoughts_alone_would_reach_is_refused(self, upstream: Upstream) -> None:
        error = await text_failure(model=CLAUDE, reasoning="low", max_output_tokens=1024)
        assert (error.code, "max_output_tokens" in error.message) == ("invalid_request", True)
        assert upstream.connections == []

    async def test_nothing_is_sent_that_nobody_asked_for(self, upstream: Upstream) -> None:
        upstream.script(bedrock.text())
        await service.agenerate_text("Hi")
        assert upstream.request.json == {"messages": [{"role": "user", "content": [{"text": "Hi"}]}], "inferenceConfig": {}}

    # --- images ---

    def image_reply(self, *images: bytes) -> Reply:
        return bedrock.images(*images)

    def images_asked(self, request: Recorded) -> int:
        return int(at(request.json, "imageGenerationConfig.numberOfImages"))

    def imageless_replies(self) -> Mapping[str, Reply]:
        return {
            "nothing": json_reply({}),
            "none": bedrock.images(),
            "nothing listed": json_reply({"images": [None]}),
            "no list": json_reply({"images": {"a": 1}}),
            "no base64": json_reply({"images": ["***"]}),
            "another failure": json_reply({"images": None, "error": "It failed."}),
        }

    async def test_what_amazons_models_are_asked_for(self, upstream: Upstream) -> None:
        upstream.script(self.image_reply(PNG))
        options = {"quality": "premium", "cfgScale": 7.5, "negativeText": "dogs"}
        await self.image(size="1024x768", provider_options={"bedrock": options})
        assert upstream.request.json == {
            "taskType": "TEXT_IMAGE",
            "textToImageParams": {"text": "A cat", "negativeText": "dogs"},
            "imageGenerationConfig": {
                "numberOfImages": 1,
                "width": 1024,
                "height": 768,
                "quality": "premium",
                "cfgScale": 7.5,
            },
        }

    async def test_images_without_a_mask_are_varied(self, upstream: Upstream) -> None:
        upstream.script(self.image_reply(PNG))
        await self.image(images=[PNG, PNG], model="us.amazon.titan-image-generator-v2:0")
        given = base64.b64encode(PNG).decode()
        assert at(upstream.request.json, "taskType") == "IMAGE_VARIATION"
        assert at(upstream.request.json, "imageVariationParams") == {"text": "A cat", "images": [given, given]}

    async def test_a_mask_has_one_image(self, upstream: Upstream) -> None:
        assert isinstance(await files.raised(self.image(images=[PNG, PNG], mask=PNG)), UnsupportedFunctionality)
        upstream.script(self.image_reply(PNG))
        await self.image(images=[PNG], mask=PNG)
        assert at(upstream.request.json, "taskType") == "INPAINTING"
        assert set(at(upstream.request.json, "inPaintingParams")) == {"text", "image", "maskImage"}

    async def test_a_transparent_mask_is_sent_in_black_and_white(self, upstream: Upstream) -> None:
        upstream.script(self.image_reply(PNG))
        mask = test_masks.encoded(test_masks.ROWS)
        await self.image(images=[PNG], mask=mask)
        sent = base64.b64decode(at(upstream.request.json, "inPaintingParams.maskImage"))
        assert test_masks.decoded(sent) == test_masks.EXPECTED

    async def test_what_amazon_withheld_is_told(self, upstream: Upstream) -> None:
        error = "Some of the generated images have been blocked by our content filters."
        upstream.script(bedrock.images(PNG, error=error), json_reply({"images": None, "error": error}))
        result = await self.image(n=2)
        assert [(warning.type, warning.setting) for warning in result.warnings] == [("other", "n")]
        assert isinstance(await files.raised(self.image()), ContentPolicyViolation)

    async def test_an_input_that_is_blocked_is_a_refusal(self, upstream: Upstream) -> None:
        upstream.script(bedrock.error(400, "This request has been blocked by our content filters."))
        assert isinstance(await files.raised(self.image()), ContentPolicyViolation)

    async def test_models_that_make_no_images_are_refused(self, upstream: Upstream) -> None:
        assert isinstance(await files.raised(self.image(model=bedrock.MODEL)), UnsupportedFunctionality)
        assert upstream.requests == []


class TestStability(OnBedrock, Images):
    """InvokeModel with Stability's models."""

    image_model = "stability.sd3-5-large-v1:0"
    image_path = edit_path = "/model/stability.sd3-5-large-v1%3A0/invoke"
    image_settings: ClassVar[dict[str, tuple[str, Any]]] = {"aspect_ratio": ("aspect_ratio", "16:9"), "seed": ("seed", 7919)}
    images_per_call = 1
    masks = False

    def image_reply(self, *images: bytes) -> Reply:
        return bedrock.images(*images, seeds=[1], finish_reasons=[None])

    def images_asked(self, request: Recorded) -> int:
        return 1

    def imageless_replies(self) -> Mapping[str, Reply]:
        return {"none": bedrock.images(finish_reasons=[None]), "no list": json_reply({"images": 7, "finish_reasons": 7})}

    async def test_an_image_is_worked_from(self, upstream: Upstream) -> None:
        upstream.always(self.image_reply(PNG))
        given = base64.b64encode(PNG).decode()
        await self.image(images=[PNG], provider_options={"bedrock": {"strength": 0.25, "output_format": "png"}})
        await self.image(images=[PNG], model="us.stability.stable-image-ultra-v1:1")
        first, second = (request.json for request in upstream.requests)
        assert first == {
            "prompt": "A cat", "image": given, "mode": "image-to-image", "strength": 0.25, "output_format": "png"
        }  # fmt: skip
        assert second == {"prompt": "A cat", "image": given, "strength": 0.7}

    async def test_a_mask_and_further_images_are_refused(self, upstream: Upstream) -> None:
        for given in ({"images": [PNG], "mask": PNG}, {"images": [PNG, PNG]}):
            assert isinstance(await files.raised(self.image(**given)), UnsupportedFunctionality)
        assert upstream.requests == []

    @pytest.mark.parametrize(
        ("reason", "code"),
        [
            ("Filter reason: prompt", "content_policy_violation"),
            ("Filter reason: output image", "content_policy_violation"),
            ("Inference error", "upstream_error"),
        ],
    )
    async def test_finish_reasons_of_images(self, upstream: Upstream, reason: str, code: str) -> None:
        upstream.script(json_reply({"finish_reasons": [reason]}))
        assert (await files.raised(self.image(max_retries=0))).code == code


class TestControlPlane:
    """At AWS's own addresses, the region's models are listed, by an API that is not the runtime's."""

    @pytest.fixture
    async def family(self, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bedrock]:
        monkeypatch.setattr(Bedrock, "_control_plane", lambda self: upstream.url)
        keys = {"accessKeyId": "AKIDOWN", "secretAccessKey": SECRET, "sessionToken": "token-1"}
        family = Bedrock(connection(Bedrock, {"region": "eu-west-1"}, keys))
        yield family
        await family.aclose()

    def test_where_it_is(self) -> None:
        family = Bedrock(connection(Bedrock, {"region": "eu-west-1"}))
        assert family.destination() == "https://bedrock-runtime.eu-west-1.amazonaws.com"
        assert family._control_plane() == "https://bedrock.eu-west-1.amazonaws.com"

    async def test_models_are_listed(self, upstream: Upstream, family: Bedrock) -> None:
        upstream.script(bedrock.models(bedrock.MODEL, "amazon.nova-canvas-v1:0"))
        health = await family.health_check()
        assert (health.healthy, health.models) == (True, {bedrock.MODEL, "amazon.nova-canvas-v1:0"})
        request = upstream.request
        assert (request.method, request.target, request.body) == ("GET", "/foundation-models", b"")
        assert sigv4.verify(request, SECRET) == sigv4.Signed("AKIDOWN", "eu-west-1", "bedrock", "token-1")

    async def test_a_right_signature_without_the_permission_is_told_from_a_wrong_one(
        self, upstream: Upstream, family: Bedrock
    ) -> None:
        upstream.script(bedrock.error(403, "User: arn:aws:iam::1:user/x is not authorized to perform: ..."))
        with pytest.raises(NotPermitted):
            await family.health_check()
        upstream.script(bedrock.error(403, "The signature does not match.", code="InvalidSignatureException"))
        with pytest.raises(UpstreamAuthFailed) as caught:
            await family.health_check()
        assert not isinstance(caught.value, NotPermitted)

    @pytest.mark.parametrize(
        ("model", "known"),
        [
            (bedrock.MODEL, True),
            (f"us.{bedrock.MODEL}", True),
            (f"global.{bedrock.MODEL}", True),
            (f"us-gov.{bedrock.MODEL}", True),
            ("anthropic.claude-3-opus-20240229-v1:0", False),
            ("us.anthropic.claude-3-opus-20240229-v1:0", False),
            (f"arn:aws:bedrock:eu-west-1::foundation-model/{bedrock.MODEL}", True),
            (f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.{bedrock.MODEL}", True),
            ("arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123", None),
            ("arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/abc123", None),
        ],
    )
    def test_names_of_models(self, model: str, known: bool | None) -> None:
        family = Bedrock(connection(Bedrock, {"region": "eu-west-1"}))
        assert family.knows(model, frozenset({bedrock.MODEL})) is known
