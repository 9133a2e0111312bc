"""The list of providers: what it says of each, its filters and actions, and that neither many rows nor bad ones harm it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

import ai_models
from ai_models.models import ProviderCapability, ProviderInstance, bump_revision
from tests.admin.conftest import ALL, PREFIX, SignIn
from tests.conftest import WriteConfig
from tests.service.conftest import Puppet, puppet
from tests.state.conftest import MakeInstance, make_instance, vendor_families

__all__ = ["make_instance", "puppet", "vendor_families"]


def shown(client: Client, query: str = "") -> dict[str, str]:
    """The text of each row, by the instance's name."""
    response = client.get(f"{PREFIX}{query}")
    assert response.status_code == 200
    listed = response.content.decode().partition('id="result_list"')[2].partition("<tbody>")[2]
    rows = re.findall(r"<tr>(.*?)</tr>", listed, re.DOTALL)
    texts = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]
    return {text.split()[0]: text for text in texts}


def act(client: Client, action: str, *names: str) -> Any:
    """Choose these instances and an action."""
    chosen = [str(ProviderInstance.objects.get(name=name).pk) for name in names]
    return client.post(PREFIX, {"action": action, "_selected_action": chosen}, follow=True)


@pytest.fixture
def rows(make_instance: MakeInstance) -> None:
    """One instance in each state."""
    secrets = {"apiKey": "canary-key"}
    make_instance("ready", secrets=secrets, is_default=True, state="healthy", latency_ms=212)
    make_instance("off", secrets=secrets, enabled=False)
    make_instance("bare")
    make_instance("sealed")
    make_instance("refused", secrets=secrets, state="credential-rejected")
    make_instance("gone", secrets=secrets, enabled=False, managed=True, orphaned=True)
    make_instance("relic", family="retired")
    make_instance("bent", options=[1])
    for name, credentials in {"sealed": {"apiKey": "v1.00000000.AAAA"}, "bent": [2]}.items():
        ProviderInstance.objects.filter(name=name).update(credentials=credentials)
    configured = ProviderInstance.objects.get(name="ready")
    for capability, more in {"text-generation": {"check_state": "healthy"}, "embeddings": {"enabled": False}}.items():
        ProviderCapability.objects.create(instance=configured, capability=capability, default_model="m", **more)
    refused = ProviderInstance.objects.get(name="sealed")
    ProviderCapability.objects.create(instance=refused, capability="text-generation", default_model="m")


def test_each_row_says_its_state_at_a_glance(sign_in: SignIn, rows: None) -> None:
    found = shown(sign_in("view_providerinstance"))
    states = {
        "ready": "ready", "off": "disabled", "bare": "credential missing", "sealed": "credential undecryptable",
        "refused": "credential rejected", "gone": "orphaned", "relic": "misconfigured", "bent": "misconfigured",
    }  # fmt: skip
    assert found.keys() == states.keys()
    for name, state in states.items():
        assert state in found[name]
    assert "default" in found["ready"]
    assert "212 ms" in found["ready"]
    assert "Vendor · app-config" in found["gone"]
    assert "Vendor · admin" in found["ready"]


def test_a_chip_tells_off_from_on_and_from_verified_and_says_why_it_is_blocked(sign_in: SignIn, rows: None) -> None:
    found = shown(sign_in("view_providerinstance"))
    assert "✓ Text generation (on, and a call was made with success)" in found["ready"]
    assert "Embeddings (switched off)" in found["ready"]
    assert "cannot be decrypted" in found["sealed"]
    assert "2 more supported" in found["bare"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?state=credential-missing", {"bare"}),
        ("?state=misconfigured", {"relic", "bent"}),
        ("?state=nonsense", {"ready", "off", "bare", "sealed", "refused", "gone", "relic", "bent"}),
        ("?capability=text-generation", {"ready"}),
        ("?capability=embeddings", set()),
        ("?source=app-config", {"gone"}),
        ("?family=retired", {"relic"}),
        ("?q=bar", {"bare"}),
        ("?source=app-config&state=orphaned", {"gone"}),
    ],
)
def test_filters_and_search(sign_in: SignIn, rows: None, query: str, names: set[str]) -> None:
    assert set(shown(sign_in("view_providerinstance"), query)) == names


def test_five_hundred_instances_cost_as_many_queries_as_one(
    sign_in: SignIn,
    make_instance: MakeInstance,
) -> None:
    client = sign_in(*ALL)

    def queries() -> int:
        client.get(PREFIX)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert client.get(PREFIX).status_code == 200
        return len(captured)

    make_instance("first", secrets={"apiKey": "canary-key"})
    few = queries()
    template = ProviderInstance.objects.get()
    bump_revision()
    many = [ProviderInstance(name=f"n{number}", family="vendor", credentials=template.credentials) for number in range(499)]
    ProviderInstance.objects.bulk_create(many)
    ProviderCapability.objects.bulk_create(
        [ProviderCapability(instance=row, capability="text-generation", default_model="m") for row in many]
    )
    assert queries() == few <= 12
    assert len(shown(client)) == 100


def test_no_row_shows_a_credential_in_any_form(sign_in: SignIn, rows: None) -> None:
    page = sign_in(*ALL).get(PREFIX).content.decode()
    assert "canary" not in page
    for row in ProviderInstance.objects.exclude(name="bent"):
        assert all(ciphertext not in page for ciphertext in row.credentials.values())


# --- actions ---------------------------------------------------------------------------------------------------------


def test_disabling_holds_for_the_next_call_and_is_in_the_history(sign_in: SignIn, puppet: type[Puppet]) -> None:
    client = sign_in(*ALL)
    assert ai_models.generate_text("Hi").text == "Hello you"
    act(client, "disable", "main")
    with pytest.raises(ai_models.AIModelsError, match="disabled"):
        ai_models.generate_text("Hi")
    act(client, "enable", "main")
    assert ai_models.generate_text("Hi").text == "Hello you"
    said = [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]
    assert said == ["Changed Enabled: on → off.", "Changed Enabled: off → on."]


def test_what_is_gone_from_the_file_stays_disabled(sign_in: SignIn, rows: None) -> None:
    response = act(sign_in(*ALL), "enable", "gone", "off")
    assert "stay disabled: gone" in response.content.decode()
    assert list(ProviderInstance.objects.filter(enabled=False).values_list("name", flat=True)) == ["gone"]


def test_one_provider_is_made_the_default(sign_in: SignIn, rows: None, write_config: WriteConfig) -> None:
    write_config("ai: {providers: {}}")
    client = sign_in(*ALL)
    assert "Choose one" in act(client, "make_default", "off", "bare").content.decode()
    act(client, "make_default", "refused")
    assert list(ProviderInstance.objects.filter(is_default=True).values_list("name", flat=True)) == ["refused"]
    assert {entry.object_repr for entry in LogEntry.objects.all()} == {"ready", "refused"}


def test_a_default_that_the_file_names_is_changed_in_the_file(sign_in: SignIn, puppet: type[Puppet]) -> None:
    response = act(sign_in(*ALL), "make_default", "other")
    assert "ai.defaultProvider" in response.content.decode()
    assert ProviderInstance.objects.get(is_default=True).name == "main"


@pytest.mark.parametrize("action", ["enable", "disable", "check_now", "make_default", "delete_selected"])
def test_who_may_only_view_has_no_action_also_not_by_a_forged_post(sign_in: SignIn, rows: None, action: str) -> None:
    before = list(ProviderInstance.objects.values("name", "enabled", "is_default"))
    act(sign_in("view_providerinstance"), action, "ready", "off")
    assert list(ProviderInstance.objects.values("name", "enabled", "is_default")) == before
    assert not LogEntry.objects.exists()


def test_declared_instances_are_not_deleted_by_the_list(sign_in: SignIn, puppet: type[Puppet]) -> None:
    chosen = [str(ProviderInstance.objects.get(name="main").pk)]
    response = sign_in(*ALL).post(PREFIX, {"action": "delete_selected", "_selected_action": chosen, "post": "yes"})
    assert response.status_code == 403
    assert ProviderInstance.objects.filter(name="main").exists()


def test_checking_leads_to_the_page_that_shows_it(sign_in: SignIn, rows: None) -> None:
    client = sign_in(*ALL)
    row = ProviderInstance.objects.get(name="ready")
    response = client.post(PREFIX, {"action": "check_now", "_selected_action": [str(row.pk)]})
    assert response.url == f"{PREFIX}checks/?instance={row.pk}&run=1"
    everyone = [str(pk) for pk in ProviderInstance.objects.values_list("pk", flat=True)]
    response = client.post(PREFIX, {"action": "check_now", "_selected_action": everyone})
    assert response.url == f"{PREFIX}checks/?run=1"


def test_without_permission_there_is_nothing(sign_in: SignIn) -> None:
    assert sign_in().get(PREFIX).status_code == 403


def test_the_apps_own_index_leads_to_the_pages(sign_in: SignIn) -> None:
    page = sign_in("view_providerinstance").get("/admin/ai_models/").content.decode()
    assert f'href="{PREFIX}overview/"' in page
    assert f'href="{PREFIX}checks/"' not in page
