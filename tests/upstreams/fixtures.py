"""Fixtures for tests that need an upstream. They work in tests with and without an event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.upstreams import faults
from tests.upstreams.server import Upstream


@pytest.fixture
def upstreams() -> Iterator[Callable[[], Upstream]]:
    """Starts scripted upstreams, each on a port of its own; they stop after the test."""
    with ExitStack() as running:
        yield lambda: running.enter_context(Upstream())


@pytest.fixture
def upstream(upstreams: Callable[[], Upstream]) -> Upstream:
    """A scripted upstream."""
    return upstreams()


@pytest.fixture
def refused_url() -> Iterator[str]:
    """A URL whose port refuses connections."""
    with faults.refused() as url:
        yield url
