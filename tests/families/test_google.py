"""Google."""

from __future__ import annotations

from typing import Any, ClassVar

from ai_models import service
from ai_models.types import InputTokenDetails, OutputTokenDetails, Usage
from tests.families.contract import Embeddings, FamilyContract, ServerSentEvents
from tests.families.contract.base import CANARY, Vendor, finish_of, streamed
from tests.upstreams import google
from tests.upstreams.recorded import Recorded
from tests.upstreams.replies import Reply, json_reply
from tests.upstreams.server import Upstream


class TestGoogle(FamilyContract, Embeddings, ServerSentEvents):
    """The Gemini API."""

    vendor: ClassVar[Vendor] = google
    declaration: ClassVar[dict[str, Any]] = {"type": "google", "apiKey": f"key-{CANARY}"}
    base_path = "/front/v1beta"
    model = "gemini-2.5-flash"
    embedding_model = "gemini-embedding-001"
    embedding_tokens = None
    text_path = "/models/gemini-2.5-flash:generateContent"
    stream_path = "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    system_path, prompt_path = "system_instruction.parts.0.text", "contents.0.parts.0.text"
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

    @staticmethod
    def too_long() -> Reply:
        return google.error(400, "The input token count (9) exceeds the maximum number of tokens allowed (8).")

    def check_credential(self, request: Recorded) -> None:
        assert request.headers["x-goog-api-key"] == f"key-{CANARY}"
        assert "authorization" not in request.headers

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
