"""RIFF/WAVE headers (also RIFX and RF64/BW64): where the samples lie and what they are.

Every field is hostile. Tells PCM, which `decode_pcm` reads, from the compressed codecs a wav may
carry, which are left to libavformat (None). Knows nothing of samples.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from voxfleet.audio.pcm import PcmCoding, PcmFormat, PcmLayout
from voxfleet.audio.plausible import refuse_implausible
from voxfleet.errors import CorruptAudioError

_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_PLAIN_TAGS = (_PCM, _FLOAT, _ALAW, _MULAW)
#: real files have a dozen chunks; a hostile one could hold a billion empty ones
_MOST_CHUNKS = 4096
_LONGEST_FMT = 128
#: writers to a pipe put 0, 0xffffffff or a little under 0x7fffffff where the size would stand
_STREAMED_FROM = 0x7FF0_0000


def read_wav_header(file: BinaryIO, name: str) -> PcmLayout | None:
    """The layout of a PCM wav; None if its sound is compressed. Raises CorruptAudioError."""
    magic = file.read(12)[:4]
    big_endian = magic == b"RIFX"
    order = ">" if big_endian else "<"
    form: PcmFormat | None = None
    size_64: int | None = None
    for tag, offset, size in _chunks(file, order):
        if tag == b"ds64":
            size_64 = _data_size_64(file.read(16))
        elif tag == b"fmt ":
            form = _format(file.read(min(size, _LONGEST_FMT)), order, name)
            if form is None:
                return None
        elif tag == b"data":
            return _layout(magic, form, offset, size_64 if size == 0xFFFFFFFF else size, name)
    found = "'fmt '" if form is None else "'data'"
    raise CorruptAudioError(
        f"{name}: broken or cut off wav file, it has no {found} chunk; send the whole file"
    )


def _chunks(file: BinaryIO, order: str) -> Iterator[tuple[bytes, int, int]]:
    """(tag, offset of the body, claimed size) of each chunk; the file stands at the body."""
    offset = 12
    for _ in range(_MOST_CHUNKS):
        file.seek(offset)
        header = file.read(8)
        if len(header) < 8:
            return
        tag, size = struct.unpack(f"{order}4sI", header)
        yield tag, offset + 8, size
        offset += 8 + size + size % 2


def _data_size_64(body: bytes) -> int | None:
    if len(body) < 16:
        return None
    size: int = struct.unpack("<QQ", body)[1]
    return size


def _format(body: bytes, order: str, name: str) -> PcmFormat | None:
    """What the fmt chunk says, None for a compressed codec."""
    if len(body) < 14:
        raise CorruptAudioError(
            f"{name}: broken wav file, its 'fmt ' chunk is too short; export the file again"
        )
    tag, channels, rate, _, block_bytes = struct.unpack(f"{order}HHIIH", body[:14])
    bits: int = struct.unpack(f"{order}H", body[14:16])[0] if len(body) >= 16 else 0
    if tag == _EXTENSIBLE and len(body) >= 26:
        tag = struct.unpack(f"{order}H", body[24:26])[0]
    if tag not in _PLAIN_TAGS:
        return None
    refuse_implausible(name, rate, channels)
    coding = _coding(tag, bits)
    width = _sample_bytes(tag, bits, block_bytes, channels)
    form = PcmFormat(coding, width, rate, channels, big_endian=order == ">")
    if not form.is_readable:
        raise CorruptAudioError(
            f"{name}: broken wav file, it claims samples of {bits} bits; export the file again"
        )
    return form


def _coding(tag: int, bits: int) -> PcmCoding:
    if tag == _PCM:
        return PcmCoding.UNSIGNED if 1 <= bits <= 8 else PcmCoding.SIGNED
    return {_FLOAT: PcmCoding.FLOAT, _ALAW: PcmCoding.ALAW, _MULAW: PcmCoding.MULAW}[tag]


def _sample_bytes(tag: int, bits: int, block_bytes: int, channels: int) -> int:
    """From the bits; from the block size where that says more (20 bits in 4 bytes, no bits)."""
    if tag in (_ALAW, _MULAW):
        return 1
    width = (bits + 7) // 8
    held, rest = divmod(block_bytes, channels)
    roomier = rest == 0 and held > width and held in (2, 3, 4, 8)
    return held if roomier else width


def _layout(
    magic: bytes, form: PcmFormat | None, offset: int, size: int | None, name: str
) -> PcmLayout:
    if form is None:
        raise CorruptAudioError(
            f"{name}: broken wav file, its sound comes before its 'fmt ' chunk; export it again"
        )
    container = "rf64" if magic in (b"RF64", b"BW64") else "wav"
    known = size is not None and (container == "rf64" or 0 < size < _STREAMED_FROM)
    return PcmLayout(container, form, offset, size if known else None)
