"""Spans of calls: OpenTelemetry's names for what they say, and who may read it."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.trace import SpanKind, StatusCode

import ai_models
from ai_models import telemetry
from ai_models.exceptions import UpstreamAuthFailed
from tests.conftest import Seed, Set
from tests.telemetry.conftest import Collector, attributes
from tests.test_leaks import FAMILIES
from tests.upstreams import openai
from tests.upstreams.server import Upstream


async def test_a_call_is_a_span(main: Upstream, collector: Collector) -> None:
    main.script(openai.text("Hello"))
    await ai_models.agenerate_text("Hi", temperature=0.5, max_output_tokens=9, top_p=0.9, seed=7)
    span = collector.span
    assert (span.name, span.kind, span.status.status_code) == ("chat big-1", SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes(span) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai-compatible",
        "gen_ai.request.model": "big-1",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.seed": 7,
        "gen_ai.output.type": "text",
        "gen_ai.response.id": openai.ID,
        "gen_ai.response.model": openai.MODEL,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 8,
        "gen_ai.usage.reasoning.output_tokens": 3,
        "ai_models.provider": "main",
        "ai_models.capability": "text-generation",
    }


async def test_a_stream_is_a_span_up_to_its_end(main: Upstream, collector: Collector) -> None:
    main.script(openai.stream("Hel", "lo"))
    async for _ in ai_models.astream_text("Hi").text_stream:
        assert collector.spans == []
        assert not trace.get_current_span().get_span_context().is_valid, "the reader's own work is none of the call's"
    told = attributes(collector.span)
    assert told["gen_ai.request.stream"] is True
    assert told["gen_ai.response.time_to_first_chunk"] > 0
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (20, 7)
    assert told["gen_ai.response.finish_reasons"] == ("stop",)


async def test_embeddings_have_an_operation_of_their_own(main: Upstream, collector: Collector) -> None:
    main.script(openai.embeddings([1.0, 2.0]))
    await ai_models.aembed("Hi")
    assert collector.span.name == "embeddings vector-1"
    assert attributes(collector.span)["ai_models.capability"] == "embeddings"


@pytest.mark.parametrize(
    ("family", "operation", "system"),
    [
        ("openai", "chat", "openai"),
        ("anthropic", "chat", "anthropic"),
        ("google", "generate_content", "gcp.gemini"),
        ("bedrock", "chat", "aws.bedrock"),
    ],
)
def test_families_have_the_conventions_names(
    family: str,
    operation: str,
    system: str,
    transactional_db: None,
    upstream: Upstream,
    seed: Seed,
    collector: Collector,
) -> None:
    declared, path, protocol = FAMILIES[family]
    upstream.script(protocol.text("Hello"))  # type: ignore[attr-defined]
    entry = {**declared, "type": family, "baseURL": upstream.url + path, "defaultModels": {"text-generation": "some-model"}}
    seed(json.dumps({"ai": {"defaultProvider": "main", "providers": {"main": entry}}}))
    ai_models.generate_text("Hi")
    told = attributes(collector.span)
    assert (told["gen_ai.operation.name"], told["gen_ai.provider.name"]) == (operation, system)


def test_every_name_is_one_of_the_conventions() -> None:
    known = {value for module in (gen_ai_attributes, gen_ai_metrics) for value in vars(module).values() if type(value) is str}
    used = set()
    for path in Path(telemetry.__path__[0]).glob("*.py"):
        used |= set(re.findall(r'"(gen_ai\.[a-z_.]+)"', path.read_text()))
    assert len(used) > 20
    assert used <= known


async def test_a_failure_is_told_by_its_code_alone(main: Upstream, collector: Collector) -> None:
    main.script(openai.error(401, "c4n4ry-body"))
    with pytest.raises(UpstreamAuthFailed):
        await ai_models.agenerate_text("Hi")
    span = collector.span
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "upstream_auth_failed")
    assert attributes(span)["error.type"] == "upstream_auth_failed"
    assert span.events == ()


async def test_a_stream_that_its_reader_left_was_cancelled(main: Upstream, collector: Collector) -> None:
    main.script(openai.stream(*["word "] * 20))
    stream = ai_models.astream_text("Hi")
    async for _ in stream.text_stream:
        break
    await stream.aclose()
    assert attributes(collector.span)["error.type"] == "cancelled"


async def test_a_call_belongs_to_what_made_it(main: Upstream, collector: Collector) -> None:
    main.script(openai.text("Hello"))
    with trace.get_tracer("host").start_as_current_span("page") as page:
        await ai_models.agenerate_text("Hi")
    call = next(span for span in collector.spans if span.kind is SpanKind.CLIENT)
    assert call.parent is not None
    assert call.parent.span_id == page.get_span_context().span_id


async def test_sync_twins_and_threads_stay_in_the_trace(main: Upstream, collector: Collector) -> None:
    main.script(openai.text("Hello"))
    with trace.get_tracer("host").start_as_current_span("page") as page:
        await asyncio.to_thread(ai_models.generate_text, "Hi")
    call = next(span for span in collector.spans if span.kind is SpanKind.CLIENT)
    assert call.context is not None
    assert call.context.trace_id == page.get_span_context().trace_id


@pytest.mark.parametrize("streamed", [False, True])
async def test_providers_get_the_trace_only_when_asked_to(
    streamed: bool, main: Upstream, collector: Collector, setting: Set
) -> None:
    async def call() -> None:
        if streamed:
            main.script(openai.stream("Hello"))
            async for _ in ai_models.astream_text("Hi").text_stream:
                pass
        else:
            main.script(openai.text("Hello"))
            await ai_models.agenerate_text("Hi")

    context.attach(baggage.set_baggage("user", "ada"))
    await call()
    assert {"traceparent", "baggage"}.isdisjoint(main.requests[-1].headers)
    setting(PROPAGATE_TRACE=True)
    await call()
    sent = main.requests[-1].headers["traceparent"]
    assert collector.spans[-1].context is not None
    assert f"{collector.spans[-1].context.span_id:016x}" in sent
    assert "baggage" not in main.requests[-1].headers
    setting(PROPAGATE_TRACE=False)
    await call()
    assert "traceparent" not in main.requests[-1].headers


async def test_prompts_and_answers_are_told_only_when_asked_for(main: Upstream, collector: Collector, setting: Set) -> None:
    messages: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "pr0mpt"}]},
        {"role": "assistant", "content": [{"type": "tool-call", "tool_call_id": "1", "tool_name": "look", "input": {"a": 1}}]},
        {"role": "tool", "content": [{"type": "tool-result", "tool_call_id": "1", "tool_name": "look", "output": "f0und"}]},
    ]
    request: dict[str, Any] = {"messages": messages, "system": "syst3m", "stop_sequences": ["st0p"]}
    main.script(openai.text("answ3r"))
    await ai_models.agenerate_text(**request)
    for word in ("pr0mpt", "f0und", "syst3m", "st0p", "answ3r"):
        assert word not in collector.everything()
    setting(CAPTURE_MESSAGE_CONTENT=True)
    main.script(openai.stream("answ", "3r"))
    await ai_models.astream_text(**request).response
    told = attributes(collector.spans[-1])
    assert json.loads(told["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "pr0mpt"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "look", "arguments": {"a": 1}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "f0und"}]},
    ]
    assert json.loads(told["gen_ai.system_instructions"]) == [{"type": "text", "content": "syst3m"}]
    assert json.loads(told["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "answ3r"}], "finish_reason": "stop"}
    ]
    assert told["gen_ai.request.stop_sequences"] == ("st0p",)


async def test_a_decision_not_to_sample_holds_for_providers_too(
    main: Upstream, monkeypatch: pytest.MonkeyPatch, setting: Set
) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider(sampler=ALWAYS_OFF))
    setting(PROPAGATE_TRACE=True)
    main.script(openai.text("Hello"))
    await ai_models.agenerate_text("Hi")
    assert int(main.requests[-1].headers["traceparent"][-2:], 16) & 1 == 0


async def test_the_host_can_keep_its_sdk_to_itself(main: Upstream, collector: Collector, setting: Set) -> None:
    setting(OPENTELEMETRY=False)
    main.script(openai.text("Hello"))
    await ai_models.agenerate_text("Hi")
    assert collector.spans == []
    assert collector.points("gen_ai.client.operation.duration") == []
