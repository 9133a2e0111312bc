"""The body of a response, made without the response around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.http import HttpResponse

JSON = "application/json"


@dataclass(slots=True)
class Answer:
    """The body of a success, and what it is.

    Attributes:
        content_type: with its parameters.
        headers: that belong to this body alone.
    """

    content: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ordinary(self) -> bool:
        """Whether all such answers have the same headers."""
        return self.content_type == JSON and not self.headers


class AnswerResponse(HttpResponse):
    """The response that an answer becomes."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.content, content_type=answer.content_type, headers=dict(answer.headers))
        self.answer = answer
