"""``manage.py ai_transcribe FILE``: what is said in a recording."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ai_models.management.terminal import calling, told


class Command(BaseCommand):
    """The transcript goes to standard output; which model wrote it, to standard error."""

    help = "Write down what is said in a recording, with a configured model."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="The recording.")
        parser.add_argument("--provider", help="Provider instance; the default provider when absent.")
        parser.add_argument("--model", help="Model or alias; the default model when absent.")
        parser.add_argument("--language", help="The spoken language, en or pt-BR.")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        from ai_models import transcribe  # every command would pay for importing it

        request = {name: options[name] for name in ("provider", "model", "language")}
        with calling():
            try:
                result = transcribe(file, **request)
            except OSError as error:
                raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
        self.stdout.write(result.text)
        heard = () if result.duration_in_seconds is None else (f"{result.duration_in_seconds:g} seconds",)
        self.stderr.write(told(result, *heard))
