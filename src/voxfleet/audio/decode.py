"""Any sound file as 16 kHz int16, in pieces of any size and in constant memory.

Puts together what finds the container, what decodes it, what picks channels and what resamples.
Nothing but a VoxfleetError leaves it, and no message names anything but the client's file name.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.containers import (
    HEAD_BYTES,
    SPH,
    WAV,
    Container,
    foreign_kind,
    leading_tag_bytes,
    sniff,
)
from voxfleet.audio.decode_av import open_av_source
from voxfleet.audio.decode_pcm import PcmSource, raw_layout
from voxfleet.audio.displayed_name import displayed_name
from voxfleet.audio.pcm import PcmLayout
from voxfleet.audio.resample import Resampler
from voxfleet.audio.sound_block import SoundBlock, as_float, as_int16, select_channels
from voxfleet.audio.sph_header import read_sph_header
from voxfleet.audio.wav_header import read_wav_header
from voxfleet.core import SAMPLE_RATE_HZ, AudioInfo, ChannelMode, RawPcm
from voxfleet.errors import EmptyAudioError, NotAudioError, VoxfleetError

#: a file may carry several ID3 tags before its sound; more are an attack on our patience
_MOST_LEADING_TAGS = 8


class SoundSource(Protocol):
    """Decoded sound at the file's own rate and channels. `warnings` grows while it is read."""

    info: AudioInfo
    warnings: list[str]

    def next_block(self) -> SoundBlock:
        """The next frames in order, shape [n, info.channels]; n is 0 only at the end."""
        ...

    def close(self) -> None: ...


class AudioStream:
    """One recording as 16 kHz int16, read from front to back.

    `channels` is how many columns `read` gives: 1, or 2 for a split recording. The samples do not
    depend on the sizes asked for.
    """

    def __init__(self, source: SoundSource, mode: ChannelMode, name: str) -> None:
        self._source = source
        self._mode = mode
        self._name = name
        self.info = source.info
        self.channels = 2 if mode is ChannelMode.SPLIT and self.info.channels > 1 else 1
        self.warnings = source.warnings
        if (oddity := _channel_oddity(mode, self.info.channels)) is not None:
            self.warnings.append(oddity)
        at_16_khz = self.info.sample_rate_hz == SAMPLE_RATE_HZ
        self._resampler = None if at_16_khz else Resampler(self.info.sample_rate_hz, self.channels)
        self._ended = False
        self._pending = np.zeros((0, self.channels), np.int16)
        if not self._fill():
            raise EmptyAudioError(
                f"{name}: holds not one sample of sound; record or export it again"
            )

    def read(self, max_samples: int) -> NDArray[np.int16]:
        """The next samples, shape [n, channels]; n is under `max_samples` only at the end."""
        if max_samples < 1:
            raise ValueError("max_samples must be at least 1")
        pieces: list[NDArray[np.int16]] = []
        wanted = max_samples
        while wanted and self._fill():
            piece = self._pending[:wanted]
            self._pending = self._pending[len(piece) :]
            wanted -= len(piece)
            pieces.append(piece)
        return np.concatenate(pieces) if pieces else np.zeros((0, self.channels), np.int16)

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _fill(self) -> bool:
        """Decode until there is something to give; False when nothing more will come."""
        while not len(self._pending) and not self._ended:
            try:
                block = self._source.next_block()
            except (OSError, MemoryError) as error:
                raise _unreadable(self._name, error) from error
            self._ended = not len(block)
            self._pending = self._converted(block)
        return len(self._pending) > 0

    def _converted(self, block: SoundBlock) -> NDArray[np.int16]:
        if self._resampler is None:
            return as_int16(select_channels(block, self._mode))
        if self._ended:
            return as_int16(self._resampler.finish())
        return as_int16(self._resampler.push(as_float(select_channels(block, self._mode))))


def open_audio(
    path: Path, name: str, channel: ChannelMode = ChannelMode.MIX, raw_pcm: RawPcm | None = None
) -> AudioStream:
    """The sound of the file at `path`, which messages call `name`.

    Raises EmptyAudioError, NotAudioError, UnsupportedAudioError or CorruptAudioError; damage found
    later is told in `warnings`. `raw_pcm` describes a file without any header.
    """
    shown = displayed_name(name)
    try:
        file = path.open("rb")
    except OSError as error:
        raise _unreadable(shown, error) from error
    try:
        return AudioStream(_source(file, shown, raw_pcm), channel, shown)
    except (OSError, MemoryError) as error:
        file.close()
        raise _unreadable(shown, error) from error
    except BaseException:
        file.close()
        raise


def _source(file: BinaryIO, name: str, raw_pcm: RawPcm | None) -> SoundSource:
    file_bytes = file.seek(0, 2)
    if not file_bytes:
        raise EmptyAudioError(f"{name}: is empty, 0 bytes; send the file again")
    if raw_pcm is not None:
        return PcmSource(file, file_bytes, raw_layout(raw_pcm, name))
    kind, offset = _container(file, name)
    layout = _pcm_layout(file, kind, name) if offset == 0 else None
    if layout is not None:
        return PcmSource(file, file_bytes, layout)
    return open_av_source(file, kind, name)


def _container(file: BinaryIO, name: str) -> tuple[Container, int]:
    """What the content is, and where it starts behind leading tags."""
    offset = 0
    for _ in range(_MOST_LEADING_TAGS):
        file.seek(offset)
        head = file.read(HEAD_BYTES)
        if not (tag_bytes := leading_tag_bytes(head)):
            break
        offset += tag_bytes
    kind = sniff(head)
    if kind is None:
        foreign = foreign_kind(head)
        what = f"is {foreign}, not audio" if foreign else "is not audio in any known format"
        raise NotAudioError(f"{name}: {what}; send a recording such as wav, mp3, m4a or ogg")
    return kind, offset


def _pcm_layout(file: BinaryIO, kind: Container, name: str) -> PcmLayout | None:
    file.seek(0)
    if kind is WAV:
        return read_wav_header(file, name)
    if kind is SPH:
        return read_sph_header(file, name)
    return None


def _channel_oddity(mode: ChannelMode, channels: int) -> str | None:
    if mode is ChannelMode.SPLIT and channels == 1:
        return "channel=split was asked for and the recording is mono: it gives one channel"
    if mode is ChannelMode.RIGHT and channels == 1:
        return "channel=right was asked for and the recording is mono: its only channel is used"
    if mode is not ChannelMode.MIX and channels > 2:
        return f"the recording has {channels} channels: channel={mode} reads only the first two"
    return None


def _unreadable(name: str, error: OSError | MemoryError) -> VoxfleetError:
    reason = error.strerror if isinstance(error, OSError) else "it needs too much memory"
    return VoxfleetError(f"{name}: cannot be read ({reason}); check the file and try again")
