"""Commands as an operator runs them, with the families of :mod:`tests.state.vendor`."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import call_command

from tests.service.conftest import puppet
from tests.state.conftest import make_instance, vendor_families

__all__ = ["make_instance", "puppet", "vendor_families"]

Run = Callable[..., str]


@pytest.fixture
def run() -> Run:
    """Run a command and give what it printed."""

    def execute(name: str, *arguments: str) -> str:
        out = StringIO()
        call_command(name, *arguments, stdout=out, stderr=out)
        return out.getvalue()

    return execute
