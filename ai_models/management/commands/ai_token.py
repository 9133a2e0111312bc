"""``manage.py ai_token``"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from ai_models import accounts
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
        parser.add_argument("--label", default="", help="What the token is for, to tell it from others.")

    def handle(
        self, *args: Any, username: str, capability: list[str] | None, days: int | None, label: str, **options: Any
    ) -> None:
        if days is not None and days < 1:
            raise CommandError("--days must be 1 or more.")
        try:
            with transaction.atomic():
                user, created = accounts.service_account(username)
                granted = capability if capability is not None else [item.value for item in Capability if created]
                accounts.grant(user, map(Capability, granted))
                _, token = accounts.issue(user, label=label, days=days)
        except accounts.Refused as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{'Created' if created else 'Found'} the account {username}. The token is not shown again:")
        self.stdout.write(token)
