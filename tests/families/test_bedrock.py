"""Amazon Bedrock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from asgiref.sync import sync_to_async

from ai_models import service
from ai_models.exceptions import CredentialUnavailable
from ai_models.types import InputTokenDetails, Usage
from tests.families.contract import Embeddings, FamilyContract
from tests.families.contract.base import CANARY, NAME, Vendor, failure_of, finish_of, streamed
from tests.families.contract.credentials import DECOY, take_credentials
from tests.upstreams import bedrock, eventstream, sigv4
from tests.upstreams.recorded import Recorded
from tests.upstreams.replies import Reply
from tests.upstreams.server import Upstream

SECRET = f"secret-{CANARY}"
ENCODED_MODEL = bedrock.MODEL.replace(":", "%3A")


class TestBedrock(FamilyContract, Embeddings):
    """The Converse API, with keys of the instance's own."""

    vendor: ClassVar[Vendor] = bedrock
    declaration: ClassVar[dict[str, Any]] = {
        "type": "bedrock",
        "region": "eu-west-1",
        "accessKeyId": "AKIDOWN",
        "secretAccessKey": SECRET,
    }
    base_path = "/front"
    model = bedrock.MODEL
    embedding_model = "amazon.titan-embed-text-v2:0"
    embedding_tokens = 10
    text_path = f"/model/{ENCODED_MODEL}/converse"
    stream_path = f"/model/{ENCODED_MODEL}/converse-stream"
    system_path, prompt_path = "system.0.text", "messages.0.content.0.text"
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

    @staticmethod
    def too_long() -> Reply:
        return bedrock.error(400, "Input is too long for requested model.")

    def check_credential(self, request: Recorded) -> None:
        assert sigv4.verify(request, SECRET) == sigv4.Signed("AKIDOWN", "eu-west-1", "bedrock", None)
        assert "x-api-key" not in request.headers

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
