"""Finding MPEG audio frames (mp3, mp2, ADTS) among bytes: a sync word alone proves nothing, a
chain of headers that each lead to the next does. Pure; decodes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_SYNC = re.compile(rb"\xff[\xe0-\xff]")
#: chance hits of so many linked headers do not occur in other data
_CHAIN = 3

_RATES_HZ = (44_100, 48_000, 32_000)
_KBPS_V1_LAYER = {
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_KBPS_V2_LAYER_1 = (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256)
_KBPS_V2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def mpeg_frame_bytes(header: bytes) -> int | None:
    """The length of the mp1, mp2 or mp3 frame with this 4-byte header, None if it is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    kbps = _kbps(version == 3, layer)[bitrate - 1]
    rate_hz = _RATES_HZ[rate] >> {3: 0, 2: 1, 0: 2}[version]
    padding = header[2] >> 1 & 1
    if layer == 1:
        return (12_000 * kbps // rate_hz + padding) * 4
    samples_over_8 = 72 if layer == 3 and version != 3 else 144
    return samples_over_8 * 1_000 * kbps // rate_hz + padding


def _kbps(is_version_1: bool, layer: int) -> tuple[int, ...]:
    if is_version_1:
        return _KBPS_V1_LAYER[layer]
    return _KBPS_V2_LAYER_1 if layer == 1 else _KBPS_V2


def adts_frame_bytes(header: bytes) -> int | None:
    """The length of the ADTS frame whose header begins with these 6 bytes, None if it is none."""
    if len(header) < 6 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return None
    if header[2] >> 2 & 15 > 12:
        return None
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length > 7 else None


def first_mpeg_frame(head: bytes, frame_bytes: Callable[[bytes], int | None]) -> int | None:
    """Where the first believable frame starts; at byte 0 one that outruns `head` is enough."""
    if _is_chain(head, 0, frame_bytes, may_run_out=True):
        return 0
    for sync in _SYNC.finditer(head):
        if _is_chain(head, sync.start(), frame_bytes, may_run_out=False):
            return sync.start()
    return None


def _is_chain(
    head: bytes, start: int, frame_bytes: Callable[[bytes], int | None], *, may_run_out: bool
) -> bool:
    offset = start
    for linked in range(_CHAIN):
        length = frame_bytes(head[offset : offset + 6])
        if length is None:
            return may_run_out and linked > 0 and offset + 6 > len(head)
        offset += length
    return True
