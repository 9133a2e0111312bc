"""What the tests of families share: a quiet end, and everything that is logged."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from ai_models import service
from ai_models.transports import litellm

pytest.register_assert_rewrite("tests.families.contract")


_looked_up: list[object] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.getaddrinfo" and arguments[0] not in {None, "127.0.0.1", "localhost", "::1"}:
        _looked_up.append(arguments[0])


sys.addaudithook(_audit)


@pytest.fixture(autouse=True)
def _nobody_else_is_asked() -> Iterator[None]:
    """Upstreams are on this machine. Whoever looks up another one's address goes there behind our back."""
    _looked_up.clear()
    yield
    assert _looked_up == []


@pytest.fixture(autouse=True)
async def _closed_connections() -> AsyncIterator[None]:
    yield
    await service.aclose()


@pytest.fixture(scope="session")
def warm_litellm() -> None:
    """litellm is imported, which takes seconds, before a call that has less."""
    litellm._litellm_handler()


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """``caplog`` with every logger at DEBUG, those that keep their records to themselves too."""
    caplog.set_level(logging.DEBUG)
    for name in tuple(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, name)
    return caplog
