"""Events as JSON: the objects that server-sent events, websocket frames and replay logs all carry.

They are the parts of the AI SDK's UI message stream protocol, and ``error`` also has the whole error of this service.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from functools import cache
from typing import Any, get_type_hints

import pydantic_core

from ai_models import events
from ai_models.serialization import to_json

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode(event: events.Event, request_id: str) -> str:
    """An event as a JSON object without line breaks; ``type`` comes first.

    Args:
        request_id: stands in the error of an ``error``.
    """
    kind: Any = type(event)
    if (form := _form(kind)) is None:
        return dumps({"type": event.type, **_fields(event, request_id)})
    template, names = form
    return _carried(template % tuple([_json(getattr(event, name)) for name in names]))


def dumps(value: Any) -> str:
    """JSON as it is sent: no spaces, half surrogate pairs, which UTF-8 does not have, as question marks, and what is no number,
    which JSON does not have, as ``null``."""
    return dump_bytes(value).decode()


def dump_bytes(value: Any) -> bytes:
    """The same in UTF-8."""
    try:
        return pydantic_core.to_json(value, inf_nan_mode="null")
    except ValueError:  # half a pair, or nested too deep for it
        return _carried(_json(value)).encode()


def _carried(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@cache
def _form(kind: Any) -> tuple[str, tuple[str, ...]] | None:
    """The JSON of an event of texts alone, with a gap for each, and the fields that fill them; ``None`` for other events.

    Most events are a piece of text, and there are hundreds in a stream.
    """
    names = tuple(field.name for field in dataclasses.fields(kind))
    declared = get_type_hints(kind)
    if kind in _ENCODERS or any(declared[name] is not str for name in names):
        return None
    gaps = dumps({"type": kind.type, **to_json(kind(*["%s"] * len(names)))})
    return gaps.replace('"%s"', "%s"), names


def _fields(event: events.Event, request_id: str) -> dict[str, Any]:
    if isinstance(event, events.Error):
        return {"errorText": event.error.message, **event.error.envelope(request_id)}
    encoder: Callable[[Any], dict[str, Any]] = _ENCODERS.get(type(event), to_json)
    return encoder(event)


def _finish(event: events.Finish) -> dict[str, Any]:
    result = event.result
    told = {"usage": result.usage, "provider": result.provider, "model": result.model, "warnings": result.warnings}
    return {"finishReason": result.finish_reason, "messageMetadata": to_json(told)}


def _reasoning_end(event: events.ReasoningEnd) -> dict[str, Any]:
    """The AI SDK refuses ``null`` in place of metadata."""
    return {name: value for name, value in to_json(event).items() if value is not None}


_ENCODERS: dict[type[events.Event], Callable[[Any], dict[str, Any]]] = {
    events.Finish: _finish,
    events.ReasoningEnd: _reasoning_end,
}
"""Events whose encoding is more than their fields under JSON names."""
