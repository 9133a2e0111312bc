"""The routes, whose views are imported when a server starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.urls import URLPattern, URLResolver

from ai_models import urls
from ai_models.api.deferred import DeferredView
from ai_models.api.operations import CALLS, STREAMS
from ai_models.openai_api.endpoints import CHAT, ENDPOINTS

SERVED = """
import django

django.setup()
from ai_models.asgi import serve
import sys

print("ai_models.openai_api.views" in sys.modules)
serve(None)
print("ai_models.openai_api.views" in sys.modules)
"""


def routes(patterns: Any = urls.urlpatterns) -> Iterator[URLPattern]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns)
        else:
            yield pattern


ROUTES = list(routes())


def test_every_row_of_the_tables_has_its_route() -> None:
    rows = {id(route.callback.initkwargs.get("operation")) for route in ROUTES if hasattr(route.callback, "initkwargs")}
    assert [row.name for row in (*CALLS, *STREAMS, *ENDPOINTS) if id(row) not in rows] == []
    assert CHAT.name in {str(route.pattern) for route in ROUTES}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: str(route.pattern))
def test_a_deferred_view_passes_for_the_view_itself(route: URLPattern) -> None:
    view: Any = route.callback
    assert isinstance(view, DeferredView)
    assert iscoroutinefunction(view) is iscoroutinefunction(view.view)
    assert getattr(view, "csrf_exempt", None) == getattr(view.view, "csrf_exempt", None)
    assert getattr(view, "cls", None) is getattr(view.view, "cls", None)
    assert not hasattr(view, "no_such_attribute")


def test_a_server_imports_the_views_before_its_first_request() -> None:
    served = subprocess.run(
        [sys.executable, "-c", SERVED],
        cwd=Path(__file__).parent.parent.parent,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert served.stdout.split() == ["False", "True"], served.stderr
