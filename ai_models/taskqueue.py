"""Which backend of Django's Tasks framework carries the jobs: ``TASKS["ai_models"]``, or the default one.

The framework is part of Django from 6.0 on; below it is the package django-tasks. Neither is needed while no video is made.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

ALIAS: Final = "ai_models"
TASK: Final = "ai_models.tasks.advance_video"
KEPT: Final = timedelta(days=1)

_NOT_DURABLE = frozenset({"ImmediateBackend", "DummyBackend"})
_DATABASE = "django_tasks_db.backend.DatabaseBackend"


@cache
def framework() -> Any:
    """The module of the framework; ``None`` when there is none."""
    name = next((name for name in ("django.tasks", "django_tasks") if find_spec(name)), None)
    return import_module(name) if name else None


def alias() -> str:
    """The name of the backend in ``TASKS``."""
    return ALIAS if ALIAS in (getattr(settings, "TASKS", None) or {}) else "default"


def backend() -> Any:
    """The backend.

    Raises:
        ImproperlyConfigured: there is none that can be used.
    """
    if framework() is None:
        raise ImproperlyConfigured("Neither Django 6 nor the package django-tasks is installed.")
    return framework().task_backends[alias()]


def queue() -> str:
    """The queue that jobs are put on: ``default``, or the first one where the backend does not have that."""
    queues = backend().queues
    return "default" if not queues or "default" in queues else min(queues)


def defers() -> bool:
    """Whether the backend can be told to run a task later."""
    return bool(backend().supports_defer)


def is_database() -> bool:
    """Whether tasks are rows of the database, which ``ai_worker`` works off."""
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(backend()).__mro__}
    return _DATABASE in kinds and apps.is_installed("django_tasks_db")


def prune() -> None:
    """Delete old tasks where they are rows of the database: each step of a job leaves one, and they tell nothing any more."""
    if is_database():
        rows = apps.get_model("django_tasks_database", "DBTaskResult").objects
        old = rows.filter(task_path=TASK, backend_name=alias(), enqueued_at__lt=timezone.now() - KEPT)
        old.exclude(status="READY").delete()


def problem() -> str | None:
    """Why jobs cannot be carried, in one sentence; ``None`` when they can."""
    try:
        found = backend()
    except ImproperlyConfigured:
        return f'No backend of Django\'s Tasks framework can be loaded as TASKS["{alias()}"].'
    name = type(found).__name__
    if name in _NOT_DURABLE:
        return f'TASKS["{alias()}"] is the {name}, which keeps no task.'
    if f"{type(found).__module__}.{name}" == _DATABASE and not is_database():
        return "django_tasks_db is not in INSTALLED_APPS."
    if not found.supports_async_task:
        return f'TASKS["{alias()}"] is the {name}, which cannot run async tasks.'
    return None
