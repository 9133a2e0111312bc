"""Channels' consumer, made independent of what it does not need: the channel layer and its server, a thread and a task for each
message."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

try:
    from channels.consumer import get_handler_name
    from channels.exceptions import StopConsumer
    from channels.generic.websocket import AsyncWebsocketConsumer
except ImportError as error:
    raise ImportError("The websocket needs Channels. Install django-ai-models[websocket].") from error

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 15.0


class IndependentConsumer(AsyncWebsocketConsumer):
    """A consumer whose socket outlives its channel layer, and that hears its client whatever the database does."""

    base_send: Any
    channel_layer: Any = None

    @property
    def hears_layer(self) -> bool:
        """Whether messages of the channel layer reach it. That takes two tasks and a queue for each socket."""
        return True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As Channels does; where nothing else than the client is heard, its messages are waited for as they come."""
        if self.hears_layer:
            await super().__call__(scope, receive, send)
            return
        self.scope, self.base_send = scope, send
        with contextlib.suppress(StopConsumer):
            while True:
                await self.dispatch(await receive())

    @property
    def channel_receive(self) -> Callable[[], Awaitable[Any]]:
        """What waits for messages of the channel layer."""
        return self._receive_from_layer

    @channel_receive.setter
    def channel_receive(self, receive: Callable[[], Awaitable[Any]]) -> None:
        self._layer_receive = receive

    async def _receive_from_layer(self) -> Any:
        """Channels ends a socket with its layer; here a layer that is gone is waited for."""
        while True:
            try:
                return await self._layer_receive()
            except Exception as error:
                logger.warning("The channel layer failed with %s", type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As Channels does, but without its look at database connections, which takes a thread that others may hold up."""
        handler = getattr(self, get_handler_name(message), None)
        if handler is None:
            raise ValueError(f"No handler for message type {message['type']}")
        await handler(message)

    async def websocket_connect(self, message: Any) -> None:
        """As Channels does; a layer that is gone costs the groups and not the socket."""
        groups, self.groups = self.groups, []
        for group in groups:
            await self._in_layer("group_add", group)
        await super().websocket_connect(message)
        self.groups = groups

    async def websocket_disconnect(self, message: Any) -> None:
        """As Channels does; see :meth:`websocket_connect`."""
        groups, self.groups = self.groups, []
        try:
            await super().websocket_disconnect(message)
        finally:
            for group in groups:
                await self._in_layer("group_discard", group)

    async def _in_layer(self, method: str, group: str) -> None:
        try:
            await getattr(self.channel_layer, method)(group, self.channel_name)
        except Exception as error:
            logger.warning("The channel layer failed with %s", type(error).__name__)
