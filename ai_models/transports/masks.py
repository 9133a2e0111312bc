"""Masks of images: from transparent pixels to black ones, without a library for images.

https://www.w3.org/TR/png-3/
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import accumulate

from ai_models.exceptions import InvalidRequest

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {4: 2, 6: 4}  # of the colour types with transparency: grey, and red, green and blue
_MOST_PIXELS = 2**24
_BLACK_BELOW_HALF = bytes(0 if alpha < 128 else 255 for alpha in range(256))
_TRANSPARENT_PALETTE = b"tRNS"


def black_and_white(mask: bytes) -> bytes:
    """The mask with black where it is transparent and white elsewhere; one without transparency is taken to be so already.

    Takes time in proportion to the pixels.

    Args:
        mask: an image; of those with transparency, a PNG of 8 bits that is not interlaced.

    Raises:
        InvalidRequest: it has another form of transparency, is too large, or damaged.
    """
    if not mask.startswith(_SIGNATURE):
        return mask
    try:
        chunks = list(_chunks(mask))
        width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", chunks[0][1])
        if colour not in _CHANNELS and all(kind != _TRANSPARENT_PALETTE for kind, _ in chunks):
            return mask
        if (depth, interlace) != (8, 0) or colour not in _CHANNELS or not 0 < width * height <= _MOST_PIXELS:
            raise InvalidRequest("mask: give a PNG with an alpha channel of 8 bits, not interlaced, of 16 megapixels at most")
        rows = _alpha(b"".join(data for kind, data in chunks if kind == b"IDAT"), width, height, _CHANNELS[colour])
        return _png(width, height, [row.translate(_BLACK_BELOW_HALF) for row in rows])
    except (struct.error, zlib.error, IndexError, ValueError):
        raise InvalidRequest("mask: the PNG is damaged") from None


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        yield kind, png[at + 8 : at + 8 + length]
        at += 12 + length


def _alpha(compressed: bytes, width: int, height: int, channels: int) -> Iterator[bytes]:
    """The alpha channel by rows. Filters work on each channel by itself, so that the others are not needed."""
    size = 1 + width * channels
    data = zlib.decompressobj().decompress(compressed, size * height)
    if len(data) < size * height:
        raise ValueError
    above = bytes(width)
    for start in range(0, size * height, size):
        above = _unfiltered(data[start], data[start + channels : start + size : channels], above)
        yield above


def _unfiltered(kind: int, row: bytes, above: bytes) -> bytes:
    match kind:
        case 0:
            return row
        case 1:
            return bytes(total & 255 for total in accumulate(row))
        case 2:
            return bytes((value + up) & 255 for value, up in zip(row, above, strict=True))
        case 3:
            return _averaged(row, above)
        case 4:
            return _predicted(row, above)
        case _:
            raise ValueError


def _averaged(row: bytes, above: bytes) -> bytes:
    found = bytearray()
    left = 0
    for value, up in zip(row, above, strict=True):
        left = (value + (left + up) // 2) & 255
        found.append(left)
    return bytes(found)


def _predicted(row: bytes, above: bytes) -> bytes:
    """Paeth's filter; a call per pixel would take most of its time."""
    found = bytearray()
    left = corner = 0
    for value, up in zip(row, above, strict=True):
        by_left, by_up, by_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
        other, distance = (up, by_up) if by_up <= by_corner else (corner, by_corner)
        left = (value + (left if by_left <= distance else other)) & 255
        found.append(left)
        corner = up
    return bytes(found)


def _png(width: int, height: int, rows: list[bytes]) -> bytes:
    """Grey rows as red, green and blue, which every model reads."""
    pixels = bytearray()
    for row in rows:
        spread = bytearray(3 * width)
        spread[0::3] = spread[1::3] = spread[2::3] = row
        pixels += b"\0" + spread
    parts = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(pixels)), (b"IEND", b""))
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
