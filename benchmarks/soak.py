"""A long run at a small rate with faults: ``python -m benchmarks.soak --seconds 3600 --out soak.json``.

Starts two server processes on ``DATABASE_URL`` and ``REDIS_URL`` (without them on SQLite, and without a shared cache), a
provider that now and then fails, and clients of every kind, some of which go away in the middle. Meanwhile the provider's
credential is changed, the encryption keys are rotated, an instance is switched off and on, and at half time one process is
replaced. Every ten seconds memory, open files, threads, tasks and database connections are noted; at the end their slopes are
told, and every error by its code.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import websockets
from aiohttp import web

from ai_models.encryption import generate_key
from tests.draining.balancer import Balancer, balancing

ROOT = Path(__file__).parent.parent
SAMPLE_SECONDS = 10.0
WARM_UP = 0.25
"""The share of each process's life that its slopes leave out."""

FAULTS = ("reset", "hang", "drip", "truncate", "limited", "broken")
FAULT_SHARE = 0.1
WORDS = tuple(f"word{number} " for number in range(40))
REST, OPENAI = "/api/ai/v1", "/api/ai/openai/v1"

EXPECTED = {
    "upstream_error", "upstream_timeout", "upstream_rate_limited", "upstream_invalid_response", "upstream_auth_failed",
    "circuit_open", "provider_disabled", "rate_limit_exceeded",
}  # fmt: skip
"""What the faults, the switch and the change of the credential may lead to."""

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


# --- the provider ----------------------------------------------------------------------------------------------------


class Upstream:
    """Speaks OpenAI's protocol, and fails now and then.

    Attributes:
        keys: credentials that it takes.
        told: how often it did what.
    """

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.told: Counter[str] = Counter()
        self.port = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen on a port of its own."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embed)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield
        finally:
            await runner.cleanup()

    def _fate(self, request: web.Request) -> str:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.keys:
            fate = "refused"
        else:
            fate = random.choice(FAULTS) if random.random() < FAULT_SHARE else "well"
        self.told[fate] += 1
        return fate

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        fate, body = self._fate(request), await request.json()
        values = [body["input"]] if isinstance(body["input"], str) else body["input"]
        data = [{"object": "embedding", "index": index, "embedding": [1.0] * 256} for index in range(len(values))]
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        return await self._answer(request, fate, {"object": "list", "model": "vectors", "data": data, "usage": usage})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        fate, body = self._fate(request), await request.json()
        if body.get("stream") and fate in ("well", "drip", "truncate"):
            return await self._stream(request, fate)
        message = {"role": "assistant", "content": "".join(WORDS)}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 3, "completion_tokens": 40, "total_tokens": 43}
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "chat", "choices": [choice], "usage": usage}
        return await self._answer(request, fate, answer)

    async def _answer(self, request: web.Request, fate: str, answer: dict[str, Any]) -> web.StreamResponse:
        text = json.dumps(answer).encode()
        match fate:
            case "well" | "drip":
                return web.Response(body=text, content_type="application/json")
            case "limited":
                return web.json_response({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "1"})
            case "broken":
                return web.json_response({"error": {"message": "oops"}}, status=500)
            case "refused":
                return web.json_response({"error": {"message": "who are you"}}, status=401)
            case "hang":
                await asyncio.sleep(15)
            case "truncate":
                response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(text))})
                await response.prepare(request)
                await response.write(text[: len(text) // 2])
        return _cut(request)

    async def _stream(self, request: web.Request, fate: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for number, word in enumerate(WORDS):
                if fate == "truncate" and number == len(WORDS) // 2:
                    return _cut(request)
                await response.write(_chunk({"content": word}))
                await asyncio.sleep(0.25 if fate == "drip" else 0.02)
            await response.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
        return response


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "chat", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


# --- the servers -----------------------------------------------------------------------------------------------------


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


# --- the clients -----------------------------------------------------------------------------------------------------


class Refused(Exception):
    """An answer with this error code."""


class Clients:
    """Calls of every kind, one after the other from each client.

    Attributes:
        outcomes: how often each kind ended how.
    """

    def __init__(self, url: str, token: str, pause: float) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._pause = pause
        self.outcomes: dict[str, Counter[str]] = {}

    @property
    def kinds(self) -> tuple[Callable[[httpx.AsyncClient], Awaitable[None]], ...]:
        """Every kind of call."""
        return (
            self.call, self.call_spare, self.embed, self.stream, self.stream_left, self.facade, self.facade_stream,
            self.socket, self.socket_left, self.socket_resumed,
        )  # fmt: skip

    async def run(self, kind: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
        """Make calls of this kind for ever."""
        counted = self.outcomes.setdefault(kind.__name__, Counter())
        async with httpx.AsyncClient(base_url=self._url, headers=self._headers, timeout=60) as client:
            while True:
                try:
                    await kind(client)
                    counted["ok"] += 1
                except Refused as refused:
                    counted[str(refused)] += 1
                except (httpx.HTTPError, OSError, TimeoutError, websockets.WebSocketException) as error:
                    counted[f"connection: {type(error).__name__}"] += 1
                except Exception as error:
                    counted[f"answer: {type(error).__name__}"] += 1
                await asyncio.sleep(random.expovariate(1 / self._pause))

    async def call(self, client: httpx.AsyncClient, **more: str) -> None:
        _well(await client.post(f"{REST}/generate-text", json={"prompt": "Hello", **more}))

    async def call_spare(self, client: httpx.AsyncClient) -> None:
        await self.call(client, provider="spare")

    async def embed(self, client: httpx.AsyncClient) -> None:
        _well(await client.post(f"{REST}/embed", json={"values": ["a", "b"]}))

    async def facade(self, client: httpx.AsyncClient) -> None:
        messages = [{"role": "user", "content": "Hello"}]
        _well(await client.post(f"{OPENAI}/chat/completions", json={"model": "main/chat", "messages": messages}))

    async def stream(self, client: httpx.AsyncClient, leave: bool = False) -> None:
        async with client.stream("POST", f"{REST}/stream-text", json={"prompt": "Hello"}) as response:
            await _streamed(response, leave)

    async def stream_left(self, client: httpx.AsyncClient) -> None:
        await self.stream(client, leave=True)

    async def facade_stream(self, client: httpx.AsyncClient) -> None:
        body = {"model": "main/chat", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
        async with client.stream("POST", f"{OPENAI}/chat/completions", json=body) as response:
            await _streamed(response, leave=False)

    async def socket(self, client: httpx.AsyncClient) -> None:
        async with self._socket() as socket:
            await socket.send(_frame("stream-text", "a", request={"prompt": "Hello"}))
            await _told(socket)

    async def socket_left(self, client: httpx.AsyncClient) -> None:
        async with self._socket() as socket:
            await socket.send(_frame("stream-text", "a", request={"prompt": "Hello"}))
            await _told(socket, upto=5)
            socket.transport.abort()

    async def socket_resumed(self, client: httpx.AsyncClient) -> None:
        name = f"{random.getrandbits(64):x}"
        async with self._socket() as socket:
            await socket.send(_frame("stream-text", name, request={"prompt": "Hello"}, onDisconnect="finish"))
            seen = await _told(socket, upto=5)
            socket.transport.abort()
        async with self._socket() as socket:
            await socket.send(_frame("resume", name, after=seen))
            await _told(socket, after=seen)

    def _socket(self) -> websockets.connect:
        url = f"{self._url.replace('http', 'ws', 1)}/ws/ai/v1/"
        return websockets.connect(url, subprotocols=["ai-models.v1"], additional_headers=self._headers)  # type: ignore[list-item]


def _frame(kind: str, stream_id: str, **fields: Any) -> str:
    return json.dumps({"type": kind, "streamId": stream_id, **fields})


def _well(response: httpx.Response) -> None:
    if not response.is_success:
        raise Refused(response.json()["error"]["code"])


async def _streamed(response: httpx.Response, leave: bool) -> None:
    """Read up to the end, or go away in the middle."""
    if not response.is_success:
        await response.aread()
        _well(response)
    count, last = 0, ""
    async for line in response.aiter_lines():
        if not line.startswith("data: "):
            continue
        count, last = count + 1, line.removeprefix("data: ")
        if leave and count == len(WORDS) // 4:
            return
        if last != "[DONE]" and isinstance(told := json.loads(last).get("error"), dict):
            raise Refused(told["code"])
    if last != "[DONE]":
        raise Refused("no end")


async def _told(socket: Any, *, after: int = 0, upto: int | None = None) -> int:
    """Read a stream up to this event, or up to its end; every event in order."""
    seen = after
    async with asyncio.timeout(60):
        while seen != upto:
            frame = json.loads(await socket.recv())
            if "seq" in frame:
                seen += 1
                if frame["seq"] != seen:
                    raise Refused("out of order")
            if frame["type"] == "error":
                raise Refused(frame["error"]["code"])
            if frame["type"] in ("finish", "abort"):
                break
    return seen


# --- the run ---------------------------------------------------------------------------------------------------------


async def soak(seconds: float, rate: float, folder: Path, database: str) -> dict[str, Any]:
    """Run, and return what is to be kept."""
    upstream = Upstream()
    async with upstream.serving(), balancing() as balancer:
        machine = Machine(folder, upstream, database)
        await machine.manage("migrate", "-v0")
        await machine.manage("ai_seed")
        name = f"soak-{time.time_ns()}"
        token = await machine.manage("ai_token", name, "--capability", "text-generation", "--capability", "embeddings")
        clients = Clients(f"http://127.0.0.1:{balancer.port}", token, 1.0)
        # So many of each kind that together they make about this many calls a second.
        each = max(1, round(rate * 2 / len(clients.kinds)))
        clients = Clients(f"http://127.0.0.1:{balancer.port}", token, each * len(clients.kinds) / rate)
        servers = [await machine.serve() for _ in range(2)]
        connections: list[int] = []
        started = time.monotonic()
        try:
            for server in servers:
                await balancer.add(server.port)
            async with contextlib.AsyncExitStack() as stack:
                work: list[Any] = [clients.run(kind) for kind in clients.kinds for _ in range(each)]
                work += [_sample(servers, connections, machine, started), _change(machine, seconds)]
                work.append(_replace(servers, balancer, machine, seconds / 2))
                tasks = [asyncio.create_task(item) for item in work]
                stack.callback(lambda: [task.cancel() for task in tasks])
                done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.result()
        finally:
            for server in servers:
                server.process.send_signal(signal.SIGTERM)
            for server in servers:
                await asyncio.to_thread(server.process.wait, 60)
        return _report(seconds, clients, servers, connections, upstream, machine)


async def _sample(servers: list[Server], connections: list[int], machine: Machine, started: float) -> None:
    async with httpx.AsyncClient(timeout=5) as client:
        while True:
            for server in servers:
                await server.sample(client, started)
            if machine.environment["DATABASE_URL"].startswith("postgres"):
                connections.append(await asyncio.to_thread(_connections, machine.environment["DATABASE_URL"]))
            await asyncio.sleep(SAMPLE_SECONDS)


def _connections(url: str) -> int:
    import psycopg  # only where there is PostgreSQL

    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) - 1 from pg_stat_activity where datname = current_database()").fetchone()
    return int(row[0]) if row else 0


async def _change(machine: Machine, seconds: float) -> None:
    """Change the credential, encrypt everything anew, and switch an instance off and on, again and again."""
    switch = "from ai_models.models import ProviderInstance as P; p = P.objects.get(name='spare'); p.enabled = {}; p.save()"
    pause = min(300.0, seconds / 16)
    while True:
        await asyncio.sleep(pause)
        machine.change_key()
        await machine.manage("ai_seed")
        await asyncio.sleep(pause)
        await machine.manage(code=switch.format(False))
        await asyncio.sleep(pause)
        await machine.manage(code=switch.format(True))
        await asyncio.sleep(pause)
        first, second = machine.environment["AI_MODELS_ENCRYPTION_KEYS"].split(",")
        await machine.manage("ai_keys", "rotate", keys=f"{second},{first}")
        machine.environment["AI_MODELS_ENCRYPTION_KEYS"] = f"{second},{first}"


async def _replace(servers: list[Server], balancer: Balancer, machine: Machine, seconds: float) -> None:
    """After this time, replace the first process."""
    await asyncio.sleep(seconds)
    servers[0].process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(servers[0].process.wait, 60)
    balancer.remove(servers[0].port)
    servers.append(await machine.serve())
    await balancer.add(servers[-1].port)


def _report(
    seconds: float, clients: Clients, servers: list[Server], connections: list[int], upstream: Upstream, machine: Machine
) -> dict[str, Any]:
    total = sum(clients.outcomes.values(), Counter())
    errors = {code: count for code, count in total.items() if code != "ok"}
    return {
        "seconds": seconds,
        "calls": sum(total.values()),
        "ok": total["ok"],
        "errors": errors,
        "unexpected": {code: count for code, count in errors.items() if code not in EXPECTED},
        "by_kind": clients.outcomes,
        "provider": upstream.told,
        "complaints": machine.complaints(),
        "database_connections": {"most": max(connections, default=None), "last": connections[-1] if connections else None},
        "processes": [server.summary() for server in servers],
        "samples": {server.process.pid: server.samples for server in servers},
    }


def main() -> int:
    """Run, write the JSON, and tell the summary. Not 0 when a call failed for a reason that nobody made."""
    parser = argparse.ArgumentParser(description="A long run at a small rate with faults.")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--rate", type=float, default=5.0, help="calls a second of all clients together")
    parser.add_argument("--out", type=Path, default=Path("soak.json"))
    options = parser.parse_args()
    with _folder() as folder, _database(folder) as database:
        report = asyncio.run(soak(options.seconds, options.rate, folder, database))
    options.out.write_text(json.dumps(report, indent=1))
    print(json.dumps({name: value for name, value in report.items() if name not in ("samples", "by_kind")}, indent=1))
    return bool(report["unexpected"])


@contextlib.contextmanager
def _database(folder: Path) -> Iterator[str]:
    """The URL of a database of this run's own, on the server of ``DATABASE_URL``."""
    server = os.environ.get("DATABASE_URL", "")
    if not server.startswith("postgres"):
        yield f"sqlite:///{folder / 'db.sqlite3'}"
        return
    import psycopg  # only where there is PostgreSQL

    name = f"soak_{time.time_ns()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name}")
        try:
            yield f"{server.rpartition('/')[0]}/{name}"
        finally:
            connection.execute(f"drop database {name} with (force)")


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
