"""Provider instances in the admin: the list, its actions, the page of one instance, and the way to the other pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import AdminSite
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern

from ai_models import registry
from ai_models.admin.actions import Actions
from ai_models.admin.capabilities import CapabilityInline
from ai_models.admin.forms import ProviderForm
from ai_models.admin.listing import CapabilityFilter, Columns, SourceFilter, StateFilter
from ai_models.admin.pages import Pages
from ai_models.admin.provider import Fields, choose_family, kept, panel
from ai_models.admin.reports import discreet
from ai_models.models import ProviderInstance, lock_revision

_COMPUTED = (StateFilter, CapabilityFilter, SourceFilter)
_LOOKUPS = frozenset({*(chosen.parameter_name for chosen in _COMPUTED), "family", "family__exact", "family__isnull"})


@admin.register(ProviderInstance)
class ProviderInstanceAdmin(Fields, Actions, Columns, admin.ModelAdmin):  # type: ignore[type-arg]
    """One instance. Credentials go in and never come out, not even encrypted."""

    list_display = ("provider", "state_now", "capabilities", "last_check")
    list_filter = (StateFilter, CapabilityFilter, "family", SourceFilter)
    search_fields = ("name", "family", "capabilities__default_model")
    list_per_page = 100
    actions = ("enable", "disable", "check_now", "make_default")
    inlines = (CapabilityInline,)
    form = ProviderForm

    def __init__(self, model: type[ProviderInstance], admin_site: AdminSite) -> None:
        super().__init__(model, admin_site)
        self.pages = Pages(admin_site, ["overview", "explain", "playground", "access", "checks"])

    def get_urls(self) -> list[URLPattern]:
        addresses = [*self.pages.urls(), *super().get_urls()]
        for pattern in addresses:
            pattern.callback = discreet(pattern.callback)
        return addresses

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """What the filters ask for, and nothing else: by any column the list could be asked until it has told what is in it."""
        return lookup in _LOOKUPS and "\0" not in value

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """Whoever may see one of the pages finds the way to it from the admin's index."""
        return {**super().get_model_perms(request), "pages": any(page.allowed(request) for page in self.pages.pages.values())}

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderInstance]:
        return super().get_queryset(request).prefetch_related("capabilities")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"tabs": self.pages.tabs(request), **(extra_context or {})})

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.GET.get("family") not in registry.families() and self.has_add_permission(request):
            return choose_family(request, self.admin_site, self.pages.tabs(request))
        return super().add_view(request, form_url, {"tabs": self.pages.tabs(request), **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id) if request.method == "GET" else None
        shown = panel(row, request) if row is not None and self.has_view_permission(request, row) else {}
        return super().change_view(
            request, object_id, form_url, {"tabs": self.pages.tabs(request), **shown, **(extra_context or {})}
        )

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> ProviderInstance | None:
        if request.method == "POST":
            lock_revision()  # so that what is compared with the form is what is then overwritten
            return super().get_object(request, object_id, from_field)
        return kept(request, object_id, lambda: super(ProviderInstanceAdmin, self).get_object(request, object_id, from_field))

    def has_delete_permission(self, request: HttpRequest, obj: ProviderInstance | None = None) -> bool:
        """What the file declares would come back with the next seeding."""
        if obj is not None and obj.managed and not obj.orphaned:
            return False
        return super().has_delete_permission(request, obj)
