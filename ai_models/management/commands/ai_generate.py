"""``manage.py ai_generate PROMPT``: text in the terminal while it is generated; or an object, an image, speech, a video."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ai_models.management.terminal import OutputFile, calling, told
from ai_models.types import GeneratedFile, ModelResult, TextResult

_TEXT = ("system", "max_output_tokens")
_SETTINGS = {"text": _TEXT, "object": _TEXT, "image": ("size",), "video": ("size",), "speech": ("voice",)}
"""The settings that each kind of answer takes."""


class Command(BaseCommand):
    """The answer goes to standard output or to a file; which model gave it, and at what cost, to standard error."""

    help = "Generate text with a configured model and stream it to the terminal; or an object, an image, speech or a video."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("prompt", help="What to ask the model; with --speech, what is spoken.")
        parser.add_argument("--provider", help="Provider instance; the default provider when absent.")
        parser.add_argument("--model", help="Model or alias; the default model when absent.")
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument("--object", metavar="SCHEMA", help="Print an object that satisfies the JSON Schema in this file.")
        kind.add_argument("--image", metavar="FILE", help="Write an image to this file.")
        kind.add_argument("--speech", metavar="FILE", help="Speak the prompt into this file.")
        kind.add_argument("--video", metavar="FILE", help="Have a video made and write it to this file. It takes a worker.")
        parser.add_argument("--force", action="store_true", help="Replace the file when it is there.")
        parser.add_argument("--system", help="Instructions that stand before the prompt.")
        parser.add_argument("--max-output-tokens", type=int, help="Upper limit of generated tokens.")
        parser.add_argument("--size", help="Width and height of the image or video in pixels, 1024x1024.")
        parser.add_argument("--voice", help="The provider's name of a voice.")

    def handle(self, *args: Any, **options: Any) -> None:
        kind = next((name for name in ("object", "image", "speech", "video") if options[name] is not None), "text")
        for setting in sorted({name for names in _SETTINGS.values() for name in names}.difference(_SETTINGS[kind])):
            if options[setting] is not None:
                raise CommandError(f"--{setting.replace('_', '-')} does not go with {kind}.")
        request = {name: options[name] for name in ("provider", "model", *_SETTINGS[kind])}
        write = getattr(self, f"_write_{kind}")
        with calling():
            write(options["prompt"], options, request)

    def _write_text(self, prompt: str, options: dict[str, Any], request: dict[str, Any]) -> None:
        from ai_models import stream_text  # every command would pay for importing it

        with stream_text(prompt, **request) as stream:
            try:
                for piece in stream.text_stream:
                    self.stdout.write(piece, ending="")
                    self.stdout.flush()
            finally:
                self.stdout.write("")
            result = stream.response
        self._tell_cost(result)

    def _write_object(self, prompt: str, options: dict[str, Any], request: dict[str, Any]) -> None:
        from ai_models import generate_object

        result = generate_object(prompt, schema=_schema(Path(options["object"])), **request)
        self.stdout.write(json.dumps(result.object, indent=2, ensure_ascii=False))
        self._tell_cost(result)

    def _write_image(self, prompt: str, options: dict[str, Any], request: dict[str, Any]) -> None:
        from ai_models import generate_image

        file = OutputFile(options["image"], force=options["force"])
        result = generate_image(prompt, **request)
        self._write_file(file, result.image, result)

    def _write_speech(self, prompt: str, options: dict[str, Any], request: dict[str, Any]) -> None:
        from ai_models import generate_speech

        file = OutputFile(options["speech"], force=options["force"])
        result = generate_speech(prompt, **request)
        self._write_file(file, result.audio, result)

    def _write_video(self, prompt: str, options: dict[str, Any], request: dict[str, Any]) -> None:
        from ai_models import cancel_video, generate_video, read_video, wait_for_video

        file = OutputFile(options["video"], force=options["force"])
        job = generate_video(prompt, resolution=request.pop("size"), **request)
        self.stderr.write(f"Job {job.id} waits for a worker (manage.py ai_worker) and the provider; Ctrl-C cancels it.")
        try:
            job = wait_for_video(job.id)
        except KeyboardInterrupt:
            cancel_video(job.id)
            raise
        if job.status != "completed":
            raise CommandError(f"{job.error.code}: {job.error.message}" if job.error else f"The job is {job.status}.")
        self.stderr.write(told(job, file.write(read_video(job.id))))

    def _write_file(self, file: OutputFile, made: GeneratedFile, result: ModelResult) -> None:
        self.stderr.write(told(result, file.write([made.bytes])))

    def _tell_cost(self, result: TextResult) -> None:
        tokens = f"{_known(result.usage.input_tokens)} tokens in", f"{_known(result.usage.output_tokens)} out"
        self.stderr.write(told(result, result.finish_reason, *tokens))


def _schema(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise CommandError(f"{path} is not valid JSON.") from None


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)
