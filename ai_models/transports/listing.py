"""A vendor's list of its models. Asking for it costs nothing anywhere, and proves address and credential."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

MOST_PAGES = 10
"""Of the largest size that a vendor gives; of a longer list, the beginning is enough."""

Query = Mapping[str, str]


async def paged(
    get: Callable[[Query], Awaitable[Mapping[str, Any]]],
    key: str,
    name: str,
    following: Callable[[Mapping[str, Any]], Query | None],
) -> tuple[str, ...]:
    """The names in a list that comes in pages.

    Args:
        get: fetches the page that these query parameters name, which none do for the first one.
        key, name: as for :func:`names`.
        following: the parameters of the page after one; ``None`` after the last.
    """
    page = await get({})
    found = names(page, key, name)
    for _ in range(MOST_PAGES - 1):
        query = following(page)
        if query is None:
            break
        page = await get(query)
        found += names(page, key, name)
    return found


def names(page: Mapping[str, Any], key: str, name: str) -> tuple[str, ...]:
    """The models' names, as the vendor writes them.

    Args:
        key, name: where the models stand in the answer, and the name in each of them.
    """
    items = page.get(key)
    listed = items if isinstance(items, list) else []
    return tuple(item[name] for item in listed if isinstance(item, dict) and isinstance(item.get(name), str))
