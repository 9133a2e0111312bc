"""Which addresses a provider instance may reach. Checked when an address is configured, and again at every connect.

Metadata services and link-local addresses are never reached. Loopback and private addresses are reached by instances that
the configuration file declares (the operator's word), and by others only where ``AI_MODELS["ALLOWED_HOSTS"]`` lists them.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Ports of services that speak another protocol: a request there is an attack or a mistake, never a model call.
_OTHER_SERVICES = frozenset(
    {
        21,
        22,
        23,
        25,
        53,
        110,
        111,
        135,
        139,
        143,
        389,
        445,
        465,
        587,
        636,
        993,
        995,
        1433,
        1521,
        2049,
        2375,
        3306,
        5432,
        5672,
        6379,
        11211,
        27017,
    }
)


class DestinationBlocked(Exception):
    """The address may not be reached. The message says why and never repeats the address."""


@dataclass(frozen=True, slots=True)
class DestinationPolicy:
    """What one instance may reach.

    Attributes:
        private: whether loopback and private addresses are allowed.
        allowed: ``host``, ``host:port`` or CIDR entries that are allowed although private.
    """

    private: bool = False
    allowed: tuple[str, ...] = ()

    def check_url(self, url: str) -> None:
        """Check a base URL without looking up its name.

        Raises:
            DestinationBlocked: with the reason.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise DestinationBlocked("it is not a valid URL") from None
        if parts.scheme not in {"http", "https"} or not host:
            raise DestinationBlocked("it must be a full http:// or https:// address")
        if parts.username is not None or parts.password is not None:
            raise DestinationBlocked("it must not contain a user name or password")
        if parts.query or parts.fragment:
            raise DestinationBlocked("it must not contain a query or fragment; query parameters have a setting of their own")
        if port is None:
            port = 443 if parts.scheme == "https" else 80
        self._check_port(port)
        address = literal_address(host)
        if address is not None:
            self.check_address(host, port, address)
        elif _is_local_name(host) and not self._may_reach_private(host, port, None):
            raise DestinationBlocked("it is an address of this machine or a private network")

    def check_address(self, host: str, port: int, address: IPAddress) -> None:
        """Check the address that a connection is about to be made to.

        Raises:
            DestinationBlocked: with the reason.
        """
        self._check_port(port)
        address = _embedded(address)
        if address in _METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
            raise DestinationBlocked("it is a metadata, link-local, multicast or unspecified address, which are never reached")
        if not address.is_global and not self._may_reach_private(host, port, address):
            raise DestinationBlocked("it is an address of this machine or a private network")

    def _check_port(self, port: int) -> None:
        if port in _OTHER_SERVICES or port == 0:
            raise DestinationBlocked("its port belongs to another kind of service")

    def _may_reach_private(self, host: str, port: int, address: IPAddress | None) -> bool:
        return self.private or any(_matches(entry, host, port, address) for entry in self.allowed)


def literal_address(host: str) -> IPAddress | None:
    """The address a host spells out, also in the short and numeric forms that system calls take; ``None`` for a name."""
    try:
        return ipaddress.ip_address(host.split("%", 1)[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host.rstrip(".")))
    except (OSError, UnicodeEncodeError):
        return None


def _embedded(address: IPAddress) -> IPAddress:
    """The IPv4 address that an IPv6 address carries, else the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _is_local_name(host: str) -> bool:
    # IDNA treats these three as the dot.
    name = host.translate({0x3002: ".", 0xFF0E: ".", 0xFF61: "."}).rstrip(".").lower()
    return name == "localhost" or name.endswith((".localhost", ".local", ".internal"))


def _matches(entry: str, host: str, port: int, address: IPAddress | None) -> bool:
    if "/" in entry:
        return address is not None and address in ipaddress.ip_network(entry, strict=False)
    name, separator, entry_port = entry.rpartition(":")
    if separator and entry_port.isdigit() and (":" not in name or name.startswith("[")):
        return name.strip("[]").lower() == host.lower() and int(entry_port) == port
    return entry.strip("[]").lower() == host.lower()
