"""A worker process for tests: ``python -m tests.videos.worker``. It knows the scripted family and hurries.

``WORKER_DIES`` names a point at which the process ends itself, as ``kill -9`` does; ``FILES_DIR`` is where videos are kept;
``LEASE_SECONDS`` is how soon a silent worker is taken for dead.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, when: Callable[..., bool] = lambda *_, **__: True) -> None:
    """Die at a call instead of doing it."""
    original = getattr(owner, name)
    setattr(owner, name, lambda *args, **kwargs: die() if when(*args, **kwargs) else original(*args, **kwargs))


def after(owner: Any, name: str) -> None:
    """Die when a call is done."""
    original = getattr(owner, name)
    setattr(owner, name, lambda *args, **kwargs: die(original(*args, **kwargs)))


def main() -> None:
    storage = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": os.environ["FILES_DIR"]}}
    settings.STORAGES = {**settings.STORAGES, "ai_models": storage}
    settings.AI_MODELS = {**settings.AI_MODELS, "FAMILIES": ("tests.videos.reel.Reel",), "VIDEO_POLL_SECONDS": 0.05}
    django.setup()

    from ai_models import jobs, scheduling, steps
    from ai_models import storage as files
    from ai_models.management.commands import ai_worker

    jobs.LEASE_SECONDS = jobs.OVERDUE_SECONDS = float(os.environ["LEASE_SECONDS"])
    ai_worker.SWEEP_SECONDS, ai_worker.IDLE_SECONDS = 0.2, 0.02
    points: dict[str, Callable[[], None]] = {
        "": lambda: None,
        "claimed": lambda: after(jobs, "claim"),
        "about to ask": lambda: after(jobs.Claim, "submitting"),
        "accepted": lambda: before(steps, "_moved"),
        "acceptance stored, no task queued": lambda: before(scheduling, "_enqueue"),
        "asked how far": lambda: before(steps, "_moved", lambda claim, *_: claim.row.reference is not None),
        "file stored": lambda: after(files, "save"),
        "about to complete": lambda: before(jobs.Claim, "settle", lambda *_, **changes: changes.get("status") == "completed"),
    }
    points[os.environ.get("WORKER_DIES", "")]()
    call_command("ai_worker")


if __name__ == "__main__":
    main()
