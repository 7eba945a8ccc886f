"""Uncompressed sound: what one frame of it looks like, and bytes of it as samples. Pure.

Knows no container: headers are read in `wav_header` and `sph_header`, files in `decode_pcm`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.sound_block import SoundBlock, normalised


class PcmCoding(Enum):
    UNSIGNED = "unsigned"
    SIGNED = "signed"
    FLOAT = "float"
    ALAW = "alaw"
    MULAW = "mulaw"


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """`sample_bytes` is what one sample occupies, its value left-justified in it."""

    coding: PcmCoding
    sample_bytes: int
    sample_rate_hz: int
    channels: int
    big_endian: bool = False

    @property
    def frame_bytes(self) -> int:
        return self.sample_bytes * self.channels

    @property
    def codec(self) -> str:
        if self.coding in (PcmCoding.ALAW, PcmCoding.MULAW):
            return f"pcm_{self.coding.value}"
        order = "" if self.sample_bytes == 1 else ("be" if self.big_endian else "le")
        return f"pcm_{self.coding.value[0]}{8 * self.sample_bytes}{order}"

    @property
    def is_readable(self) -> bool:
        return self.sample_bytes in _WIDTHS[self.coding]


@dataclass(frozen=True, slots=True)
class PcmLayout:
    """Where in a file the samples lie; `byte_count` is None where the header cannot say."""

    container: str
    format: PcmFormat
    offset: int
    byte_count: int | None


_WIDTHS = {
    PcmCoding.UNSIGNED: (1,),
    PcmCoding.SIGNED: (1, 2, 3, 4, 8),
    PcmCoding.FLOAT: (4, 8),
    PcmCoding.ALAW: (1,),
    PcmCoding.MULAW: (1,),
}

#: the names a client may give for headerless sound
RAW_ENCODINGS: dict[str, tuple[PcmCoding, int, bool]] = {
    "s8": (PcmCoding.SIGNED, 1, False),
    "u8": (PcmCoding.UNSIGNED, 1, False),
    "s16le": (PcmCoding.SIGNED, 2, False),
    "s16be": (PcmCoding.SIGNED, 2, True),
    "s24le": (PcmCoding.SIGNED, 3, False),
    "s24be": (PcmCoding.SIGNED, 3, True),
    "s32le": (PcmCoding.SIGNED, 4, False),
    "s32be": (PcmCoding.SIGNED, 4, True),
    "f32le": (PcmCoding.FLOAT, 4, False),
    "f32be": (PcmCoding.FLOAT, 4, True),
    "f64le": (PcmCoding.FLOAT, 8, False),
    "alaw": (PcmCoding.ALAW, 1, False),
    "mulaw": (PcmCoding.MULAW, 1, False),
}


def _mulaw_table() -> NDArray[np.int16]:
    """ITU-T G.711 mu-law: sign, 3 bits of exponent, 4 of mantissa, all inverted."""
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4) & 7, (code & 15).astype(np.int32)
    size = (((mantissa << 3) + 132) << exponent) - 132
    return np.where(code & 128, -size, size).astype(np.int16)


def _alaw_table() -> NDArray[np.int16]:
    """ITU-T G.711 A-law: the even bits are inverted, exponent 0 is linear."""
    code = np.arange(256, dtype=np.uint8) ^ np.uint8(0x55)
    exponent, mantissa = ((code >> 4) & 7).astype(np.int32), (code & 15).astype(np.int32)
    linear = (mantissa << 4) + 8
    size = np.where(exponent == 0, linear, (linear + 256) << np.maximum(exponent - 1, 0))
    return np.where(code & 128, size, -size).astype(np.int16)


_MULAW = _mulaw_table()
_ALAW = _alaw_table()


def decode_pcm_bytes(raw: bytes, form: PcmFormat) -> SoundBlock:
    """Whole frames of `raw` as a block [frames, channels]; a broken last frame is left out."""
    whole = len(raw) - len(raw) % form.frame_bytes
    return _samples(raw[:whole] if whole < len(raw) else raw, form).reshape(-1, form.channels)


def _samples(raw: bytes, form: PcmFormat) -> SoundBlock:
    if form.coding is PcmCoding.MULAW:
        return _MULAW[np.frombuffer(raw, np.uint8)]
    if form.coding is PcmCoding.ALAW:
        return _ALAW[np.frombuffer(raw, np.uint8)]
    if form.sample_bytes == 3:
        return normalised(_widened(raw, form.big_endian))
    letter = {PcmCoding.UNSIGNED: "u", PcmCoding.SIGNED: "i"}.get(form.coding, "f")
    stored = np.dtype(f"{letter}{form.sample_bytes}").newbyteorder(">" if form.big_endian else "<")
    return normalised(np.frombuffer(raw, stored).astype(stored.newbyteorder("="), copy=False))


def _widened(raw: bytes, big_endian: bool) -> NDArray[np.int32]:
    """24-bit samples as int32 with the same sign and full scale."""
    triples = np.frombuffer(raw, np.uint8).reshape(-1, 3)
    quads = np.zeros((len(triples), 4), np.uint8)
    if big_endian:
        quads[:, :3] = triples
        return quads.view(">i4").astype(np.int32).reshape(-1)
    quads[:, 1:] = triples
    return quads.view("<i4").astype(np.int32).reshape(-1)
