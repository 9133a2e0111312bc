"""Provider instances in the Django admin: what is configured, and the switches that are the administrators' own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from ai_models.models import ProviderCapability, ProviderInstance


class _NothingMadeHere:
    """Rows come from the configuration file; here they are seen and switched."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class CapabilityInline(_NothingMadeHere, admin.TabularInline):  # type: ignore[type-arg]
    """The capabilities of an instance, each with its switch."""

    model = ProviderCapability
    fields = ("capability", "default_model", "aliases", "enabled")
    readonly_fields = ("capability", "default_model", "aliases")
    extra = 0


@admin.register(ProviderInstance)
class ProviderInstanceAdmin(_NothingMadeHere, admin.ModelAdmin):  # type: ignore[type-arg]
    """One instance. Credentials are no part of the page, not even encrypted."""

    list_display = ("name", "family", "is_default", "enabled", "managed", "orphaned", "state", "checked_at")
    list_filter = ("family", "enabled", "managed", "orphaned", "state")
    search_fields = ("name",)
    readonly_fields = (
        "name",
        "family",
        "is_default",
        "managed",
        "orphaned",
        "state",
        "state_message",
        "checked_at",
        "latency_ms",
    )
    fields = ("enabled", *readonly_fields)
    inlines = (CapabilityInline,)
