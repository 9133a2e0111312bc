"""The page of access in hosts with a user model of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = ("-m", "pytest", "-q", "-p", "no:xdist", "--ds=tests.admin.members.settings", "--no-migrations")


@pytest.mark.parametrize("model", ["Member", "Guest"])
def test_a_host_may_have_a_user_model_of_its_own(model: str) -> None:
    # A database of its own too.
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"} | {"USER_MODEL": model}
    command = [sys.executable, *COMMAND, "tests/admin/members/access.py"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, "2 passed" in done.stdout) == (0, True), done.stdout + done.stderr
