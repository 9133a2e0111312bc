"""OpenAI."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from ai_models import service
from ai_models.types import InputTokenDetails, OutputTokenDetails, Usage
from tests.families.contract import Embeddings, FamilyContract, ServerSentEvents
from tests.families.contract.answers import SETTINGS
from tests.families.contract.base import CANARY, Vendor, at, text_failure
from tests.upstreams import openai
from tests.upstreams.recorded import Recorded
from tests.upstreams.replies import Reply, json_reply
from tests.upstreams.server import Upstream

USAGE = Usage(
    input_tokens=20,
    output_tokens=7,
    total_tokens=27,
    input_token_details=InputTokenDetails(no_cache=12, cache_read=8),
    output_token_details=OutputTokenDetails(text=4, reasoning=3),
)


class OpenAIContract(FamilyContract, Embeddings, ServerSentEvents):
    """What the families that speak OpenAI's protocol have in common."""

    vendor: ClassVar[Vendor] = openai
    embedding_model = "text-embedding-3-large"
    text_path = stream_path = "/chat/completions"
    system_path, prompt_path = "messages.0.content", "messages.1.content"
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

    @staticmethod
    def too_long() -> Reply:
        return openai.error(400, "This model's maximum context length is 8 tokens.", code="context_length_exceeded")

    def check_credential(self, request: Recorded) -> None:
        assert request.headers["authorization"] == f"Bearer key-{CANARY}"

    def embedding_reply(self, request: Recorded) -> Reply:
        return openai.embeddings(*([float(len(text)), 0.5] for text in request.json["input"]))

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


class TestOpenAI(OpenAIContract):
    """OpenAI's own endpoint."""

    declaration: ClassVar[dict[str, Any]] = {"type": "openai", "apiKey": f"key-{CANARY}"}
    model = "gpt-4o"
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

    async def test_a_check_lists_models_and_costs_nothing(self, upstream: Upstream) -> None:
        upstream.script(openai.models("gpt-4o", "o4-mini"), openai.error(401))
        assert (await service.acheck("main")).state == "ready"
        assert (upstream.request.method, upstream.request.path) == ("GET", "/front/v1/models")
        self.check_credential(upstream.request)
        assert (await service.acheck("main")).state == "credential-rejected"
