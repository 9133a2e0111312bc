"""The websocket's route, which a host gives to Channels' ``URLRouter``."""

from __future__ import annotations

from typing import Any

from django.urls import path, re_path

from ai_models.consumers import AIModelsConsumer
from ai_models.types.frames import WEBSOCKET_PATH


async def not_found(scope: Any, receive: Any, send: Any) -> None:
    """Refuse a handshake."""
    await receive()
    await send({"type": "websocket.close"})


websocket_urlpatterns: list[Any] = [path(WEBSOCKET_PATH, AIModelsConsumer.as_asgi())]  # type: ignore[arg-type]

unknown_path: Any = re_path("", not_found)  # type: ignore[arg-type]
"""Put it behind every other route. Without it, ``URLRouter`` raises for each address that somebody tries."""
