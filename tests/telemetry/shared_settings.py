"""Settings of a process that keeps metrics for Prometheus."""

from tests.settings import *  # noqa: F403
from tests.settings import AI_MODELS as _AI_MODELS

AI_MODELS = {**_AI_MODELS, "PROMETHEUS": True}
