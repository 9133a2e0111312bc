"""OpenTelemetry's own SDK with its exporters in memory, the log as it is collected, and a scripted upstream that is called."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pytest_django import Settings

from ai_models.api.requestid import RequestIdFilter
from ai_models.telemetry.logs import JSONFormatter
from tests.conftest import Seed
from tests.upstreams.server import Upstream

CONFIG = """
ai:
  defaultProvider: main
  providers:
    main:
      type: openai-compatible
      baseURL: {url}/v1
      apiKey: c4n4ry-key-77aa
      defaultModels: {{text-generation: big-1, structured-output: big-1, embeddings: vector-1}}
      modelAliases: {{text-generation: {{fast: small-1}}}}
"""


class Collector:
    """What the host's SDK got."""

    def __init__(self, spans: InMemorySpanExporter, reader: InMemoryMetricReader) -> None:
        self._spans, self._reader = spans, reader

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._spans.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        """The only span."""
        (span,) = self.spans
        return span

    def points(self, name: str) -> list[Any]:
        """The data points of a metric."""
        data = self._reader.get_metrics_data()
        scopes = [scope for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics]
        found = [metric for scope in scopes for metric in scope.metrics if metric.name == name]
        return [point for metric in found for point in metric.data.data_points]

    def everything(self) -> str:
        """All that could be exported, as text."""
        data = self._reader.get_metrics_data()
        return "".join(span.to_json() for span in self.spans) + (data.to_json() if data else "")


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """The SDK, as a host sets it up."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", tracers)
    # Set once in a process; a test takes it back.
    monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", meters)
    yield Collector(exporter, reader)
    tracers.shutdown()
    meters.shutdown()


class Log:
    """What a collector of logs reads."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The lines of calls."""
        return [record for record in self.records if record["logger"] == "ai_models.calls"]


@pytest.fixture
def log() -> Iterator[Log]:
    """The log as JSON, written as the host project writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter())
    handler.addFilter(RequestIdFilter())
    root, before = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield Log(stream)
    root.setLevel(before)
    root.removeHandler(handler)


@pytest.fixture
def main(transactional_db: None, seed: Seed, upstream: Upstream, settings: Settings) -> Upstream:
    """The upstream behind the default provider."""
    settings.AI_MODELS = {**settings.AI_MODELS, "MAX_RETRIES": 1}
    seed(CONFIG.format(url=upstream.url))
    return upstream
