"""A stream as server-sent events, in the AI SDK's UI message stream protocol."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from django.http import StreamingHttpResponse

from ai_models import events
from ai_models.exceptions import Internal
from ai_models.serialization import to_json

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 15.0
"""A comment is sent after this long without an event, so that proxies leave a waiting connection open."""

STALL_SECONDS = 30.0
"""A client that takes nothing for so long is cut off, so that it does not hold the provider's connection."""

DONE = b"data: [DONE]\n\n"

WINDOW = 64
"""Events held for a client that reads slowly; beyond that the provider's stream waits."""

_KEEP_ALIVE = b": keep-alive\n\n"

HEADERS = {
    "x-vercel-ai-ui-message-stream": "v1",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


class Stream(Protocol):
    """What is needed of the service's stream."""

    @property
    def events(self) -> AsyncIterator[events.Event]: ...

    async def aclose(self) -> None: ...


def _finish(event: events.Finish) -> dict[str, Any]:
    result = event.result
    return {
        "finishReason": result.finish_reason,
        "messageMetadata": to_json(
            {"usage": result.usage, "provider": result.provider, "model": result.model, "warnings": result.warnings}
        ),
    }


def _error(event: events.Error) -> dict[str, Any]:
    return {"errorText": event.error.message}


_ENCODERS: dict[type[events.Event], Callable[[Any], dict[str, Any]]] = {events.Finish: _finish, events.Error: _error}
"""Events whose encoding is more than their fields under JSON names."""


def encode(event: events.Event) -> bytes:
    """One event as a ``data:`` line."""
    encoder: Callable[[Any], dict[str, Any]] = _ENCODERS.get(type(event), to_json)
    data = {"type": event.type, **encoder(event)}
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n\n"


async def respond(stream: Stream) -> StreamingHttpResponse:
    """Wait for the first event, then answer 200 and send the rest as it comes.

    Raises:
        AIModelsError: the stream failed before its first event; nothing has been sent.
    """
    iterator = aiter(stream.events)
    try:
        first = await anext(iterator)
        if isinstance(first, events.Error):
            raise first.error
    except BaseException:
        await stream.aclose()
        raise
    return StreamingHttpResponse(_body(stream, first, iterator), content_type="text/event-stream", headers=HEADERS)


async def _body(stream: Stream, first: events.Event, rest: AsyncIterator[events.Event]) -> AsyncIterator[bytes]:
    window: asyncio.Queue[events.Event] = asyncio.Queue(WINDOW)
    pump = asyncio.create_task(_pump(stream, rest, window))
    event = first
    try:
        yield encode(event)
        while not isinstance(event, events.TERMINAL):
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    event = await window.get()
            except TimeoutError:
                yield _KEEP_ALIVE
            else:
                yield encode(event)
        yield DONE
    finally:
        pump.cancel()
        # A generator that is still running cannot be closed.
        await asyncio.wait({pump})
        await stream.aclose()


async def _pump(stream: Stream, rest: AsyncIterator[events.Event], window: asyncio.Queue[events.Event]) -> None:
    """Move events into the window. Waiting on a queue can time out without harm; waiting on a generator cannot."""
    try:
        async for event in rest:
            async with asyncio.timeout(STALL_SECONDS):
                await window.put(event)
    except TimeoutError:
        await stream.aclose()
        while not window.empty():
            window.get_nowait()
        window.put_nowait(events.Abort())
    except Exception:
        logger.exception("A stream broke without telling why")
        await window.put(events.Error(Internal("The stream failed because of a fault in this service.")))
