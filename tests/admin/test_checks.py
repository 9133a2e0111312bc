"""The page of checks: it shows what is stored, runs a check on request alone, and tells each rung as it is climbed."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext

from ai_models.checking import RUNGS
from ai_models.exceptions import UpstreamAuthFailed
from ai_models.models import ProviderCapability, ProviderInstance
from ai_models.types import Health
from tests.conftest import Seed
from tests.service.conftest import CONFIG, Puppet, puppet

__all__ = ["puppet"]

LIST = "/admin/ai_models/providerinstance/"
PAGE = f"{LIST}checks/"


def staff(*codenames: str) -> User:
    user = User.objects.create_user("grace", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


@pytest.fixture
def user(puppet: type[Puppet]) -> User:
    """May check providers."""
    return staff("change_providerinstance")


@pytest.fixture
def client(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def viewer(puppet: type[Puppet]) -> Client:
    """A browser of somebody who may only look."""
    client = Client()
    client.force_login(staff("view_providerinstance"))
    return client


def row(name: str = "main") -> ProviderInstance:
    return ProviderInstance.objects.get(name=name)


def lines(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines()]


def check(client: Any, name: str = "main", **fields: Any) -> list[dict[str, Any]]:
    """Run a check; gives the lines that were told."""
    response = client.post(PAGE, {"instance": str(row(name).pk), **fields})
    assert (response.status_code, response["Content-Type"]) == (200, "application/x-ndjson")
    return lines(b"".join(response.streaming_content))


def shown(client: Client, address: str = PAGE) -> str:
    """What the page says, in one line without its tags."""
    main = client.get(address).content.decode().partition('id="ai-cards"')[2]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", main)).split())


def test_looking_checks_nothing(client: Client) -> None:
    assert client.get(PAGE, {"instance": row().pk, "run": "1"}).status_code == 200
    assert (Puppet.made, row().checked_at, row().state) == ([], None, "unchecked")


def test_each_rung_is_told_and_the_end(client: Client) -> None:
    *climbed, end = check(client)
    assert [line["rung"] for line in climbed] == list(RUNGS)
    assert climbed[0] | {"title": "Configuration", "state": "passed", "word": "passed", "tone": "good"} == climbed[0]
    assert (end["done"], end["state"], end["check"]) == (True, "ready", "healthy")
    assert end["stateChip"] == {"word": "ready", "tone": "good"}
    assert row().state == "healthy"
    assert Puppet.calls == []


async def test_each_rung_is_told_by_an_async_server(user: User) -> None:
    client = AsyncClient()
    await client.aforce_login(user)
    instance = await ProviderInstance.objects.aget(name="main")
    response = await client.post(PAGE, {"instance": str(instance.pk)})
    assert response.is_async
    told = lines(b"".join([part async for part in response.streaming_content]))
    assert [line.get("rung") for line in told] == [*RUNGS, None]
    assert told[-1]["done"]


def test_what_was_found_is_shown_afterwards(client: Client) -> None:
    check(client)
    told = shown(client, f"{PAGE}?instance={row().pk}")
    assert "main ready Last check: passed just now" in told
    for title in ("Configuration", "Credential", "Destination", "Authentication", "Models"):
        assert title in told
    assert "passed Credential The credential can be decrypted." in told


def test_a_call_is_made_for_what_is_ticked_alone(client: Client) -> None:
    told = check(client, capability=["text-generation", "embeddings"])
    calls = [line for line in told if line.get("rung") == "call"]
    assert [(line["capability"], line["state"], line["title"]) for line in calls] == [
        ("text-generation", "passed", "Call: Text generation"),
        ("embeddings", "passed", "Call: Embeddings"),
    ]
    assert [model for model, _ in Puppet.calls] == ["big-1", "vector-1"]
    assert "passed Call: Text generation" in shown(client, f"{PAGE}?instance={row().pk}")


def test_calls_are_offered_for_what_is_configured_and_not_ticked(client: Client) -> None:
    page = client.get(f"{PAGE}?instance={row('other').pk}").content.decode()
    assert re.findall(r'<input type="checkbox" name="capability" value="([^"]*)"([^>]*)>', page) == [
        ("text-generation", ' autocomplete="off"')
    ]
    assert "the provider charges for it" in page
    assert 'name="capability"' not in client.get(PAGE).content.decode()


def test_a_refused_credential_ends_the_climb(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(self: Puppet) -> Health:
        raise UpstreamAuthFailed("The provider refused the credential.")

    monkeypatch.setattr(Puppet, "health_check", refuse)
    *climbed, end = check(client)
    assert [(line["rung"], line["state"]) for line in climbed][3:] == [("authentication", "failed"), ("models", "skipped")]
    assert (end["state"], end["check"]) == ("credential-rejected", "credential-rejected")
    assert "credential rejected" in client.get(LIST).content.decode()


def test_an_error_ends_the_lines(client: Client) -> None:
    (told,) = check(client, capability=["x"])
    assert told["error"]["code"] == "invalid_request"


def test_without_a_script_the_page_shows_what_was_found(client: Client) -> None:
    address = f"{PAGE}?instance={row().pk}&instance={row('other').pk}"
    response = client.post(f"{address}&run=1", {"instance": str(row().pk), "plain": "1"}, follow=True)
    assert response.redirect_chain == [(address, 302)]
    assert "Check of main: passed." in response.content.decode()
    assert "main ready Last check: passed" in shown(client, address)


async def test_without_a_script_it_works_on_an_async_server(user: User) -> None:
    client = AsyncClient()
    await client.aforce_login(user)
    instance = await ProviderInstance.objects.aget(name="main")
    response = await client.post(PAGE, {"instance": str(instance.pk), "plain": "1"})
    assert response.status_code == 302
    await instance.arefresh_from_db()
    assert instance.state == "healthy"


def test_who_may_only_look_sees_results_and_no_button(client: Client, puppet: type[Puppet]) -> None:
    check(client)
    User.objects.all().delete()
    viewer = Client()
    viewer.force_login(staff("view_providerinstance"))
    address = f"{PAGE}?instance={row().pk}&run=1"
    page = viewer.get(address).content.decode()
    assert "passed Credential The credential can be decrypted." in shown(viewer, address)
    for absent in ("<button form=", "checks.js", "data-run", "ai-paid"):
        assert absent not in page


@pytest.mark.parametrize("fields", [{}, {"plain": "1"}, {"capability": "text-generation"}])
def test_who_may_only_look_runs_nothing(viewer: Client, fields: dict[str, str]) -> None:
    assert viewer.post(PAGE, {"instance": str(row().pk), **fields}).status_code == 403
    assert (Puppet.made, Puppet.calls, row().checked_at) == ([], [], None)


def test_without_the_token_of_the_form_nothing_runs(user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.post(PAGE, {"instance": str(row().pk)}).status_code == 403
    assert row().checked_at is None


def test_strangers_see_nothing(puppet: type[Puppet]) -> None:
    client = Client()
    assert client.get(PAGE).status_code == client.post(PAGE, {"instance": str(row().pk)}).status_code == 302
    client.force_login(staff("use_text_generation"))
    assert client.get(PAGE).status_code == client.post(PAGE, {"instance": str(row().pk)}).status_code == 403


@pytest.mark.parametrize("key", ["", "x", "5f1d6f0e-0000-4000-8000-000000000000"])
def test_what_is_not_there_is_not_found(client: Client, key: str) -> None:
    assert client.post(PAGE, {"instance": key}).status_code == 404
    assert "There is no such provider." in client.get(PAGE, {"instance": key}).content.decode()


@pytest.mark.parametrize(
    "report", [{"rung": 1}, "x", [1], [{"rung": "credential"}], [{"rung": "credential", "state": "passed", "latency_ms": "x"}]]
)
def test_a_report_that_is_damaged_does_not_fail_the_page(client: Client, report: Any) -> None:
    ProviderInstance.objects.update(report=report, state="?")
    ProviderCapability.objects.update(check_state="?")
    assert "main" in shown(client)


def test_nothing_is_written_into_the_history(client: Client) -> None:
    check(client)
    assert not LogEntry.objects.exists()


def test_it_has_no_secret(client: Client) -> None:
    told = json.dumps(check(client, capability=["text-generation"])) + client.get(PAGE).content.decode()
    assert "canary-key" not in told
    assert row().credentials["apiKey"] not in told


def test_more_rows_need_no_more_queries(client: Client, seed: Seed) -> None:
    def queries() -> int:
        client.get(PAGE)
        with CaptureQueriesContext(connection) as captured:
            client.get(PAGE)
        return len(captured)

    few = queries()
    more = "".join(f"\n    more{n}: {{type: puppet, apiKey: k, defaultModels: {{text-generation: m}}}}" for n in range(30))
    seed(CONFIG + more.removeprefix("\n"))
    assert queries() == few <= 12
