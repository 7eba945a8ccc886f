"""NIST SPHERE headers, as LDC and telephone corpora have them: where the samples lie.

Compressed SPHERE (shorten, wavpack, shortpack) is refused by its name. Knows nothing of samples.
"""

from __future__ import annotations

from typing import BinaryIO

from voxfleet.audio.pcm import PcmCoding, PcmFormat, PcmLayout
from voxfleet.audio.plausible import refuse_implausible
from voxfleet.errors import CorruptAudioError, UnsupportedAudioError

_LONGEST_HEADER = 1 << 16
_CODINGS = {
    "pcm": PcmCoding.SIGNED,
    "ulaw": PcmCoding.MULAW,
    "mu-law": PcmCoding.MULAW,
    "alaw": PcmCoding.ALAW,
}


def read_sph_header(file: BinaryIO, name: str) -> PcmLayout:
    """The layout of an uncompressed file. Raises UnsupportedAudioError or CorruptAudioError."""
    opening = file.read(16)
    length = _integer(opening[8:16].decode("ascii", "replace"), "header length", name)
    if not 16 < length <= _LONGEST_HEADER:
        raise _broken(name, f"its header claims to be {length} bytes long")
    fields = _fields(file.read(length - 16).decode("ascii", "replace"))
    coding = _coding(fields.get("sample_coding", "pcm"), name)
    channels = _integer(fields.get("channel_count", "1"), "channel_count", name)
    rate = _integer(fields.get("sample_rate", ""), "sample_rate", name)
    width = _integer(fields.get("sample_n_bytes", "2"), "sample_n_bytes", name)
    refuse_implausible(name, rate, channels)
    big_endian = fields.get("sample_byte_format", "01").startswith("1")
    form = PcmFormat(coding, width, rate, channels, big_endian)
    if not form.is_readable:
        raise _broken(name, f"its header claims samples of {width} bytes")
    return PcmLayout("sph", form, length, _byte_count(fields, form, name))


def _fields(header: str) -> dict[str, str]:
    """`key -type value` lines up to `end_head`; the first of a kind counts."""
    fields: dict[str, str] = {}
    for line in header.partition("end_head")[0].splitlines():
        words = line.split(maxsplit=2)
        if len(words) == 3:
            fields.setdefault(words[0], words[2].strip())
    return fields


def _coding(value: str, name: str) -> PcmCoding:
    base, _, compression = value.lower().partition(",")
    if compression:
        method = compression.removeprefix("embedded-").split("-")[0][:20]
        method = method if method.isalnum() else "compressed"
        raise UnsupportedAudioError(
            f"{name}: is compressed with {method}, which is not read; convert it first, for "
            "example with sph2pipe -f wav"
        )
    if base not in _CODINGS:
        raise UnsupportedAudioError(
            f"{name}: has a SPHERE coding other than pcm, ulaw or alaw; convert it to wav first"
        )
    return _CODINGS[base]


def _byte_count(fields: dict[str, str], form: PcmFormat, name: str) -> int | None:
    if "sample_count" not in fields:
        return None
    frames = _integer(fields["sample_count"], "sample_count", name)
    return frames * form.frame_bytes if frames > 0 else None


def _integer(text: str, what: str, name: str) -> int:
    digits = text.strip()
    if not digits.isascii() or not digits.isdigit() or len(digits) > 15:
        raise _broken(name, f"its {what} is not a number")
    return int(digits)


def _broken(name: str, fault: str) -> CorruptAudioError:
    return CorruptAudioError(
        f"{name}: broken NIST SPHERE file, {fault}; convert it again or send it as wav"
    )
