"""The machine: which cores work on what, and what has to be known of it to read the results."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Cores:
    """Where processes run: what is measured on a core of its own, load and upstream together on another."""

    taskset: str | None
    measured_core: int
    load_core: int

    def measured(self, command: Sequence[str]) -> list[str]:
        """The command, kept on the core of what is measured."""
        return self._pinned(self.measured_core, command)

    def load(self, command: Sequence[str]) -> list[str]:
        """The command, kept on the core of the load."""
        return self._pinned(self.load_core, command)

    def _pinned(self, core: int, command: Sequence[str]) -> list[str]:
        return [self.taskset, "--cpu-list", str(core), *command] if self.taskset else list(command)

    def __str__(self) -> str:
        if self.taskset is None:
            return "not pinned: there is one core only, or no taskset"
        return f"measured on core {self.measured_core}, load and upstream on core {self.load_core}"


def find_cores() -> Cores:
    """Two cores of those that this process may use, when it can be arranged."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    taskset = shutil.which("taskset") if len(usable) > 1 else None
    return Cores(taskset, measured_core=usable[1 if taskset else 0], load_core=usable[0])


def facts(cores: Cores) -> dict[str, Any]:
    """What the results depend on besides the code."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "pinning": str(cores),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def commit() -> str:
    """The commit that was measured; ``+`` marks changes that are not in it."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    described = subprocess.run(
        [git, "describe", "--always", "--dirty=+", "--abbrev=12"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"


def cpu_model() -> str:
    """The processor's name, as far as the machine tells it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()
