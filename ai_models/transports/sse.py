"""Server-sent events, decoded as the bytes arrive (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ai_models.exceptions import UpstreamInvalidResponse

_PIECES = 1000
_LINE_END = re.compile("\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event; several ``data`` lines are joined by line feeds."""

    event: str
    data: str


class Decoder:
    """Takes bytes in pieces of any size and gives whole events.

    Bytes that are not UTF-8 become U+FFFD. An event that the stream ends in the middle of is dropped, as the
    standard demands.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._max = max_event_bytes
        self._text = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._line_so_far: list[str] = []
        self._after_return = False
        self._size = self._pending = 0
        self._event = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> Iterator[ServerSentEvent]:
        """Decode a piece.

        Raises:
            UpstreamInvalidResponse: a single event is larger than allowed.
        """
        text = self._text.decode(piece)
        if text:
            ends = text.endswith("\r")
            if self._after_return:
                text = text.removeprefix("\n")  # the second half of a CRLF that was cut in two
            self._after_return = ends
        self._line_so_far.append(text)
        if "\n" not in text and "\r" not in text:
            # Put together once it has an end: a large event may come in very many pieces.
            self._pending += len(text)
            self._check_size(self._pending)
            if len(self._line_so_far) > _PIECES:  # each of which takes memory of its own
                self._line_so_far = ["".join(self._line_so_far)]
            return
        text = "".join(self._line_so_far)
        start = 0
        if "\r" not in text and not self._data and not self._event:
            # As nearly everybody sends them: one line of data, and an empty one.
            while (
                text.startswith("data:", start) and (stop := text.find("\n", start)) >= 0 and text[stop + 1 : stop + 2] == "\n"
            ):
                self._check_size(stop - start - 5)
                yield ServerSentEvent("message", text[start + 5 : stop].removeprefix(" "))
                start = stop + 2
        for end in _LINE_END.finditer(text, start):
            if event := self._line(text[start : end.start()]):
                yield event
            start = end.end()
        self._line_so_far = [text[start:]]
        self._pending = len(text) - start
        self._check_size(self._pending)

    def _line(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size += len(value)
            self._check_size(0)
        elif name == "event":
            self._event = value
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        event, data = self._event, self._data
        self._event, self._data, self._size = "", [], 0
        return ServerSentEvent(event or "message", "\n".join(data)) if data else None

    def _check_size(self, pending: int) -> None:
        if self._size + pending > self._max:
            raise UpstreamInvalidResponse("The provider sent a single event that is larger than allowed.", retryable=False)
