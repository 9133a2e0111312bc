"""This project as it is measured: the host project on a database of its own, with the upstream as its provider."""

from __future__ import annotations

import os
import secrets
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from ai_models.encryption import generate_key
from benchmarks.environments import Unavailable
from benchmarks.machine import ROOT, Cores
from benchmarks.processes import Process, free_port
from benchmarks.workloads import (
    EMBEDDING_CONNECTIONS,
    MANY_INPUTS,
    MESSAGES,
    MODEL,
    PLAIN_CONNECTIONS,
    PLAIN_MARKER,
    PROMPT,
    STREAM_CONNECTIONS,
    STREAM_MARKER,
    Request,
    inputs,
)

ACCOUNTS = 5
PREPARE_SECONDS = 120
INSTANCE = "bench"
TRANSLATED = "claude"

CONFIG = """
ai:
  defaultProvider: {instance}
  providers:
    {instance}:
      type: openai-compatible
      baseURL: {upstream}
      apiKey: sk-of-the-benchmark
      encodingFormat: base64
      defaultModels: {{text-generation: {model}, embeddings: {model}}}
"""
TRANSLATED_CONFIG = """
    {instance}:
      type: anthropic
      baseURL: {upstream}
      apiKey: sk-of-the-benchmark
      defaultModels: {{text-generation: {model}}}
"""


@dataclass(frozen=True, slots=True)
class Host:
    """A prepared database with its configuration.

    Attributes:
        folder: where it is, and its logs.
        environment: what its processes need to know.
        tokens: of its service accounts.
    """

    folder: Path
    environment: dict[str, str]
    tokens: list[str]

    def start(self, cores: Cores) -> tuple[Process, str]:
        """Start a server; the process and its address."""
        port = free_port()
        command = cores.measured([sys.executable, "-m", "benchmarks.serve", str(port)])
        return Process(command, env=self.environment, log=self.folder / "server.log"), f"http://127.0.0.1:{port}"

    def copy(self, name: str) -> Host:
        """The same on a copy of the database. One that is asleep in the middle of a transaction must hold up nobody else."""
        database = self.folder / f"{name}.sqlite3"
        with closing(sqlite3.connect(self.folder / "db.sqlite3")) as source, closing(sqlite3.connect(database)) as target:
            source.backup(target)
        return replace(self, environment={**self.environment, "DATABASE_URL": f"sqlite:///{database}"})

    def headers(self, account: int = 0) -> dict[str, str]:
        """What authenticates one of the accounts."""
        return {"authorization": f"Bearer {self.tokens[account % len(self.tokens)]}"}

    def facade(self, base: str) -> dict[str, Request]:
        """The requests of OpenAI's clients, by workload."""
        return openai_requests(f"{base}/api/ai/openai/v1", f"{INSTANCE}/{MODEL}", self.headers())

    def rest(self, base: str) -> dict[str, Request]:
        """The requests of the REST API, by workload."""
        api, headers = f"{base}/api/ai/v1", self.headers()
        text, values = {"prompt": PROMPT}, {"values": inputs(MANY_INPUTS)}
        return {
            "plain": Request(f"{api}/generate-text", text, PLAIN_MARKER, PLAIN_CONNECTIONS, headers),
            "stream": Request(f"{api}/stream-text", text, STREAM_MARKER, STREAM_CONNECTIONS, headers),
            "embeddings": Request(f"{api}/embed", values, '"embeddings"', EMBEDDING_CONNECTIONS, headers),
        }


def openai_requests(base: str, model: str, headers: dict[str, str]) -> dict[str, Request]:
    """The requests that all gateways which speak OpenAI's protocol are sent, by workload."""
    chat, many = {"model": model, "messages": MESSAGES}, {"model": model, "input": inputs(MANY_INPUTS)}
    url = f"{base}/chat/completions"
    return {
        "plain": Request(url, chat, PLAIN_MARKER, PLAIN_CONNECTIONS, headers),
        "stream": Request(url, {**chat, "stream": True}, STREAM_MARKER, STREAM_CONNECTIONS, headers),
        "embeddings": Request(f"{base}/embeddings", many, "embedding", EMBEDDING_CONNECTIONS, headers),
        "embeddings_base64": Request(
            f"{base}/embeddings", {**many, "encoding_format": "base64"}, "embedding", EMBEDDING_CONNECTIONS, headers
        ),
    }


def prepare(folder: Path, upstream: str, *, translated: bool = False) -> Host:
    """Make database, configuration and accounts in an empty folder.

    Args:
        folder: where they go.
        upstream: its address, up to ``/v1``.
        translated: configure an instance too whose protocol litellm translates.

    Raises:
        Unavailable: the app refused; with the last that it said.
    """
    folder.mkdir(parents=True)
    config = CONFIG.format(instance=INSTANCE, upstream=upstream, model=MODEL)
    if translated:
        config += TRANSLATED_CONFIG.format(instance=TRANSLATED, upstream=upstream, model=MODEL).lstrip("\n")
    (folder / "app-config.yaml").write_text(config)
    environment = {
        "DJANGO_SETTINGS_MODULE": "benchmarks.host_settings",
        "BENCH_CONFIG": str(folder / "app-config.yaml"),
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "REDIS_URL": "",
        "DEBUG": "false",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "AI_MODELS_ENCRYPTION_KEYS": generate_key(),
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.accounts", str(ACCOUNTS)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PREPARE_SECONDS,
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"the host project refused: {done.stderr.strip()[-300:]}")
    return Host(folder, environment, done.stdout.split())
