"""The routes of the tests, and pages of a host."""

from __future__ import annotations

import mimetypes

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import ensure_csrf_cookie

from tests.urls import urlpatterns as shared


@ensure_csrf_cookie
def page(request: HttpRequest, name: str) -> HttpResponse:
    """A file of a page."""
    for folder in settings.PAGES:
        if (file := folder / name).is_file():
            kind, _ = mimetypes.guess_type(name)
            return HttpResponse(file.read_bytes(), kind)
    raise Http404


urlpatterns = [path("pages/<str:name>", page), *shared]
