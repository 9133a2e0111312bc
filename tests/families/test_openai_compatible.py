"""Endpoints that speak OpenAI's protocol."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from asgiref.sync import sync_to_async

from ai_models import service
from tests.families.contract.base import CANARY, SCHEMA
from tests.families.contract.credentials import DECOY, take_credentials, with_decoys
from tests.families.test_openai import OpenAIContract
from tests.upstreams import openai
from tests.upstreams.server import Upstream


class TestOpenAICompatible(OpenAIContract):
    """An endpoint with a key."""

    declaration: ClassVar[dict[str, Any]] = {"type": "openai-compatible", "apiKey": f"key-{CANARY}"}
    model = "llama-3.3-70b-versatile"
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

    async def test_headers_and_query_parameters_are_sent_with_everything(self, upstream: Upstream, reconfigure: Any) -> None:
        secret = f"s p&{CANARY}"
        await reconfigure(headers={"X-Team": "platform"}, queryParams={"api-version": "1", "token": secret})
        upstream.script(openai.text(), openai.stream("Hello"), openai.embeddings([1.0]), openai.models("a"))
        await service.agenerate_text("Hi")
        await service.astream_text("Hi").response
        await service.aembed("x")
        await service.acheck("main")
        assert [request.path.rpartition("/")[2] for request in upstream.requests] == [
            "completions",
            "completions",
            "embeddings",
            "models",
        ]
        for request in upstream.requests:
            assert request.headers["x-team"] == "platform"
            assert request.query == {"api-version": "1", "token": secret}

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
