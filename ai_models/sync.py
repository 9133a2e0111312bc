"""The async service for code that is not async: one event loop in one thread, where connections stay open between calls."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextvars import copy_context
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.core.exceptions import SynchronousOnlyOperation
from django.db import Error as DatabaseError

from ai_models import store
from ai_models.access import PERMISSIONS
from ai_models.exceptions import NotReady
from ai_models.observation import deferred
from ai_models.streams import ObjectStream, SyncObjectStream, SyncTextStream, TextStream

P = ParamSpec("P")
T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


class CheckedUser:
    """A user whose permissions were looked up in the caller's thread, on the caller's database connection."""

    def __init__(self, user: Any) -> None:
        try:
            self._held = {permission for permission in PERMISSIONS if user.has_perm(permission)}
        except DatabaseError:
            raise NotReady("The user's permissions cannot be read from the database.") from None

    async def ahas_perm(self, permission: str) -> bool:
        return permission in self._held


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of the service on the background loop and wait for its result.

    Interrupting the wait (a signal, a timeout of the caller's) cancels it.

    Raises:
        SynchronousOnlyOperation: an event loop runs in this thread; waiting would block it.
    """
    if _in_event_loop():
        coroutine.close()
        raise SynchronousOnlyOperation("This would block the event loop. Use the async twin, its name begins with an a.")
    with store.carried(), deferred():
        future: Future[T] = Future()
        context = copy_context()
        loop = background_loop()
        loop.call_soon_threadsafe(lambda: _start(loop, coroutine, context, future))
        try:
            return future.result()
        except CancelledError:
            raise
        except BaseException:
            future.cancel()
            raise


def _start(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T], context: Any, future: Future[T]) -> None:
    task = loop.create_task(coroutine, context=context)

    def done(finished: asyncio.Task[T]) -> None:
        if finished.cancelled():
            future.cancel()
        elif not future.cancelled():
            error = finished.exception()
            future.set_exception(error) if error else future.set_result(finished.result())

    task.add_done_callback(done)
    future.add_done_callback(lambda waiting: loop.call_soon_threadsafe(task.cancel) if waiting.cancelled() else None)


def background_loop() -> asyncio.AbstractEventLoop:
    """The loop, started when first needed."""
    global _loop
    with _lock:
        if _loop is None:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="ai_models-loop", daemon=True).start()
            _loop = loop
        return _loop


def synchronous(call: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """The sync twin of an async method: same signature, same result, same errors."""

    @wraps(call)
    def twin(*args: P.args, **kwargs: P.kwargs) -> T:
        return run(call(*args, **_checked(kwargs)))

    _name(twin, call)
    return twin


def synchronous_stream(call: Callable[P, TextStream]) -> Callable[P, SyncTextStream]:
    """The sync twin of a method that streams text."""
    return _streaming(call, SyncTextStream)


def synchronous_object_stream(call: Callable[P, ObjectStream]) -> Callable[P, SyncObjectStream]:
    """The sync twin of a method that streams an object."""
    return _streaming(call, SyncObjectStream)


def _streaming(call: Callable[P, Any], kind: Callable[[Any, Any], T]) -> Callable[P, T]:
    @wraps(call)
    def twin(*args: P.args, **kwargs: P.kwargs) -> T:
        return kind(call(*args, **_checked(kwargs)), run)

    _name(twin, call)
    return twin


def _checked(kwargs: Any) -> Any:
    if kwargs.get("user") is not None:
        return {**kwargs, "user": CheckedUser(kwargs["user"])}
    return kwargs


def _name(twin: Any, call: Any) -> None:
    twin.__name__ = twin.__qualname__ = call.__name__.removeprefix("a")
    twin.__doc__ = f"The sync twin of :func:`{call.__name__}`.\n\n{call.__doc__}"


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _forget_after_fork() -> None:
    """The loop's thread does not exist in a forked process."""
    global _loop, _lock
    _loop, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
