"""The server processes, and what is seen of them."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from ai_models.encryption import generate_key
from benchmarks.soak.provider import Upstream

ROOT = Path(__file__).parents[2]
WARM_UP = 0.25
"""The share of each process's life that its slopes leave out."""

CONFIG = """
ai:
  defaultProvider: main
  providers:
    main: &main
      type: openai-compatible
      baseURL: http://127.0.0.1:{port}/v1
      apiKey: ${{SOAK_KEY}}
      defaultModels: {{text-generation: chat, embeddings: vectors}}
    spare: *main
"""

SETTINGS = """
from project.settings import *
AI_MODELS = {{"CONFIG_FILES": [{config!r}], "TIMEOUT": {{"total": 20, "first_chunk": 3, "chunk": 3}}}}
"""

APPLICATION = """
import asyncio
from project.asgi import application as served

async def application(scope, receive, send):
    if scope["type"] != "http" or scope["path"] != "/tasks":
        return await served(scope, receive, send)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(len(asyncio.all_tasks())).encode()})
"""


@dataclass
class Server:
    """A server process, and what was seen of it: one sample every ten seconds."""

    process: subprocess.Popen[bytes]
    port: int
    samples: list[dict[str, float]] = field(default_factory=list)

    async def sample(self, client: httpx.AsyncClient, started: float) -> None:
        """Note what it takes now."""
        folder = Path(f"/proc/{self.process.pid}")
        try:
            status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
            rollup = dict(re.findall(r"^(\w+): +(\d+) kB", (folder / "smaps_rollup").read_text(), re.MULTILINE))
            files = len(list((folder / "fd").iterdir()))
            tasks = float((await client.get(f"http://127.0.0.1:{self.port}/tasks")).text)
        except (OSError, httpx.HTTPError, ValueError):
            return
        self.samples.append({
            "second": time.monotonic() - started,
            "rss_mib": int(status["VmRSS"].split()[0]) / 1024,
            "uss_mib": (int(rollup["Private_Clean"]) + int(rollup["Private_Dirty"])) / 1024,
            "files": files,
            "threads": int(status["Threads"]),
            "tasks": tasks,
        })  # fmt: skip

    def summary(self) -> dict[str, Any]:
        """First and last figures after the warm-up, and what they grow by in an hour."""
        kept = self.samples[int(len(self.samples) * WARM_UP) :]
        if len(kept) < 3:
            return {"pid": self.process.pid, "samples": len(self.samples)}
        hours = [sample["second"] / 3600 for sample in kept]
        figures = {
            name: {"first": round(kept[0][name], 1), "last": round(kept[-1][name], 1), "per_hour": round(slope, 2)}
            for name in kept[0]
            if name != "second" and (slope := _slope(hours, [sample[name] for sample in kept])) is not None
        }
        return {"pid": self.process.pid, "exit_code": self.process.returncode, "samples": len(self.samples), **figures}


def _slope(at: list[float], values: list[float]) -> float:
    """By least squares."""
    middle, mean = sum(at) / len(at), sum(values) / len(values)
    spread = sum((x - middle) ** 2 for x in at)
    return sum((x - middle) * (y - mean) for x, y in zip(at, values, strict=True)) / spread


class Machine:
    """Folder, environment and commands of the servers."""

    def __init__(self, folder: Path, upstream: Upstream, database: str) -> None:
        self.folder = folder
        self._upstream = upstream
        (folder / "soak.yaml").write_text(CONFIG.format(port=upstream.port))
        (folder / "soak_settings.py").write_text(SETTINGS.format(config=str(folder / "soak.yaml")))
        (folder / "soak_application.py").write_text(APPLICATION)
        self._keys = [generate_key()]
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "soak_settings",
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
            "SECRET_KEY": generate_key(),
            "DATABASE_URL": database,
            # Ahead of the rotation: every process can read both keys, the first one encrypts.
            "AI_MODELS_ENCRYPTION_KEYS": ",".join([generate_key(), *self._keys]),
            "LOG_LEVEL": "WARNING",
        }
        self.change_key()

    def change_key(self) -> None:
        """Let the provider take one more credential, which the next seed brings."""
        self.environment["SOAK_KEY"] = generate_key()
        self._upstream.keys.add(self.environment["SOAK_KEY"])

    async def manage(self, *arguments: str, code: str | None = None, keys: str | None = None) -> str:
        """Run a management command, and return the last line that it prints."""
        environment = {**self.environment, **({"AI_MODELS_ENCRYPTION_KEYS": keys} if keys else {})}
        command = [sys.executable, "-m", "django", *(("shell", "-v0", "-c", code) if code else arguments)]
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        output, errors = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"{arguments or code} failed: {errors.decode()[-2000:]}")
        return (output.decode().splitlines() or [""])[-1]

    async def serve(self) -> Server:
        """Start a server process on a port of its own."""
        log = self.folder / f"server-{time.time_ns()}.log"
        command = [sys.executable, "-m", "uvicorn", "soak_application:application", "--port", "0", "--no-access-log"]
        # As the page on deployment says: else a server closes a connection on which a call is on its way.
        command += ["--timeout-keep-alive", "75"]
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: ASYNC220
                command, env=self.environment, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT
            )
        async with asyncio.timeout(120):
            while not (found := re.search(r"running on http://127\.0\.0\.1:(\d+)", log.read_text())):
                if process.poll() is not None:
                    raise RuntimeError(log.read_text()[-2000:])
                await asyncio.sleep(0.1)
        return Server(process, int(found[1]))

    def complaints(self) -> Counter[str]:
        """What the servers logged at WARNING and above, by its first words."""
        lines = (line for log in self.folder.glob("server-*.log") for line in log.read_text().splitlines())
        return Counter(
            re.sub(r"^\S+ \S+ |\[[^]]*\] |\d+", "", line)[:100] for line in lines if re.search(r" (WARNING|ERROR) ", line)
        )
