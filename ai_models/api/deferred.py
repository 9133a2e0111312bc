"""Views that are imported when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from django.http.response import HttpResponseBase

View = Callable[..., HttpResponseBase]


class DeferredView:
    """A view in a URLconf, in all that is asked of it the view that it stands for.

    Every management command loads the URLconf, and calls no view. REST framework, and what it looks for among the installed
    packages, would cost it more than all else that it does. A server loads its views when it starts.

    Args:
        load: gives the view.
    """

    def __init__(self, load: Callable[[], View]) -> None:
        self._load = load

    def __call__(self, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return self.view(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.view, name)

    @cached_property
    def view(self) -> View:
        """The view itself."""
        return self._load()
