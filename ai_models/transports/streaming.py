"""Answers that come in events: reading them as they arrive, and knowing when the answer is complete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import aiohttp

from ai_models.conf import conf
from ai_models.exceptions import AIModelsError, UpstreamInvalidResponse
from ai_models.transports import http
from ai_models.transports.sse import Decoder, ServerSentEvent

EVENT_STREAM = "text/event-stream"

LINGER_SECONDS = 1.0
"""How long a stream is still read after the provider said that it finished: usage may follow."""

DRAIN_SECONDS = 0.05
"""How long the end of a body is waited for after its last event; it mostly comes in the same packet."""


def max_event_bytes() -> int:
    """The largest event taken from a stream."""
    return conf().MAX_EVENT_BYTES


async def server_sent_events(
    response: aiohttp.ClientResponse, is_last: Callable[[dict[str, Any]], bool]
) -> AsyncGenerator[list[tuple[ServerSentEvent, dict[str, Any]]]]:
    """The events of a stream with their JSON data, up to ``[DONE]`` or the end of the body: in lists, as they arrive together.

    Args:
        is_last: whether the provider says with this event that the generation is complete. After it the stream may
            tell more (usage), but is not waited for longer than :data:`LINGER_SECONDS`.

    Raises:
        AIModelsError: malformed or error event, broken connection, or an end before the last event. Events that came before
            are given first.
    """
    decoder = Decoder(max_event_bytes())
    completion = Completion()
    while piece := await next_piece(response, completion):
        arrived: list[tuple[ServerSentEvent, dict[str, Any]]] = []
        done = False
        try:
            for event in decoder.feed(piece):
                if event.data.strip() == "[DONE]":
                    done = True
                    break
                payload = http.parse_object(event.data)
                completion.note(is_last(payload))
                arrived.append((event, payload))
        except AIModelsError:
            if arrived:
                yield arrived
            raise
        if arrived:
            yield arrived
        if done:
            completion.require()
            await _drain(response)
            return
    completion.require()


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read the end of a body of which nothing more is wanted; only then the connection can serve another call."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while await http.guarded(response.content.readany()):
                pass
    except (TimeoutError, AIModelsError):
        pass


class Completion:
    """Whether a stream's generation is complete, which is not the same as the stream's end; and how much of it was read.

    Attributes:
        until: when the stream is over whatever it still sends, on the event loop's clock; ``None`` before completion.
    """

    def __init__(self) -> None:
        self.until: float | None = None
        self._left = conf().MAX_RESPONSE_BYTES

    @property
    def reached(self) -> bool:
        """Whether the provider said that it finished."""
        return self.until is not None

    def note(self, last: bool) -> None:
        """Take in what an event says; once complete stays complete."""
        if last and self.until is None:
            self.until = asyncio.get_running_loop().time() + LINGER_SECONDS

    def over(self) -> bool:
        """Whether nothing more is waited for."""
        return self.until is not None and asyncio.get_running_loop().time() >= self.until

    def count(self, piece: bytes) -> bytes:
        """Take a piece into account.

        Raises:
            UpstreamInvalidResponse: the stream is larger than allowed.
        """
        self._left -= len(piece)
        if self._left < 0:
            raise UpstreamInvalidResponse("The provider's stream is larger than allowed.", retryable=False)
        return piece

    def require(self) -> None:
        """Refuse a stream that ended before it was.

        Raises:
            UpstreamInvalidResponse: when it was not.
        """
        if not self.reached:
            raise incomplete()


def incomplete() -> UpstreamInvalidResponse:
    """The error of a stream that ended too early."""
    return UpstreamInvalidResponse("The provider's stream ended before the answer was complete.")


async def next_piece(response: aiohttp.ClientResponse, completion: Completion) -> bytes:
    """The next bytes of a stream, none at its end. Soon after completion, and where the connection breaks then, it ends too."""
    if completion.until is None:
        return completion.count(await http.guarded(response.content.readany()))
    if completion.over():
        return b""
    try:
        async with asyncio.timeout_at(completion.until):
            return completion.count(await http.guarded(response.content.readany()))
    except (TimeoutError, AIModelsError):
        return b""
