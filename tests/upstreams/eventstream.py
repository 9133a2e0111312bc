"""The framing of AWS event streams (``application/vnd.amazon.eventstream``).

A message is: total length, length of the headers, CRC-32 of these two; headers; payload; CRC-32 of all before it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any
from zlib import crc32

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7


def encode(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message."""
    packed = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    message = prelude + struct.pack(">I", crc32(prelude)) + packed + payload
    return message + struct.pack(">I", crc32(message))


def event(type: str, data: Mapping[str, Any]) -> bytes:
    """An event of the stream."""
    headers = {":event-type": type, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, json.dumps(data).encode())


def exception(type: str, message: str) -> bytes:
    """An exception that the service modelled, in mid-stream."""
    headers = {":exception-type": type, ":content-type": "application/json", ":message-type": "exception"}
    return encode(headers, json.dumps({"message": message}).encode())


def _header(name: bytes, value: bytes) -> bytes:
    return struct.pack(">B", len(name)) + name + struct.pack(">BH", _STRING, len(value)) + value
