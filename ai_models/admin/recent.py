"""The latest changes in Django's admin log, and how what is done on our own pages gets into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.db.models import Model
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ai_models.admin.links import history_url
from ai_models.admin.pages import may
from ai_models.admin.words import Word, ago, chip
from ai_models.models import APIToken, ProviderCapability, ProviderInstance

SHOWN = 20

_INSTANCE, _CAPABILITY, _TOKEN = (model._meta.model_name for model in (ProviderInstance, ProviderCapability, APIToken))
_KINDS: Mapping[str | None, Promise] = {_CAPABILITY: gettext_lazy("capability"), _TOKEN: gettext_lazy("API token")}
_ACTIONS: Mapping[int, Word] = {
    ADDITION: Word(gettext_lazy("added"), "good"),
    CHANGE: Word(gettext_lazy("changed"), "idle"),
    DELETION: Word(gettext_lazy("deleted"), "bad"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One change.

    Attributes:
        action: what was done, as a small mark.
        kind: what it was done to, when that is no provider instance.
        url: the history of the provider; empty when there is none, or it is gone.
    """

    log: LogEntry
    action: SafeString
    kind: Promise | str
    url: str


@dataclass(frozen=True, slots=True)
class Recent:
    """What the card shows: the latest changes, newest first."""

    entries: Sequence[Entry]

    def chip(self) -> SafeString:
        """How old the latest one is."""
        return chip(ago(self.entries[0].log.action_time) if self.entries else _("none"), "idle")


def record(request: HttpRequest, row: Model, flag: int, message: str) -> None:
    """Write into Django's admin log what the request's user did to a row."""
    user: Any = request.user
    LogEntry.objects.log_actions(user.pk, [row], flag, message, single_object=True)


def recent(request: HttpRequest, site: AdminSite) -> Recent:
    """The latest changes of providers, and of API tokens for those who may see these.

    Raises:
        django.db.Error: the database cannot be read.
    """
    models = [_INSTANCE, _CAPABILITY, *([_TOKEN] if may(request, "view_apitoken") else [])]
    ours = LogEntry.objects.filter(content_type__app_label=ProviderInstance._meta.app_label, content_type__model__in=models)
    logs = list(ours.select_related("content_type", "user").order_by("-action_time", "-pk")[:SHOWN])
    instances = _instances(logs)
    return Recent([_entry(site, log, instances) for log in logs])


def _instances(logs: Iterable[LogEntry]) -> Mapping[tuple[str, str | None], str]:
    """Primary key of the instance that is still there, by model and object of a log entry."""
    named = [log.object_id for log in logs if log.content_type and log.content_type.model == _CAPABILITY]
    capabilities = ProviderCapability.objects.filter(pk__in=[key for key in named if key and key.isdecimal()])
    found: dict[tuple[str, str | None], str] = {
        (str(_CAPABILITY), str(key)): str(instance) for key, instance in capabilities.values_list("pk", "instance_id")
    }
    return found | {(str(_INSTANCE), str(key)): str(key) for key in ProviderInstance.objects.values_list("pk", flat=True)}


def _entry(site: AdminSite, log: LogEntry, instances: Mapping[tuple[str, str | None], str]) -> Entry:
    model = log.content_type.model if log.content_type else ""
    instance = instances.get((model, log.object_id))
    return Entry(
        log=log,
        action=_ACTIONS.get(log.action_flag, _ACTIONS[CHANGE]).chip(),
        kind=_KINDS.get(model, ""),
        url=history_url(site, instance) if instance else "",
    )
