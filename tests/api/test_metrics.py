"""``GET metrics`` over HTTP: who may read it, and what a scrape gets."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from ai_models.telemetry import gauges
from ai_models.telemetry.instruments import STREAMS
from tests.api.conftest import BASE, LiveServer, MakeUser, bearer

TOKEN = "a-token-for-scrapes"


@pytest.fixture
def scraped(server: LiveServer, settings: Settings) -> str:
    """The address of a server's metrics."""
    settings.AI_MODELS = {**settings.AI_MODELS, "PROMETHEUS": True}
    return f"{server.url}/metrics"


def get(url: str, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.get(url, headers=headers, timeout=10)


def samples(response: httpx.Response, name: str) -> dict[tuple[str, ...], float]:
    """The values of a metric, by instance and model."""
    found: dict[tuple[str, str], float] = {}
    for sample in (sample for family in text_string_to_metric_families(response.text) for sample in family.samples):
        if sample.name == name:  # whatever its other labels are, of which other tests leave some behind
            key = sample.labels.get("ai_models_provider", ""), sample.labels.get("gen_ai_request_model", "")
            found[key] = found.get(key, 0) + sample.value
    return found


def test_nobody_reads_them_without_a_right_to(scraped: str, make_user: MakeUser) -> None:
    assert get(scraped).status_code == 401
    assert get(scraped, {"Authorization": f"Bearer {TOKEN}"}).status_code == 401
    refused = get(scraped, bearer(make_user("bob", "use_text_generation")))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
    assert get(scraped, bearer(make_user("eve", "view_providerinstance"))).status_code == 200


def test_the_token_is_a_right_of_its_own(scraped: str, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "METRICS_TOKEN": TOKEN}
    assert get(scraped, {"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    for other in (f"Bearer {TOKEN}x", "Bearer", f"Basic {TOKEN}", TOKEN):
        assert get(scraped, {"Authorization": other}).status_code == 401


@pytest.mark.parametrize("token", ["", None])
def test_an_empty_token_opens_nothing(token: str | None, scraped: str, settings: Settings) -> None:
    settings.AI_MODELS = {**settings.AI_MODELS, "METRICS_TOKEN": token}
    assert get(scraped, {"Authorization": "Bearer"}).status_code == 401


def test_they_are_off_by_default(server: LiveServer, make_user: MakeUser) -> None:
    response = get(f"{server.url}/metrics", bearer(make_user("eve", "view_providerinstance")))
    assert response.status_code == 404
    assert "PROMETHEUS" in response.json()["error"]["message"]


def test_a_scrape_tells_of_calls(scraped: str, server: LiveServer, make_user: MakeUser) -> None:
    user = make_user("eve", "view_providerinstance", "use_text_generation")
    headers = bearer(user)
    name = "gen_ai_client_operation_duration_seconds_count"
    before = samples(get(scraped, headers), name).get(("main", "echoes"), 0)
    for prompt in ("pr0mpt-one", "pr0mpt-two"):
        httpx.post(f"{server.url}{BASE}/generate-text", json={"prompt": prompt}, headers=headers, timeout=10).raise_for_status()
    response = get(scraped, headers)
    assert response.headers["content-type"].startswith("text/plain")
    assert samples(response, name)["main", "echoes"] == before + 2
    assert samples(response, "ai_models_calls_active")["main", ""] == 0
    assert samples(response, "ai_models_config_revision")["", ""] >= 0
    assert "pr0mpt" not in response.text
    assert "eve" not in response.text


def test_a_stream_that_runs_is_counted(scraped: str, server: LiveServer, make_user: MakeUser) -> None:
    headers = bearer(make_user("eve", "view_providerinstance", "use_text_generation"))
    body = {"prompt": "a", "model": "hangs-later"}
    assert gauges.readings(STREAMS) == [({}, 0)]
    with httpx.stream("POST", f"{server.url}{BASE}/stream-text", json=body, headers=headers, timeout=10) as response:
        lines = response.iter_lines()
        assert next(lines).startswith("data:")
        assert samples(get(scraped, headers), "ai_models_streams_running")["", ""] == 1
        assert samples(get(scraped, headers), "ai_models_calls_active")["main", ""] == 1
