"""``manage.py ai_seed``"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ai_models import config, validation
from ai_models.exceptions import ConfigurationError
from ai_models.seeding import Plan, seed


class Command(BaseCommand):
    """Brings the database in line with the configuration files."""

    help = "Bring provider instances in line with the configuration files. Prints what changes."
    requires_system_checks = ()  # The same validation runs below, and its errors are told as this command's own.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Print the plan and change nothing.")
        parser.add_argument("--prune", action="store_true", help="Delete instances that are gone from the files.")
        parser.add_argument(
            "--replace-credentials",
            action="store_true",
            help="Where stored credentials cannot be decrypted, write those of the files.",
        )

    def handle(self, *args: Any, dry_run: bool, prune: bool, replace_credentials: bool, **options: Any) -> None:
        try:
            validation.require_valid(storage=True)
            declared = config.current()
            validation.require_declaration(declared)
            plan = seed(declared, prune=prune, replace_credentials=replace_credentials, dry_run=dry_run)
        except ConfigurationError as error:
            raise CommandError(f"Nothing was changed.\n{error}") from None
        if options["verbosity"]:
            self._print(plan, dry_run)

    def _print(self, plan: Plan, dry_run: bool) -> None:
        if str(plan):
            self.stdout.write(str(plan))
        if not plan.changes:
            self.stdout.write("Nothing to change.")
        elif dry_run:
            self.stdout.write("Dry run: nothing was changed.")
