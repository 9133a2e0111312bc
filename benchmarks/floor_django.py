"""The least that Django can do: an async view without middleware, which does what the bare ASGI application does."""

from __future__ import annotations

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from pydantic_core import from_json, to_json

from benchmarks.floor_asgi import call


async def view(request: HttpRequest) -> HttpResponse:
    """Plain chat completions."""
    return HttpResponse(to_json(await call(from_json(request.body))), content_type="application/json")


urlpatterns = [path("chat/completions", view)]

settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG=False,
    INSTALLED_APPS=[],
    LOGGING_CONFIG=None,
    MIDDLEWARE=[],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a floor that has nothing to protect",  # noqa: S106
)
django.setup()
application = get_asgi_application()
