"""``manage.py ai_config``"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ai_models import config, registry, validation
from ai_models.conf import conf
from ai_models.exceptions import ConfigurationError, NotReady
from ai_models.exporting import export


class Command(BaseCommand):
    """Shows, checks, describes and writes configuration."""

    help = "Tell which configuration files are read and whether they are valid."
    requires_system_checks = ()  # The same validation runs below, and its errors are told as this command's own.

    def add_arguments(self, parser: CommandParser) -> None:
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument("--schema", action="store_true", help="Print the JSON Schema of the files, for editors.")
        kind.add_argument("--export", action="store_true", help="Print the database as YAML, with placeholders for secrets.")

    def handle(self, *args: Any, schema: bool, export: bool, **options: Any) -> None:
        try:
            text = self._schema() if schema else self._export() if export else self._summary()
        except (ConfigurationError, NotReady) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(text, ending="" if text.endswith("\n") else "\n")

    def _schema(self) -> str:
        return json.dumps(config.json_schema(registry.families()), indent=2)

    def _export(self) -> str:
        return export()

    def _summary(self) -> str:
        validation.require_valid()
        declared = config.current()
        files = [f"read: {path}" for path in conf().config_files] or ["There is no configuration file."]
        names = [f"provider: {name} ({provider.family})" for name, provider in declared.providers.items()]
        default = f"default provider: {declared.default_provider}" if declared.default_provider else "no default provider"
        notes = [f"note: {note}" for note in declared.notes]
        return "\n".join([*files, *names, default, *notes, "The configuration is valid."])
