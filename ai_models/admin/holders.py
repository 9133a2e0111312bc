"""Who may use what: groups and users with the capabilities that they hold, and what gives them. Below are Django's permissions.

Permissions that a host's own authentication backends give are not among them; they are in no table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.contrib.auth import get_permission_codename, get_user_model
from django.contrib.auth.models import Group, Permission, PermissionsMixin
from django.db.models import Model, Prefetch, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ai_models.accounts import is_service_account
from ai_models.admin.paging import found
from ai_models.admin.words import CAPABILITIES, chip
from ai_models.capabilities import Capability

_BY_CODENAME = {capability.codename: capability for capability in Capability}


@dataclass(frozen=True, slots=True)
class Cell:
    """How one holder stands with one capability.

    Attributes:
        given: whether the holder has the permission itself.
        through: what else gives it, in a word or two; empty for nothing.
        reason: the same in full.
    """

    capability: Capability
    given: bool
    through: str = ""
    reason: str = ""

    @property
    def name(self) -> Promise:
        """The capability in the reader's language."""
        return CAPABILITIES[self.capability]


@dataclass(frozen=True, slots=True)
class Row:
    """One group or user.

    Attributes:
        marks: what is special about it.
        url: its own page in the admin; empty where the reader has none.
    """

    key: str
    name: str
    detail: str
    marks: tuple[SafeString, ...]
    url: str
    cells: tuple[Cell, ...]

    @property
    def given(self) -> str:
        """The capabilities that the holder has itself, as a form tells what it showed."""
        return " ".join(cell.capability for cell in self.cells if cell.given)

    @property
    def usable(self) -> list[Cell]:
        """The capabilities that the holder has by any way."""
        return [cell for cell in self.cells if cell.given or cell.through]


def users_have_permissions() -> bool:
    """Whether users of the host hold Django's permissions at all."""
    return issubclass(get_user_model(), PermissionsMixin)


def may(request: HttpRequest, action: str, model: type[Model]) -> bool:
    """Whether the user may ``view``, ``add`` or ``change`` rows of any model, as Django's own admin asks."""
    permission = get_permission_codename(action, model._meta)
    return request.user.has_perm(f"{model._meta.app_label}.{permission}")


def may_see(request: HttpRequest, model: type[Model]) -> bool:
    """Who may change rows may look at them too."""
    return may(request, "view", model) or may(request, "change", model)


def account_named(request: HttpRequest) -> Any:
    """The user that the address names, read :func:`with_permissions`; ``None`` when it names none.

    Raises:
        Http404: there is no such user.
    """
    key = request.GET.get("account")
    return None if key is None else found(with_permissions(get_user_model()._default_manager.all()), key)


def users_named(text: str) -> Q:
    """Users who have the text in their name or e-mail address."""
    model = get_user_model()
    columns = {model.USERNAME_FIELD, model.get_email_field_name()} & {field.name for field in model._meta.fields}
    return Q(*((f"{column}__icontains", text) for column in sorted(columns)), _connector=Q.OR)


def capability_permissions() -> QuerySet[Permission]:
    """The permissions to use capabilities."""
    return Permission.objects.filter(content_type__app_label="ai_models", codename__in=_BY_CODENAME).order_by()


def with_permissions(holders: QuerySet[Any]) -> QuerySet[Any]:
    """Read their permissions along with them, in as many queries for one as for all."""
    if issubclass(holders.model, Group):
        return holders.prefetch_related(Prefetch("permissions", capability_permissions()))
    if not users_have_permissions():
        return holders
    groups = Prefetch("groups", Group.objects.order_by("name"))
    theirs = (Prefetch(name, capability_permissions()) for name in ("user_permissions", "groups__permissions"))
    return holders.prefetch_related(groups, *theirs)


def held(holder: Any) -> set[Capability]:
    """What the holder itself has, of holders that were read :func:`with_permissions`."""
    if isinstance(holder, Group):
        return _capabilities(holder.permissions.all())
    return _capabilities(holder.user_permissions.all()) if users_have_permissions() else set()


def row(holder: Any, request: HttpRequest, site: AdminSite) -> Row:
    """How a holder is shown that was read :func:`with_permissions`."""
    own = held(holder)
    if isinstance(holder, Group):
        cells = tuple(Cell(capability, capability in own) for capability in Capability)
        return Row(str(holder.pk), holder.name, "", (), _url(holder, request, site), cells)
    email = getattr(holder, holder.get_email_field_name(), "") or ""
    name = holder.get_username()
    shows_email = email != name and may_see(request, type(holder))
    return Row(
        key=str(holder.pk),
        name=name,
        detail=email if shows_email else "",
        marks=tuple(_marks(holder)),
        url=_url(holder, request, site),
        cells=_cells(holder, own),
    )


def _marks(user: Any) -> Iterable[SafeString]:
    if not user.is_active:
        yield chip(_("inactive"), "warn", _("An account that is not active may do nothing."))
    if getattr(user, "is_superuser", False):
        yield chip(_("superuser"), "idle", _("May do everything."))
    if is_service_account(user):
        yield chip(_("service account"), "idle", _("Nobody signs in to it."))


def _cells(user: Any, own: set[Capability]) -> tuple[Cell, ...]:
    if getattr(user, "is_superuser", False):
        return tuple(
            Cell(item, item in own, _("superuser"), _("as a superuser, whatever is chosen here")) for item in Capability
        )
    groups = (
        {group.name: _capabilities(group.permissions.all()) for group in user.groups.all()} if users_have_permissions() else {}
    )
    return tuple(
        Cell(item, item in own, *_through([name for name, capabilities in groups.items() if item in capabilities]))
        for item in Capability
    )


def _through(groups: list[str]) -> tuple[str, str]:
    """The groups that give something, briefly and in full."""
    if not groups:
        return "", ""
    number = len(groups)
    counted = ngettext("%(count)d group", "%(count)d groups", number) % {"count": number}
    named = ngettext("through the group %(names)s", "through the groups %(names)s", number) % {"names": ", ".join(groups)}
    return groups[0] if number == 1 else counted, named


def _capabilities(permissions: Iterable[Permission]) -> set[Capability]:
    return {_BY_CODENAME[permission.codename] for permission in permissions}


def _url(holder: Model, request: HttpRequest, site: AdminSite) -> str:
    model = type(holder)
    if not (site.is_registered(model) and may_see(request, model)):
        return ""
    address = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    return reverse(address, args=(quote(holder.pk),), current_app=site.name)
