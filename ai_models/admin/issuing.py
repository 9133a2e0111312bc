"""The forms that make service accounts and API tokens, and revoke tokens.

A token is shown once, on the page that answers the form. Each form has a number that is good for one token, so that a page that
is loaded again makes no second one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import ADDITION, DELETION
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables

from ai_models import accounts
from ai_models.accounts import LONGEST_DAYS, Refused, TokenState
from ai_models.admin import holders
from ai_models.admin.grid import told_granted
from ai_models.admin.pages import may
from ai_models.admin.paging import found
from ai_models.admin.recent import record
from ai_models.admin.words import CAPABILITIES
from ai_models.capabilities import Capability
from ai_models.models import APIToken

_NUMBERS = "ai_models_token_forms"
_NUMBERS_KEPT = 20


class NewToken(forms.Form):
    """A token of an account that there is."""

    label = forms.CharField(
        label=gettext_lazy("Label of the token"),
        required=False,
        max_length=APIToken._meta.get_field("label").max_length,
        help_text=gettext_lazy("What it is for."),
    )
    days = forms.IntegerField(
        label=gettext_lazy("Days until it expires"),
        required=False,
        min_value=1,
        max_value=LONGEST_DAYS,
        initial=365,
        help_text=gettext_lazy("Empty: it does not expire."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""


class NewAccount(NewToken):
    """A service account, what it may use, and its first token."""

    name = forms.CharField()
    capabilities = forms.TypedMultipleChoiceField(
        label=gettext_lazy("May use"),
        required=False,
        coerce=Capability,
        choices=[(capability.value, CAPABILITIES[capability]) for capability in Capability],
        widget=forms.CheckboxSelectMultiple,
    )
    field_order = ("name", "label", "days", "capabilities")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model: Any = get_user_model()
        self.fields["name"].label = capfirst(model._meta.get_field(model.USERNAME_FIELD).verbose_name)


def may_make_account(request: HttpRequest) -> bool:
    """Whether the user may make service accounts, with what they may use and a token."""
    model = get_user_model()
    users = holders.may(request, "add", model) and holders.may(request, "change", model)
    return users and may(request, "add_apitoken") and holders.users_have_permissions()


def may_make_token(request: HttpRequest, account: Any) -> bool:
    """Whether the user may make a token of this account. A token acts as its account, so nobody gets another person's."""
    return may(request, "add_apitoken") and (account == request.user or accounts.is_service_account(account))


Refuse = Callable[[forms.Form], HttpResponse]
"""Shows the page again, with the form and what is wrong with it."""


def make_account(request: HttpRequest, refuse: Refuse) -> HttpResponse:
    """Make a service account with its first token, and show that once.

    Raises:
        PermissionDenied: the user may not.
    """
    if not may_make_account(request):
        raise PermissionDenied

    def account(given: Mapping[str, Any]) -> Any:
        user, created = accounts.service_account(given["name"])
        if not created:
            raise Refused(_("There is an account with this name already."))
        accounts.grant(user, given["capabilities"])
        record(request, user, ADDITION, " ".join(("Service account.", *told_granted(given["capabilities"]))))
        return user

    return _made(request, NewAccount(request.POST), account, refuse)


def make_token(request: HttpRequest, refuse: Refuse) -> HttpResponse:
    """Make a token of the account that the address names, and show it once.

    Raises:
        PermissionDenied: the user may not, or the account is another person's.
        Http404: there is no such account.
    """
    account = holders.account_named(request)
    if account is None or not may_make_token(request, account):
        raise PermissionDenied
    return _made(request, NewToken(request.POST), lambda given: account, refuse)


@sensitive_variables("text")
def _made(request: HttpRequest, form: forms.Form, account: Callable[[Mapping[str, Any]], Any], refuse: Refuse) -> HttpResponse:
    if not form.is_valid():
        return refuse(form)
    given = form.cleaned_data
    try:
        with transaction.atomic():
            if not _number_is_good(request):
                messages.warning(request, _("This form was sent before. No second token was made."))
                return HttpResponseRedirect(request.get_full_path())
            user = account(given)
            token, text = accounts.issue(user, label=given["label"], days=given["days"], by=request.user)
            record(request, token, ADDITION, f"Made. {_told(token)}")
            _spend_number(request)
    except Refused as error:
        form.add_error(None, str(error))
        return refuse(form)
    response = TemplateResponse(request, "ai_models/admin/access_token.html", {"token": token, "text": text, "account": user})
    response.headers["Cache-Control"] = "no-store"
    return response


def revoke(request: HttpRequest) -> HttpResponse:
    """End a token.

    Raises:
        PermissionDenied: the user may not.
        Http404: there is no such token.
    """
    if not may(request, "delete_apitoken"):
        raise PermissionDenied
    token = found(accounts.tokens(), request.POST.get("token", ""))
    told = {"token": token, "account": token.user.get_username()}
    if token.state != TokenState.ACTIVE:
        messages.info(request, _("The token %(token)s of %(account)s had ended already.") % told)
    else:
        with transaction.atomic():
            accounts.revoke(token, by=request.user)
            record(request, token, DELETION, f"Revoked. {_told(token)}")
        messages.success(request, _("The token %(token)s of %(account)s is revoked.") % told)
    return HttpResponseRedirect(request.get_full_path())


def _told(token: APIToken) -> str:
    """What the log says of a token: whose it is, and what for."""
    purpose = f": {token.label}" if token.label else ""
    return f"Token of {token.user.get_username()}{purpose}."


# --- a form makes one token -----------------------------------------------------------------------------------------


def new_number(request: HttpRequest) -> str:
    """A number for a form that makes a token, kept in the session until it is spent."""
    number = secrets.token_urlsafe(16)
    request.session[_NUMBERS] = [*request.session.get(_NUMBERS, [])[1 - _NUMBERS_KEPT :], number]
    return number


def _number_is_good(request: HttpRequest) -> bool:
    """Whether the form was not sent before. Two at once wait for each other at the user's row."""
    administrator: Any = request.user
    list(get_user_model()._base_manager.filter(pk=administrator.pk).select_for_update(no_key=True).values_list("pk"))
    return request.POST.get("number") in _stored_numbers(request)


def _spend_number(request: HttpRequest) -> None:
    request.session[_NUMBERS] = [number for number in _stored_numbers(request) if number != request.POST["number"]]
    request.session.save()


def _stored_numbers(request: HttpRequest) -> list[str]:
    """As they are now; the request's own session may be older."""
    numbers: list[str] = type(request.session)(request.session.session_key).get(_NUMBERS, [])
    return numbers
