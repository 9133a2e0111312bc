"""Metrics of calls, as the OpenTelemetry SDK and as Prometheus get them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from prometheus_client.parser import text_string_to_metric_families

import ai_models
from ai_models import store
from ai_models.exceptions import UpstreamError
from ai_models.telemetry import gauges, sinks
from ai_models.telemetry.instruments import ACTIVE, ALL, REVISION
from ai_models.telemetry.prometheus import name_of
from tests.conftest import Set
from tests.polling import until
from tests.telemetry.conftest import Collector
from tests.test_architecture import ROOT
from tests.upstreams import openai
from tests.upstreams.server import Upstream

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai-compatible",
    "gen_ai.request.model": "big-1",
    "ai_models.provider": "main",
    "ai_models.capability": "text-generation",
}
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)


async def test_a_call_is_measured(main: Upstream, collector: Collector) -> None:
    main.script(openai.text("Hello"))
    await ai_models.agenerate_text("Hi")
    (duration,) = collector.points("gen_ai.client.operation.duration")
    assert (dict(duration.attributes), duration.count, duration.explicit_bounds) == (CALL, 1, SECONDS)
    tokens = {point.attributes["gen_ai.token.type"]: point.sum for point in collector.points("gen_ai.client.token.usage")}
    assert tokens == {"input": 20, "output": 7}
    assert collector.points("gen_ai.client.operation.time_to_first_chunk") == []


async def test_a_stream_is_measured_chunk_by_chunk(main: Upstream, collector: Collector) -> None:
    main.script(openai.stream("a", "b", "c"))
    await ai_models.astream_text("Hi").response
    (first,) = collector.points("gen_ai.client.operation.time_to_first_chunk")
    (between,) = collector.points("gen_ai.client.operation.time_per_output_chunk")
    assert (dict(first.attributes), first.count, first.explicit_bounds) == (CALL, 1, SECONDS)
    # Two more of text, and what ends the stream.
    assert between.count >= 3
    assert dict(between.attributes) == CALL


async def test_failures_and_retries_are_counted(main: Upstream, collector: Collector) -> None:
    main.script(openai.error(500, "no"), openai.error(500, "no"))
    with pytest.raises(UpstreamError):
        await ai_models.agenerate_text("Hi")
    (duration,) = collector.points("gen_ai.client.operation.duration")
    assert duration.attributes["error.type"] == "upstream_error"
    (retries,) = collector.points("ai_models.retries")
    assert (retries.value, dict(retries.attributes)) == (
        1,
        {"ai_models.provider": "main", "ai_models.capability": "text-generation"},
    )


async def test_a_model_that_a_caller_makes_up_gets_no_label(main: Upstream, collector: Collector) -> None:
    for model in ("fast", "made-up-1", "made up\n2"):
        main.script(openai.text("Hello"))
        await ai_models.agenerate_text("Hi", provider="main", model=model)
    models = {point.attributes["gen_ai.request.model"] for point in collector.points("gen_ai.client.operation.duration")}
    assert models == {"small-1", "other"}
    assert [span.name for span in collector.spans] == ["chat small-1", "chat made-up-1", "chat other"]


async def test_calls_under_way_are_counted_while_they_are(main: Upstream, collector: Collector) -> None:
    def active() -> float:
        return sum(point.value for point in collector.points("ai_models.calls.active"))

    main.script(openai.stream(*["word "] * 5))
    stream = ai_models.astream_text("Hi")
    events = stream.events
    await anext(events)
    assert active() == 1
    await stream.aclose()
    await events.aclose()
    assert active() == 0


def test_the_revision_is_the_one_that_calls_get(main: Upstream, collector: Collector) -> None:
    store.invalidate()
    assert gauges.readings(REVISION) == [], "nobody loads it for a metric"
    revision = store.current().revision
    (point,) = collector.points("ai_models.config.revision") or [None]
    assert point is None or point.value == revision
    assert gauges.readings(REVISION) == [({}, revision)]


def test_a_gauge_that_fails_takes_nothing_along(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> list[gauges.Reading]:
        raise RuntimeError("c4n4ry")

    before = gauges._sources[ACTIVE]
    gauges.watch(ACTIVE, broken)
    try:
        assert gauges.readings(ACTIVE) == []
    finally:
        gauges.watch(ACTIVE, before)
    assert "RuntimeError" in caplog.text
    assert "c4n4ry" not in caplog.text


def scraped() -> dict[str, list[Any]]:
    """The samples of a scrape, by their metric."""
    prometheus = sinks.prometheus()
    assert prometheus is not None
    body, _ = prometheus.exposition("text/plain")
    return {family.name: family.samples for family in text_string_to_metric_families(body.decode())}


def value(name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    families = scraped()
    samples = [sample for found in families.values() for sample in found if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


async def test_prometheus_gets_the_same(main: Upstream, setting: Set) -> None:
    setting(PROMETHEUS=True)
    calls, labels = "gen_ai_client_operation_duration_seconds_count", {"ai_models_provider": "main", "error_type": ""}
    before = value(calls, **labels)
    main.script(openai.stream("a", "b"))
    await ai_models.astream_text("Hi").response
    assert value(calls, **labels) == before + 1
    assert value("gen_ai_client_token_usage_sum", gen_ai_token_type="input") >= 20
    assert value("gen_ai_client_operation_time_per_output_chunk_seconds_count") >= 2
    assert {name_of(instrument) for instrument in ALL} <= scraped().keys()


@pytest.mark.parametrize("error", [ImportError("No module named 'prometheus_client'"), FileNotFoundError("No such folder")])
async def test_what_is_switched_on_and_cannot_be_stops_no_call(
    main: Upstream, setting: Set, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    monkeypatch.setattr(sinks, "_prometheus", None)
    monkeypatch.setattr(sinks, "_failed", False)
    monkeypatch.setattr("ai_models.telemetry.prometheus.Prometheus", Mock(side_effect=error))
    setting(PROMETHEUS=True)
    for _ in range(2):
        main.script(openai.text("Hello"))
        await ai_models.agenerate_text("Hi")
    assert caplog.text.count(str(error)) == 1


WORKER = """
import sys, django
django.setup()
from ai_models.conf import conf
from ai_models.telemetry import gauges, instruments, sinks
gauges.watch(instruments.ACTIVE, lambda: [({"ai_models.provider": "main", "ai_models.capability": "embeddings"}, 3)])
gauges.watch(instruments.REVISION, lambda: [({}, 7)])
prometheus = sinks.prometheus()
prometheus.recorder(instruments.RETRIES, {"ai_models.provider": "main", "ai_models.capability": "embeddings"})(2)
print(prometheus.exposition("")[0].decode(), flush=True)
print("END", flush=True)
sys.stdin.read()
"""


def test_processes_share_their_metrics_in_a_folder(tmp_path: Path) -> None:
    environment = {
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "tests.telemetry.shared_settings",
        "PYTHONPATH": str(ROOT),
    }
    retries = 'ai_models_retries_total{ai_models_capability="embeddings",ai_models_provider="main"}'
    active = 'ai_models_calls_active{ai_models_capability="embeddings",ai_models_provider="main"}'

    def begin() -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-P", "-c", WORKER]
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        return process, "".join(iter(process.stdout.readline, "END\n"))

    first, alone = begin()
    second, both = begin()
    first.communicate("")
    third, after = begin()
    for process in (second, third):
        process.communicate("")
    assert (f"{retries} 2.0" in alone, f"{retries} 4.0" in both, f"{retries} 6.0" in after) == (True, True, True)
    # What a process that has ended counted stays; what it had open does not.
    assert (f"{active} 3.0" in alone, f"{active} 6.0" in both, f"{active} 6.0" in after) == (True, True, True)
    assert both.count("ai_models_config_revision{pid=") == 2


IMPORTS = """
import json, sys, django
django.setup()
import ai_models.service, ai_models.consumers, ai_models.api.exposition, ai_models.asgi, ai_models.steps
print(json.dumps(sorted({"opentelemetry", "prometheus_client"} & set(sys.modules))))
"""


def test_nothing_is_imported_that_nobody_asked_for() -> None:
    command = [sys.executable, "-P", "-c", IMPORTS]
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)}
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
    assert json.loads(output) == []


async def test_a_circuit_that_opens_is_seen(main: Upstream, collector: Collector, setting: Set) -> None:
    def circuit() -> float | None:
        points = collector.points("ai_models.circuit")
        return next((point.value for point in points if point.attributes == {"ai_models.provider": "main"}), None)

    setting(BREAKER_FAILURES=1)
    main.always(openai.text("Hello"))
    await ai_models.agenerate_text("Hi")
    assert circuit() == 0
    main.always(openai.error(500, "no"))
    with pytest.raises(UpstreamError):
        await ai_models.agenerate_text("Hi", max_retries=0)
    assert circuit() == 2


async def test_calls_that_wait_for_a_place_are_counted(main: Upstream, collector: Collector, setting: Set) -> None:
    def waiting() -> float:
        return sum(point.value for point in collector.points("ai_models.calls.waiting"))

    setting(MAX_CONCURRENT=1)
    main.script(openai.stream(*["word "] * 5), openai.text("Hello"))
    stream = ai_models.astream_text("Hi")
    events = stream.events
    await anext(events)
    second = asyncio.create_task(ai_models.agenerate_text("Hi"))
    await until(lambda: waiting() == 1)
    await stream.aclose()
    await events.aclose()
    await second
    assert waiting() == 0
