"""Service accounts and API tokens as the page shows them: all there are, or one account with its tokens and their history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db.models import CharField, Count, Max, Q, QuerySet
from django.db.models.functions import Cast
from django.http import Http404, HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy, pgettext_lazy

from ai_models import accounts
from ai_models.accounts import TokenState
from ai_models.admin import holders
from ai_models.admin.holders import Row
from ai_models.admin.issuing import NewAccount, NewToken, may_make_account, may_make_token, new_number
from ai_models.admin.pages import may
from ai_models.admin.paging import paged, search_text
from ai_models.admin.words import Word, ago
from ai_models.models import APIToken

CHANGES_SHOWN = 20

STATES: Mapping[TokenState, Word] = {
    TokenState.ACTIVE: Word(pgettext_lazy("a token", "active"), "good"),
    TokenState.EXPIRED: Word(gettext_lazy("expired"), "warn"),
    TokenState.REVOKED: Word(gettext_lazy("revoked"), "idle"),
}


@dataclass(frozen=True, slots=True)
class Account:
    """One service account in the list."""

    row: Row
    active: int
    last_used: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One token in the list."""

    token: Any
    state: SafeString
    created: str
    last_used: str
    may_revoke: bool


def may_view(request: HttpRequest) -> bool:
    """Whether the user may see accounts and their tokens."""
    return may(request, "view_apitoken")


def context(request: HttpRequest, site: AdminSite, form: forms.Form | None = None) -> dict[str, Any]:
    """What the template shows: every account and token, or those of the account that the address names.

    Args:
        form: the one that was sent and refused.
    """
    if accounts.token_model() is None:
        return {"lacks": accounts.NO_TOKENS}
    account = holders.account_named(request)
    tokens = accounts.tokens()
    made: type[forms.Form] | None
    if account is None:
        shown = {**_accounts(request, site, tokens), **_tokens(request, _chosen(request, tokens))}
        made = NewAccount if may_make_account(request) else None
    else:
        _require_listed(request, account, tokens)
        shown = {"account": holders.row(account, request, site), **_tokens(request, tokens.filter(user=account))}
        shown["changes"] = _changes(request, account)
        made = NewToken if may_make_token(request, account) else None
    if made is not None:
        shown |= {"form": form or made(), "number": new_number(request)}
    return shown


def _require_listed(request: HttpRequest, account: Any, tokens: QuerySet[Any]) -> None:
    """Other users than those in the lists are for those who may see users."""
    listed = account == request.user or accounts.is_service_account(account) or holders.may_see(request, type(account))
    if not listed and not tokens.filter(user=account).exists():
        raise Http404


def _accounts(request: HttpRequest, site: AdminSite, tokens: QuerySet[Any]) -> dict[str, Any]:
    search = search_text(request, "accounts")
    found = accounts.service_accounts().filter(holders.users_named(search)).order_by(get_user_model().USERNAME_FIELD, "pk")
    page = paged(request, holders.with_permissions(found), "accounts-page")
    theirs = tokens.filter(user__in=[user.pk for user in page.rows]).order_by().values("user")
    active = Count("pk", filter=Q(state=TokenState.ACTIVE))
    known = {item["user"]: item for item in theirs.annotate(active=active, last_used=Max("last_used_at"))}
    listed = []
    for user in page.rows:
        item = known.get(user.pk, {"active": 0, "last_used": None})
        listed.append(Account(holders.row(user, request, site), item["active"], ago(item["last_used"])))
    return {"accounts": listed, "accounts_paged": page, "accounts_search": search}


def _chosen(request: HttpRequest, tokens: QuerySet[Any]) -> QuerySet[Any]:
    """The tokens that a search finds."""
    search, state = search_text(request, "tokens"), request.GET.get("state")
    if search:
        users = get_user_model()._default_manager.filter(holders.users_named(search))
        tokens = tokens.filter(Q(user__in=users) | Q(label__icontains=search) | Q(prefix__startswith=search))
    return tokens.filter(state=state) if state in frozenset(TokenState) else tokens


def _tokens(request: HttpRequest, tokens: QuerySet[Any]) -> dict[str, Any]:
    page = paged(request, tokens.order_by("-created_at", "-pk"), "tokens-page")
    may_revoke = may(request, "delete_apitoken")
    return {
        "tokens": [_shown(token, may_revoke) for token in page.rows],
        "tokens_paged": page,
        "tokens_search": search_text(request, "tokens"),
        "state": request.GET.get("state", ""),
        "states": [(state.value, word.label) for state, word in STATES.items()],
        "may_revoke": may_revoke,
        "own": request.user.pk if may(request, "add_apitoken") else None,
    }


def _shown(token: Any, may_revoke: bool) -> Shown:
    state = TokenState(token.state)
    return Shown(
        token=token,
        state=STATES[state].chip(),
        created=ago(token.created_at),
        last_used=ago(token.last_used_at),
        may_revoke=may_revoke and state is TokenState.ACTIVE,
    )


def _changes(request: HttpRequest, account: Any) -> list[LogEntry]:
    """What administrators did to an account and its tokens, latest first."""
    keys = APIToken.objects.filter(user=account).order_by().values(key=Cast("pk", CharField()))
    wanted = Q(content_type=ContentType.objects.get_for_model(APIToken), object_id__in=keys)
    model = get_user_model()
    if holders.may_see(request, model):
        wanted |= Q(content_type=ContentType.objects.get_for_model(model), object_id=str(account.pk))
    return list(LogEntry.objects.filter(wanted).select_related("user").order_by("-action_time", "-pk")[:CHANGES_SHOWN])
