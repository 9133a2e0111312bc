"""HAProxy with the configuration of ``compose.yaml``, in front of servers of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "deploy" / "haproxy.cfg"


class HAProxy:
    """In front of servers, each by its port. They take the places that the configuration has for ``web1`` and ``web2``.

    Attributes:
        port: where it listens.
    """

    def __init__(self, port: int, control: Path) -> None:
        self.port = port
        self._control = control
        self._places: dict[str, int | None] = {"web1": None, "web2": None}

    async def add(self, port: int) -> None:
        """Send connections to one more server, once it is ready."""
        place = next(place for place, taken in self._places.items() if taken is None)
        self._places[place] = port
        await self._set(place, f"addr 127.0.0.1 port {port}")
        await self._set(place, "state ready")
        await self._until(place, "UP")

    async def remove(self, port: int) -> None:
        """Forget a server that has ended."""
        place = next(place for place, taken in self._places.items() if taken == port)
        await self._set(place, "state maint")
        self._places[place] = None

    async def _set(self, place: str, what: str) -> None:
        told = (await self._tell(f"set server web/{place} {what}")).strip()
        assert not told or "changed" in told, told

    async def _until(self, place: str, status: str) -> None:
        async with asyncio.timeout(60):
            while (await self._states())[place] != status:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def _states(self) -> dict[str, str]:
        rows = csv.DictReader((await self._tell("show stat")).removeprefix("# ").splitlines())
        return {row["svname"]: row["status"] for row in rows if row["pxname"] == "web"}

    async def _tell(self, command: str) -> str:
        reader, writer = await asyncio.open_unix_connection(self._control)
        try:
            writer.write(f"{command}\n".encode())
            return (await reader.read()).decode()
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[HAProxy]:
    """HAProxy without servers. What differs from its configuration is where it and they are, and for how many clients."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    control, config = folder / "control", folder / "haproxy.cfg"
    text = CONFIG.read_text()
    for pattern, replacement, times in (
        (r"^global$", f"global\n    stats socket {control} level admin", 1),
        (r"maxconn \d+", "maxconn 200", 1),
        (r"bind :8000", f"bind 127.0.0.1:{port}", 1),
        (r"^( +server \w+) \w+:8000$", r"\1 127.0.0.1:1 disabled", 2),
    ):
        text, found = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        assert found == times, pattern
    config.write_text(text)
    with (folder / "haproxy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec("haproxy", "-db", "-f", str(config), stdout=log, stderr=log)
    try:
        async with asyncio.timeout(20):
            while not control.exists():
                assert process.returncode is None, (folder / "haproxy.log").read_text()
                await asyncio.sleep(0.02)
        yield HAProxy(port, control)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
