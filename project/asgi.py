"""The host's ASGI application: ``uvicorn project.asgi:application``."""

from __future__ import annotations

import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django_application = get_asgi_application()

from ai_models.asgi import serve  # noqa: E402  (needs the apps to be loaded)

# The few style sheets are served from here, with DEBUG off too and without a collect step. A proxy that serves STATIC_ROOT
# itself takes them over.
application = serve(ASGIStaticFilesHandler(django_application))
