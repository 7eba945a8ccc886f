"""Whether an IP address may be connected to for somebody else: public, or expressly allowed. Pure.

Written for what users name, webhooks and references: whoever could have a server connect to its own
network would speak to what trusts that network.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

#: where gateways put IPv4 addresses into IPv6 ones
_NAT64 = IPv6Network("64:ff9b::/96")
_IPV4_BITS = 0xFFFFFFFF


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ip_network(text, strict=False) for text in texts)


def may_be_reached(address: Address, allowed: Sequence[Network]) -> bool:
    meant = _meant(address)
    return _is_public(meant) or any(
        each in network for each in (address, meant) for network in allowed
    )


def _meant(address: Address) -> Address:
    """The IPv4 address inside the IPv6 one, where a packet to the one arrives at the other."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & _IPV4_BITS)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    special = address.is_multicast or address.is_reserved
    site_local = isinstance(address, IPv6Address) and address.is_site_local
    return address.is_global and not special and not site_local
