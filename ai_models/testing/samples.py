"""Small files for tests, real enough that their bytes tell what they are."""

from __future__ import annotations

import struct
import zlib

from ai_models.transports import sound


def png(width: int = 1, height: int = 1) -> bytes:
    """A PNG in one colour that every reader takes."""
    rows = (b"\0" + b"\x20\x80\xff" * width) * height
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def wav(seconds: float = 0.1, rate: int = 16_000) -> bytes:
    """Silence: 16 bits, one channel."""
    return sound.wav(bytes(2 * int(seconds * rate)), rate)


def mp4() -> bytes:
    """The beginning of a video file, by which its type is known; it shows nothing."""
    return struct.pack(">I", 32) + b"ftypisom\0\0\x02\0isomiso2avc1mp41" + struct.pack(">I", 8) + b"mdat"
