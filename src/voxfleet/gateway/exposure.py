"""Whether everybody on a network may do everything, which is seldom meant. Pure."""

from __future__ import annotations

import ipaddress


def exposure_warning(host: str, any_keys: bool) -> str:
    """A sentence for the operator; empty where the server is closed, or heard by nobody else."""
    if any_keys or is_loopback(host):
        return ""
    return (
        f"the server listens on {host or 'every address'} and asks for no key: everybody who"
        " reaches it may use and operate it; make a key (voxfleet keys add NAME), or listen on"
        " 127.0.0.1"
    )


def is_loopback(host: str) -> bool:
    """Only what surely is: another name may mean any address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
