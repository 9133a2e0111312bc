"""Which of the parsers reads a request, and which of the renderers writes the answer."""

from __future__ import annotations

from collections.abc import Iterable

from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from ai_models.api import errors


class JSONOnly(BaseContentNegotiation):
    """Answers are JSON (or a stream) whatever ``Accept`` says: an error must never become another error."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        parsers = tuple(parsers)
        if (parser := DefaultContentNegotiation().select_parser(request, parsers)) is None:
            taken = " or ".join(str(parser.media_type) for parser in parsers)
            raise errors.UnsupportedMediaType(f"The body must be sent with Content-Type: {taken}.")
        return parser

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type or ""
