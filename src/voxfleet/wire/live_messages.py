"""What crosses between the gateway and the process that hears live streams.

Sound itself among it, a few milliseconds at a time. Positions are samples at 16 kHz from the start
of the stream. Knows no socket.
"""

from __future__ import annotations

import msgspec

from voxfleet.core import VadMode
from voxfleet.wire.message_root import Failure, Message

# -- received by the live process ---------------------------------------------------------------


class LiveOpen(Message, frozen=True):
    """A stream whose next sound begins at `position`; everything of it comes in order."""

    stream_id: str
    encoding: str
    sample_rate_hz: int
    vad: VadMode
    threshold: float
    keep_s: float
    position: int = 0


class LiveSound(Message, frozen=True):
    """The stream's next sound, whole samples; answered by one `LiveHeard`.

    What lies before `forget` will not be cut any more. With `finish` everything up to here is to be
    heard, and what follows is a new stretch of speech.
    """

    stream_id: str
    sound: bytes
    forget: int
    finish: bool = False


class LiveDetect(Message, frozen=True):
    """Listen anew from here on, with this detector; answered by one `LiveHeard`."""

    stream_id: str
    vad: VadMode
    threshold: float


class LiveCut(Message, frozen=True):
    """Write the sound of [start, end) to `path`; with `quiet_from` it ends at the quietest point
    from there on instead."""

    stream_id: str
    index: int
    start: int
    end: int
    quiet_from: int | None
    path: str


class LiveClose(Message, frozen=True):
    stream_id: str


# -- received from the live process -------------------------------------------------------------


class LiveReady(Message, frozen=True):
    """The process has loaded its detector and takes streams."""


class LiveSpeech(msgspec.Struct, frozen=True):
    """`SpeechUpdate` on its way; spans are (start, end)."""

    spans: tuple[tuple[int, int], ...]
    open_since: int | None
    settled: int
    open_until: int | None


class LiveHeard(Message, frozen=True):
    """An order is done: all before `position` is heard. `speech` is None when it is no news.

    Spans are told in any case, once.
    """

    stream_id: str
    position: int
    speech: LiveSpeech | None
    finished: bool


class LivePiece(Message, frozen=True):
    """What `LiveCut` asked for lies in its file."""

    stream_id: str
    index: int
    start: int
    sample_count: int
    digest: str


class LivePieceFailed(Message, frozen=True):
    stream_id: str
    index: int
    failure: Failure


class LiveFailed(Message, frozen=True):
    """The stream is forgotten here, and nothing more will be said of it."""

    stream_id: str
    failure: Failure
