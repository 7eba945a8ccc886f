"""What crosses between processes: small typed messages, grouped by who receives them.

Sound of files never does: messages carry the path of a spool file. Encoded as msgpack with the
type's name as tag, so that a message nobody expects is an error and never a guess. Knows no socket.
"""

from __future__ import annotations

import msgspec

from voxfleet.core import (
    AudioInfo,
    AudioOptions,
    EngineInfo,
    Hypothesis,
    RecognitionOptions,
    WorkClass,
)
from voxfleet.wire.live_messages import (
    LiveClose,
    LiveCut,
    LiveDetect,
    LiveFailed,
    LiveHeard,
    LiveOpen,
    LivePiece,
    LivePieceFailed,
    LiveReady,
    LiveSound,
)
from voxfleet.wire.message_root import Failure as Failure
from voxfleet.wire.message_root import Message as Message

# -- received by a worker ---------------------------------------------------------------------


class SegmentOrder(msgspec.Struct, frozen=True):
    """One segment to recognise: int16 mono 16 kHz PCM, little-endian, the whole file `path`."""

    id: str
    path: str
    start_s: float
    options: RecognitionOptions


class Recognise(Message, frozen=True):
    batch_id: str
    segments: tuple[SegmentOrder, ...]


# -- received from a worker -------------------------------------------------------------------


class Answer(msgspec.Struct, frozen=True):
    """Exactly one of the two is set."""

    hypothesis: Hypothesis | None = None
    failure: Failure | None = None


class WorkerReady(Message, frozen=True):
    """Loaded and warmed up; `credit_s` padded seconds may be sent before the first answer."""

    info: EngineInfo
    credit_s: float


class Recognised(Message, frozen=True):
    """`out_of_memory` counts how often the device had no room for the batch or a part of it."""

    batch_id: str
    answers: tuple[Answer, ...]
    compute_s: float
    out_of_memory: int = 0


# -- received by a text worker ----------------------------------------------------------------


class ProcessTexts(Message, frozen=True):
    """Texts for one of the worker's engines; each has one answer."""

    batch_id: str
    engine: str
    texts: tuple[str, ...]


# -- received from a text worker --------------------------------------------------------------


class TextAnswer(msgspec.Struct, frozen=True):
    """Exactly one of the two is set."""

    text: str | None = None
    failure: Failure | None = None


class TextWorkerReady(Message, frozen=True):
    """Every engine is loaded and warmed up."""

    engines: tuple[str, ...]


class TextsProcessed(Message, frozen=True):
    batch_id: str
    answers: tuple[TextAnswer, ...]


# -- received by a media process --------------------------------------------------------------


class OpenFile(Message, frozen=True):
    """Decode `path` and cut it into segments, written as PCM files into `spool_dir`.

    `path` is bytes, as names of files need not be text; `name` is what the client calls the file
    (for messages only, never opened). The first `skip_segments` segments were delivered by a
    process that died: count them, do not write them. At most `window` segments may lie unread;
    `Granted` allows more.
    """

    file_id: str
    path: bytes
    name: str
    spool_dir: str
    work_class: WorkClass
    options: AudioOptions
    window: int
    skip_segments: int = 0


class Granted(Message, frozen=True):
    """`segments` more segments of the file may be delivered: so many were taken."""

    file_id: str
    segments: int


class CloseFile(Message, frozen=True):
    """Nobody wants the rest of this file."""

    file_id: str


# -- received from a media process ------------------------------------------------------------


class MediaReady(Message, frozen=True):
    """The process has imported its libraries and takes files."""


class FileOpened(Message, frozen=True):
    file_id: str
    info: AudioInfo


class SliceBegun(Message, frozen=True):
    """The process works on this file from now: if it dies, this is the file to blame."""

    file_id: str


class SegmentCut(Message, frozen=True):
    """`index` counts from 0 through all channels; `decoded_s` is how far the decoder has come.

    `digest` is that of the sound, equal for equal sound.
    """

    file_id: str
    index: int
    channel: int
    start_s: float
    sample_count: int
    path: str
    decoded_s: float
    digest: str


class SliceEnded(Message, frozen=True):
    file_id: str
    decoded_s: float


class FileFinished(Message, frozen=True):
    file_id: str
    duration_s: float
    channels: int
    warnings: tuple[str, ...]


class FileFailed(Message, frozen=True):
    file_id: str
    failure: Failure


# -- received by any child --------------------------------------------------------------------


class Stop(Message, frozen=True):
    """Finish what you hold and leave."""


# -- received from any child ------------------------------------------------------------------


class Heartbeat(Message, frozen=True):
    """The process lives; `progress` grows with every piece of work that gets done."""

    progress: int


class StartFailed(Message, frozen=True):
    """The child cannot serve and will end by itself."""

    failure: Failure


ToChild = (
    Recognise
    | ProcessTexts
    | OpenFile
    | Granted
    | CloseFile
    | LiveOpen
    | LiveSound
    | LiveDetect
    | LiveCut
    | LiveClose
    | Stop
)
FromChild = (
    WorkerReady
    | Recognised
    | TextWorkerReady
    | TextsProcessed
    | MediaReady
    | FileOpened
    | SliceBegun
    | SegmentCut
    | SliceEnded
    | FileFinished
    | FileFailed
    | LiveReady
    | LiveHeard
    | LivePiece
    | LivePieceFailed
    | LiveFailed
    | Heartbeat
    | StartFailed
)
