"""The bytes of a pipe, however they are cut, to 16 kHz mono int16. Pure; knows no pipe.

They are raw samples, or a WAV where they begin with its header: recorders write one into a pipe.
"""

from __future__ import annotations

import io

from voxfleet.audio.decode_pcm import raw_layout
from voxfleet.audio.pcm import PcmLayout, decode_pcm_bytes
from voxfleet.audio.resample import Resampler
from voxfleet.audio.sound_block import as_float, as_int16, select_channels
from voxfleet.audio.wav_header import read_wav_header
from voxfleet.core import SAMPLE_RATE_HZ, ChannelMode, RawPcm
from voxfleet.errors import CorruptAudioError, UsageError

#: how messages call what has no file name
STDIN = "standard input"
#: a header with everything recorders like to write before the sound
_LONGEST_HEAD = 1 << 16
_WAV_MAGICS = (b"RIFF", b"RF64")


class PipeSound:
    """One pipe from its first byte to its end; `sample_rate_hz` is that of raw samples."""

    def __init__(self, sample_rate_hz: int) -> None:
        raw = RawPcm("s16le", sample_rate_hz, channels=1)
        self._raw = raw_layout(raw, "--rate")
        self._layout: PcmLayout | None = None
        self._resampler: Resampler | None = None
        self._held = b""
        self._left_bytes: int | None = None

    def push(self, block: bytes) -> bytes:
        """The sound of the next bytes; raises AudioError for a WAV nobody could read."""
        self._held += block
        if self._layout is None and not self._recognise(ended=False):
            return b""
        return self._converted()

    def finish(self) -> bytes:
        """What is left when the pipe has ended."""
        if self._layout is None:
            self._recognise(ended=True)
        rest = self._converted()
        if self._resampler is not None:
            rest += as_int16(self._resampler.finish()).astype("<i2", copy=False).tobytes()
        return rest

    def _recognise(self, *, ended: bool) -> bool:
        """Whether it is known by now what the bytes are."""
        could_be_wav = any(magic.startswith(self._held[:4]) for magic in _WAV_MAGICS)
        if could_be_wav and len(self._held) < 4 and not ended:
            return False
        layout = self._raw
        if self._held[:4] in _WAV_MAGICS:
            found = self._wav_layout(ended=ended)
            if found is None:
                return False
            layout = found
        self._layout = layout
        self._left_bytes = layout.byte_count
        self._held = self._held[layout.offset :]
        if layout.format.sample_rate_hz != SAMPLE_RATE_HZ:
            self._resampler = Resampler(layout.format.sample_rate_hz, channels=1)
        return True

    def _wav_layout(self, *, ended: bool) -> PcmLayout | None:
        """None while the header has not come to its end."""
        try:
            layout = read_wav_header(io.BytesIO(self._held), STDIN)
        except CorruptAudioError:
            if ended or len(self._held) > _LONGEST_HEAD:
                raise
            return None
        if layout is None:
            raise UsageError(
                f"{STDIN}: a WAV of compressed sound, which cannot be played from a pipe; name"
                " the file, or send PCM"
            )
        return layout

    def _converted(self) -> bytes:
        assert self._layout is not None  # noqa: S101  (both callers have seen to it)
        form = self._layout.format
        whole = len(self._held) - len(self._held) % form.frame_bytes
        if self._left_bytes is not None:
            # other chunks may follow the sound
            whole = min(whole, self._left_bytes - self._left_bytes % form.frame_bytes)
            self._left_bytes -= whole
        raw, self._held = self._held[:whole], self._held[whole:]
        block = select_channels(decode_pcm_bytes(raw, form), ChannelMode.MIX)
        if self._resampler is not None:
            block = self._resampler.push(as_float(block))
        return as_int16(block).astype("<i2", copy=False).tobytes()
