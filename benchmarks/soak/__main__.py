"""The run, see :mod:`benchmarks.soak`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from benchmarks.soak.clients import Clients
from benchmarks.soak.provider import Upstream
from benchmarks.soak.servers import Machine, Server
from tests.draining.balancer import Balancer, balancing

SAMPLE_SECONDS = 10.0

EXPECTED = {
    "upstream_error", "upstream_timeout", "upstream_rate_limited", "upstream_invalid_response", "upstream_auth_failed",
    "circuit_open", "provider_disabled", "rate_limit_exceeded",
}  # fmt: skip
"""What the faults, the switch and the change of the credential may lead to."""


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
    await balancer.remove(servers[0].port)
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
