"""``multipart/form-data`` as a request body: the fields of the JSON body under the same names, and files as they are.

A file's name and the media type that a part declares are not looked at; what a file is, its bytes tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import IO, Any, cast

from django.http.multipartparser import MultiPartParser
from django.utils.datastructures import MultiValueDict
from rest_framework.parsers import BaseParser, DataAndFiles

from ai_models.api.parsers import parse_value
from ai_models.conf import conf
from ai_models.exceptions import InvalidRequest, PayloadTooLarge
from ai_models.serialization import json_schema

MEDIA_TYPE = "multipart/form-data"

_CSRF_FIELD = "csrfmiddlewaretoken"
"""What Django's own forms bring along; it was looked at when the sender was authenticated."""


class FormParser(BaseParser):
    """Parses ``multipart/form-data`` up to ``AI_MODELS["MAX_UPLOAD_BYTES"]``, with or without a Content-Length.

    Files go where the host's ``FILE_UPLOAD_HANDLERS`` put them: large ones to disk.

    Raises:
        PayloadTooLarge: the body is larger.
        MultiPartParserError, TooManyFilesSent, SuspiciousOperation: Django's own, when it is malformed or has too much in it.
    """

    media_type = MEDIA_TYPE

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> DataAndFiles[Any, Any]:
        request = (parser_context or {})["request"]
        limit = conf().MAX_UPLOAD_BYTES
        announced: str = request.META.get("CONTENT_LENGTH") or ""
        # Django takes a body without a length for an empty one.
        length = int(announced) if announced.isdecimal() else limit
        body = _Counted(stream, limit)
        body.require(length)
        meta = {"CONTENT_TYPE": media_type, "CONTENT_LENGTH": length}
        return DataAndFiles(*MultiPartParser(meta, cast(Any, body), request.upload_handlers, "utf-8").parse())


class _Counted:
    """A stream that ends with an error when more comes than may."""

    def __init__(self, stream: IO[Any], limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._received = 0

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._stream.read(size)
        self._received += len(data)
        self.require(self._received)
        return data

    def require(self, size: int) -> None:
        """Refuse a body of more bytes than may come."""
        if size > self._limit:
            raise PayloadTooLarge(f"The request body is larger than {self._limit} bytes.")


@cache
def file_fields(kind: Any) -> frozenset[str]:
    """JSON names of the fields of a request type that are files. A type that has some is also taken as a form."""
    return frozenset(name for name, shape in _shapes(kind).items() if "contentEncoding" in shape.get("items", shape))


def to_request(kind: Any, form: MultiValueDict[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a form, as the JSON body would have them; not yet validated.

    Args:
        kind: the request type.
        form: text and uploaded files by name.
        aliases: other names that a field may come under.

    Raises:
        InvalidRequest: a field that is no list is given more than once, or its JSON text is not JSON.
    """
    given: dict[str, list[Any]] = {}
    for name, values in form.lists():
        if name != _CSRF_FIELD:
            given.setdefault(aliases.get(name, name), []).extend(values)
    shapes = {name: _shapes(kind).get(name, {}) for name in given}
    repeated = [name for name, values in given.items() if len(values) > 1 and shapes[name].get("type") != "array"]
    if repeated:
        raise InvalidRequest("; ".join(f"{name}: this field is given more than once" for name in repeated))
    return {name: _value(name, values, shapes[name]) for name, values in given.items()}


def _value(name: str, values: list[Any], shape: Mapping[str, Any]) -> Any:
    if shape.get("type") == "array":
        return values
    (value,) = values
    if not isinstance(value, str) or shape.get("type") == "string":
        return value
    if value.lstrip().startswith(("{", "[")):
        return parse_value(value, f"{name}: this text")
    try:
        return parse_value(value, name)
    except InvalidRequest:
        # Validation knows what should stand here.
        return value


@cache
def _shapes(kind: Any) -> Mapping[str, Mapping[str, Any]]:
    """JSON Schema of each field, by its JSON name."""
    shapes: Mapping[str, Mapping[str, Any]] = json_schema(kind)["properties"]
    return shapes
