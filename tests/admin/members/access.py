"""The page of access with a user model of the host's own. Run by :mod:`tests.admin.test_access_users`."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client

from ai_models import accounts
from ai_models.capabilities import Capability
from ai_models.models import APIToken
from tests.admin.test_access import PAGE, TOKENS, form, token_in, touched, words

pytestmark = pytest.mark.django_db
MEMBERS = get_user_model().__name__ == "Member"


@pytest.fixture
def root() -> Client:
    """An administrator's browser."""
    client = Client()
    client.force_login(make("root@example.com", is_admin=True, **({"is_superuser": True} if MEMBERS else {})))
    return client


def make(address: str, **fields: Any) -> Any:
    user = get_user_model()(address=address, **fields)
    user.set_password("a password for tests")
    user.save()
    return user


@pytest.mark.skipif(not MEMBERS, reason="for users with permissions")
def test_members_are_found_and_given_capabilities(root: Client) -> None:
    ada = make("ada@example.com")
    address = f"{PAGE}?users=ADA"
    root.post(address, touched(form(root, "users", address), ada, Capability.EMBEDDINGS))
    assert type(ada).objects.get(pk=ada.pk).has_perm("ai_models.use_embeddings")
    assert LogEntry.objects.get().get_edited_object() == ada
    root.post(PAGE, touched(form(root, "users"), ada))
    assert not type(ada).objects.get(pk=ada.pk).has_perm("ai_models.use_embeddings")


@pytest.mark.skipif(not MEMBERS, reason="for users with permissions")
def test_a_service_account_is_made_and_its_token_revoked(root: Client) -> None:
    sent = {**form(root, "account", TOKENS), "name": "crm@example.com", "capabilities": ["embeddings"]}
    assert token_in(root.post(TOKENS, sent))
    crm = get_user_model().objects.get(address="crm@example.com")
    address = f"{TOKENS}&account={crm.pk}"
    assert "crm@example.com" in words(root.get(address))
    assert token_in(root.post(address, form(root, "token", address)))
    root.post(address, form(root, "revoke", address))
    assert APIToken.objects.filter(revoked_at=None).count() == 1
    admin = make("admin@example.com", is_admin=True)
    admin.set_unusable_password()
    admin.save()
    assert root.post(f"{TOKENS}&account={admin.pk}", {"do": "token"}).status_code == 403


@pytest.mark.skipif(MEMBERS, reason="for users without permissions")
def test_it_says_that_users_have_no_permissions(root: Client) -> None:
    group = Group.objects.create(name="editors")
    root.post(PAGE, touched(form(root, "groups"), group, Capability.EMBEDDINGS))
    assert group.permissions.count() == 1
    ada = make("ada@example.com")
    said = words(root.get(f"{PAGE}?users=ada"))
    assert "Guest has no permissions: the host's user model lacks Django's PermissionsMixin." in said
    assert "ada@example.com" not in said
    assert root.post(PAGE, {"do": "users", f"shown-{ada.pk}": "", f"given-{ada.pk}": "embeddings"}).status_code == 302
    assert root.post(TOKENS, {"do": "account", "name": "crm@example.com"}).status_code == 403


@pytest.mark.skipif(MEMBERS, reason="for users without permissions")
def test_service_accounts_without_permissions_have_tokens(root: Client) -> None:
    crm, _ = accounts.service_account("crm@example.com")
    address = f"{TOKENS}&account={crm.pk}"
    assert token_in(root.post(address, form(root, "token", address)))
    assert "crm@example.com" in words(root.get(TOKENS))
