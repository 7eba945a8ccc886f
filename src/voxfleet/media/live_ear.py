"""One live stream inside the live process: its sound at 16 kHz, the speech in it, and what is kept.

What is heard depends on the bytes alone, never on how they were divided. Knows no socket and no
other stream.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxfleet.audio.live_rate import rate_change
from voxfleet.audio.live_resample import LiveResampler
from voxfleet.audio.loudness import FRAME_SAMPLES, frame_levels
from voxfleet.audio.pcm import PcmCoding, PcmFormat, decode_pcm_bytes
from voxfleet.audio.quiet_point import CutWindow, quiet_point
from voxfleet.audio.sound_block import as_int16
from voxfleet.audio.speech import SpeechDetector, SpeechSpan, SpeechUpdate
from voxfleet.audio.speech_gate import joined
from voxfleet.core import SAMPLE_RATE_HZ, VadMode
from voxfleet.errors import ParameterError
from voxfleet.media.live_pace import NewsPace
from voxfleet.media.live_sound import SoundEncoding
from voxfleet.wire.live_messages import LiveCut, LiveHeard, LiveOpen, LiveSound, LiveSpeech

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CODINGS = {
    SoundEncoding.PCM16: (PcmCoding.SIGNED, 2),
    SoundEncoding.ULAW: (PcmCoding.MULAW, 1),
    SoundEncoding.ALAW: (PcmCoding.ALAW, 1),
}
_SAMPLE_BYTES = 2
#: what the quietest point is looked for around the place itself
_AROUND_SAMPLES = 10 * FRAME_SAMPLES

#: the detector of a mode and a threshold
MakeDetector = Callable[[VadMode, float], SpeechDetector]


@dataclass(frozen=True, slots=True)
class Piece:
    """int16 at 16 kHz, little-endian."""

    start: int
    sound: bytes

    @property
    def sample_count(self) -> int:
        return len(self.sound) // _SAMPLE_BYTES


class LiveEar:
    def __init__(self, order: LiveOpen, make_detector: MakeDetector) -> None:
        coding, width = _CODINGS[SoundEncoding(order.encoding)]
        self._format = PcmFormat(coding, width, order.sample_rate_hz, 1)
        self._change = rate_change(order.sample_rate_hz)
        self._resampler = LiveResampler(self._change)
        self._make_detector = make_detector
        self._choice = order.vad, order.threshold
        self._keep = round(order.keep_s * SAMPLE_RATE_HZ)
        self._id = order.stream_id
        self._pace = NewsPace(order.position)
        #: made with the first sound: many streams wait long for theirs
        self._detector: SpeechDetector | None = None
        self._detects_from = order.position
        #: how many samples of the stream's own rate have come, those before it began included
        self._taken = self._change.samples_before(order.position)
        self._position = order.position
        self._kept = bytearray()
        self._kept_from = order.position

    def hear(self, message: LiveSound) -> LiveHeard:
        updates = [self._push(self._decoded(message.sound))]
        if message.finish:
            missing = self._change.position(self._taken) - self._position
            updates.append(self._push(self._resampler.finish(missing)))
            updates.append(self._end_stretch())
        self._forget(message.forget)
        return self._told(joined(updates), message.finish)

    def detect(self, vad: VadMode, threshold: float) -> LiveHeard:
        """From here on with another detector; speech that is going on ends here."""
        ended = self._end_stretch()
        self._choice = vad, threshold
        return self._told(ended, finished=False)

    def cut(self, order: LiveCut) -> Piece:
        """Raises ParameterError for sound that is not there."""
        if not self._kept_from <= order.start < order.end <= self._position:
            raise ParameterError(
                f"no sound from {order.start} to {order.end} is there: only"
                f" {self._kept_from} to {self._position} is"
            )
        end = order.end if order.quiet_from is None else self._quietest(order, order.quiet_from)
        return Piece(order.start, bytes(self._bytes(order.start, end)))

    def _decoded(self, sound: bytes) -> NDArray[np.int16]:
        samples = as_int16(decode_pcm_bytes(sound, self._format)[:, 0])
        self._taken += len(samples)
        return self._resampler.push(np.ascontiguousarray(samples))

    def _push(self, samples: NDArray[np.int16]) -> SpeechUpdate:
        self._kept += samples.astype("<i2", copy=False).data
        self._position += len(samples)
        if self._detector is None:
            self._detector = self._make_detector(*self._choice)
        return _moved(self._detector.push(samples), self._detects_from)

    def _end_stretch(self) -> SpeechUpdate:
        """What the detector still knows; the next sound has one of its own."""
        ended = SpeechUpdate((), None, self._position)
        if self._detector is not None:
            ended = _moved(self._detector.finish(), self._detects_from)
        self._detector, self._detects_from = None, self._position
        return ended

    def _forget(self, before: int) -> None:
        keep_from = max(min(before, self._position), self._position - self._keep)
        if keep_from > self._kept_from:
            del self._kept[: (keep_from - self._kept_from) * _SAMPLE_BYTES]
            self._kept_from = keep_from

    def _told(self, update: SpeechUpdate, finished: bool) -> LiveHeard:
        news = self._pace.due(self._position, update) or finished
        return LiveHeard(self._id, self._position, _sent(update) if news else None, finished)

    def _bytes(self, start: int, end: int) -> memoryview:
        first, last = ((at - self._kept_from) * _SAMPLE_BYTES for at in (start, end))
        return memoryview(self._kept)[first:last]

    def _quietest(self, order: LiveCut, quiet_from: int) -> int:
        earliest = max(order.start + 1, min(quiet_from, order.end - 1))
        first = max(self._kept_from, earliest - _AROUND_SAMPLES)
        first += -first % FRAME_SAMPLES
        until = min(self._position, order.end + _AROUND_SAMPLES)
        if first >= until:
            return order.end
        around = np.frombuffer(bytes(self._bytes(first, until)), "<i2").astype(np.int16)
        window = CutWindow(order.start, earliest, order.end, until)
        found = quiet_point(frame_levels(around), first // FRAME_SAMPLES, window)
        return max(earliest, min(found, order.end))


def _moved(update: SpeechUpdate, by: int) -> SpeechUpdate:
    """Detectors count from the first sample they heard."""
    since, until = update.open_since, update.open_until
    return SpeechUpdate(
        tuple(SpeechSpan(span.start + by, span.end + by) for span in update.spans),
        None if since is None else since + by,
        update.settled + by,
        None if until is None else until + by,
    )


def _sent(update: SpeechUpdate) -> LiveSpeech:
    spans = tuple((span.start, span.end) for span in update.spans)
    return LiveSpeech(spans, update.open_since, update.settled, update.open_until)
