"""Which addresses an instance may reach."""

from __future__ import annotations

import ipaddress

import pytest

from ai_models.destinations import DestinationBlocked, DestinationPolicy, literal_address

PUBLIC = DestinationPolicy()
OPERATOR = DestinationPolicy(private=True)

NEVER = [
    "http://169.254.169.254/latest/meta-data",
    "http://169.254.169.254./",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[fd00:ec2::254]/",
    "http://2852039166/",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://0251.0376.0251.0376/",
    "http://[fe80::1%25eth0]/",
    "http://100.100.100.200/",
    "http://0.0.0.0/",
    "http://[::]/",
    "http://224.0.0.1/",
    "file:///etc/passwd",
    "gopher://vendor.example/",
    "unix:///run/docker.sock",
    "ftp://vendor.example/",
    "//vendor.example/",
    "vendor.example",
    "",
    "https://",
    "http://user@vendor.example/",
    "http://user:word@vendor.example/",
    "http://vendor.example/?key=1",
    "http://vendor.example/#part",
    "http://vendor.example:22/",
    "http://vendor.example:6379/",
    "http://vendor.example:99999/",
    "http://vendor.example:0/",
    "http://[::1/",
]
PRIVATE = [
    "http://127.0.0.1:8080/v1",
    "http://localhost/",
    "http://localhost./",
    "http://LOCALHOST/",
    "http://api.localhost/",
    "http://printer.local/",
    "http://models.internal/",
    "http://localhost\u3002/",
    "http://0x7f.1/",
    "http://2130706433/",
    "http://127.1/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://10.1.2.3/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://[fc00::1]/",
    "http://100.64.0.1/",
]


@pytest.mark.parametrize("url", ["https://api.vendor.example/v1", "http://8.8.8.8/v1", "https://[2606:4700::1111]:8443/"])
def test_public_addresses_are_reached_by_every_instance(url: str) -> None:
    PUBLIC.check_url(url)
    OPERATOR.check_url(url)


@pytest.mark.parametrize("url", NEVER)
def test_some_addresses_are_never_reached(url: str) -> None:
    widest = DestinationPolicy(private=True, allowed=("0.0.0.0/0", "::/0", "169.254.169.254", "vendor.example"))
    with pytest.raises(DestinationBlocked) as caught:
        widest.check_url(url)
    assert "vendor.example" not in str(caught.value)
    assert "169.254" not in str(caught.value)


@pytest.mark.parametrize("url", PRIVATE)
def test_private_addresses_are_the_operators_to_allow(url: str) -> None:
    OPERATOR.check_url(url)
    with pytest.raises(DestinationBlocked):
        PUBLIC.check_url(url)


@pytest.mark.parametrize(
    ("entry", "url", "is_allowed"),
    [
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8", "http://192.168.1.1/", False),
        ("10.1.2.3", "http://10.1.2.3:8080/", True),
        ("10.1.2.3:8080", "http://10.1.2.3:8080/", True),
        ("10.1.2.3:8080", "http://10.1.2.3:8081/", False),
        ("localhost", "http://LOCALHOST:9000/", True),
        ("localhost:9000", "http://localhost/", False),
        ("[::1]:9000", "http://[::1]:9000/", True),
        ("[::1]", "http://[::1]/", True),
        ("::1", "http://[::1]:9000/", True),
        ("fc00::/7", "http://[fc00::1]/", True),
        ("models.internal", "http://other.internal/", False),
    ],
)
def test_allowed_hosts_open_exactly_what_they_name(entry: str, url: str, is_allowed: bool) -> None:
    policy = DestinationPolicy(allowed=(entry,))
    if is_allowed:
        policy.check_url(url)
    else:
        with pytest.raises(DestinationBlocked):
            policy.check_url(url)


@pytest.mark.parametrize("address", ["169.254.169.254", "127.0.0.1", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1"])
def test_a_public_name_that_turns_out_to_be_private_is_blocked_at_the_connect(address: str) -> None:
    with pytest.raises(DestinationBlocked):
        PUBLIC.check_address("vendor.example", 443, ipaddress.ip_address(address))


def test_a_network_in_allowed_hosts_also_holds_for_names_that_lead_into_it() -> None:
    policy = DestinationPolicy(allowed=("10.0.0.0/8",))
    policy.check_address("models.vendor.example", 443, ipaddress.ip_address("10.9.8.7"))


@pytest.mark.parametrize("host", ["vendor.example", "1.2.3.4.example", "cafe", "::g", "é"])
def test_a_name_is_no_literal_address(host: str) -> None:
    assert literal_address(host) is None
