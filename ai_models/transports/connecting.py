"""How a connection to a provider comes about: names are looked up, addresses judged at connect time, TLS checked."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from functools import cache

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from ai_models.destinations import DestinationBlocked, DestinationPolicy, literal_address
from ai_models.exceptions import AIModelsError, UpstreamError, UpstreamInvalidResponse, UpstreamTimeout

SECONDS = 10.0
"""A connection is there within this time, or not at all."""


async def reach(url: str, destinations: DestinationPolicy) -> None:
    """Connect to an address as a call would, with TLS where it has it, and hang up: nothing is sent.

    Raises:
        AIModelsError: it may not be reached, or cannot be within ``SECONDS``.
    """
    try:
        target = URL(url, encoded=True)
        host = target.raw_host or ""
        async with asyncio.timeout(SECONDS):
            found = await Resolver(destinations).resolve(host, target.port or 0)
            await _connect(found, host.rstrip(".") if target.scheme == "https" else None)
    except (DestinationBlocked, OSError, ValueError) as error:
        raise fault(error) from None


async def _connect(found: Sequence[ResolveResult], tls_name: str | None) -> None:
    """Try a host's addresses in their order, each for its share of the time."""
    for number, address in enumerate(found, 1):
        try:
            async with asyncio.timeout(SECONDS / len(found)):
                _, writer = await asyncio.open_connection(
                    address["host"], address["port"], ssl=tls() if tls_name else None, server_hostname=tls_name
                )
        except OSError as error:
            if isinstance(error, ssl.SSLError) or number == len(found):
                raise
        else:
            writer.transport.abort()
            return
    raise OSError("the name has no address")


class Resolver(AbstractResolver):
    """Looks names up and lets only allowed addresses through, so that the checked address is the one connected to."""

    def __init__(self, destinations: DestinationPolicy) -> None:
        self._destinations = destinations

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        results: list[ResolveResult] = []
        for kind, _, protocol, _, address in found:
            ip = literal_address(str(address[0]))
            if ip is None:
                continue
            self._destinations.check_address(host, port, ip)
            results.append(
                {
                    "hostname": host,
                    "host": str(address[0]),
                    "port": port,
                    "family": kind,
                    "proto": protocol,
                    "flags": socket.AI_NUMERICHOST,
                }
            )
        return results

    async def close(self) -> None:
        return None


def fault(error: Exception) -> AIModelsError:
    """The error of ours for a connection that was not made, or broke before an answer."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DestinationBlocked):
            return UpstreamError(f"The instance's address may not be reached: {cause}.", retryable=False, remedy="admin")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, TimeoutError):
        return UpstreamTimeout("The provider could not be connected to in time.")
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError | ssl.SSLError):
        return UpstreamError("The provider's TLS certificate or handshake was not accepted.", retryable=False, remedy="admin")
    if isinstance(error, aiohttp.InvalidURL | ValueError):
        return UpstreamError("The instance's address is not valid. Check baseURL.", retryable=False, remedy="admin")
    if isinstance(error, aiohttp.ClientResponseError):
        return UpstreamInvalidResponse("The provider's answer is not valid HTTP.")
    if isinstance(error, aiohttp.ClientError) and not isinstance(error, aiohttp.ClientConnectorError):
        return UpstreamError("The connection to the provider broke before it answered.")
    return UpstreamError("The provider could not be reached.")


@cache
def tls() -> ssl.SSLContext:
    """Certificates are checked against those that this machine trusts."""
    return ssl.create_default_context()
