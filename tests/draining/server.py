"""A server process for tests: ``python -m uvicorn tests.draining.server:application``. It knows the scripted family.

``NOTICE`` and ``DRAIN`` are the settings of those names, ``CACHE_DIR`` is what several processes share.
"""

from __future__ import annotations

import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application

changed: dict[str, Any] = {
    "FAMILIES": ["tests.api.scripted.Scripted"],
    "CONFIG_FILES": (),
    "MAX_RETRIES": 0,
    "DRAIN_NOTICE_SECONDS": float(os.environ["NOTICE"]),
    "DRAIN_SECONDS": float(os.environ["DRAIN"]),
}
settings.AI_MODELS = {**settings.AI_MODELS, **changed}
settings.CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": os.environ["CACHE_DIR"],
        "OPTIONS": {"MAX_ENTRIES": 1_000_000},
    }
}
django_application = get_asgi_application()

# These need the apps to be loaded.
from ai_models import asgi  # noqa: E402
from ai_models.routing import unknown_path, websocket_urlpatterns  # noqa: E402

sockets = URLRouter([*websocket_urlpatterns, unknown_path])
application = asgi.serve(ProtocolTypeRouter({"http": django_application, "websocket": sockets}))
