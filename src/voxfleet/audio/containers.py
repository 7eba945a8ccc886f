"""Which container a file is, told from its first bytes and never from its name. Pure.

The table of demuxers is also the list of all that libavformat may ever be asked to open: nothing
in it can refer to another file or address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from voxfleet.audio.mpeg_sync import adts_frame_bytes, first_mpeg_frame, mpeg_frame_bytes

#: how much of a file `sniff` wants to see
HEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Container:
    """`demuxer` is libavformat's name; `length_known`: the file says how long its sound is."""

    name: str
    demuxer: str
    length_known: bool = True


WAV = Container("wav", "wav")
SPH = Container("sph", "nistsphere")
MP3 = Container("mp3", "mp3", length_known=False)
AAC = Container("aac", "aac", length_known=False)
MP4 = Container("mp4", "mov")
MATROSKA = Container("matroska", "matroska")
AC3 = Container("ac3", "ac3", length_known=False)
MPEG_TS = Container("mpegts", "mpegts", length_known=False)

_BY_MAGIC: tuple[tuple[bytes, Container], ...] = (
    (b"NIST_1A\n", SPH),
    (b"fLaC", Container("flac", "flac")),
    (b"OggS", Container("ogg", "ogg")),
    (b"\x1a\x45\xdf\xa3", MATROSKA),
    (b"#!AMR-WB\n", Container("amr-wb", "amr", length_known=False)),
    (b"#!AMR\n", Container("amr", "amr", length_known=False)),
    (b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel", Container("asf", "asf")),
    (b"caff", Container("caf", "caf")),
    (b".snd", Container("au", "au")),
    (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00", Container("w64", "w64")),
    (b"\x00\x00\x01\xba", Container("mpeg", "mpeg", length_known=False)),
    (b"wvpk", Container("wavpack", "wv")),
    (b"TTA1", Container("tta", "tta")),
    (b"MAC ", Container("ape", "ape")),
    (b"Creative Voice File\x1a", Container("voc", "voc", length_known=False)),
)

#: (kind at byte 0, kind at byte 8) of the IFF family
_BY_FORM: dict[tuple[bytes, bytes], Container] = {
    (b"RIFF", b"WAVE"): WAV,
    (b"RIFX", b"WAVE"): WAV,
    (b"RF64", b"WAVE"): WAV,
    (b"BW64", b"WAVE"): WAV,
    (b"RIFF", b"AVI "): Container("avi", "avi"),
    (b"FORM", b"AIFF"): Container("aiff", "aiff"),
    (b"FORM", b"AIFC"): Container("aiff", "aiff"),
}

_MP4_BOXES = frozenset((b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp"))

_FOREIGN: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\s*#EXTM3U"), "a playlist that names other files"),
    (re.compile(rb"\s*ffconcat version"), "a playlist that names other files"),
    (re.compile(rb"\s*\[playlist\]", re.IGNORECASE), "a playlist that names other files"),
    (re.compile(rb"v=0\r?\n"), "a session description that names other places"),
    (re.compile(rb"%PDF-"), "a PDF document"),
    (re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8"), "a picture"),
    (re.compile(rb"PK\x03\x04"), "a zip archive or an office document"),
    (re.compile(rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!"), "a compressed archive"),
    (re.compile(rb"FLV\x01"), "an FLV video, which is not read (put it into mp4)"),
    (re.compile(rb"MThd"), "a MIDI file, which holds notes and no sound"),
    (re.compile(rb"\s*<"), "a web page or XML"),
    (re.compile(rb"\s*[{\[]"), "JSON text"),
)


def leading_tag_bytes(head: bytes) -> int:
    """The length of an ID3v2 tag at the start of `head`, 0 without one."""
    if len(head) < 10 or head[:3] != b"ID3" or any(byte & 0x80 for byte in head[6:10]):
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    footer = 10 if head[5] & 0x10 else 0
    return 10 + size + footer


def sniff(head: bytes) -> Container | None:
    """The container whose file begins with `head` (after any ID3 tag); None for none we know."""
    for magic, container in _BY_MAGIC:
        if head.startswith(magic):
            return container
    if (form := _BY_FORM.get((head[:4], head[8:12]))) is not None:
        return form
    if head[4:8] in _MP4_BOXES:
        return MP4
    return _sniff_transport_stream(head) or _sniff_bare_frames(head)


def foreign_kind(head: bytes) -> str | None:
    """What a file that is no audio seems to be, for the message."""
    return next((kind for pattern, kind in _FOREIGN if pattern.match(head)), None)


def _sniff_transport_stream(head: bytes) -> Container | None:
    """Packets of 188 bytes that begin with 0x47; Blu-ray puts 4 bytes before each."""
    for start, step in ((0, 188), (4, 192)):
        syncs = head[start : start + 5 * step : step]
        if len(syncs) >= 3 and syncs.count(0x47) == len(syncs):
            return MPEG_TS
    return None


def _sniff_bare_frames(head: bytes) -> Container | None:
    """Streams of frames with no container at all; the looser the pattern, the later it is tried."""
    if head[:2] == b"\x0b\x77" and len(head) > 5:
        return AC3 if head[5] >> 3 <= 10 else replace(AC3, name="eac3", demuxer="eac3")
    if first_mpeg_frame(head[:8192], adts_frame_bytes) is not None:
        return AAC
    start = first_mpeg_frame(head, mpeg_frame_bytes)
    if start is None:
        return None
    first_frame = head[start : start + 256]
    return replace(MP3, length_known=re.search(rb"Xing|Info|VBRI", first_frame) is not None)
