"""The one door to the network: every byte to and from a provider passes here.

The client pools connections, refuses destinations that the instance may not reach (``connecting``), follows no redirect to
elsewhere, bounds what it reads, and turns every fault into an error of ours where it happens. It uses nothing of the
environment: no proxy, no netrc, no cookies.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from ai_models import correlation, jsontext
from ai_models.conf import conf
from ai_models.destinations import DestinationBlocked, DestinationPolicy, literal_address
from ai_models.exceptions import AIModelsError, UpstreamError, UpstreamInvalidResponse
from ai_models.transports import connecting, faults

_ERROR_BYTES = 64 * 1024
_ERROR_SECONDS = 1.0
_KEPT_TARGETS = 32
_T = TypeVar("_T")

_PRINTABLE = re.compile(r"[!-~]+")
# They say where a request goes and where it ends, which no setting of an instance may.
_FRAMING = frozenset({"host", "connection", "content-length", "transfer-encoding", "expect", "te", "upgrade"})
_HEADERS = {"user-agent": "django-ai-models", "accept": "*/*"}

JSON = "application/json"


class Client:
    """A pool of connections for one provider instance; usable from any event loop, one session for each."""

    def __init__(self, destinations: DestinationPolicy) -> None:
        self._destinations = destinations
        self._targets: dict[str, URL] = {}
        self._sessions: dict[asyncio.AbstractEventLoop, tuple[aiohttp.ClientSession, AsyncGenerator[None]]] = {}

    def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        accept: tuple[str, ...],
        redirects: int = 0,
    ) -> Exchange:
        """Send a request and give the answer, its body not yet read. Leaving the context closes what was not read.

        Args:
            url: absolute and already encoded; it is sent as it stands.
            headers: those that :func:`outgoing` made are sent as they stand.
            accept: media types that the answer may have; ``audio/*`` is all of a kind.
            redirects: how many are followed within the origin, to which the headers may go.

        Raises:
            AIModelsError: the answer is not a success of an accepted type, or there was none. Raised on entering.
        """
        return Exchange(self.send, method, url, headers, body, accept, redirects)

    async def get_object(self, url: str, *, headers: Mapping[str, str]) -> dict[str, Any]:
        """``GET`` a JSON object.

        Raises:
            AIModelsError: as :meth:`open`; or it is no such object, or an error of the provider's.
        """
        async with self.open("GET", url, headers=headers, body=None, accept=(JSON,)) as response:
            return parse_object(await read(response))

    async def download(
        self, url: str, *, headers: Mapping[str, str], accept: tuple[str, ...], redirects: int = 0
    ) -> AsyncGenerator[bytes]:
        """``GET`` a file of any size and give its bytes as they arrive; how many and how long is the reader's to limit.

        Args:
            redirects: as in :meth:`open`.

        Raises:
            AIModelsError: as :meth:`open`; or the file was cut off.
        """
        async with self.open("GET", url, headers=headers, body=None, accept=accept, redirects=redirects) as response:
            async for piece in pieces(response):
                yield piece

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> aiohttp.ClientResponse:
        """Send a request and give the answer, whatever it is.

        Raises:
            AIModelsError: there was none.
        """
        sent = headers if isinstance(headers, CIMultiDict) else outgoing(headers)
        if trace := correlation.trace_headers.get():
            sent = CIMultiDict({**trace, **sent})
        try:
            target = self._targets.get(url) or self._target(url)
            session = self._session() or await self._new_session()
            return await session.request(
                method,
                target,
                headers=sent,
                # Ours have what the library would add, but for this one where there is none.
                skip_auto_headers=None if "content-type" in sent else ("Content-Type",),
                # Said at once what it is, since the library's way to find out takes a tenth of the call.
                data=None if body is None else aiohttp.BytesPayload(body),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, DestinationBlocked, OSError, ValueError) as error:
            raise connecting.fault(error) from None

    def _target(self, url: str) -> URL:
        """The address, when it may be reached as far as it spells out where it leads; a few are kept, as calls repeat them."""
        target = URL(url, encoded=True)
        if address := literal_address(target.host or ""):
            self._destinations.check_address(target.host or "", target.port or 0, address)
        if len(self._targets) < _KEPT_TARGETS:
            self._targets[url] = target
        return target

    def _session(self) -> aiohttp.ClientSession | None:
        session, _ = self._sessions.get(asyncio.get_running_loop(), (None, None))
        return None if session is None or session.closed else session

    async def _new_session(self) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=connecting.Resolver(self._destinations),
                limit=0,
                ssl=connecting.tls(),
                keepalive_timeout=60,
                use_dns_cache=False,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connecting.SECONDS),
        )
        for ended in [other for other in self._sessions if other.is_closed()]:
            del self._sessions[ended]
        guard = _closed_with_its_loop(session)
        await anext(guard)
        self._sessions[asyncio.get_running_loop()] = (session, guard)
        return session

    async def aclose(self) -> None:
        """Close the connections of every event loop that still runs."""
        here = asyncio.get_running_loop()
        for loop, (session, _) in list(self._sessions.items()):
            if loop is here:
                await session.close()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(session.close(), loop)
        self._sessions.clear()


async def _closed_with_its_loop(session: aiohttp.ClientSession) -> AsyncGenerator[None]:
    """Started and kept; a loop that ends closes its async generators, and this one closes the session."""
    try:
        yield
    finally:
        await session.close()


class Exchange:
    """A request and its answer, see :meth:`Client.open`. A class, since a generator costs more than the rest of it."""

    __slots__ = ("_accept", "_redirects", "_request", "_response", "_send")

    def __init__(
        self,
        send: Callable[..., Awaitable[aiohttp.ClientResponse]],
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        accept: tuple[str, ...],
        redirects: int,
    ) -> None:
        self._send = send
        self._request = (method, url, headers, body)
        self._accept = accept
        self._redirects = redirects
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> aiohttp.ClientResponse:
        method, url, headers, body = self._request
        response = await self._send(method, url, headers, body)
        while self._redirects and (target := _redirect_within_origin(url, response)) is not None:
            response.close()
            url, self._redirects = target, self._redirects - 1
            response = await self._send(method, url, headers, body)
        try:
            await _check(response, self._accept)
        except BaseException:
            response.close()
            raise
        self._response = response
        return response

    async def __aexit__(self, *error: object) -> None:
        # Closes the connection unless the body was read to its end; never waits, so a cancelled task gets through.
        if self._response is not None:
            self._response.close()


def outgoing(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Headers as they are sent, with those that every request has and without those that frame it."""
    sent = {**_HEADERS, **headers, "accept-encoding": "identity"}
    return CIMultiDict({name: value for name, value in sent.items() if name.lower() not in _FRAMING})


async def read(response: aiohttp.ClientResponse) -> bytes:
    """The whole body.

    Raises:
        AIModelsError: it is larger than allowed, cut off, or the connection broke.
    """
    left = conf().MAX_RESPONSE_BYTES
    body: list[bytes] = []
    if (response.content_length or 0) <= left:
        while piece := await guarded(response.content.readany()):
            left -= len(piece)
            if left < 0:
                break
            body.append(piece)
        else:
            return body[0] if len(body) == 1 else b"".join(body)
    raise UpstreamInvalidResponse("The provider's answer is larger than allowed.", retryable=False)


async def pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body as it arrives."""
    while piece := await guarded(response.content.readany()):
        yield piece


async def guarded(read: Awaitable[_T]) -> _T:
    """Wait for bytes; a broken connection becomes an error of ours."""
    try:
        return await read
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _reading_fault(error) from None


def parse_object(data: bytes | str) -> dict[str, Any]:
    """A JSON object that is not an error object.

    Raises:
        AIModelsError: it is not JSON, not an object, or an error object of the provider.
    """
    payload = json_object(data)
    if payload.get("error"):
        raise faults.from_error_object(payload)
    return payload


def json_object(data: bytes | str) -> dict[str, Any]:
    """A JSON object, whatever it says.

    Raises:
        UpstreamInvalidResponse: it is not JSON or not an object.
    """
    try:
        payload = jsontext.loads(data, lenient=True)
    except ValueError:
        raise UpstreamInvalidResponse("The provider's answer is not valid JSON.") from None
    if not isinstance(payload, dict):
        raise UpstreamInvalidResponse("The provider's answer is not a JSON object.")
    return payload


def same_origin(url: str, other: str) -> bool:
    """Whether both addresses name the same scheme, host and port, so that what authenticates at one may go to the other."""
    if not _PRINTABLE.fullmatch(url):
        return False
    try:
        first, second = URL(url, encoded=True), URL(other, encoded=True)
        return first.user is None and (first.scheme, first.host, first.port) == (second.scheme, second.host, second.port)
    except ValueError:
        return False


def _redirect_within_origin(url: str, response: aiohttp.ClientResponse) -> str | None:
    location = response.headers.get("location", "")
    if not 300 <= response.status < 400 or not _PRINTABLE.fullmatch(location):
        return None
    try:
        target = str(URL(url, encoded=True).join(URL(location, encoded=True)))
    except ValueError:
        return None
    return target if same_origin(target, url) else None


def merged(callers: Mapping[str, str] | None, instances: Mapping[str, str]) -> dict[str, str]:
    """Headers of one request. Those of the instance win: a caller cannot replace the credential.

    Args:
        callers: in any case; ``instances``: in lower case.
    """
    return {**{name.lower(): value for name, value in (callers or {}).items()}, **instances}


async def _check(response: aiohttp.ClientResponse, accept: tuple[str, ...]) -> None:
    if 300 <= response.status < 400:
        raise UpstreamError(
            "The provider answered with a redirect, which is not followed. Check baseURL.", retryable=False, remedy="admin"
        )
    if response.status >= 400:
        headers = {name.lower(): value for name, value in response.headers.items()}
        raise faults.from_status(response.status, headers, await _beginning(response))
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise UpstreamInvalidResponse("The provider compressed its answer although it was told not to.", retryable=False)
    kind = response.content_type
    if kind not in accept and not any(fnmatchcase(kind, accepted) for accepted in accept):
        if kind == JSON:  # an error object in place of a stream
            parse_object(await read(response))
        raise UpstreamInvalidResponse("The provider's answer has an unexpected content type. Check baseURL.", retryable=False)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """What there is of an error's body; the status says the main thing, so nothing here may fail or wait long."""
    body = bytearray()
    try:
        async with asyncio.timeout(_ERROR_SECONDS):
            async for piece in pieces(response):
                body += piece
                if len(body) >= _ERROR_BYTES:
                    break
    except (AIModelsError, TimeoutError):
        pass
    return bytes(body)


def _reading_fault(error: Exception) -> AIModelsError:
    if isinstance(error, aiohttp.ClientPayloadError) and not isinstance(error.__cause__, OSError):
        return UpstreamInvalidResponse("The provider's answer was cut off.")
    return UpstreamError("The connection to the provider broke while it answered.")
