"""Whether an address can be reached: as a call would connect, and not a byte more."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp.abc import ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ai_models.destinations import DestinationPolicy
from ai_models.exceptions import AIModelsError, UpstreamTimeout
from ai_models.transports import connecting
from tests.polling import until
from tests.upstreams.server import Upstream

PRIVATE = DestinationPolicy(private=True)


async def failure(url: str, policy: DestinationPolicy = PRIVATE) -> AIModelsError:
    """The error, which tells nothing of the address."""
    with pytest.raises(AIModelsError) as caught:
        await connecting.reach(url, policy)
    assert caught.value.__cause__ is None
    assert "127.0.0.1" not in str(caught.value)
    return caught.value


async def test_it_connects_says_nothing_and_hangs_up(upstream: Upstream) -> None:
    await connecting.reach(f"{upstream.url}/v1", PRIVATE)
    await until(lambda: upstream.connections)
    assert await upstream.await_closed()
    assert (len(upstream.connections), upstream.connections[0].closed_by, upstream.requests) == (1, "client", [])


async def test_what_the_instance_may_not_reach_is_not_connected_to(upstream: Upstream) -> None:
    error = await failure(upstream.url, DestinationPolicy())
    assert "may not be reached" in error.message
    assert (error.retryable, error.remedy, upstream.connections) == (False, "admin", [])


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://[::ffff:169.254.169.254]/", "http://0x7f.1:22/"])
async def test_what_is_never_reached_is_not_here_either(url: str) -> None:
    assert "may not be reached" in (await failure(url)).message


async def test_nobody_listens(refused_url: str) -> None:
    assert (await failure(refused_url)).message == "The provider could not be reached."


async def test_a_name_that_nobody_has() -> None:
    assert (await failure("https://nobody.invalid/v1")).message == "The provider could not be reached."


@pytest.mark.parametrize("url", ["http://a..b/", f"http://{'a' * 64}/"])
async def test_what_is_no_address(url: str) -> None:
    assert "not valid" in (await failure(url)).message


async def test_tls_is_expected_where_the_address_says_so() -> None:
    async with listening(answer=b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert "TLS" in (await failure(f"https://127.0.0.1:{port}/")).message


async def test_a_server_that_stays_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "SECONDS", 0.05)
    async with listening() as port:
        assert isinstance(await failure(f"https://127.0.0.1:{port}/"), UpstreamTimeout)


async def test_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate := certificate_of("localhost", tmp_path))
    async with listening(context) as port:
        assert "TLS" in (await failure(f"https://localhost:{port}/")).message
        trusting = ssl.create_default_context(cafile=certificate)
        monkeypatch.setattr(connecting, "tls", lambda: trusting)
        await connecting.reach(f"https://localhost:{port}/", PRIVATE)
        assert "TLS" in (await failure(f"https://127.0.0.1:{port}/")).message, "the certificate is of another name"


async def test_the_next_address_of_a_name_is_tried(
    upstream: Upstream, refused_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = [int(refused_url.rpartition(":")[2]), upstream.port]

    async def resolve(self: connecting.Resolver, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 6, "flags": 0} for port in ports]

    monkeypatch.setattr(connecting.Resolver, "resolve", resolve)
    await connecting.reach("http://two.example/", PRIVATE)
    await until(lambda: upstream.connections)
    ports.clear()
    assert (await failure("http://none.example/")).message == "The provider could not be reached."


@asynccontextmanager
async def listening(context: ssl.SSLContext | None = None, *, answer: bytes = b"") -> AsyncIterator[int]:
    """A server that takes connections and says this, whatever it hears; its port. All of them have ended when it does."""
    open_connections: set[asyncio.StreamWriter] = set()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.add(writer)
        writer.write(answer)
        try:
            await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
            open_connections.discard(writer)

    server = await asyncio.start_server(wait, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await until(lambda: not open_connections)


def certificate_of(name: str, folder: Path) -> Path:
    """A file with a certificate of this name, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file
