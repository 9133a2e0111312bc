"""The grid of capabilities: groups and users, with a box for each permission that is given to them.

A form tells what it showed, and only what differs from that is written. So a box that nobody touched changes nothing, whatever
somebody else did with it meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.admin.models import CHANGE
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ai_models.accounts import Refused, grant, service_accounts, withdraw
from ai_models.admin import holders
from ai_models.admin.holders import Row
from ai_models.admin.paging import PER_PAGE, Paged, paged, search_text
from ai_models.admin.recent import record
from ai_models.capabilities import Capability

_SHOWN = "shown-"
_GIVEN = "given-"


@dataclass(frozen=True, slots=True)
class Kind:
    """One table: its name in forms and addresses, and which rows a search finds.

    Attributes:
        hint: what the search looks at; what is shown without one.
    """

    name: str
    title: Promise
    hint: Promise
    model: Callable[[], type[Model]]
    found: Callable[[str], QuerySet[Any]]


@dataclass(frozen=True, slots=True)
class Table:
    """One table as the template shows it.

    Attributes:
        kept: what a search in it keeps of the rest of the address.
        lacks: what the host lacks for it; empty for nothing.
    """

    kind: Kind
    rows: tuple[Row, ...]
    paged: Paged
    search: str
    may_change: bool
    kept: tuple[tuple[str, str], ...]
    lacks: str

    @property
    def searchable(self) -> bool:
        """Whether a search is of use."""
        return bool(self.search or self.paged.links or self.kind is USERS)


def _groups(search: str) -> QuerySet[Group]:
    return Group.objects.filter(name__icontains=search).order_by("name", "pk")


def _users(search: str) -> QuerySet[Any]:
    model = get_user_model()
    everyone = model._default_manager.order_by(model.USERNAME_FIELD, "pk")
    if search:
        return everyone.filter(holders.users_named(search))
    direct = model._default_manager.filter(user_permissions__in=holders.capability_permissions())
    return everyone.filter(Q(pk__in=direct.values("pk")) | Q(pk__in=service_accounts().values("pk")))


GROUPS = Kind("groups", gettext_lazy("Groups"), gettext_lazy("Search by name"), lambda: Group, _groups)
USERS = Kind("users", gettext_lazy("Users"), gettext_lazy("Search by name or e-mail address"), get_user_model, _users)
KINDS = (GROUPS, USERS)


def may_view(request: HttpRequest) -> bool:
    """Whether the user may see any of the tables."""
    return any(holders.may_see(request, kind.model()) for kind in KINDS)


def tables(request: HttpRequest, site: AdminSite) -> list[Table]:
    """Those that the user may see."""
    return [_table(request, site, kind) for kind in KINDS if holders.may_see(request, kind.model())]


def _table(request: HttpRequest, site: AdminSite, kind: Kind) -> Table:
    search = search_text(request, kind.name)
    lacks = "" if kind is GROUPS or holders.users_have_permissions() else _lacks_permissions()
    found = get_user_model()._default_manager.none() if lacks else holders.with_permissions(kind.found(search))
    shown = paged(request, found, f"{kind.name}-page")
    others = {f"{other.name}{suffix}" for other in KINDS if other is not kind for suffix in ("", "-page")}
    return Table(
        kind=kind,
        rows=tuple(holders.row(holder, request, site) for holder in shown.rows),
        paged=shown,
        search=search,
        may_change=holders.may(request, "change", kind.model()),
        kept=tuple((name, request.GET[name]) for name in sorted(others) if name in request.GET),
        lacks=lacks,
    )


def _lacks_permissions() -> str:
    model = capfirst(get_user_model()._meta.verbose_name)
    return _("%(model)s has no permissions: the host's user model lacks Django's PermissionsMixin.") % {"model": model}


@dataclass(frozen=True, slots=True)
class _Wish:
    """What somebody changed in one row."""

    grant: frozenset[Capability]
    withdraw: frozenset[Capability]


def save(request: HttpRequest, kind: Kind) -> HttpResponse:
    """Write what the person changed in a table.

    Raises:
        PermissionDenied: the user may not change these rows.
    """
    if not holders.may(request, "change", kind.model()):
        raise PermissionDenied
    try:
        changed = _apply(request, kind, _wishes(request, kind.model()))
    except Refused as error:
        messages.error(request, str(error))
    else:
        _tell(request, changed)
    return HttpResponseRedirect(request.get_full_path())


def _wishes(request: HttpRequest, model: type[Model]) -> Mapping[Any, _Wish]:
    """By the row's key; rows that nobody touched are not in it."""
    wishes = {}
    for name in [name for name in request.POST if name.startswith(_SHOWN)][:PER_PAGE]:
        written = name.removeprefix(_SHOWN)
        shown = _read(request.POST[name].split())
        given = _read(request.POST.getlist(f"{_GIVEN}{written}"))
        try:
            key = model._meta.pk.clean(written, None)
        except ValidationError:
            continue
        if shown != given:
            wishes[key] = _Wish(given - shown, shown - given)
    return wishes


def _read(names: Iterable[str]) -> frozenset[Capability]:
    return frozenset(Capability(name) for name in names if name in frozenset(Capability))


def _apply(request: HttpRequest, kind: Kind, wishes: Mapping[Any, _Wish]) -> list[str]:
    """Gives the names of the rows that are different now."""
    if not wishes or (kind is USERS and not holders.users_have_permissions()):
        return []
    changed = []
    with transaction.atomic():
        rows = kind.model()._default_manager.filter(pk__in=wishes).order_by("pk")
        # Two who save at once wait for each other, so that the log tells what each of them changed.
        list(kind.model()._base_manager.filter(pk__in=wishes).order_by("pk").select_for_update(no_key=True).values_list("pk"))
        for holder in holders.with_permissions(rows):
            told = _change(holder, wishes[holder.pk])
            if told:
                record(request, holder, CHANGE, told)
                changed.append(str(holder))
    return changed


def _change(holder: Any, wish: _Wish) -> str:
    """Change one row, and say what was changed."""
    now = holders.held(holder)
    granted, withdrawn = wish.grant - now, wish.withdraw & now
    if granted:
        grant(holder, granted)
    if withdrawn:
        withdraw(holder, withdrawn)
    return " ".join((*told_granted(granted), *_told("Withdrawn", withdrawn)))


def told_granted(capabilities: Iterable[Capability]) -> list[str]:
    """``Granted: Text generation, Embeddings.``, or nothing. The log is in English."""
    return _told("Granted", capabilities)


def _told(what: str, capabilities: Iterable[Capability]) -> list[str]:
    chosen = frozenset(capabilities)
    names = [capability.label for capability in Capability if capability in chosen]
    return [f"{what}: {', '.join(names)}."] if names else []


def _tell(request: HttpRequest, changed: list[str]) -> None:
    if not changed:
        messages.info(request, _("Nothing was changed."))
        return
    if len(changed) == 1:
        said = _("Saved: %(name)s was changed.") % {"name": changed[0]}
    else:
        rows = ngettext("Saved: %(count)d row was changed.", "Saved: %(count)d rows were changed.", len(changed))
        said = rows % {"count": len(changed)}
    messages.success(request, said)
