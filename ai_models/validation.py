"""What is checked before the service starts: settings, families, configuration files, encryption keys, libraries.

``manage.py check``, ``ai_seed`` and the ASGI server's start all stop on an error found here. Everything is found at once, and
nothing is told with a value. The database is not touched, except by :func:`storage_problems` and :func:`credential_problems`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections, router
from django.db.migrations.executor import MigrationExecutor
from django.utils.encoding import force_bytes

from ai_models import cache, config, registry, taskqueue
from ai_models.capabilities import Capability
from ai_models.conf import ENCRYPTION_KEYS_VARIABLE, MULTIPROCESS_VARIABLE, conf, unknown_settings
from ai_models.encryption import KEY_BYTES, InvalidKey
from ai_models.exceptions import ConfigurationError
from ai_models.expectations import EXPECTED
from ai_models.keyring import census, configured_keys, key_ring, usable_key_ring
from ai_models.models import ConfigRevision, ProviderInstance

MALICIOUS_LITELLM = frozenset({"1.82.7", "1.82.8"})
_MAKE_KEY = f"Make one with: manage.py ai_keys generate, and set it as {ENCRYPTION_KEYS_VARIABLE}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One mistake, or something to know.

    Attributes:
        id: stable id of the kind of finding, ``ai_models.E004``.
        message: what is wrong, and where.
        remedy: what to do.
    """

    id: str
    message: str
    remedy: str
    level: Literal["error", "warning", "info"] = "error"

    def __str__(self) -> str:
        return f"{self.message} {self.remedy} ({self.id})" if self.remedy else f"{self.message} ({self.id})"


def problems() -> list[Finding]:
    """Everything that was found, errors and lesser things, without a look at the database."""
    return examine()[0]


def examine() -> tuple[list[Finding], config.Declared | None]:
    """The same, and the declaration that was looked at; ``None`` when the settings are too wrong to read any."""
    found = [*_settings_problems(), *_library_problems()]
    if any(finding.id == "ai_models.E002" for finding in found):
        return found, None
    found += _metrics_problems()
    declared, families = config.current(), _family_problems()
    told = frozenset(finding.message for finding in families)
    found += [*families, *_config_findings(declared, told), *_key_problems(declared), *_queue_problems(declared)]
    return found, declared


def require_valid(*, storage: bool = False) -> None:
    """Stop when anything is wrong.

    Args:
        storage: also look whether the database can be used.

    Raises:
        ConfigurationError: with every error.
    """
    found = [*problems(), *(storage_problems() if storage else ())]
    errors = [finding for finding in found if finding.level == "error"]
    if errors:
        raise ConfigurationError(errors)


def require_declaration(declared: config.Declared) -> None:
    """Stop before a seed without any declaration takes every instance for gone. It is rather the declaration that is.

    Raises:
        ConfigurationError: no file has the key ``ai``, and instances were seeded from one.
    """
    seeded = ProviderInstance.objects.filter(managed=True, orphaned=False).count()
    if seeded and not declared.present:
        message = f"No configuration file with the key ai is there, and {seeded} instances were seeded from one."
        remedy = 'Bring it back, or name it in AI_MODELS["CONFIG_FILES"]. If there are to be none, write ai: {providers: {}}.'
        raise ConfigurationError([Finding(id="ai_models.E012", message=message, remedy=remedy)])


def storage_problems() -> list[Finding]:
    """Why the database cannot be used: not reached, or not migrated. No system check, because ``migrate`` must run then."""
    try:
        executor = MigrationExecutor(connections[router.db_for_read(ConfigRevision)])
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes("ai_models"))
    except Error:
        return [
            Finding(id="ai_models.E011", message="The database cannot be reached.", remedy="Start it, or correct DATABASES.")
        ]
    message = "The database has not all tables of ai_models."
    return [Finding(id="ai_models.E010", message=message, remedy="Run: manage.py migrate")] if missing else []


def deployment_problems() -> list[Finding]:
    """What one process can do without and several cannot, so that it is told by ``manage.py check --deploy`` alone."""
    if cache.shared_cache().between_processes:
        return []
    return [
        Finding(
            id="ai_models.W002",
            message="The cache is in the memory of each process: of several, each knows its own streams alone.",
            remedy=f'Set CACHES["{cache.ALIAS}"] or CACHES["default"] to a cache that they share, such as Redis.',
            level="warning",
        )
    ]


def credential_problems() -> list[Finding]:
    """Stored credentials that do not open. Reads the database; a database that is not there or not migrated has none."""
    try:
        found = census(usable_key_ring())
    except Error:
        return []
    if not found.closed:
        return []
    names = ", ".join(sorted({name for name, _ in found.closed}))
    keys = ", ".join(sorted(found.closed_keys)) or "none"
    return [
        Finding(
            id="ai_models.E009",
            message=f"{len(found.closed)} of {found.total} credentials cannot be decrypted (key ids {keys}; of {names}).",
            remedy=f"Bring the key back in {ENCRYPTION_KEYS_VARIABLE}, or enter these credentials again.",
        )
    ]


def _settings_problems() -> Iterator[Finding]:
    declared = getattr(settings, "AI_MODELS", {})
    if not isinstance(declared, dict):
        yield Finding(id="ai_models.E002", message="AI_MODELS is not a dictionary.", remedy="Write a dictionary of settings.")
        return
    for name in unknown_settings():
        yield Finding(
            id="ai_models.E001", message=f'AI_MODELS["{name}"] is not known.', remedy="Remove it or correct its name."
        )
    for name, (is_valid, expected) in EXPECTED.items():
        if name in declared and not is_valid(declared[name]):
            yield Finding(
                id="ai_models.E002", message=f'AI_MODELS["{name}"] has a wrong value.', remedy=f"It takes {expected}."
            )


def _library_problems() -> Iterator[Finding]:
    try:
        installed = version("litellm")
    except PackageNotFoundError:
        return
    if installed in MALICIOUS_LITELLM:
        yield Finding(
            id="ai_models.E008",
            message=f"litellm {installed} is installed, a release with malicious code.",
            remedy="Remove it, install another release, and replace every credential this machine had.",
        )


def _metrics_problems() -> Iterator[Finding]:
    if not conf().PROMETHEUS:
        return
    if find_spec("prometheus_client") is None:
        yield Finding(
            id="ai_models.E014",
            message='AI_MODELS["PROMETHEUS"] is set, and prometheus-client is not installed.',
            remedy='Install "django-ai-models[prometheus]".',
        )
    folder = os.environ.get(MULTIPROCESS_VARIABLE)
    if folder and not (Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        yield Finding(
            id="ai_models.E014",
            message=f"{MULTIPROCESS_VARIABLE} names no folder that this process can write to.",
            remedy="Make the folder, empty, before the service starts.",
        )


def _family_problems() -> list[Finding]:
    try:
        registry.families()
    except ConfigurationError as error:
        return [Finding(id="ai_models.E003", message=str(problem), remedy="") for problem in error.problems]
    return []


def _config_findings(declared: config.Declared, told: frozenset[str]) -> Iterator[Finding]:
    for problem in declared.problems:
        if str(problem) not in told:
            yield _from_config("ai_models.E004", problem, "error")
    for note in declared.notes:
        yield _from_config("ai_models.I001", note, "info")
    if not declared.present:
        yield Finding(
            id="ai_models.W001",
            message="No configuration file with the key ai is there, so no provider instance is declared.",
            remedy='Write app-config.yaml with the key ai, or name your files in AI_MODELS["CONFIG_FILES"].',
            level="warning",
        )


def _from_config(identity: str, problem: config.Problem, level: Literal["error", "info"]) -> Finding:
    message = str(replace(problem, remedy="")) if problem.remedy else str(problem)
    return Finding(id=identity, message=message, remedy=problem.remedy, level=level)


def _key_problems(declared: config.Declared) -> Iterator[Finding]:
    keys = configured_keys()
    if not keys and any(provider.secrets or provider.mappings for provider in declared.providers.values()):
        message = "Credentials are declared, and there is no encryption key to store them with."
        yield Finding(id="ai_models.E005", message=message, remedy=_MAKE_KEY)
    try:
        key_ring()
    except InvalidKey as error:
        yield Finding(id="ai_models.E006", message=str(error), remedy=_MAKE_KEY)
    derived = _derived_from_secret_key()
    for position, key in enumerate(keys, start=1):
        if key.strip().encode() in derived or _decoded(key) in derived:
            message = f"Encryption key {position} is SECRET_KEY or is derived from it."
            yield Finding(id="ai_models.E007", message=message, remedy=_MAKE_KEY)


def _queue_problems(declared: config.Declared) -> Iterator[Finding]:
    """Videos are jobs, and a job that is kept nowhere is lost with its process."""
    video = Capability.VIDEO_GENERATION
    names = [
        provider.name
        for provider in declared.providers.values()
        if provider.default_models.get(video) or provider.model_aliases.get(video)
    ]
    if names and (problem := taskqueue.problem()) is not None:
        yield Finding(
            id="ai_models.E013",
            message=f"{video} is configured (on {', '.join(names)}) and needs a queue for its jobs. {problem}",
            remedy=(
                "Install django-ai-models[video], add django_tasks_db to INSTALLED_APPS, set TASKS to "
                '{"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}, and run: manage.py ai_worker'
            ),
        )


def _decoded(key: str) -> bytes | None:
    try:
        return base64.urlsafe_b64decode(key.strip().encode())
    except (binascii.Error, ValueError):
        return None


def _derived_from_secret_key() -> set[bytes]:
    """The keys that people make out of ``SECRET_KEY``: cut, padded or hashed to the right length."""
    try:
        secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    except ImproperlyConfigured:
        return set()
    derived: set[bytes] = set()
    for secret in map(force_bytes, secrets):
        derived |= {secret, secret[:KEY_BYTES].ljust(KEY_BYTES, b"\0"), hashlib.blake2b(secret, digest_size=KEY_BYTES).digest()}
        for algorithm in ("md5", "sha1", "sha256", "sha384", "sha512", "sha3_256", "blake2s"):
            digest = hashlib.new(algorithm, secret, usedforsecurity=False)
            derived |= {digest.digest()[:KEY_BYTES], digest.hexdigest().encode()[:KEY_BYTES]}
    return derived
