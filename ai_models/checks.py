"""Django system checks. Their ids are stable:

=================  ==========================================================================================
ai_models.E001     a key of the ``AI_MODELS`` setting is not known
ai_models.E002     a value of the ``AI_MODELS`` setting is of the wrong type
ai_models.E003     a provider family cannot be loaded, or two have one type
ai_models.E004     a mistake in the configuration files
ai_models.E005     credentials are declared and there is no encryption key
ai_models.E006     an encryption key is malformed, a placeholder, or listed twice
ai_models.E007     an encryption key is ``SECRET_KEY`` or derived from it
ai_models.E008     a litellm release with malicious code is installed
ai_models.E009     stored credentials cannot be decrypted (database check: ``check --database default``)
ai_models.E010     the database is not migrated (at the server's start and in commands, where ``migrate`` is not held up)
ai_models.E011     the database cannot be reached (as E010)
ai_models.E012     no file with the key ai is there, and instances were seeded from one (told by ai_seed)
ai_models.E013     video-generation is configured, and no backend of Django's Tasks framework keeps its jobs
ai_models.E014     PROMETHEUS is set, and its package or the folder of PROMETHEUS_MULTIPROC_DIR is missing
ai_models.W001     no configuration file with the key ai is there
ai_models.W002     the cache is not one that several processes share (told by ``check --deploy``)
ai_models.I001     something an operator should know about a declared instance
=================  ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register

from ai_models import validation

_CLASSES: dict[str, Callable[..., CheckMessage]] = {"error": Error, "warning": Warning, "info": Info}


@register("ai_models")
def check_configuration(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Settings, families, configuration files, encryption keys, libraries. Reads no database."""
    return _messages(validation.problems())


@register("ai_models", deploy=True)
def check_deployment(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """What several processes need."""
    return _messages(validation.deployment_problems())


@register(Tags.database)
def check_credentials(app_configs: Any, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Whether every stored credential can be decrypted."""
    return _messages(validation.credential_problems()) if databases else []


def _messages(findings: list[validation.Finding]) -> list[CheckMessage]:
    return [_CLASSES[finding.level](finding.message, hint=finding.remedy or None, id=finding.id) for finding in findings]
