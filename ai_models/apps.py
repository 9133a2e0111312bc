"""The Django app."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy


class AIModelsConfig(AppConfig):
    """Registers the system checks, and connects the store to changes of the configuration and accounts to the host's tokens."""

    name = "ai_models"
    verbose_name = gettext_lazy("AI models")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        for module in ("ai_models.checks", "ai_models.store"):
            import_module(module)
        import_module("ai_models.accounts").follow_tokens()
