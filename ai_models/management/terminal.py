"""What commands that call a model have in common: one line for what goes wrong, and files that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management.base import CommandError

from ai_models import media
from ai_models.exceptions import AIModelsError, Remedy
from ai_models.types import ModelResult, VideoJob

_INTERRUPTED = 130  # the status that shells give a command ended by Ctrl-C
_REMEDIES: dict[Remedy, str] = {
    "caller": "Change what you ask for.",
    "admin": "The configuration has to change.",
    "provider": "The provider has to mend it.",
    "retry": "Try again later.",
}
_SAME_EXTENSION = {"jpeg": "jpg", "jpe": "jpg", "oga": "ogg", "opus": "ogg", "mpga": "mp3"}


@contextmanager
def calling() -> Iterator[None]:
    """Around calls: what goes wrong is told in one line, and connections and local models are closed.

    Raises:
        CommandError: the call failed, or the user interrupted it.
    """
    from ai_models import close  # every command would pay for importing it

    try:
        yield
    except AIModelsError as error:
        raise CommandError(explained(error)) from None
    except KeyboardInterrupt:
        raise CommandError("Interrupted.", returncode=_INTERRUPTED) from None
    finally:
        close()


def explained(error: AIModelsError) -> str:
    """The error, and what to do about it."""
    remedy = f"Set {error.config_path}." if error.config_path else _REMEDIES[error.remedy]
    return f"{error.code}: {error.message.rstrip('.')}. {remedy}"


def told(result: ModelResult | VideoJob, *more: str) -> str:
    """Which model did it, its warnings, and whatever else there is to tell."""
    warnings = (f"{warning.type}: {warning.message}" for warning in result.warnings)
    return "\n".join((*warnings, ", ".join((f"{result.provider}/{result.model}", *more))))


class OutputFile:
    """A file that a command will write. Whether it can is found out before anything is paid for.

    Args:
        name: the path as the user gave it.
        force: replace a file that is there.

    Raises:
        CommandError: it may not be written.
    """

    def __init__(self, name: str, *, force: bool) -> None:
        self.path = Path(name)
        self._force = force
        self._require_free()
        if not os.access(self.path.parent, os.W_OK | os.X_OK):
            raise CommandError(f"{self.path} cannot be written: its directory is not there, or not writable.")

    def write(self, pieces: Iterable[bytes]) -> str:
        """Write the whole file or nothing, and tell what it is.

        Raises:
            CommandError: it cannot be written.
        """
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with part.open("xb") as file:
                file.writelines(pieces)
            beginning, size = _look(part)
            self._require_free()
            part.replace(self.path)
        except OSError as error:
            raise CommandError(f"{self.path} cannot be written: {error.strerror}.") from None
        finally:
            part.unlink(missing_ok=True)
        return f"{self.path}: {media.media_type(beginning) or 'a file'} of {size} bytes{self._other_name(beginning)}"

    def _require_free(self) -> None:
        if self.path.exists() and not (self._force and self.path.is_file()):
            hint = "--force replaces it" if self.path.is_file() else "it is no ordinary file"
            raise CommandError(f"{self.path} is there already; {hint}.")

    def _other_name(self, data: bytes) -> str:
        """A note when the name says something else than the bytes."""
        usual, suffix = media.extension(data), self.path.suffix.removeprefix(".").lower()
        if usual in ("bin", _SAME_EXTENSION.get(suffix, suffix)):
            return ""
        return f" (such files are usually called .{usual})"


def _look(path: Path) -> tuple[bytes, int]:
    """The beginning of a file, where its signature is, and its size in bytes."""
    with path.open("rb") as file:
        return file.read(media.SIGNATURE_BYTES), path.stat().st_size
