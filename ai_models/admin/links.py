"""Addresses of the pages that Django's admin has for instances."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.urls import reverse
from django.utils.http import urlencode

_MODEL = "admin:ai_models_providerinstance"


def change_url(site: AdminSite, key: Any) -> str:
    """The page of one instance, by its primary key."""
    return reverse(f"{_MODEL}_change", args=[key], current_app=site.name)


def history_url(site: AdminSite, key: Any) -> str:
    """The history of one instance."""
    return reverse(f"{_MODEL}_history", args=[key], current_app=site.name)


def list_url(site: AdminSite, **filters: str) -> str:
    """The list of instances, filtered by what its filters are called: ``state="ready"``."""
    address = reverse(f"{_MODEL}_changelist", current_app=site.name)
    return f"{address}?{urlencode(filters)}" if filters else address
