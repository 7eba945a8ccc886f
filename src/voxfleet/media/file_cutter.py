"""One open file inside a media process: decoded slice by slice, cut into segments in spool files.

Knows nothing of other files, of sockets or of whose turn it is. What it cuts depends on the file
and the settings alone, never on how the work was divided into turns, so that another process can go
on where this one died.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxfleet.audio.decode import open_audio
from voxfleet.audio.detectors import make_detector
from voxfleet.audio.loudness import FrameLevels
from voxfleet.audio.segmenter import Segmenter, SegmentLimits
from voxfleet.audio.speech import SpeechDetector, SpeechSpan
from voxfleet.core import SAMPLE_RATE_HZ
from voxfleet.errors import AudioError, AudioTooLongError, EmptyAudioError
from voxfleet.media.media_settings import MediaSettings
from voxfleet.media.spool import write_sound
from voxfleet.wire.messages import FileFinished, FileOpened, FromChild, OpenFile, SegmentCut

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voxfleet.audio.decode import AudioStream

#: how much is decoded between two looks at the clock
_READ_SAMPLES = 2 * SAMPLE_RATE_HZ


def segment_limits(settings: MediaSettings, max_segment_s: float | None = None) -> SegmentLimits:
    return SegmentLimits(
        max_segment_s or settings.max_segment_s,
        settings.min_silence_s,
        settings.padding_s,
        settings.merge_below_s,
    )


@dataclass(frozen=True, slots=True)
class Cut:
    """A segment with its sound, not yet delivered; `start` is a sample of the recording."""

    channel: int
    start: int
    samples: NDArray[np.int16]


class ChannelCutter:
    """One channel of a file: finds its speech and keeps the sound that may still be needed."""

    def __init__(self, channel: int, detector: SpeechDetector, limits: SegmentLimits) -> None:
        self._channel = channel
        self._detector = detector
        self._segmenter = Segmenter(limits)
        self._levels = FrameLevels()
        self._kept: NDArray[np.int16] = np.empty(0, np.int16)
        self._kept_from = 0

    def push(self, samples: NDArray[np.int16]) -> list[Cut]:
        self._kept = np.concatenate((self._kept, samples))
        update = self._detector.push(samples)
        cuts = self._take(self._segmenter.push(update, self._levels.push(samples)))
        self._forget(self._segmenter.needed_from)
        return cuts

    def finish(self) -> list[Cut]:
        none_more = self._levels.push(np.empty(0, np.int16))
        return self._take(self._segmenter.finish(self._detector.finish(), none_more))

    def _take(self, spans: list[SpeechSpan]) -> list[Cut]:
        return [Cut(self._channel, span.start, self._sound(span)) for span in spans]

    def _sound(self, span: SpeechSpan) -> NDArray[np.int16]:
        kept_until = self._kept_from + len(self._kept)
        if span.start < self._kept_from or span.end > kept_until:
            # cutting what is there instead would lose speech without a word
            raise RuntimeError(f"{span} is not within {self._kept_from} to {kept_until}")
        return self._kept[span.start - self._kept_from : span.end - self._kept_from].copy()

    def _forget(self, needed_from: int) -> None:
        surplus = min(needed_from - self._kept_from, len(self._kept))
        if surplus > 0:
            self._kept = self._kept[surplus:].copy()
            self._kept_from += surplus


class FileCutter:
    """`work` is one turn; `finished` tells that there will be no other."""

    def __init__(
        self,
        order: OpenFile,
        settings: MediaSettings,
        send: Callable[[FromChild], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._order = order
        self._settings = settings
        self._send = send
        self._clock = clock
        self._stream: AudioStream | None = None
        self._channels: list[ChannelCutter] = []
        self._gathered: list[NDArray[np.int16]] = []
        self._pending: deque[Cut] = deque()
        self._decoded = 0
        self._cut = 0
        self._worked_s = 0.0
        self._ended = False
        self.finished = False

    @property
    def name(self) -> str:
        """What the client calls the file."""
        return self._order.name

    @property
    def decoded_s(self) -> float:
        return self._decoded / SAMPLE_RATE_HZ

    def work(self, room: int) -> int:
        """Decode for a turn and deliver up to `room` segments; how many, is the answer."""
        begun = self._clock()
        stream = self._stream or self._open()
        if not self._pending and not self._ended:
            self._decode(stream, begun + self._settings.turn_s)
        delivered = self._deliver(room)
        self._worked_s += self._clock() - begun
        if self._ended and not self._pending:
            self._finish(stream)
        else:
            self._check_limits()
        return delivered

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _open(self) -> AudioStream:
        order, settings = self._order, self._settings
        path = Path(os.fsdecode(order.path))
        stream = open_audio(path, order.name, order.options.channel, order.options.raw_pcm)
        self._stream = stream
        limits = segment_limits(settings, order.options.max_segment_s)
        for channel in range(stream.channels):
            detector = make_detector(order.options.vad, settings.fsmn_dir, limits.max_s)
            self._channels.append(ChannelCutter(channel, detector, limits))
        self._send(FileOpened(order.file_id, stream.info))
        return stream

    def _decode(self, stream: AudioStream, until: float) -> None:
        """Gather a slice; only a whole one is cut, so that its bounds never depend on the clock."""
        slice_samples = int(self._settings.slice_s * SAMPLE_RATE_HZ)
        wanted = slice_samples - sum(map(len, self._gathered))
        while wanted > 0 and not self._ended:
            samples = stream.read(min(wanted, _READ_SAMPLES))
            self._ended = len(samples) == 0
            self._gathered.append(samples)
            self._decoded += len(samples)
            wanted -= len(samples)
            if self._clock() >= until:
                break
        if wanted <= 0 or self._ended:
            self._cut_slice()

    def _cut_slice(self) -> None:
        samples = np.concatenate(self._gathered)
        self._gathered.clear()
        cuts: list[Cut] = []
        for index, channel in enumerate(self._channels):
            cuts += channel.push(np.ascontiguousarray(samples[:, index]))
            if self._ended:
                cuts += channel.finish()
        self._pending.extend(sorted(cuts, key=lambda cut: (cut.start, cut.channel)))

    def _deliver(self, room: int) -> int:
        delivered = 0
        while self._pending and (self._cut < self._order.skip_segments or delivered < room):
            cut = self._pending.popleft()
            if self._cut >= self._order.skip_segments:
                self._write(cut)
                delivered += 1
            self._cut += 1
        return delivered

    def _write(self, cut: Cut) -> None:
        path = Path(self._order.spool_dir) / f"{self._cut}.pcm"
        sound = cut.samples.astype("<i2", copy=False).data
        digest = write_sound(path, sound, self._order.name)
        start_s = cut.start / SAMPLE_RATE_HZ
        self._send(
            SegmentCut(
                self._order.file_id,
                self._cut,
                cut.channel,
                start_s,
                len(cut.samples),
                str(path),
                self.decoded_s,
                digest,
            )
        )

    def _finish(self, stream: AudioStream) -> None:
        if self._decoded == 0:
            raise EmptyAudioError(f"{self._order.name}: holds no sound; send a longer recording")
        self._send(
            FileFinished(
                self._order.file_id, self.decoded_s, len(self._channels), tuple(stream.warnings)
            )
        )
        self.finished = True

    def _check_limits(self) -> None:
        name, settings = self._order.name, self._settings
        hours = self.decoded_s / 3600
        if hours > settings.max_audio_hours:
            raise AudioTooLongError(
                f"{name}: more than {settings.max_audio_hours:g} hours of sound;"
                " split the recording, or have max_audio_hours raised"
            )
        if self._worked_s > settings.decode_timeout_s * (1 + int(hours)):
            raise AudioError(
                f"{name}: decoding {self.decoded_s:.0f} s of its sound took"
                f" {self._worked_s:.0f} s of work, more than is allowed; convert it to WAV or FLAC"
            )
