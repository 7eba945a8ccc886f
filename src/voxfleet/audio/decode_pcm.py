"""Reads uncompressed sound from an open file, block by block, whatever header it had.

Knows neither headers (`wav_header`, `sph_header`) nor channels, nor 16 kHz.
"""

from __future__ import annotations

from typing import BinaryIO

from voxfleet.audio.pcm import RAW_ENCODINGS, PcmFormat, PcmLayout, decode_pcm_bytes
from voxfleet.audio.plausible import refuse_implausible
from voxfleet.audio.sound_block import SoundBlock
from voxfleet.core import AudioInfo, RawPcm
from voxfleet.errors import ParameterError

#: one block in memory; large enough that Python's part is nothing
_BLOCK_BYTES = 1 << 18


def raw_layout(raw_pcm: RawPcm, name: str) -> PcmLayout:
    """The layout of a headerless file, as the client described it."""
    known = RAW_ENCODINGS.get(raw_pcm.encoding.lower())
    if known is None:
        raise ParameterError(
            f"{name}: raw PCM encoding is not one of {', '.join(RAW_ENCODINGS)}; name one of them",
            param="raw_pcm",
        )
    refuse_implausible(name, raw_pcm.sample_rate_hz, raw_pcm.channels)
    coding, width, big_endian = known
    form = PcmFormat(coding, width, raw_pcm.sample_rate_hz, raw_pcm.channels, big_endian)
    return PcmLayout("raw", form, 0, None)


class PcmSource:
    """Decoded sound at the file's own rate and channels; closes the file it was given."""

    def __init__(self, file: BinaryIO, file_bytes: int, layout: PcmLayout) -> None:
        form = layout.format
        present = max(file_bytes - layout.offset, 0)
        claimed = present if layout.byte_count is None else layout.byte_count
        self._file = file
        self._format = form
        self._left_bytes = min(claimed, present)
        duration_s = self._left_bytes // form.frame_bytes / form.sample_rate_hz
        self.warnings: list[str] = []
        self.info = AudioInfo(
            layout.container, form.codec, form.sample_rate_hz, form.channels, duration_s
        )
        if claimed - present >= form.frame_bytes:
            claimed_s = claimed / form.frame_bytes / form.sample_rate_hz
            self.warnings.append(f"truncated after {duration_s:.1f} s of {claimed_s:.1f} s")
        self._block_bytes = max(_BLOCK_BYTES // form.frame_bytes, 1) * form.frame_bytes
        file.seek(layout.offset)

    def next_block(self) -> SoundBlock:
        """The next frames in order, none at the end."""
        raw = self._file.read(min(self._block_bytes, self._left_bytes))
        self._left_bytes = self._left_bytes - len(raw) if raw else 0
        return decode_pcm_bytes(raw, self._format)

    def close(self) -> None:
        self._file.close()
