"""The admin shows instances and switches them; it shows no credential, and changes nothing for who may not."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

import ai_models
from ai_models.models import ProviderInstance
from tests.service.conftest import Puppet, puppet

__all__ = ["puppet"]

LIST = "/admin/ai_models/providerinstance/"


def page() -> str:
    return f"{LIST}{ProviderInstance.objects.get(name='main').pk}/change/"


def form(**switches: bool) -> dict[str, str]:
    """The change form as a browser sends it."""
    row = ProviderInstance.objects.get(name="main")
    rows = list(row.capabilities.all())
    data = {
        "capabilities-TOTAL_FORMS": str(len(rows)),
        "capabilities-INITIAL_FORMS": str(len(rows)),
        **({"enabled": "on"} if switches.get("enabled") else {}),
    }
    for number, capability in enumerate(rows):
        data |= {f"capabilities-{number}-id": str(capability.pk), f"capabilities-{number}-instance": str(row.pk)}
        if switches.get("capabilities"):
            data[f"capabilities-{number}-enabled"] = "on"
    return data


@pytest.fixture
def user(puppet: type[Puppet]) -> User:
    return User.objects.create_user("someone", password="x", is_staff=True)


def allow(user: User, *codenames: str) -> Client:
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def test_a_switch_thrown_in_the_admin_holds_for_the_next_call(user: User) -> None:
    client = allow(user, "change_providerinstance", "change_providercapability")
    assert ai_models.generate_text("Hi").text == "Hello you"
    assert client.post(page(), form(capabilities=True)).status_code == 302
    with pytest.raises(ai_models.AIModelsError, match="disabled"):
        ai_models.generate_text("Hi")
    client.post(page(), form(enabled=True))
    with pytest.raises(ai_models.AIModelsError, match="switched off"):
        ai_models.generate_text("Hi")
    client.post(page(), form(enabled=True, capabilities=True))
    assert ai_models.generate_text("Hi").text == "Hello you"


def test_what_the_file_owns_is_not_changed_by_a_forged_post(user: User) -> None:
    client = allow(user, "change_providerinstance", "change_providercapability")
    forged = {"family": "openai", "name": "taken", "credentials": "{}", "is_default": "", "capabilities-0-default_model": "x"}
    client.post(page(), {**form(enabled=True, capabilities=True), **forged})
    row = ProviderInstance.objects.get(name="main")
    assert (row.family, row.is_default, "apiKey" in row.credentials) == ("puppet", True, True)
    assert not row.capabilities.filter(default_model="x").exists()


def test_who_may_only_view_changes_nothing(user: User) -> None:
    client = allow(user, "view_providerinstance", "view_providercapability")
    assert client.get(page()).status_code == 200
    assert client.post(page(), form()).status_code == 403
    assert client.post(f"{LIST}add/", form()).status_code == 403
    assert ProviderInstance.objects.get(name="main").enabled


def test_no_page_shows_a_credential_in_any_form(user: User) -> None:
    client = allow(user, "change_providerinstance", "view_providercapability")
    stored = ProviderInstance.objects.get(name="main")
    client.post(page(), form(enabled=True))
    for address in (LIST, page(), page().replace("change", "history"), f"{LIST}?q=main"):
        shown = client.get(address)
        assert shown.status_code == 200
        assert b"canary-key" not in shown.content
        assert stored.credentials["apiKey"].encode() not in shown.content
        assert stored.declaration_seal.encode() not in shown.content


def test_without_permission_there_is_nothing(user: User) -> None:
    assert allow(user).get(LIST).status_code == 403
