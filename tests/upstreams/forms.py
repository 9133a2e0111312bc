"""Forms as they came over the wire: ``multipart/form-data``, taken apart strictly, so that a file is its bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.upstreams.recorded import Recorded

_NAME = re.compile(r'(?<!file)name="([^"]*)"')
_FILENAME = re.compile(r'filename="([^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One field of a form; a file has a ``filename`` and a ``content_type``."""

    name: str
    data: bytes
    filename: str | None
    content_type: str | None


def is_form(request: Recorded) -> bool:
    """Whether the body is a form."""
    return request.headers.get("content-type", "").startswith("multipart/form-data")


def parts(request: Recorded) -> list[Part]:
    """The fields in their order."""
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    assert boundary
    before, *found, end = (b"\r\n" + request.body).split(b"\r\n--" + boundary)
    assert (before, end) == (b"", b"--\r\n"), "the form is not closed"
    return [_part(part) for part in found]


def _part(raw: bytes) -> Part:
    head, _, data = raw.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().strip().split("\r\n"))
    disposition = headers["Content-Disposition"]
    name, filename = _NAME.search(disposition), _FILENAME.search(disposition)
    assert name is not None
    return Part(name=name[1], data=data, filename=filename[1] if filename else None, content_type=headers.get("Content-Type"))


def fields(request: Recorded) -> dict[str, list[str]]:
    """The texts of the fields that are no files, by name."""
    found: dict[str, list[str]] = {}
    for part in parts(request):
        if part.filename is None:
            found.setdefault(part.name, []).append(part.data.decode())
    return found


def files(request: Recorded) -> list[Part]:
    """The files in their order."""
    return [part for part in parts(request) if part.filename is not None]
