"""Database work in threads that nobody else may ever give a connection back in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connections

P = ParamSpec("P")
T = TypeVar("T")


def in_thread(work: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Have work done in a thread, and give its connection back: nothing else may ever happen there to do so.

    Within a transaction of the thread, and where connections are kept for a while, it stays as it is.
    """

    @wraps(work)
    def done(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return work(*args, **kwargs)
        finally:
            close_old_connections()

    return sync_to_async(done)


@contextmanager
def given_back() -> Iterator[None]:
    """Give back the connections that the block opens in this thread, and leave those alone that its caller has open.

    Within a transaction, and where connections are kept for a while, they stay as they are.
    """
    before = {connection.alias for connection in connections.all(initialized_only=True) if connection.connection}
    try:
        yield
    finally:
        for connection in connections.all(initialized_only=True):
            if connection.alias not in before:
                connection.close_if_unusable_or_obsolete()
