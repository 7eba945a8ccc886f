"""What a header may claim before it is believed: sample rates and channel counts of real sound."""

from __future__ import annotations

from voxfleet.errors import CorruptAudioError, UnsupportedAudioError

MIN_RATE_HZ = 1_000
MAX_RATE_HZ = 768_000
#: the largest microphone arrays and theatre mixes have 64
MAX_CHANNELS = 64


def refuse_implausible(name: str, sample_rate_hz: int, channels: int) -> None:
    """Raise unless sound of this rate and channel count can exist."""
    if channels < 1 or sample_rate_hz < 1:
        what = "0 channels" if channels < 1 else "a sample rate of 0 Hz"
        raise CorruptAudioError(
            f"{name}: its header is broken, it claims {what}; export the file again"
        )
    if channels > MAX_CHANNELS:
        raise UnsupportedAudioError(
            f"{name}: has {channels} channels and at most {MAX_CHANNELS} are read; "
            "convert it to mono or stereo first"
        )
    if not MIN_RATE_HZ <= sample_rate_hz <= MAX_RATE_HZ:
        raise UnsupportedAudioError(
            f"{name}: has a sample rate of {sample_rate_hz} Hz and only {MIN_RATE_HZ} to "
            f"{MAX_RATE_HZ} Hz are read; convert it to 16000 Hz first"
        )
