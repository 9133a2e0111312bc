"""Rows of the test families, and administrators with the permissions that a test gives them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from ai_models.models import ProviderInstance

PREFIX = "/admin/ai_models/providerinstance/"
CHANGE = ("view_providerinstance", "change_providerinstance", "view_providercapability", "change_providercapability")
ALL = (*CHANGE, "add_providerinstance", "delete_providerinstance", "add_providercapability")

SignIn = Callable[..., Client]


@pytest.fixture
def sign_in(db: None) -> SignIn:
    """A browser of somebody on the staff with these permissions: ``sign_in("view_providerinstance")``."""

    def signed_in(*codenames: str, superuser: bool = False) -> Client:
        user = User.objects.create_user(f"someone{User.objects.count()}", password="x", is_staff=True, is_superuser=superuser)
        found = Permission.objects.filter(codename__in=codenames)
        assert len(found) == len(set(codenames))
        user.user_permissions.set(found)
        client = Client()
        client.force_login(user)
        return client

    return signed_in


def address(name: str, page: str = "change") -> str:
    """Of a page of this instance."""
    return f"{PREFIX}{ProviderInstance.objects.get(name=name).pk}/{page}/"
