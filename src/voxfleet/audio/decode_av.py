"""Decodes compressed sound and the sound tracks of video with FFmpeg's libraries (PyAV), in blocks.

What a hostile file can make the libraries do is limited in `av_safety`. Knows neither 16 kHz nor
which channels are wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO, NamedTuple

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.container import InputContainer

from voxfleet.audio.av_safety import OPEN_OPTIONS, ReadOnlyBytes, sound_stream, true_duration_s
from voxfleet.audio.containers import Container
from voxfleet.audio.plausible import refuse_implausible
from voxfleet.audio.sound_block import SoundBlock, normalised
from voxfleet.core import AudioInfo
from voxfleet.errors import CorruptAudioError

#: samples of all channels gathered before they leave for numpy: one call for many small frames
_BLOCK_SAMPLES = 1 << 17
_READ_BYTES = 1 << 16
#: damage this long in a row is no glitch: the rest of the file is not worth the time
_MOST_BAD_IN_ROW = 200
#: how much shorter than its header says sound may be before it counts as cut off
_SLACK_S, _SLACK_SHARE = 0.5, 0.01
#: PyAV reads past the end of a frame that has a plane for each of 8 or more channels (18.1)
_MISCOUNTED_PLANES = 8

#: what PyAV raises on bad data; the second comes from its own checks of what libav returned
_BAD_DATA = (av.FFmpegError, ValueError)


class _FrameForm(NamedTuple):
    """What must stay the same from frame to frame within a block."""

    format: str
    layout: str
    sample_rate_hz: int


class AvSource:
    """Decoded sound at the file's own rate and channels; closes the file it was given."""

    def __init__(
        self, file: BinaryIO, container: InputContainer, kind: Container, name: str
    ) -> None:
        self._file = file
        self._container = container
        self.warnings: list[str] = []
        self._bad_packets = 0
        self._bad_in_row = 0
        self._decoded_frames = 0
        self._converter: tuple[_FrameForm, av.AudioResampler] | None = None
        self._stream = sound_stream(self._container, name)
        context = self._stream.codec_context
        refuse_implausible(name, context.sample_rate, context.channels)
        context.thread_count = 1
        self._form = _FrameForm("", "", 0)
        self._time_base: Fraction | None = None
        self._fifo = AudioFifo()
        self._frames = self._decoded()
        channels = self._begin(name, kind)
        self._block_frames = max(_BLOCK_SAMPLES // channels, 1)
        self.info = AudioInfo(
            kind.name,
            context.codec.canonical_name,
            self._form.sample_rate_hz,
            channels,
            true_duration_s(self._container, self._stream, kind),
        )

    def next_block(self) -> SoundBlock:
        """The next frames in order, none at the end."""
        while self._fifo.samples < self._block_frames:
            frame = next(self._frames, None)
            if frame is None:
                break
            self._gather(frame)
        joined = self._fifo.read(0, partial=True) if self._fifo.samples else None
        if joined is None:
            self._conclude()
            return np.zeros((0, self.info.channels), np.int16)
        self._decoded_frames += joined.samples
        samples = joined.to_ndarray()
        if joined.format.is_planar:
            return normalised(samples.T)
        return normalised(samples.reshape(-1, self.info.channels))

    def close(self) -> None:
        self._container.close()
        self._file.close()

    def _begin(self, name: str, kind: Container) -> int:
        """Channels; the first sound decides the form: headers are often wrong about it."""
        frame = next(self._frames, None)
        if frame is None:
            raise CorruptAudioError(
                f"{name}: broken or cut off {kind.name} file, none of its sound can be decoded; "
                "send the whole file or export it again"
            )
        channels = frame.layout.nb_channels
        refuse_implausible(name, frame.sample_rate, channels)
        self._time_base = frame.time_base  # the queue compares this too
        self._form = _form_of(frame)
        if channels >= _MISCOUNTED_PLANES:
            self._form = self._form._replace(format=frame.format.packed.name)
        self._gather(frame)
        return channels

    def _decoded(self) -> Iterator[av.AudioFrame]:
        """Frames with sound in them, past any damage that ends."""
        while self._bad_in_row <= _MOST_BAD_IN_ROW:
            try:
                for packet in self._container.demux(self._stream):
                    yield from self._decode(packet)
                    if self._bad_in_row > _MOST_BAD_IN_ROW:
                        return
                return
            except IndexError:  # PyAV at the end of a file whose number of tracks grew
                return
            except _BAD_DATA:
                self._note_damage()

    def _decode(self, packet: av.Packet[av.AudioStream]) -> list[av.AudioFrame]:
        try:
            frames = self._stream.decode(packet)
        except _BAD_DATA:
            self._note_damage()
            return []
        sound = [frame for frame in frames if frame.samples]
        if sound:
            self._bad_in_row = 0
        return sound

    def _gather(self, frame: av.AudioFrame) -> None:
        frame.pts = None  # the queue would otherwise insist on times without a gap
        try:
            for conformed in self._conformed(frame):
                self._fifo.write(conformed)
        except _BAD_DATA:
            self._note_damage()

    def _conformed(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        """The frame in the form of the first; streams that change midway are converted back."""
        form = _form_of(frame)
        if form == self._form:
            return [frame]
        if self._converter is None or self._converter[0] != form:
            self._converter = (form, av.AudioResampler(*self._form))
        conformed = self._converter[1].resample(frame)
        for part in conformed:
            part.pts = None
            if self._time_base is not None:
                part.time_base = self._time_base
        return conformed

    def _note_damage(self) -> None:
        self._bad_packets += 1
        self._bad_in_row += 1

    def _conclude(self) -> None:
        """Say once what was odd, now that all has been read."""
        decoded_s = self._decoded_frames / self.info.sample_rate_hz
        claimed_s = self.info.duration_s or 0.0
        if self._bad_in_row > _MOST_BAD_IN_ROW:
            self.warnings.append(f"stopped after {decoded_s:.1f} s: the rest is damaged")
        elif claimed_s - decoded_s > max(_SLACK_S, claimed_s * _SLACK_SHARE):
            self.warnings.append(f"truncated after {decoded_s:.1f} s of {claimed_s:.1f} s")
        elif self._bad_packets:
            noun = "piece" if self._bad_packets == 1 else "pieces"
            self.warnings.append(f"skipped {self._bad_packets} damaged {noun} of sound")


def _form_of(frame: av.AudioFrame) -> _FrameForm:
    return _FrameForm(frame.format.name, frame.layout.name, frame.sample_rate)


def open_av_source(file: BinaryIO, kind: Container, name: str) -> AvSource:
    """The sound of an open file of this kind; the file stays the caller's if this raises."""
    container = _open_container(file, kind, name)
    try:
        return AvSource(file, container, kind, name)
    except BaseException:
        container.close()
        raise


def _open_container(file: BinaryIO, kind: Container, name: str) -> InputContainer:
    try:
        return av.open(
            ReadOnlyBytes(file, kind),
            mode="r",
            format=kind.demuxer,
            options=dict(OPEN_OPTIONS),
            metadata_errors="replace",
            buffer_size=_READ_BYTES,
        )
    except _BAD_DATA as error:
        raise CorruptAudioError(
            f"{name}: broken or cut off {kind.name} file, it cannot be opened; "
            "send the whole file or export it again"
        ) from error
