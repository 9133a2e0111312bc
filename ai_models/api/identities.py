"""Who the headers of a request authenticate, remembered for at most a second.

Only what was found is remembered, and its age counts from before it was looked up: a token that is revoked, a user who is
deactivated or a permission that is withdrawn holds everywhere as soon as ``AI_MODELS["AUTH_CACHE_SECONDS"]`` have passed.
Failures are looked up anew each time. Permissions are cached on the user, and end with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import marshal
import os
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from time import monotonic
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

REMEMBERED = 4096
"""So many are remembered at once; those that were not asked for the longest go first."""

_LOOKUPS_AT_ONCE = 8

_DIFFERENT_EACH_TIME = frozenset(
    {
        b"content-length",
        b"x-request-id",
        b"traceparent",
        b"tracestate",
        b"sentry-trace",
        b"x-stainless-retry-count",
    }
)
"""Headers that say nothing about the sender, and would make each request another one."""

_ORDINARY = frozenset(
    {
        "type",
        "asgi",
        "http_version",
        "method",
        "scheme",
        "path",
        "raw_path",
        "query_string",
        "root_path",
        "headers",
        "client",
        "server",
        "extensions",
        "state",
    }
)
"""What servers tell of a request. Whatever else is there, applications around this one have put there."""

_TELLING = ("type", "method", "scheme", "root_path", "path", "query_string", "server")
"""What an authenticator may look at, beside the headers and the client's address."""

_SECRET = os.urandom(32)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class Known:
    """What an authenticator found.

    Attributes:
        user: with its permissions looked up.
        auth: the REST framework's ``request.auth``.
        authenticator: the one that found it.
        lasting: whether another request with the same headers would be answered in the same way. It is not when nobody was
            found, or when the body was looked at.
        by_session: whether the authenticators looked for a session.
        manner: how a request with the same headers was answered; whoever answers keeps it here.
    """

    user: Any
    auth: Any
    authenticator: Any
    lasting: bool
    by_session: bool = False
    manner: Any = None


LookUp = Callable[[], Known]


@dataclass(slots=True)
class _Lookup:
    until: float
    task: asyncio.Task[Known]
    waiting: int = 0
    known: Known | None = None


def in_lookup_thread(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Lookups have threads of their own: one that takes long is no concern of other requests and sockets."""
    return sync_to_async(function, thread_sensitive=False, executor=_threads())


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="ai_models-lookup")


class Identities:
    """What was found in one event loop. Requests that ask for the same at the same time wait for one lookup."""

    def __init__(self) -> None:
        self._lookups: OrderedDict[bytes, _Lookup] = OrderedDict()

    def recall(self, key: bytes | None) -> Known | None:
        """Who sends what has this key, where it is remembered."""
        if key is None or (lookup := self._lookups.get(key)) is None:
            return None
        if lookup.known is None or monotonic() >= lookup.until:
            return None
        self._lookups.move_to_end(key)
        return lookup.known

    async def find(self, key: bytes | None, look_up: LookUp, seconds: float) -> Known:
        """Who sends this.

        Args:
            key: of the request; without one nothing is remembered.
            look_up: asks the host's authenticators; called in a thread.
            seconds: for so long it may be remembered.

        Raises:
            Exception: whatever ``look_up`` raises.
        """
        if not seconds or key is None:
            return await in_lookup_thread(look_up)()
        now = monotonic()
        lookup = self._lookups.get(key)
        joined = lookup is not None and now < lookup.until
        if lookup is None or not joined:
            lookup = self._begin(key, now + seconds, look_up)
        else:
            self._lookups.move_to_end(key)
        known = lookup.task.result() if lookup.task.done() else await self._result(key, lookup)
        return await in_lookup_thread(look_up)() if joined and not known.lasting else known

    def _begin(self, key: bytes, until: float, look_up: LookUp) -> _Lookup:
        lookup = _Lookup(until, asyncio.get_running_loop().create_task(in_lookup_thread(look_up)()))

        def ended(task: asyncio.Task[Known]) -> None:
            if task.cancelled() or task.exception() or not task.result().lasting:
                self._forget(key, lookup)
            else:
                lookup.known = task.result()

        lookup.task.add_done_callback(ended)
        self._lookups[key] = lookup
        self._lookups.move_to_end(key)
        if len(self._lookups) > REMEMBERED:
            self._lookups.popitem(last=False)
        return lookup

    def _forget(self, key: bytes, lookup: _Lookup) -> None:
        if self._lookups.get(key) is lookup:
            del self._lookups[key]

    async def _result(self, key: bytes, lookup: _Lookup) -> Known:
        """What is found, for one of those who wait for it. When the last of them has left, it is not looked up any more."""
        lookup.waiting += 1
        try:
            return await asyncio.shield(lookup.task)
        finally:
            lookup.waiting -= 1
            if not (lookup.waiting or lookup.task.done()):
                # It ends only when its thread does. Whoever came until then would be cancelled with it.
                self._forget(key, lookup)
                lookup.task.cancel()


def key(scope: Mapping[str, Any]) -> bytes | None:
    """Stands for everything that an authenticator may look at, the body apart. What was sent cannot be read from it.

    ``None`` where there is more to look at than is known here.
    """
    if scope.keys() - _ORDINARY or scope.get("state") or "tls" in (scope.get("extensions") or ()):
        return None
    client = scope.get("client")
    told = (
        *[scope.get(name) for name in _TELLING],
        client[0] if client else None,
        [header for header in scope["headers"] if header[0] not in _DIFFERENT_EACH_TIME],
    )
    try:
        # In the format of this version equal values have equal bytes, which newer ones do not promise.
        said = marshal.dumps(told, 2)
    except ValueError:  # a server's own types
        return None
    return hashlib.blake2b(said, digest_size=32, key=_SECRET).digest()
