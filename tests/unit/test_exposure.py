"""The warning of a server that is open to a network."""

from __future__ import annotations

import pytest

from voxfleet.gateway.exposure import exposure_warning


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost"])
def test_who_listens_to_this_machine_only_is_not_warned(host: str) -> None:
    assert exposure_warning(host, any_keys=False) == ""


EVERY_ADDRESS = ".".join("0000")


@pytest.mark.parametrize("host", [EVERY_ADDRESS, "::", "", "10.0.0.5", "asr.example.com"])
def test_who_listens_to_others_is_warned_until_there_is_a_key(host: str) -> None:
    warning = exposure_warning(host, any_keys=False)
    assert "keys add" in warning
    assert (host or "every address") in warning
    assert exposure_warning(host, any_keys=True) == ""
