"""The host project with a configuration of its own: one provider, which is the upstream."""

from __future__ import annotations

import os

from project.settings import *  # noqa: F403
from project.settings import AI_MODELS

AI_MODELS["CONFIG_FILES"] = [os.environ["BENCH_CONFIG"]]
