"""A websocket with faults, to see what its clients make of them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.urls import path

from ai_models.consumers import AIModelsConsumer
from ai_models.types.frames import SUBPROTOCOL


class Faulty(AIModelsConsumer):
    """As the real one, but for the faults that a test chooses.

    Attributes:
        codes: the first connections are closed with these.
        connections: how many there were.
        repeats: how often every frame is sent.
        lost: the number of an event that is not sent.
    """

    codes: ClassVar[list[int]] = []
    connections: ClassVar[int] = 0
    repeats: ClassVar[int] = 1
    lost: ClassVar[int] = 0

    @classmethod
    def reset(cls) -> None:
        """Be without faults."""
        cls.codes, cls.connections, cls.repeats, cls.lost = [], 0, 1, 0

    @classmethod
    def route(cls) -> Any:
        """It is at ``/faulty/``."""
        return path("faulty/", cls.as_asgi())  # type: ignore[arg-type]

    async def connect(self) -> None:
        Faulty.connections += 1
        if self.codes:
            await self.accept(SUBPROTOCOL)
            await self.close(self.codes.pop(0), "As the test says.")
        else:
            await super().connect()

    async def send(self, text_data: str | None = None, **rest: Any) -> None:
        for _ in range(self.repeats):
            if f'"seq":{self.lost},' not in (text_data or ""):
                await super().send(text_data, **rest)
