"""Masks: transparency becomes black, however the PNG says it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import pytest

from ai_models.exceptions import InvalidRequest
from ai_models.transports.masks import black_and_white
from tests.samples import PNG

ALPHA = ((0, 255, 255, 0, 127), (255, 0, 0, 128, 1), (0, 0, 255, 255, 255), (9, 200, 130, 3, 254))
EXPECTED = [[value >= 128 for value in row] for row in ALPHA]


def encoded(
    rows: Sequence[bytes], *, width: int = 5, depth: int = 8, colour: int = 6, interlace: int = 0, more: bytes = b""
) -> bytes:
    """A PNG of rows that are filtered already."""
    head = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, interlace)
    data = zlib.compress(b"".join(rows))
    parts = ((b"IHDR", head), *([(b"tRNS", more)] if more else []), (b"IDAT", data[:7]), (b"IDAT", data[7:]), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def pixels(channels: int) -> list[bytes]:
    """Rows whose colours differ from their alpha."""
    return [
        b"".join(
            bytes([(7 * x + 31 * y + c) % 256 for c in range(channels - 1)]) + bytes([alpha]) for x, alpha in enumerate(row)
        )
        for y, row in enumerate(ALPHA)
    ]


def filtered(rows: Sequence[bytes], kinds: Sequence[int], channels: int) -> list[bytes]:
    """As the format's section 9 says, byte by byte."""
    done, above = [], bytes(len(rows[0]))
    for row, kind in zip(rows, kinds, strict=True):
        line = bytearray([kind])
        for x, value in enumerate(row):
            left = row[x - channels] if x >= channels else 0
            corner = above[x - channels] if x >= channels else 0
            up = above[x]
            distances = (abs(up - corner), abs(left - corner), abs(left + up - 2 * corner))
            paeth = (left, up, corner)[distances.index(min(distances))]
            line.append((value - (0, left, up, (left + up) // 2, paeth)[kind]) % 256)
        done.append(bytes(line))
        above = row
    return done


def decoded(png: bytes) -> list[list[bool]]:
    """Which pixels of an unfiltered RGB picture are white; all others are black."""
    width, height = struct.unpack_from(">II", png, 16)
    assert png[24:29] == bytes([8, 2, 0, 0, 0])
    start = png.index(b"IDAT")
    (length,) = struct.unpack_from(">I", png, start - 4)
    body = png[start + 4 : start + 4 + length]
    assert zlib.crc32(b"IDAT" + body) == struct.unpack_from(">I", png, start + 4 + length)[0]
    data, size = zlib.decompress(body), 1 + 3 * width
    rows = [data[at + 1 : at + size] for at in range(0, size * height, size)]
    colours = [[row[x : x + 3] for x in range(0, 3 * width, 3)] for row in rows]
    assert {colour for row in colours for colour in row} <= {b"\0\0\0", b"\xff\xff\xff"}
    return [[colour == b"\xff\xff\xff" for colour in row] for row in colours]


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("kinds", [(0, 0, 0, 0), (1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3), (4, 4, 4, 4), (4, 3, 2, 1)])
def test_transparent_is_black_and_the_rest_is_white(channels: int, kinds: tuple[int, ...]) -> None:
    mask = encoded(filtered(pixels(channels), kinds, channels), colour={2: 4, 4: 6}[channels])
    assert decoded(black_and_white(mask)) == EXPECTED


@pytest.mark.parametrize("mask", [PNG, b"\xff\xd8\xff\xe0 a JPEG"], ids=["a PNG without transparency", "another format"])
def test_a_mask_without_transparency_stays_as_it_is(mask: bytes) -> None:
    assert black_and_white(mask) == mask


ROWS = [b"\0" + row for row in pixels(4)]


@pytest.mark.parametrize(
    "mask",
    [
        encoded(ROWS, depth=16),
        encoded(ROWS, interlace=1),
        encoded(ROWS, width=2**30),
        encoded(ROWS, width=0),
        encoded([]),
        encoded([b"\0" + bytes(5)], colour=3, more=b"\0"),
        encoded([*ROWS[:-1], ROWS[-1][:-1]]),
        encoded([b"\5" + row for row in pixels(4)]),
        encoded(ROWS)[:40],
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n\0\0\0\x01IHDR\0",
    ],
    ids=[
        "16 bits",
        "interlaced",
        "huge",
        "no columns",
        "no rows",
        "a palette",
        "short",
        "an unknown filter",
        "cut off",
        "empty",
        "no header",
    ],
)
def test_what_cannot_be_read_is_the_callers_fault(mask: bytes) -> None:
    with pytest.raises(InvalidRequest, match="mask: "):
        black_and_white(mask)
