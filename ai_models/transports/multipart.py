"""``multipart/form-data`` (RFC 7578): how files are sent beside other fields."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ai_models import media


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of a form.

    Attributes:
        name: the field's name.
        filename: its extension tells servers what the file is; some look at nothing else.
    """

    name: str
    filename: str
    media_type: str
    data: bytes = field(repr=False)

    @classmethod
    def of(cls, name: str, data: bytes, media_type: str | None = None) -> Upload:
        """A file whose type is read off its bytes where it is not given; its own name is nobody's business."""
        kind = media_type or media.media_type(data) or "application/octet-stream"
        return cls(name, f"{name.rstrip('[]')}.{media.extension(data)}", kind, data)


@dataclass(frozen=True, slots=True)
class Form:
    """Fields and files.

    Attributes:
        fields: texts are sent as they are, and other JSON values in JSON; a list is sent item by item under ``name[]``.
    """

    fields: Mapping[str, Any]
    files: Sequence[Upload] = ()

    def encode(self) -> tuple[str, bytes]:
        """The content type and the body."""
        boundary = secrets.token_hex(16)  # too long to be in a file by chance, and not to be guessed
        pieces: list[bytes] = []
        for name, value in self.fields.items():
            repeated = isinstance(value, list)
            for item in value if repeated else [value]:
                head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}{"[]" if repeated else ""}"\r\n\r\n'
                pieces += [head.encode(), _text(item).encode(), b"\r\n"]
        for file in self.files:
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{file.name}"; filename="{file.filename}"\r\n'
            pieces += [head.encode(), f"Content-Type: {file.media_type}\r\n\r\n".encode(), file.data, b"\r\n"]
        pieces.append(f"--{boundary}--\r\n".encode())
        return f"multipart/form-data; boundary={boundary}", b"".join(pieces)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
