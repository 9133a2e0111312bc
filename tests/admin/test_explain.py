"""The page that explains: which rule decided, every gate with its reason, and where to change what is closed."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ai_models.models import ProviderCapability, ProviderInstance
from tests.conftest import Seed
from tests.service.conftest import CONFIG, Puppet, puppet

__all__ = ["puppet"]

PAGE = "/admin/ai_models/providerinstance/explain/"


def permissions(*codenames: str) -> Any:
    return Permission.objects.filter(codename__in=codenames)


def signed_in(*codenames: str, name: str = "grace", **fields: Any) -> Client:
    """A browser of a member of the staff with these permissions."""
    user = User.objects.create_user(name, is_staff=True, **fields)
    user.user_permissions.set(permissions(*codenames))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def client(puppet: type[Puppet]) -> Client:
    """May look at providers and at users, and use nothing."""
    return signed_in("view_providerinstance", "view_user")


def answer(client: Client, **asked: str) -> str:
    """What the page says, in one line without its tags."""
    response = client.get(PAGE, asked)
    assert response.status_code == 200
    main = response.content.decode().partition('id="content-main"')[2]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", main)).split())


def links(client: Client, **asked: str) -> list[str]:
    return re.findall(r'href="([^"]*)"', unescape(client.get(PAGE, asked).content.decode().partition('id="content-main"')[2]))


def row(name: str = "main") -> ProviderInstance:
    return ProviderInstance.objects.get(name=name)


def change_page(name: str = "main") -> str:
    return f"/admin/ai_models/providerinstance/{row(name).pk}/change/"


@pytest.mark.parametrize(
    ("named", "rule", "model"),
    [
        ({}, "neither Nothing is named", "Model big-1"),
        ({"model": "fast"}, "model-only Only a model is named", "Model fast → small-1"),
        ({"provider": "other"}, "provider-only Only a provider is named", "Model other-1"),
        ({"provider": "main", "model": "x"}, "provider-and-model Provider and model are named", "Model x"),
    ],
)
def test_the_rule_that_decided_is_told(client: Client, named: dict[str, str], rule: str, model: str) -> None:
    told = answer(client, user="", capability="text-generation", **named)
    assert "available A call gets through" in told
    assert f"Rule {rule}" in told
    assert model in told
    assert "Family Puppet" in told
    assert "Credential stored" in told


def test_who_arrives_with_a_provider_alone_gets_an_answer_about_themselves(client: Client) -> None:
    told = answer(client, provider="main")
    assert "refused A call fails with permission_denied" in told
    assert "grace has not got ai_models.use_text_generation, neither directly nor through a group." in told


def make_superuser(user: User) -> None:
    user.is_superuser = True
    user.save()


def make_inactive(user: User) -> None:
    user.is_active = False
    user.save()


def give(user: User) -> None:
    user.user_permissions.set(permissions("use_text_generation"))


def give_by_groups(user: User) -> None:
    for name in ("editors", "writers"):
        group = Group.objects.create(name=name)
        group.permissions.set(permissions("use_text_generation", "use_embeddings"))
        user.groups.add(group)
    user.groups.add(Group.objects.create(name="others"))


@pytest.mark.parametrize(
    ("prepare", "told", "gate"),
    [
        (make_superuser, "bob is a superuser, who has every permission.", "open"),
        (give, "bob has it directly.", "open"),
        (lambda user: (give(user), give_by_groups(user)), "bob has it directly, through the groups editors, writers.", "open"),
        (give_by_groups, "bob has it through the groups editors, writers.", "open"),
        (make_inactive, "bob is not active, and so has no permission at all.", "closed"),
        (lambda user: None, "bob has not got ai_models.use_text_generation", "closed"),
    ],
)
def test_how_a_user_comes_by_the_permission_is_told(client: Client, prepare: Any, told: str, gate: str) -> None:
    prepare(User.objects.create_user("bob"))
    assert f"{gate} May the user use the capability? {told}" in answer(client, user="bob", capability="text-generation")


def test_a_missing_permission_leads_to_where_it_is_given(client: Client) -> None:
    assert "/admin/ai_models/providerinstance/access/?users=grace" in links(client, capability="text-generation")


def test_who_cannot_give_a_permission_is_not_sent_there(puppet: type[Puppet]) -> None:
    told = answer(signed_in("view_providerinstance"), capability="text-generation")
    assert "To change it: Ask somebody who may manage access." in told


def test_what_the_file_owns_is_told_by_its_key(client: Client) -> None:
    told = answer(client, user="", capability="video-generation", provider="main")
    assert "closed Is the capability configured on the provider?" in told
    assert "Set it in app-config.yaml, or an alias ai.providers.main.defaultModels.video-generation" in told


def test_what_an_administrator_owns_leads_to_the_providers_page(client: Client) -> None:
    changed = ProviderCapability.objects.get(instance__name="main", capability="embeddings")
    changed.enabled = False
    changed.save()
    instance = row()
    instance.enabled = False
    instance.save()
    told = answer(client, user="", capability="embeddings")
    assert "closed Is the provider switched on? Provider main is disabled." in told
    assert "closed Is the capability switched on? embeddings is switched off by an administrator" in told
    assert links(client, user="", capability="embeddings").count(change_page()) == 3


def test_an_instance_of_the_admin_has_no_key_in_the_file(client: Client) -> None:
    instance = row("other")
    instance.managed, instance.credentials = False, {}
    instance.save()
    told = answer(client, user="", capability="embeddings", provider="other")
    assert "Set a default model or an alias on the provider's page" in told
    assert "closed Can the credential be used? Provider other has no apiKey." in told
    assert "Set it right on the provider's page" in told
    assert "app-config.yaml" not in told


def test_a_credential_that_cannot_be_opened_is_told(client: Client) -> None:
    instance = row()
    instance.credentials = {"apiKey": "v1.00000000.AAAA"}
    instance.save()
    told = answer(client, user="", capability="text-generation")
    assert "Bring back the encryption key that it was stored with, or give the credential again ai.providers.main" in told
    assert "Providers that have this capability: other" in told


def test_without_a_default_provider_the_key_to_set_is_told(client: Client) -> None:
    instance = row()
    instance.is_default = False
    instance.save()
    told = answer(client, user="", capability="text-generation")
    assert "refused provider_not_found The request names no provider and no default provider is set." in told
    assert "Set it in app-config.yaml: ai.defaultProvider" in told
    assert "Providers that have this capability: main , other" in told


def test_an_unknown_provider_is_the_answer(client: Client) -> None:
    told = answer(client, user="", capability="text-generation", provider="nobody")
    assert "refused provider_not_found There is no provider instance of this name." in told


@pytest.mark.parametrize(
    "asked", [{"user": "a\0b"}, {"capability": "x"}, {"model": "\0"}, {"provider": "\0"}, {"user": "nobody"}]
)
def test_a_wrong_question_has_no_answer(client: Client, asked: dict[str, str]) -> None:
    assert "Gates, in the order" not in answer(client, **asked)


def test_a_name_that_is_too_long_is_the_answer(client: Client) -> None:
    assert "refused invalid_request" in answer(client, user="", capability="text-generation", model="x" * 300)


def test_who_may_not_view_users_asks_about_themselves_alone(puppet: type[Puppet]) -> None:
    User.objects.create_user("bob")
    client = signed_in("view_providerinstance", "use_text_generation")
    assert "grace has it directly." in answer(client, capability="text-generation")
    refused = answer(client, user="bob", capability="text-generation")
    assert refused == answer(client, user="nobody", capability="text-generation")
    assert "You may ask about yourself only." in refused
    assert "You may ask about yourself only." in answer(client, user="", capability="text-generation")
    assert "bob" not in client.get(PAGE).content.decode()


def test_the_page_is_for_those_who_may_view_providers(puppet: type[Puppet]) -> None:
    assert signed_in("view_user").get(PAGE).status_code == 403
    assert Client().get(PAGE).status_code == 302
    assert signed_in("change_providerinstance", name="bob").get(PAGE).status_code == 200


def test_names_are_suggested(client: Client) -> None:
    shown = client.get(PAGE, {"capability": "text-generation"}).content.decode()
    for name in ("grace", "big-1", "fast", "small-1"):
        assert f'<option value="{name}"></option>' in shown
    assert '<option value="vector-1"></option>' not in shown


def test_it_has_no_secret(client: Client) -> None:
    shown = client.get(PAGE, {"user": "", "provider": "main"}).content
    assert b"canary-key" not in shown
    assert row().credentials["apiKey"].encode() not in shown


def test_more_rows_need_no_more_queries(client: Client, seed: Seed) -> None:
    asked = {"user": "bob", "capability": "text-generation"}
    give_by_groups(User.objects.create_user("bob"))

    def queries() -> int:
        client.get(PAGE, asked)
        with CaptureQueriesContext(connection) as captured:
            client.get(PAGE, asked)
        return len(captured)

    few = queries()
    more = "".join(f"\n    more{n}: {{type: puppet, apiKey: k, defaultModels: {{text-generation: m}}}}" for n in range(30))
    seed(CONFIG + more.removeprefix("\n"))
    User.objects.bulk_create(User(username=f"user{n}") for n in range(300))
    assert queries() == few <= 20
