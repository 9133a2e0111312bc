"""Files that callers send: from bytes, base64 or an open file to bytes, and from bytes to their media type.

What a file is, is read off its bytes. A name or a declared media type is only believed about kinds of files that have no
signature, such as plain text.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import Any, Final

from ai_models.conf import conf
from ai_models.exceptions import PayloadTooLarge

IMAGE_TYPES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif")
"""What image models read."""

AUDIO_TYPES: Final = ("audio/wav", "audio/mpeg", "audio/flac", "audio/ogg", "audio/mp4", "audio/aac", "video/mp4", "video/webm")
"""What transcription models read; the last two are containers that hold sound as well."""

SIGNATURE_BYTES: Final = 8192
"""A file's first bytes, by which its type is known."""

# Where the signatures' library uses another name than IANA or today's browsers.
_NAMES = {"audio/x-wav": "audio/wav", "audio/x-flac": "audio/flac", "application/ogg": "audio/ogg"}
_WITH_SIGNATURE = re.compile(r"(?:image/(?!svg)|audio/|video/|application/pdf\Z)")
_DATA_URL = re.compile(r"data:[\w.+/;=-]*;base64,", re.IGNORECASE)


class NotAFile(ValueError):
    """What a caller gave is not the file it should be; the message says what is wrong, without the bytes."""


def read(value: Any) -> bytes:
    """The bytes of a file.

    Args:
        value: bytes, base64 text, a ``data:`` URL, an open binary file, or a :class:`~pathlib.Path`.

    Raises:
        NotAFile: it is none of these, or empty.
        PayloadTooLarge: it is larger than ``AI_MODELS["MAX_FILE_BYTES"]``.
    """
    limit = conf().MAX_FILE_BYTES
    data = _bytes(value, limit)
    if len(data) > limit:
        raise PayloadTooLarge(f"A file is larger than {limit} bytes.")
    if not data:
        raise NotAFile("the file is empty")
    return data


def media_type(data: bytes) -> str | None:
    """The IANA media type by the bytes' signature; ``None`` when they have none."""
    import filetype  # its many signatures; a process that is given no file has no use for them

    found = filetype.guess_mime(data)
    return _NAMES.get(found, found) if found else None


def extension(data: bytes) -> str:
    """The usual extension of a file's name by the bytes' signature, ``png``; ``bin`` when they have none."""
    import filetype

    return filetype.guess_extension(data) or "bin"


def checked_type(data: bytes, declared: str | None, allowed: tuple[str, ...] = ()) -> str:
    """The media type of a file.

    Args:
        declared: what the caller says it is.
        allowed: the types that will do; empty for all.

    Raises:
        NotAFile: the bytes are not what they should be.
    """
    found = media_type(data)
    if allowed and found not in allowed:
        raise NotAFile(f"these bytes are none of {', '.join(allowed)}")
    if found is None and declared and _WITH_SIGNATURE.match(declared):
        raise NotAFile(f"these bytes are not {declared}")
    return found or declared or "application/octet-stream"


def _bytes(value: Any, limit: int) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return _decode(value, limit)
    if isinstance(value, Path):
        with value.open("rb") as file:
            return file.read(limit + 1)
    if callable(reader := getattr(value, "read", None)):
        data = reader(limit + 1)
        if isinstance(data, bytes):
            return data
        raise NotAFile("open the file in binary mode")
    raise NotAFile("give bytes, base64 text or an open binary file")


def _decode(text: str, limit: int) -> bytes:
    head = _DATA_URL.match(text, 0, 200)
    text = text[head.end() :] if head else text
    if len(text) > limit // 3 * 4 + 4:
        raise PayloadTooLarge(f"A file is larger than {limit} bytes.")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotAFile("this text is not base64") from None
