"""A wav header in front of sound that was announced without one, arriving in pieces of any size.

Pure. Such a header is skipped where what follows is what was announced, int16 of one channel;
anything else that begins like a wav file is read as the file it is.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from voxfleet.gateway.funasr_messages import MAX_RATE_HZ, MIN_RATE_HZ

#: a longer header is no header of a microphone's recording
_MOST_BYTES = 64_000
#: nor is one of more parts, which would be looked through again with every byte that comes
_MOST_CHUNKS = 32
_PCM, _EXTENSIBLE = 1, 0xFFFE
#: writers to a pipe put 0, 0xffffffff or a little under 0x7fffffff where the size would stand
_STREAMED_FROM = 0x7FF0_0000


@dataclass(frozen=True, slots=True)
class Bare:
    """No header."""


@dataclass(frozen=True, slots=True)
class Skippable:
    """`offset` is where the sound begins, `size_bytes` its length where the header knows it."""

    offset: int
    sample_rate_hz: int
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class OtherFile:
    """A wav file that only a decoder can read."""


WavHead = Bare | Skippable | OtherFile


def wav_head(begin: bytes | bytearray, *, complete: bool = False) -> WavHead | None:
    """What the sound begins with; None while there is too little to tell, until it is complete."""
    if not (_begins(begin, 0, b"RIFF") and _begins(begin, 8, b"WAVE")):
        return Bare()
    found = _read(begin) if len(begin) >= 12 else None
    if found is None and complete:
        # a few bytes that only begin like a header, or a file that was cut off in it
        return OtherFile() if len(begin) >= 12 else Bare()
    if found is None and len(begin) > _MOST_BYTES:
        return OtherFile()
    return found


def _begins(begin: bytes | bytearray, place: int, tag: bytes) -> bool:
    """Whether `tag` stands there, as far as the bytes go."""
    there = begin[place : place + len(tag)]
    return tag.startswith(there)


def _read(begin: bytes | bytearray) -> WavHead | None:
    rate_hz: int | None = None
    offset, chunks = 12, 0
    while len(begin) >= offset + 8:
        chunks += 1
        tag, size = struct.unpack_from("<4sI", begin, offset)
        body = offset + 8
        if tag == b"data":
            if rate_hz is None:
                return OtherFile()
            known = 0 < size < _STREAMED_FROM
            return Skippable(body, rate_hz, size if known else None)
        if tag == b"fmt ":
            if len(begin) < body + min(size, 26):
                return None
            rate_hz = _live_rate(begin[body : body + size])
            if rate_hz is None:
                return OtherFile()
        offset = body + size + size % 2
    return OtherFile() if offset > _MOST_BYTES or chunks > _MOST_CHUNKS else None


def _live_rate(form: bytes | bytearray) -> int | None:
    """The rate of int16 sound of one channel; None where it is anything else."""
    if len(form) < 16:
        return None
    coding, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", form)
    if coding == _EXTENSIBLE and len(form) >= 26:
        (coding,) = struct.unpack_from("<H", form, 24)
    live = (coding, channels, bits) == (_PCM, 1, 16)
    return int(rate_hz) if live and MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ else None
