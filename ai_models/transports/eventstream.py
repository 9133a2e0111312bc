"""AWS's binary event stream (``application/vnd.amazon.eventstream``), as Bedrock streams its answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

from ai_models.exceptions import UpstreamInvalidResponse
from ai_models.transports import faults, http, streaming

AWS_EVENT_STREAM = "application/vnd.amazon.eventstream"
"""https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html describes the framing."""


async def messages(response: Any, is_last: Callable[[dict[str, Any]], bool]) -> AsyncGenerator[tuple[bytes, dict[str, Any]]]:
    """Whole frames as they came, each with its content as ``{event type: payload}``.

    Raises:
        AIModelsError: malformed or exception frame, broken connection, or an end before the last event.
    """
    frames = _Frames()
    completion = streaming.Completion()
    while piece := await streaming.next_piece(response, completion):
        for frame in frames.feed(piece):
            payload = _content(frame)
            completion.note(is_last(payload))
            yield frame, payload
    completion.require()


class _Frames:
    """Cuts bytes into frames; each frame begins with its own length."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        self._bytes += piece
        frames = []
        while len(self._bytes) >= 4:
            length = int.from_bytes(self._bytes[:4], "big")
            if not 16 <= length <= streaming.max_event_bytes():
                raise UpstreamInvalidResponse("The provider's stream has a frame of an impossible size.", retryable=False)
            if len(self._bytes) < length:
                break
            frames.append(bytes(self._bytes[:length]))
            del self._bytes[:length]
        return frames


def _content(frame: bytes) -> dict[str, Any]:
    from botocore.eventstream import EventStreamBuffer, ParserError

    buffer = EventStreamBuffer()
    buffer.add_data(frame)
    try:
        message = next(iter(buffer))
    except (ParserError, StopIteration):
        raise UpstreamInvalidResponse("The provider's stream has a damaged frame.") from None
    name = message.headers.get(":exception-type") or message.headers.get(":event-type") or ""
    payload = http.parse_object(message.payload or b"{}")
    if message.headers.get(":message-type", "event") != "event":
        raise faults.from_error_object({"error": {"type": name, "message": payload.get("message", "")}})
    return {str(name): payload}
