"""What is seen from outside shows no credential, no address, and nothing that a user, a model or a provider wrote."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

import ai_models
from ai_models.telemetry import sinks
from tests.conftest import Seed, Set
from tests.telemetry.conftest import Collector, Log
from tests.test_leaks import CANARY, FAMILIES, assert_clean
from tests.upstreams.server import Upstream


@pytest.mark.parametrize("status", [200, 401, 500])
@pytest.mark.parametrize("family", FAMILIES)
def test_spans_metrics_and_logs_are_clean(
    family: str,
    status: int,
    transactional_db: None,
    seed: Seed,
    upstream: Upstream,
    setting: Set,
    collector: Collector,
    log: Log,
) -> None:
    declared, path, protocol = FAMILIES[family]
    answers: Any = protocol
    upstream.script(answers.text("answ3r-text") if status == 200 else answers.error(status, f"b0dy-text {CANARY}"))
    entry = {**declared, "type": family, "baseURL": upstream.url + path, "defaultModels": {"text-generation": "some-model"}}
    seed(json.dumps({"ai": {"defaultProvider": "main", "providers": {"main": entry}}}))
    setting(PROMETHEUS=True)
    with contextlib.suppress(ai_models.AIModelsError):
        ai_models.generate_text("pr0mpt-text", system="syst3m-text", max_retries=0)
    prometheus = sinks.prometheus()
    assert prometheus is not None
    scrape, _ = prometheus.exposition("")
    for shown, where in ((collector.everything(), "spans and metrics"), (scrape.decode(), "a scrape"), (log.text, "the log")):
        assert "main" in shown
        assert_clean(shown, where)
        for text in ("pr0mpt", "syst3m", "answ3r", "b0dy", upstream.url.removeprefix("http://")):
            assert text not in shown, f"{text} is in {where}"
