"""The host's ASGI application: ``uvicorn project.asgi:application``."""

from __future__ import annotations

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django_application = get_asgi_application()

# These need the apps to be loaded.
from ai_models.asgi import serve  # noqa: E402
from ai_models.routing import unknown_path, websocket_urlpatterns  # noqa: E402

# The few style sheets are served from here, with DEBUG off too and without a collect step. A proxy that serves STATIC_ROOT
# itself takes them over.
sockets = URLRouter([*websocket_urlpatterns, unknown_path])
pages = ASGIStaticFilesHandler(django_application)

application = serve(ProtocolTypeRouter({"http": pages, "websocket": sockets}))
