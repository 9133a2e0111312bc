"""Settings of a host with a user model of its own, which ``USER_MODEL`` names."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, env

INSTALLED_APPS = [*INSTALLED_APPS, "tests.admin.members"]
AUTH_USER_MODEL = f"members.{env.str('USER_MODEL')}"
