"""Cards: the parts of a page that stand for themselves. What keeps one of them from being shown is told in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from django.db import Error as DatabaseError
from django.db import transaction
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ai_models.admin.words import chip
from ai_models.encryption import InvalidKey
from ai_models.exceptions import AIModelsError, ConfigurationError


class Content(Protocol):
    """What a card shows."""

    def chip(self) -> SafeString:
        """The most important of it, as a small mark."""
        ...


@dataclass(frozen=True, slots=True)
class Card:
    """One card.

    Attributes:
        name: its anchor, and what its template is called.
        content: what it shows; ``None`` when that cannot be found out.
        problems: why it cannot.
    """

    name: str
    title: Promise
    content: Content | None = None
    problems: Sequence[str] = ()

    @property
    def template(self) -> str:
        """The template of its content."""
        return f"ai_models/admin/overview_{self.name}.html"

    def chip(self) -> SafeString:
        """Its state."""
        return chip(_("cannot be told"), "bad") if self.content is None else self.content.chip()


def card(name: str, title: Promise, build: Callable[[], Content]) -> Card:
    """Build a card. What is known to go wrong becomes its text."""
    try:
        with _savepoint():
            return Card(name, title, build())
    except ConfigurationError as error:
        problems = [str(problem) for problem in error.problems]
    except (AIModelsError, InvalidKey) as error:
        problems = [str(error)]
    except DatabaseError:
        problems = [_("The database cannot be read. It must be reachable, and migrated with: manage.py migrate")]
    return Card(name, title, problems=problems)


def _savepoint() -> AbstractContextManager[object]:
    """Where the request is one transaction, a statement that fails must not spoil it for the cards that follow."""
    return transaction.atomic() if transaction.get_connection().in_atomic_block else nullcontext()
