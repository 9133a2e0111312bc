"""Anthropic."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from ai_models import service
from ai_models.exceptions import UnsupportedFunctionality
from ai_models.types import InputTokenDetails, Usage
from tests.families.contract import FamilyContract, ServerSentEvents
from tests.families.contract.base import CANARY, Vendor
from tests.upstreams import anthropic
from tests.upstreams.recorded import Recorded
from tests.upstreams.replies import Reply
from tests.upstreams.server import Upstream


class TestAnthropic(FamilyContract, ServerSentEvents):
    """The Messages API."""

    vendor: ClassVar[Vendor] = anthropic
    declaration: ClassVar[dict[str, Any]] = {"type": "anthropic", "apiKey": f"key-{CANARY}"}
    model = "claude-sonnet-4-5"
    text_path = stream_path = "/messages"
    system_path, prompt_path = "system.0.text", "messages.0.content.0.text"
    tool_name_path = "tools.0.name"
    schema_path = "output_format.schema"
    usage = Usage(
        input_tokens=20,
        output_tokens=7,
        total_tokens=27,
        input_token_details=InputTokenDetails(no_cache=10, cache_read=8, cache_write=2),
    )
    output_tokens = "output_tokens"
    finish_reasons: ClassVar[dict[str, str]] = {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "tool_use": "tool-calls",
        "refusal": "content-filter",
        "pause_turn": "other",
        "something_new": "other",
    }
    wire_settings: ClassVar[dict[str, tuple[str, Any]]] = {
        "max_output_tokens": ("max_tokens", 1717),
        "temperature": ("temperature", 0.625),
        "top_p": ("top_p", 0.375),
        "top_k": ("top_k", 31),
        "stop_sequences": ("stop_sequences", ["HALT"]),
        "reasoning": ("thinking.type", "enabled"),
    }

    @staticmethod
    def too_long() -> Reply:
        return anthropic.error(400, "prompt is too long: 200001 tokens > 200000 maximum")

    def check_credential(self, request: Recorded) -> None:
        assert request.headers["x-api-key"] == f"key-{CANARY}"
        assert request.headers["anthropic-version"] == "2023-06-01"
        assert "authorization" not in request.headers

    async def test_a_base_url_may_leave_v1_out(self, upstream: Upstream, reconfigure: Any) -> None:
        await reconfigure(baseURL=f"{upstream.url}/front")
        upstream.script(anthropic.text())
        await service.agenerate_text("Hi")
        assert upstream.request.target == "/front/v1/messages"

    async def test_it_has_no_embeddings(self, upstream: Upstream) -> None:
        with pytest.raises(UnsupportedFunctionality):
            await service.aembed("x", model="any")
        assert upstream.connections == []
