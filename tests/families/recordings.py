"""WAV files of every kind, also broken ones."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

PCM16 = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
"""The format of 16 bits, one channel, 16,000 samples a second."""


def wav_of(values: Any, kind: str, rate: int, channels: int = 1, *, extensible: bool = False) -> bytes:
    """A WAV file with the samples, -1 to 1: ``kind`` is u8, i2, i3, i4, f4 or f8."""
    values = np.repeat(values, channels)
    width = int(kind[1])
    if kind == "u8":
        width, data = 1, (values * 127 + 128).astype(np.uint8).tobytes()
    elif kind[0] == "f":
        data = values.astype(f"<{kind}").tobytes()
    else:
        whole = (values * (2 ** (8 * width - 1) - 1)).astype("<i8").view(np.uint8).reshape(-1, 8)
        data = whole[:, :width].tobytes()
    tag = 3 if kind[0] == "f" else 1
    header = struct.pack(
        "<HHIIHH", 0xFFFE if extensible else tag, channels, rate, rate * channels * width, channels * width, 8 * width
    )
    if extensible:
        header += struct.pack("<HHIH14s", 22, 8 * width, 0, tag, b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71")
    return riff(part(b"fmt ", header), part(b"LIST", b"odd"), part(b"data", data))


def part(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def riff(*parts: bytes) -> bytes:
    body = b"WAVE" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body
