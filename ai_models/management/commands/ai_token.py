"""``manage.py ai_token``"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from ai_models.capabilities import Capability


class Command(BaseCommand):
    """Gives an API token to a service account."""

    help = "Print a new API token, creating the service account when there is none. The last line is the token alone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--capability",
            action="append",
            choices=[capability.value for capability in Capability],
            help="Allow this capability; may be repeated. Without it a new account gets all, and another keeps what it has.",
        )

        parser.add_argument("--days", type=int, help="The token expires after so many days; without this it does not.")

    def handle(self, *args: Any, username: str, capability: list[str] | None, days: int | None, **options: Any) -> None:
        if days is not None and days < 1:
            raise CommandError("--days must be 1 or more.")
        if not apps.is_installed("knox"):
            raise CommandError('Tokens are made by django-rest-knox. Install it and add "knox" to INSTALLED_APPS.')
        with transaction.atomic():
            user, created = self._account(username)
            granted = capability if capability is not None else [item.value for item in Capability if created]
            user.user_permissions.add(*_permissions([Capability(item) for item in granted]))
            _, token = apps.get_model("knox", "AuthToken").objects.create(
                user=user, expiry=None if days is None else timedelta(days=days)
            )
        self.stdout.write(f"{'Created' if created else 'Found'} the account {username}. The token is not shown again:")
        self.stdout.write(token)

    def _account(self, username: str) -> tuple[Any, bool]:
        model = get_user_model()
        found = model._default_manager.filter(**{model.USERNAME_FIELD: username}).first()
        if found is not None:
            if not found.is_active:
                raise CommandError(f"The account {username} is not active.")
            return found, False
        user = model(**{model.USERNAME_FIELD: username})
        others = {field.name for field in model._meta.fields} - {model.USERNAME_FIELD}
        try:
            user.clean_fields(exclude=others)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        user.set_unusable_password()
        user.save()
        return user, True


def _permissions(capabilities: list[Capability]) -> list[Permission]:
    codenames = [capability.codename for capability in capabilities]
    found = list(Permission.objects.filter(content_type__app_label="ai_models", codename__in=codenames))
    if len(found) < len(set(codenames)):
        raise CommandError("The permissions do not exist yet. Run: manage.py migrate")
    return found
