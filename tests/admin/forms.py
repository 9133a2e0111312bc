"""A form as a browser sends it: what its page shows, and what the person changed."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from django.http import HttpResponse


class _Form(HTMLParser):
    """Collects the successful controls of the form with this id: https://html.spec.whatwg.org/#constructing-the-form-data-set"""

    def __init__(self, identity: str) -> None:
        super().__init__()
        self.identity, self.inside = identity, False
        self.data: dict[str, Any] = {}
        self._select: str | None = None
        self._textarea: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.inside = given.get("id") == self.identity
        name = given.get("name")
        if not self.inside or (not name and tag != "option"):
            return
        if tag == "input":
            self._input(str(name), given)
        elif tag == "textarea":
            self._textarea, self.data[str(name)] = str(name), ""
        elif tag == "select":
            self._select = str(name)
        elif tag == "option" and self._select and ("selected" in given or self._select not in self.data):
            self.data[self._select] = given.get("value") or ""

    def _input(self, name: str, given: dict[str, str | None]) -> None:
        kind = given.get("type", "text")
        if kind in ("submit", "button") or (kind in ("checkbox", "radio") and "checked" not in given):
            return
        self.data[name] = given.get("value") or ("on" if kind == "checkbox" else "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = False
        elif tag == "textarea":
            self._textarea = None
        elif tag == "select":
            self._select = None

    def handle_data(self, data: str) -> None:
        if self._textarea is not None and self.inside:
            self.data[self._textarea] += data.removeprefix("\n") if not self.data[self._textarea] else data


def form_on(page: HttpResponse, identity: str = "providerinstance_form") -> dict[str, Any]:
    """What a browser would send when the form on this page is submitted as it is."""
    reader = _Form(identity)
    reader.feed(page.content.decode())
    assert reader.data, "the page has no such form"
    return reader.data
