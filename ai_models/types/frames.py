"""What a client sends over the websocket."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Required

from pydantic import Field, with_config
from typing_extensions import TypedDict

from ai_models.types.messages import JSON_CONFIG
from ai_models.types.requests import ON_DISCONNECT, OnDisconnect

SUBPROTOCOL = "ai-models.v1"
"""What a client offers in the handshake."""

WEBSOCKET_PATH = "ws/ai/v1/"
"""Where the websocket is, without the slash in front."""

STREAM_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

StreamId = Annotated[
    str,
    Field(
        pattern=rf"^{STREAM_ID.pattern}$",
        description="The client's name of a stream. To come back to it, call none of the user's other streams the same.",
    ),
]


@with_config(JSON_CONFIG)
class StreamFrame(TypedDict, total=False):
    """Begin a stream."""

    type: Required[Literal["stream-text", "stream-object"]]
    stream_id: Required[StreamId]
    request: Required[Annotated[dict[str, Any], Field(description="As the body of the operation of that name over REST.")]]
    on_disconnect: Annotated[OnDisconnect, ON_DISCONNECT]


@with_config(JSON_CONFIG)
class CancelFrame(TypedDict):
    """End a stream, on whichever connection it was begun."""

    type: Literal["cancel"]
    stream_id: StreamId


@with_config(JSON_CONFIG)
class ResumeFrame(TypedDict):
    """Go on with a stream that was begun on another connection."""

    type: Literal["resume"]
    stream_id: StreamId
    after: Annotated[int, Field(ge=0, description="The seq of the last event the client has; 0 when it has none.")]


@with_config(JSON_CONFIG)
class PingFrame(TypedDict):
    """Ask for a ``pong``."""

    type: Literal["ping"]
