"""How sound of a live stream's rate becomes sound at 16 kHz: which samples make which. Pure.

Short blocks of one size, so that what is spoken is heard a few milliseconds later, and slicing
changes no bit. Knows no sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from voxfleet.core import SAMPLE_RATE_HZ
from voxfleet.errors import ParameterError

_LOWEST_HZ, _HIGHEST_HZ = 8_000, 48_000
#: a block is at least 8 ms, a quarter of what the speech detector takes at once
_BLOCK_SAMPLES = 128
#: of rates that have little in common with 16 kHz blocks would be long and filters large
_LONGEST_BLOCK = 640
#: zero crossings of the filter on either side, at the lower of the two rates
_CROSSINGS = 32


@dataclass(frozen=True, slots=True)
class RateChange:
    """`block_in` samples become `block_out`, for which `reach` more on either side are looked at.

    `up` samples at 16 kHz last as long as `down` of the stream's.
    """

    sample_rate_hz: int
    up: int
    down: int
    block_in: int
    block_out: int
    reach: int

    def position(self, samples: int) -> int:
        """Where at 16 kHz so many samples end."""
        return samples * self.up // self.down

    def samples_before(self, position: int) -> int:
        """The last whole number of samples that ends at or before, at a sample of 16 kHz."""
        return max(0, position) // self.up * self.down

    def made_of(self, samples: int) -> int:
        """How much can be made of so many samples while more are to come."""
        return max(0, samples - self.reach) // self.block_in * self.block_out


def rate_change(sample_rate_hz: int) -> RateChange:
    """Raises ParameterError for a rate that live sound cannot have."""
    shared = gcd(sample_rate_hz, SAMPLE_RATE_HZ)
    up, down = SAMPLE_RATE_HZ // max(1, shared), sample_rate_hz // max(1, shared)
    if not _LOWEST_HZ <= sample_rate_hz <= _HIGHEST_HZ or up > _LONGEST_BLOCK:
        raise ParameterError(
            f"live sound cannot have {sample_rate_hz} Hz;"
            " send 8000, 16000, 24000, 44100 or 48000 Hz",
            param="sample_rate",
        )
    if up == down:
        return RateChange(sample_rate_hz, 1, 1, 1, 1, 0)
    periods = max(1, _BLOCK_SAMPLES // up)
    reach = -(-_CROSSINGS * sample_rate_hz // min(sample_rate_hz, SAMPLE_RATE_HZ))
    return RateChange(sample_rate_hz, up, down, periods * down, periods * up, reach)
