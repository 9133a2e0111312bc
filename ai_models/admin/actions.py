"""What can be done with several providers at once: one transaction, and for each row an entry in its history.

Django translates the entries when it shows them, so they are stored in English.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

from ai_models import config
from ai_models.models import ProviderInstance, lock_revision

if TYPE_CHECKING:
    _Base = admin.ModelAdmin[ProviderInstance]
else:
    _Base = object


class Actions(_Base):
    """The actions of the list, for the model's admin."""

    @admin.action(description=gettext_lazy("Enable"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[ProviderInstance]) -> None:
        if gone := [row.name for row in queryset if row.orphaned]:
            told = _("Not in the configuration file any more, so they stay disabled: %(names)s")
            self.message_user(request, told % {"names": ", ".join(gone)}, messages.WARNING)
        self._switch(request, queryset.filter(orphaned=False), enabled=True)

    @admin.action(description=gettext_lazy("Disable"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[ProviderInstance]) -> None:
        self._switch(request, queryset, enabled=False)

    @admin.action(description=gettext_lazy("Check now"), permissions=["change"])
    def check_now(self, request: HttpRequest, queryset: QuerySet[ProviderInstance]) -> HttpResponse:
        chosen = [("instance", str(pk)) for pk in queryset.values_list("pk", flat=True)]
        if len(chosen) == ProviderInstance.objects.count():
            chosen = []  # the page takes that for all of them; some servers refuse long addresses
        page = reverse("admin:ai_models_checks", current_app=self.admin_site.name)
        return HttpResponseRedirect(f"{page}?{urlencode([*chosen, ('run', '1')])}")

    @admin.action(description=gettext_lazy("Make default"), permissions=["change"])
    def make_default(self, request: HttpRequest, queryset: QuerySet[ProviderInstance]) -> None:
        rows = list(queryset[:2])
        if len(rows) != 1:
            self.message_user(request, _("Choose one provider: only one can be the default."), messages.ERROR)
        elif (declared := config.current().default_provider) not in (None, rows[0].name):
            told = _("The configuration file has %(name)s as ai.defaultProvider. Change it there.")
            self.message_user(request, told % {"name": declared}, messages.ERROR)
        elif (chosen := self._choose_default(request, rows[0].pk)) is None:
            self.message_user(request, _("It is gone, or not in the configuration file any more."), messages.ERROR)
        else:
            self.message_user(request, _("%(name)s is the default provider.") % {"name": chosen.name}, messages.SUCCESS)

    def _switch(self, request: HttpRequest, queryset: QuerySet[ProviderInstance], *, enabled: bool) -> None:
        with transaction.atomic():
            lock_revision()
            changed = list(queryset.filter(enabled=not enabled))
            for row in changed:
                row.enabled = enabled
                row.save(update_fields=["enabled", "updated_at"])
                told = gettext_noop("Enabled: off → on") if enabled else gettext_noop("Enabled: on → off")
                self.log_change(request, row, [{"changed": {"fields": [told]}}])
        if enabled:
            said = ngettext("%(count)d provider was enabled.", "%(count)d providers were enabled.", len(changed))
        else:
            said = ngettext("%(count)d provider was disabled.", "%(count)d providers were disabled.", len(changed))
        self.message_user(request, said % {"count": len(changed)}, messages.SUCCESS)

    def _choose_default(self, request: HttpRequest, key: UUID) -> ProviderInstance | None:
        """Make the instance the default, unless it went away since it was chosen."""
        with transaction.atomic():
            lock_revision()
            chosen = ProviderInstance.objects.filter(pk=key, orphaned=False).first()
            if chosen is not None:
                for row in ProviderInstance.objects.filter(is_default=True).exclude(pk=key):
                    self._set_default(request, row, is_default=False)
                self._set_default(request, chosen, is_default=True)
        return chosen

    def _set_default(self, request: HttpRequest, row: ProviderInstance, *, is_default: bool) -> None:
        row.is_default = is_default
        row.save(update_fields=["is_default", "updated_at"])
        told = gettext_noop("Default: no → yes") if is_default else gettext_noop("Default: yes → no")
        self.log_change(request, row, [{"changed": {"fields": [told]}}])
