"""``manage.py ai_generate PROMPT``: a model's answer in the terminal, while it is generated."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ai_models.exceptions import AIModelsError


class Command(BaseCommand):
    """Streams the answer to standard output; which model gave it, and at what cost, goes to standard error."""

    help = "Generate text with a configured model and stream it to the terminal."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("prompt", help="What to ask the model.")
        parser.add_argument("--provider", help="Provider instance; the default provider when absent.")
        parser.add_argument("--model", help="Model or alias; the default model when absent.")
        parser.add_argument("--system", help="Instructions that stand before the prompt.")
        parser.add_argument("--max-output-tokens", type=int, help="Upper limit of generated tokens.")

    def handle(self, *args: Any, **options: Any) -> None:
        # Not at the top: every command would pay for importing it.
        from ai_models import close, stream_text

        names = ("provider", "model", "system", "max_output_tokens")
        try:
            with stream_text(options["prompt"], **{name: options[name] for name in names}) as stream:
                for piece in stream.text_stream:
                    self.stdout.write(piece, ending="")
                    self.stdout.flush()
                result = stream.response
        except AIModelsError as error:
            raise CommandError(f"{error.code}: {error.message}") from None
        finally:
            close()
        self.stdout.write("")
        for warning in result.warnings:
            self.stderr.write(f"{warning.type}: {warning.message}")
        tokens = f"{_known(result.usage.input_tokens)} tokens in, {_known(result.usage.output_tokens)} out"
        self.stderr.write(f"{result.provider}/{result.model}, {result.finish_reason}, {tokens}")


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)
