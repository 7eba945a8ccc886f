"""How much one key may ask for: requests a minute, and requests at once. Pure; told the time.

A minute's requests may come at once; then one more is let in as often as the limit says.
"""

from __future__ import annotations

from dataclasses import dataclass

from voxfleet.errors import RateLimitError
from voxfleet.store.access_key import Key

_MINUTE_S = 60.0
#: when a request of the key's own will end is not known
_CONCURRENT_RETRY_S = 1.0


@dataclass(slots=True)
class _Use:
    """What a key has asked for; `tokens` are the requests it may still make as of `at_s`."""

    tokens: float
    at_s: float
    running: int = 0


class KeyLimits:
    """Grows with the keys there are, never with what clients send."""

    def __init__(self) -> None:
        self._uses: dict[str, _Use] = {}

    def enter(self, key: Key, now_s: float) -> None:
        """One request begins; raises RateLimitError, which counts for nothing."""
        use = self._uses.get(key.id)
        if use is None:
            use = self._uses[key.id] = _Use(float(key.requests_per_minute or 0), now_s)
        _refuse_crowd(key, use)
        _take_token(key, use, now_s)
        use.running += 1

    def leave(self, key: Key) -> None:
        """One request that entered has ended, however it ended."""
        self._uses[key.id].running -= 1


def _refuse_crowd(key: Key, use: _Use) -> None:
    if key.concurrent is not None and use.running >= key.concurrent:
        raise RateLimitError(
            f"key {key.id} may have {key.concurrent} requests at once and has them;"
            " wait for one of them to end",
            retry_after_s=_CONCURRENT_RETRY_S,
        )


def _take_token(key: Key, use: _Use, now_s: float) -> None:
    if key.requests_per_minute is None:
        return
    per_s = key.requests_per_minute / _MINUTE_S
    passed_s = max(0.0, now_s - use.at_s)
    use.tokens = min(float(key.requests_per_minute), use.tokens + passed_s * per_s)
    use.at_s = now_s
    if use.tokens < 1:
        wait_s = (1 - use.tokens) / per_s
        raise RateLimitError(
            f"key {key.id} may make {key.requests_per_minute} requests a minute and has made"
            f" them; send this one again in {wait_s:.1f} s",
            retry_after_s=wait_s,
        )
    use.tokens -= 1
