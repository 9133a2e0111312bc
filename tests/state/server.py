"""A server process for tests: ``python -m uvicorn tests.state.server:application``. It knows the scripted family, and looks at
the revision as often as a host's server does that sets nothing.

``BEAT_SECONDS`` is how often it says that it is there.
"""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application

from ai_models.conf import Conf

changed: dict[str, Any] = {
    "FAMILIES": ["tests.api.scripted.Scripted"],
    "CONFIG_FILES": (),
    "REVISION_POLL_SECONDS": Conf().REVISION_POLL_SECONDS,
}
settings.AI_MODELS = {**settings.AI_MODELS, **changed}
django_application = get_asgi_application()

# These need the apps to be loaded.
from ai_models import asgi, workers  # noqa: E402

workers.BEAT_SECONDS = float(os.environ.get("BEAT_SECONDS", workers.BEAT_SECONDS))
application = asgi.serve(django_application)
