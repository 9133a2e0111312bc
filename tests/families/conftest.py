"""What the tests of families share: a quiet end, and everything that is logged."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest

from ai_models import service

pytest.register_assert_rewrite("tests.families.contract")


@pytest.fixture(autouse=True)
async def _closed_connections() -> AsyncIterator[None]:
    yield
    await service.aclose()


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """``caplog`` with every logger at DEBUG, those that keep their records to themselves too."""
    caplog.set_level(logging.DEBUG)
    for name in tuple(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, name)
    return caplog
