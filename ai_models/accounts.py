"""Service accounts, what users and groups may use, and API tokens.

The host's tokens are django-rest-knox's, which keeps a hash of each and forgets it when it is revoked. :class:`APIToken` rows
follow them by signals, so that a token that is gone is still known. :mod:`ai_models.tokenuse` writes when each was last used.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError
from django.db import Error as DatabaseError
from django.db import IntegrityError, transaction
from django.db.models import Case, Exists, OuterRef, QuerySet, Value, When
from django.db.models.signals import post_delete, post_save
from django.utils import timezone

from ai_models.capabilities import Capability
from ai_models.models import APIToken

__all__ = [
    "LONGEST_DAYS",
    "NO_TOKENS",
    "Refused",
    "TokenState",
    "follow_tokens",
    "grant",
    "is_service_account",
    "issue",
    "reconcile",
    "revoke",
    "service_account",
    "service_accounts",
    "token_model",
    "tokens",
    "tokens_of",
    "withdraw",
]

logger = logging.getLogger(__name__)

LONGEST_DAYS: Final = 36_500
"""A token that expires does so within so many days."""

NO_TOKENS: Final = 'Tokens are made by django-rest-knox. Install it and add "knox" to INSTALLED_APPS.'


class Refused(Exception):
    """Something cannot be done for an account. The message says why, and what to do."""


class TokenState(StrEnum):
    """What became of a token. One that was deleted after it had expired is expired."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


# --- accounts and what they may -------------------------------------------------------------------------------------


def service_account(username: str) -> tuple[Any, bool]:
    """The account of this name, and whether it was made now: without a password, and with no permission yet.

    Raises:
        Refused: no account can have the name, or the host's user model asks for more than a name.
    """
    model = get_user_model()
    name = {model.USERNAME_FIELD: model.normalize_username(username)}
    found = model._default_manager.filter(**name).first()
    if found is not None:
        return found, False
    user = model(**name)
    others = {field.name for field in model._meta.fields} - {model.USERNAME_FIELD}
    try:
        user.clean_fields(exclude=others)
    except ValidationError as error:
        raise Refused(" ".join(error.messages)) from None
    user.set_unusable_password()
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        # Somebody else made it meanwhile, or the model has fields that must not be empty.
        found = model._default_manager.filter(**name).first()
        if found is None:
            raise Refused(f"The account {username} needs more than a name. Make it first, then give it a token.") from None
        return found, False
    return user, True


def is_service_account(user: Any) -> bool:
    """Whether the user makes calls and nobody signs in to it, nor administrates anything with it.

    With single sign-on people have no password either; what tells them apart is that they were here.
    """
    privileged = getattr(user, "is_staff", False) or getattr(user, "is_superuser", False)
    return not privileged and not user.has_usable_password() and getattr(user, "last_login", None) is None


def service_accounts() -> QuerySet[Any]:
    """The users that :func:`is_service_account` holds for."""
    model = get_user_model()
    columns = {field.name for field in model._meta.fields}
    wanted = {"is_staff": False, "is_superuser": False, "last_login": None}
    known = {name: value for name, value in wanted.items() if name in columns}
    return model._default_manager.filter(password__startswith=UNUSABLE_PASSWORD_PREFIX, **known)


def grant(holder: Any, capabilities: Iterable[Capability]) -> None:
    """Let a user or a group use these capabilities.

    Raises:
        Refused: the database is not migrated.
    """
    _permissions_of(holder).add(*_permissions(capabilities))


def withdraw(holder: Any, capabilities: Iterable[Capability]) -> None:
    """Take these capabilities from a user or a group. What a user may by a group, or as a superuser, stays.

    Raises:
        Refused: the database is not migrated.
    """
    _permissions_of(holder).remove(*_permissions(capabilities))


def _permissions_of(holder: Any) -> Any:
    return holder.permissions if isinstance(holder, Group) else holder.user_permissions


def _permissions(capabilities: Iterable[Capability]) -> list[Permission]:
    codenames = {capability.codename for capability in capabilities}
    found = list(Permission.objects.filter(content_type__app_label="ai_models", codename__in=codenames))
    if len(found) < len(codenames):
        raise Refused("The permissions do not exist yet. Run: manage.py migrate")
    return found


# --- tokens ---------------------------------------------------------------------------------------------------------


def token_model() -> Any:
    """The host's token model; ``None`` when it has none, and then :data:`NO_TOKENS` says what to do."""
    if not apps.is_installed("knox"):
        return None
    model = apps.get_model("knox", "AuthToken")
    return apps.get_model(model._meta.swapped) if model._meta.swapped else model


def issue(user: Any, *, label: str = "", days: int | None = None, by: Any = None) -> tuple[APIToken, str]:
    """Make a token. Its text, the second of the two, is stored nowhere and cannot be shown again.

    Args:
        label: what it is for.
        days: it expires after so many; ``None``: never.
        by: the user who makes it.

    Raises:
        Refused: the host has no tokens, the account is not active, or a token cannot have this label or so many days.
    """
    model = _required_model()
    if not user.is_active:
        raise Refused(f"The account {user.get_username()} is not active.")
    if days is not None and not 1 <= days <= LONGEST_DAYS:
        raise Refused(f"A token expires after 1 to {LONGEST_DAYS} days, or never.")
    try:
        APIToken._meta.get_field("label").clean(label, None)
    except ValidationError as error:
        raise Refused(f"label: {' '.join(error.messages)}") from None
    with transaction.atomic():
        made, token = model.objects.create(user=user, expiry=None if days is None else timedelta(days=days))
        told = {"label": label, "created_by": by}
        row, _ = APIToken.objects.update_or_create(digest=made.pk, defaults=told, create_defaults={**_fields(made), **told})
    logger.info("Token %s of account %s was made by %s", row.pk, user.pk, getattr(by, "pk", None))
    return row, token


def revoke(token: APIToken, by: Any = None) -> None:
    """End a token; from here on it opens nothing. One that has ended already stays as it is.

    Args:
        by: the user who revokes it.

    Raises:
        Refused: the host has no tokens.
    """
    model = _required_model()
    with transaction.atomic():
        model.objects.filter(pk=token.digest).delete()
        # Also where it was gone before, and nothing told.
        _end(APIToken.objects.filter(pk=token.pk))
    token.refresh_from_db(fields=["revoked_at"])
    logger.info("Token %s of account %s was revoked by %s", token.pk, token.user_id, getattr(by, "pk", None))


def tokens() -> QuerySet[Any]:
    """Every token there was, newest first, with its ``state``, its ``user`` and ``created_by``.

    It costs two queries beside its own, and a few more after tokens came or went without a signal. It is empty when the host
    has no tokens.
    """
    if token_model() is None:
        return APIToken.objects.none()
    reconcile()
    state = Case(
        When(revoked_at__isnull=False, then=Value(TokenState.REVOKED.value)),
        When(expires_at__lte=timezone.now(), then=Value(TokenState.EXPIRED.value)),
        default=Value(TokenState.ACTIVE.value),
    )
    return APIToken.objects.annotate(state=state).select_related("user", "created_by")


def tokens_of(users: Iterable[Any]) -> QuerySet[Any]:
    """As :func:`tokens`, of these users alone."""
    return tokens().filter(user__in=users)


def reconcile() -> None:
    """Bring the rows in line with the host's tokens where no signal told: those from before this app, and bulk changes.

    It writes only when something differs. A database that refuses leaves the rows as they are.
    """
    model = token_model()
    if model is None:
        return
    with _forgiven():
        unknown = model.objects.filter(~Exists(APIToken.objects.filter(digest=OuterRef("pk"))))
        APIToken.objects.bulk_create([APIToken(**_fields(token)) for token in unknown], ignore_conflicts=True)
        gone = _live(APIToken.objects.filter(~Exists(model.objects.filter(pk=OuterRef("digest")))))
        if gone.exists():
            _end(gone)


def follow_tokens() -> None:
    """Keep the rows as the host makes, renews and deletes tokens. Call it once the models are loaded."""
    model = token_model()
    if model is not None:
        post_save.connect(_token_saved, sender=model)
        post_delete.connect(_token_deleted, sender=model)


def _token_saved(*, instance: Any, raw: bool, **_: Any) -> None:
    # A fixture may have the row too, and the user after its token.
    if raw:
        return
    with _forgiven():
        if not APIToken.objects.filter(digest=instance.pk).update(expires_at=instance.expiry):
            APIToken.objects.bulk_create([APIToken(**_fields(instance))], ignore_conflicts=True)


def _token_deleted(*, instance: Any, **_: Any) -> None:
    with _forgiven():
        # With its user the row goes too, before or after this.
        _end(APIToken.objects.filter(digest=instance.pk))


def _fields(token: Any) -> dict[str, Any]:
    """The row of a token of the host's."""
    return {
        "digest": token.pk,
        "prefix": token.token_key,
        "user_id": token.user_id,
        "created_at": token.created,
        "expires_at": token.expiry,
    }


def _live(rows: QuerySet[APIToken]) -> QuerySet[APIToken]:
    return rows.filter(revoked_at=None).exclude(expires_at__lte=timezone.now())


def _end(rows: QuerySet[APIToken]) -> None:
    _live(rows).update(revoked_at=timezone.now())


def _required_model() -> Any:
    model = token_model()
    if model is None:
        raise Refused(NO_TOKENS)
    return model


@contextmanager
def _forgiven() -> Iterator[None]:
    """Keep rows beside somebody else's work, which must not fail with it. The next :func:`reconcile` makes up for it."""
    try:
        with _apart():
            yield
    except DatabaseError as error:
        logger.warning(
            "The rows of API tokens could not be kept (%s); the next look at them tries again.", type(error).__name__
        )


def _apart() -> Any:
    """In an open transaction a savepoint, so that a failure leaves it usable."""
    return transaction.atomic() if transaction.get_connection().in_atomic_block else nullcontext()
