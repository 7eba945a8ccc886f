"""How many client secrets are kept: enough for each maker, never more, and room once they end."""

from __future__ import annotations

import pytest

from voxfleet.errors import OverloadError, RateLimitError
from voxfleet.gateway.client_secrets import ClientSecrets
from voxfleet.gateway.realtime_settings import RealtimeSettings

SETTINGS = RealtimeSettings()


def test_one_maker_leaves_room_for_others_and_gets_its_own_back() -> None:
    now_s = [0.0]
    secrets = ClientSecrets(clock=lambda: now_s[0])
    for _ in range(1_000):
        secrets.make(SETTINGS, "greedy", None, 10, 60)
    with pytest.raises(RateLimitError, match="1000 client secrets"):
        secrets.make(SETTINGS, "greedy", None, 10, 60)
    value, _ = secrets.make(SETTINGS, "modest", None, 10, 120)
    now_s[0] = 61
    secrets.make(SETTINGS, "greedy", None, 10, 60)
    assert secrets.find(value)


def test_all_together_are_bounded_too() -> None:
    secrets = ClientSecrets(clock=lambda: 0.0)
    for _ in range(15):
        secrets.make(SETTINGS, "large", None, 262_144, 60)
    with pytest.raises(RateLimitError):
        secrets.make(SETTINGS, "large", None, 262_144, 60)
    for maker in range(7):
        secrets.make(SETTINGS, f"other {maker}", None, 4_000_000, 60)
    with pytest.raises(OverloadError):
        secrets.make(SETTINGS, "last", None, 4_000_000, 60)


def test_makers_are_forgotten_with_their_secrets() -> None:
    now_s = [0.0]
    secrets = ClientSecrets(clock=lambda: now_s[0])
    for number in range(10_000):
        secrets.make(SETTINGS, f"maker {number}", None, 10, 60)
    with pytest.raises(OverloadError):
        secrets.make(SETTINGS, "one more", None, 10, 60)
    now_s[0] = 60
    secrets.make(SETTINGS, "one more", None, 10, 60)
    assert len(secrets._held) == len(secrets._by_digest) == 1
