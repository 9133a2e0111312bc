from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.test import Client

from ai_models import draining, service
from ai_models.api import health
from ai_models.models import ProviderInstance


def test_a_live_process_says_so_without_the_database(client: Client) -> None:
    """The test has no access to the database: a query would fail it."""
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "up"})


def test_a_usable_default_provider_is_ready(client: Client, provider: ProviderInstance) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "ready")
    assert response["Cache-Control"] == "no-store"


def test_no_default_provider_is_not_ready(client: Client, storage: None) -> None:
    response = client.get("/readyz", headers={"X-Request-ID": "probe-1"})
    assert (response.status_code, response.json()["status"]) == (503, "not ready")
    assert response.json()["error"]["code"] == "not_ready"
    assert response.json()["error"]["requestId"] == "probe-1"
    assert response.json()["checks"]


def test_being_stopped_is_no_error_and_what_else_is_wrong_is_one(
    client: Client, storage: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert client.get("/readyz").status_code == 503
    assert [(record.name, record.levelname) for record in caplog.records] == [("django.request", "ERROR")]
    caplog.clear()
    monkeypatch.setattr(draining.process, "ending", True)
    assert client.get("/readyz").json()["checks"] == {"process": "is being stopped"}
    assert not caplog.records


def test_a_storage_that_does_not_answer_is_not_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang() -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(health, "READINESS_SECONDS", 0.01)
    monkeypatch.setattr(service, "areadiness", hang)
    response = client.get("/readyz")
    assert (response.status_code, response.json()["checks"]) == (503, {"database": "does not answer"})


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_only_read(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405
