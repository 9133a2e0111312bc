"""A provider family that asks a scripted server for videos, over the package's own door to the network."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from ai_models.capabilities import Capability
from ai_models.families.base import Connection, Family
from ai_models.families.fields import base_url
from ai_models.transports import http
from ai_models.types import VideoOperation, VideoRequest


class Reel(Family):
    """``POST videos``, ``GET videos/ID``, ``GET videos/ID/content``."""

    type = "reel"
    label = "Reel"
    fields = (base_url("Where it is."),)
    capabilities = frozenset({Capability.VIDEO_GENERATION})

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._client = http.Client(connection.destinations)

    async def do_start_video(self, model: str, request: VideoRequest) -> VideoOperation:
        body = json.dumps({"model": model, "prompt": request["prompt"]}).encode()
        return VideoOperation(reference={"id": (await self._ask("POST", "videos", body))["id"]})

    async def do_poll_video(self, model: str, reference: Mapping[str, Any]) -> VideoOperation:
        found = await self._ask("GET", f"videos/{reference['id']}")
        done = found["status"] == "completed"
        return VideoOperation(
            reference=reference,
            status="completed" if done else "running",
            progress=found["progress"],
            videos=("video/mp4",) if done else (),
        )

    async def do_fetch_video(self, model: str, reference: Mapping[str, Any], index: int) -> AsyncGenerator[bytes]:
        url = self._url(f"videos/{reference['id']}/content")
        async with self._client.open("GET", url, headers={}, body=None, accept=("video/mp4",)) as response:
            async for piece in http.pieces(response):
                yield piece

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        headers = {"content-type": http.JSON} if body else {}
        async with self._client.open(method, self._url(path), headers=headers, body=body, accept=(http.JSON,)) as response:
            return http.parse_object(await http.read(response))

    def _url(self, path: str) -> str:
        return f"{self.connection.options['baseURL']}/{path}"
