"""The data every layer speaks: waveform, segment, batch, hypothesis, transcript.

Frozen values only. Knows no file format, no transport, no clock
and no model; numpy is named here only for the type checker, so that the gateway need not load it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


#: Every waveform inside voxfleet has this rate; only `audio` sees any other.
SAMPLE_RATE_HZ = 16_000
#: int16, one channel.
BYTES_PER_SAMPLE = 2


class WorkClass(StrEnum):
    """Who waits for the work; the order of the members is their precedence."""

    REALTIME = "realtime"
    INTERACTIVE = "interactive"
    BATCH = "batch"


class VadMode(StrEnum):
    """How speech is found. `auto` is fsmn where its files are, else silero."""

    AUTO = "auto"
    FSMN = "fsmn"
    SILERO = "silero"
    ENERGY = "energy"
    OFF = "off"


class ChannelMode(StrEnum):
    """What becomes of a file with several channels; `split` transcribes each of two on its own."""

    MIX = "mix"
    LEFT = "left"
    RIGHT = "right"
    SPLIT = "split"


@dataclass(frozen=True, slots=True)
class Waveform:
    """16 kHz mono sound. `samples` is int16 of shape [n]; `start_s` its place in the recording."""

    samples: NDArray[np.int16]
    start_s: float = 0.0

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class RawPcm:
    """How to read a file without any header; only ever by explicit option."""

    encoding: str = "s16le"
    sample_rate_hz: int = SAMPLE_RATE_HZ
    channels: int = 1


@dataclass(frozen=True, slots=True)
class AudioOptions:
    """What is asked of decoding and speech detection; all but `max_segment_s` by the client.

    That is what the model takes at once; None leaves it to the media processes' settings.
    """

    vad: VadMode = VadMode.AUTO
    channel: ChannelMode = ChannelMode.MIX
    raw_pcm: RawPcm | None = None
    max_segment_s: float | None = None


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file says of itself before decoding; `duration_s` is None where it cannot know."""

    container: str
    codec: str
    sample_rate_hz: int
    channels: int
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class RecognitionOptions:
    """What a client may ask of the model. `language` is ISO-639-1 or None for detection."""

    language: str | None = None
    hotwords: tuple[str, ...] = ()
    word_times: bool = False
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class TextOptions:
    """What a client may ask of the finished text. `punctuate` None means: where the server can."""

    punctuate: bool | None = None
    itn: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of speech with its sound in memory: what an engine is given."""

    id: str
    waveform: Waveform
    options: RecognitionOptions = RecognitionOptions()


@dataclass(frozen=True, slots=True)
class SpooledSegment:
    """A piece of speech whose PCM (int16, little-endian, mono, 16 kHz) lies in a spool file.

    What the gateway handles instead of sound. Whoever takes the last result deletes `path`.
    `digest` is that of the PCM, equal for equal sound; empty where nobody computed it.
    """

    id: str
    path: Path
    start_s: float
    sample_count: int
    channel: int = 0
    options: RecognitionOptions = RecognitionOptions()
    digest: str = ""

    @property
    def duration_s(self) -> float:
        return self.sample_count / SAMPLE_RATE_HZ

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Batch:
    """Segments computed together, of like length, from any requests.

    `suspect` are segments on trial, with nobody else: they were there when a worker was lost.
    """

    id: str
    segments: tuple[SpooledSegment, ...]
    suspect: bool = False

    @property
    def padded_s(self) -> float:
        return padded_duration_s(self.segments)


@dataclass(frozen=True, slots=True)
class Word:
    """One word or Chinese character; times from the start of the segment, later of the file."""

    text: str
    start_s: float
    end_s: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What an engine heard in one segment; word times count from the segment's own start.

    `avg_logprob` is the mean natural log probability of the words, `no_speech_prob` the model's
    belief that nobody spoke; both None where a model has no such number. `unknown_hotwords` are
    those of the request that the model has no tokens for.
    """

    text: str
    words: tuple[Word, ...] = ()
    language: str | None = None
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    tokens: tuple[int, ...] = ()
    unknown_hotwords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TranscriptSegment:
    """One segment's text at its place in the recording; all times count from the file's start."""

    index: int
    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...] = ()
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text of one channel of one recording. `channel` is None for a mixed recording."""

    text: str
    language: str | None
    duration_s: float
    segments: tuple[TranscriptSegment, ...] = ()
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Transcription:
    """The answer to one request: one transcript, or one per channel, and what was odd about it."""

    model: str
    duration_s: float
    transcripts: tuple[Transcript, ...]
    warnings: tuple[str, ...] = ()
    options: RecognitionOptions = RecognitionOptions()
    #: stored before, for the same sound and options
    cached: bool = False


@dataclass(frozen=True, slots=True)
class RequestProgress:
    """A request that is being answered: `state` is `queued` while nothing of it is computed.

    `queue_position` is about how many segments go before its next; None when none waits.
    """

    state: str
    queue_position: int | None
    decoded_s: float


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What a model can do, said once by its worker when it is ready.

    `languages` are ISO-639-1 codes; `speed` is the first guess of audio seconds recognised per
    second by one instance, used until the real rate has been measured.
    """

    model: str
    languages: tuple[str, ...]
    speed: float
    word_times: bool = False
    hotwords: bool = False
    max_batch_s: float = 30.0
    memory_mb: int = 0
    #: its texts have their marks already, so that none are to be added
    punctuates: bool = False
    #: other names the model answers to, shown nowhere but accepted everywhere
    aliases: tuple[str, ...] = field(default=())


def padded_duration_s(segments: Sequence[SpooledSegment]) -> float:
    """What a device computes: as many rows as segments, each as long as the longest."""
    return len(segments) * max((segment.duration_s for segment in segments), default=0.0)
