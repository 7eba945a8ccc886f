"""Which addresses a server connects to for its users, in whatever form they are written."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.jobs.public_address import may_be_reached, networks_of

PUBLIC = ("1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2400:3200::1")
PRIVATE = (
    "0.0.0.0",  # noqa: S104
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.168.0.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
)


def embedded(v4: str) -> list[str]:
    """The IPv6 addresses behind which this one is."""
    high, low = divmod(int(IPv4Address(v4)), 1 << 16)
    return [f"::ffff:{v4}", f"64:ff9b::{v4}", f"2002:{high:x}:{low:x}::1"]


@pytest.mark.parametrize("text", [*PUBLIC, *embedded("1.1.1.1")])
def test_public_addresses_may_be_reached(text: str) -> None:
    assert may_be_reached(ip_address(text), ())


@pytest.mark.parametrize("text", PRIVATE)
def test_no_other_may_be_reached(text: str) -> None:
    assert not may_be_reached(ip_address(text), networks_of(["1.1.1.1/32", "2400:3200::/32"]))


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_judged_as_itself(address: IPv4Address) -> None:
    judged = {may_be_reached(ip_address(text), ()) for text in embedded(str(address))}
    assert judged == {may_be_reached(address, ())}


@pytest.mark.parametrize("text", ["10.1.2.3", *embedded("10.1.2.3"), "fd12::1"])
def test_an_allowed_network_may_be_reached_in_every_form(text: str) -> None:
    assert may_be_reached(ip_address(text), networks_of(["10.1.0.0/16", "fd12::/16"]))
    assert not may_be_reached(ip_address(text), networks_of(["10.2.0.0/16", "fd13::/16"]))
