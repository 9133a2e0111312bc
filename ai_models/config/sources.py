"""Which files and variables the configuration is made of, told without anything that is in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ai_models.conf import DEFAULT_CONFIG_FILES, conf
from ai_models.config.environment import environment, override_names
from ai_models.config.problems import Refused


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is read.

    Attributes:
        changed_at: when it was last written; ``None`` when it cannot be found.
        size: bytes; ``None`` as before.
    """

    path: Path
    changed_at: datetime | None
    size: int | None

    @property
    def present(self) -> bool:
        """Whether it is there."""
        return self.size is not None


@dataclass(frozen=True, slots=True)
class Sources:
    """What is read for the configuration in force.

    Attributes:
        files: the configuration files, later ones win.
        absent: names of default files that are not there, and need not be.
        env_file: the ``.env`` file; it need not be there.
        overrides: names of the variables that override all files.
    """

    files: tuple[Source, ...]
    absent: tuple[str, ...]
    env_file: Source
    overrides: tuple[str, ...]


def sources() -> Sources:
    """What is read now."""
    settings = conf()
    names = {path.name for path in settings.config_files}
    try:
        env = environment(settings.env_file)
    except Refused:
        env = os.environ
    return Sources(
        files=tuple(_source(path) for path in settings.config_files),
        absent=() if settings.CONFIG_FILES is not None else tuple(name for name in DEFAULT_CONFIG_FILES if name not in names),
        env_file=_source(settings.env_file),
        overrides=tuple(override_names(env)),
    )


def _source(path: Path) -> Source:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return Source(path, None, None)
    return Source(path, datetime.fromtimestamp(found.st_mtime, UTC), found.st_size)
