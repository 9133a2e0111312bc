"""The ``AI_MODELS`` setting: every key, its default and its meaning, in one place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver

ENCRYPTION_KEYS_VARIABLE = "AI_MODELS_ENCRYPTION_KEYS"
MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which the processes of a server share their metrics; Prometheus's client reads it too."""

DEFAULT_CONFIG_FILES = ("app-config.yaml", "app-config.local.yaml")
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Conf:
    """``settings.AI_MODELS`` with its defaults filled in.

    Attributes:
        CONFIG_FILES: paths of the configuration files, later ones win; ``None`` takes ``app-config.yaml`` and
            ``app-config.local.yaml`` in ``BASE_DIR``, where they exist.
        ENV_FILE: path of the ``.env`` file that is read below the environment; ``None`` takes ``.env`` in ``BASE_DIR``.
        FAMILIES: dotted paths of provider families beyond those that entry points contribute.
        ENCRYPTION_KEYS: the key ring, first key encrypts; ``None`` reads ``AI_MODELS_ENCRYPTION_KEYS`` (comma separated) from
            the environment or ``ENV_FILE``.
        ALLOWED_HOSTS: ``host``, ``host:port`` or CIDR that instances made in the admin may reach although private.
        ON_UNSUPPORTED: ``warn`` reports a setting that the model cannot honour, ``error`` refuses the call.
        TIMEOUT: seconds, the default of every call: the whole call, up to the first chunk, between chunks.
        MAX_TIMEOUT: seconds, the most that a caller may ask for in ``timeout``.
        MAX_RETRIES: attempts after the first one.
        MAX_PARALLEL: upstream calls that one call is split into and that run at once: batches of embeddings, single images.
        MAX_CONCURRENT: calls that one process makes to one provider instance at once; open streams count. An instance's
            ``maxConcurrency`` wins; 0 is no bound.
        MAX_WAITING: calls to one instance that wait in one process when all these places are taken.
        MAX_WAIT_SECONDS: how long they wait at most. Then they are refused, as are those that the queue has no room for.
        RETRY_BUDGET: attempts after the first one are at most this share of an instance's calls, and a few beside;
            ``None`` sets no limit.
        BREAKER_FAILURES: after so many failures of a provider in a row, its calls are refused for a while; 0 never does.
        BREAKER_SECONDS: the while after which one call finds out whether it is over; it doubles each time that it is not.
        BREAKER_MAX_SECONDS: the longest while.
        BREAKER_SLOW_SECONDS: a call that ran out of time counts as the provider's failure when it waited so long, and its
            caller gave it no less time than ``TIMEOUT``.
        MAX_REQUEST_BYTES: the largest request body a REST caller may send.
        MAX_FILE_BYTES: the largest file a caller may send, alone or in a message.
        MAX_UPLOAD_BYTES: the largest ``multipart/form-data`` body a REST caller may send.
        MAX_RESPONSE_BYTES: the largest body taken from a provider.
        MAX_EVENT_BYTES: the largest single event in a provider's stream.
        MAX_VIDEO_BYTES: the largest video taken from a provider.
        VIDEO_TIMEOUT: seconds that a video job may take, from its request to the stored video.
        VIDEO_POLL_SECONDS: the first pause between two looks at a provider's progress; pauses grow to ten times as long.
        VIDEO_EXPIRY_HOURS: videos are deleted so long after their job is completed.
        VIDEO_RETENTION_DAYS: jobs without videos are forgotten so long after they ended.
        RESUME_SECONDS: for so long after a stream's end its client can come back and read what it missed.
        RESUME_BYTES: how much of ended streams one process keeps in memory for that; the oldest go first.
        WS_MAX_MESSAGE_BYTES: the largest message a client may send over the websocket.
        WS_MESSAGES_PER_SECOND: how many messages it may send, on the average of some seconds.
        WS_MAX_STREAMS: streams that run at once on one socket.
        WS_MAX_SOCKETS_PER_USER: sockets that one user has open at once in one process.
        WS_MAX_SOCKETS: sockets that are open at once in one process.
        WS_IDLE_SECONDS: a socket without a stream is closed when its client sends nothing for so long.
        DIRECT: ``auto`` lets requests go to their view without Django's request cycle where the host has nothing in it that
            would be left out; ``True`` does so in any case, ``False`` never.
        AUTH_CACHE_SECONDS: for so long, at most 1, it is remembered who a request's headers authenticate; 0 switches it off,
            ``None`` is 1 where all authentication classes are of Django REST framework or knox, and else 0.
        DRAIN_NOTICE_SECONDS: for so long after a stop signal ``/readyz`` says 503 and everything is still served, so that a
            proxy notices; left out where nobody asks for readiness.
        DRAIN_SECONDS: for so long after that, requests and streams may come to their end.
        OPENTELEMETRY: spans and metrics go to the OpenTelemetry SDK, where the host has set one up.
        CAPTURE_MESSAGE_CONTENT: spans have prompts and answers too. They leave the process with everything users wrote.
        PROPAGATE_TRACE: providers get the ``traceparent`` of each call, for gateways and models of one's own.
        PROMETHEUS: metrics are kept for Prometheus, to be read where the host mounts ``ai_models.api.metrics``.
        METRICS_TOKEN: whoever bears it may read them; without it, users with the permission to view providers alone.
        REVISION_POLL_SECONDS: how often a process looks for configuration changed by another one; 0 switches it off.
    """

    CONFIG_FILES: tuple[str | os.PathLike[str], ...] | None = None
    ENV_FILE: str | os.PathLike[str] | None = None
    FAMILIES: tuple[str, ...] = ()
    ENCRYPTION_KEYS: tuple[str, ...] | None = field(default=None, repr=False)
    ALLOWED_HOSTS: tuple[str, ...] = ()
    ON_UNSUPPORTED: Literal["warn", "error"] = "warn"
    TIMEOUT: Mapping[str, float] = field(default_factory=lambda: {"total": 300.0, "first_chunk": 60.0, "chunk": 60.0})
    MAX_TIMEOUT: float = 3600.0
    MAX_RETRIES: int = 2
    MAX_PARALLEL: int = 4
    MAX_CONCURRENT: int = 1000
    MAX_WAITING: int = 1000
    MAX_WAIT_SECONDS: float = 5.0
    RETRY_BUDGET: float | None = 0.1
    BREAKER_FAILURES: int = 5
    BREAKER_SECONDS: float = 5.0
    BREAKER_MAX_SECONDS: float = 60.0
    BREAKER_SLOW_SECONDS: float = 10.0
    MAX_REQUEST_BYTES: int = 10 * MIB
    MAX_FILE_BYTES: int = 25 * MIB
    MAX_UPLOAD_BYTES: int = 32 * MIB
    MAX_RESPONSE_BYTES: int = 32 * MIB
    MAX_EVENT_BYTES: int = MIB
    MAX_VIDEO_BYTES: int = 1024 * MIB
    VIDEO_TIMEOUT: float = 3600.0
    VIDEO_POLL_SECONDS: float = 2.0
    VIDEO_EXPIRY_HOURS: float = 24.0
    VIDEO_RETENTION_DAYS: float = 30.0
    RESUME_SECONDS: float = 300.0
    RESUME_BYTES: int = 32 * MIB
    WS_MAX_MESSAGE_BYTES: int = MIB
    WS_MESSAGES_PER_SECOND: int = 50
    WS_MAX_STREAMS: int = 20
    WS_MAX_SOCKETS_PER_USER: int = 256
    WS_MAX_SOCKETS: int = 10_000
    WS_IDLE_SECONDS: float = 300.0
    DIRECT: Literal["auto"] | bool = "auto"
    AUTH_CACHE_SECONDS: float | None = None
    DRAIN_NOTICE_SECONDS: float = 5.0
    DRAIN_SECONDS: float = 20.0
    OPENTELEMETRY: bool = True
    CAPTURE_MESSAGE_CONTENT: bool = False
    PROPAGATE_TRACE: bool = False
    PROMETHEUS: bool = False
    METRICS_TOKEN: str | None = field(default=None, repr=False)
    REVISION_POLL_SECONDS: float = 0.5

    @property
    def config_files(self) -> tuple[Path, ...]:
        """The configuration files to read; a default file that does not exist is left out."""
        if self.CONFIG_FILES is not None:
            return tuple(Path(path) for path in self.CONFIG_FILES)
        return tuple(path for path in (_base_dir() / name for name in DEFAULT_CONFIG_FILES) if path.exists())

    @property
    def env_file(self) -> Path:
        """The ``.env`` file; it need not exist."""
        return Path(self.ENV_FILE) if self.ENV_FILE is not None else _base_dir() / ".env"

    @property
    def files_folder(self) -> Path:
        """Where generated files are kept when the host declares no ``STORAGES["ai_models"]``; it need not exist."""
        return _base_dir() / "ai_models_files"


def _base_dir() -> Path:
    return Path(getattr(settings, "BASE_DIR", None) or Path.cwd())


def unknown_settings() -> list[str]:
    """Keys of ``settings.AI_MODELS`` that mean nothing."""
    known = {declared.name for declared in fields(Conf)}
    return sorted(set(getattr(settings, "AI_MODELS", {})) - known)


@cache
def conf() -> Conf:
    """The settings in force. Unknown keys are left to the system check."""
    declared: dict[str, Any] = dict(getattr(settings, "AI_MODELS", {}))
    for name in unknown_settings():
        del declared[name]
    if "TIMEOUT" in declared:
        declared["TIMEOUT"] = {**Conf().TIMEOUT, **declared["TIMEOUT"]}
    return Conf(**declared)


@receiver(setting_changed)
def _forget(*, setting: str, **_: Any) -> None:
    if setting in {"AI_MODELS", "BASE_DIR"}:
        conf.cache_clear()
