"""What an address asks for: a page of a long table, a search, the row of a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest

PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Link:
    """The way to one page; without an address it is the one that is shown, or an ellipsis."""

    text: str
    url: str
    current: bool = False


@dataclass(frozen=True, slots=True)
class Paged:
    """The rows of one page.

    Attributes:
        total: how many rows there are on all pages.
        links: empty when there is one page only.
    """

    rows: Sequence[Any]
    total: int
    links: tuple[Link, ...]


def paged(request: HttpRequest, rows: QuerySet[Any], parameter: str) -> Paged:
    """The page of these rows that the query string asks for.

    Args:
        parameter: the name of the page's number in the query string.
    """
    paginator = Paginator(rows, PER_PAGE)
    page = paginator.get_page(request.GET.get(parameter))
    links = [_link(request, parameter, number, page.number) for number in paginator.get_elided_page_range(page.number)]
    return Paged(list(page), paginator.count, tuple(links) if len(links) > 1 else ())


def _link(request: HttpRequest, parameter: str, number: int | str, current: int) -> Link:
    if number == current or not isinstance(number, int):
        return Link(str(number), "", number == current)
    query = request.GET.copy()
    query[parameter] = str(number)
    return Link(str(number), f"?{query.urlencode()}")


def search_text(request: HttpRequest, name: str) -> str:
    """What a search field of the address holds; PostgreSQL takes no null characters."""
    return request.GET.get(name, "").replace("\0", "").strip()


def found(rows: QuerySet[Any], key: str) -> Any:
    """The row of this key as an address or a form has it.

    Raises:
        Http404: there is none.
    """
    try:
        row = rows.filter(pk=rows.model._meta.pk.clean(key, None)).first()
    except ValidationError:
        row = None
    if row is None:
        raise Http404
    return row
