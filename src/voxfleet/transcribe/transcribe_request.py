"""What is asked for: one file, how it is to be heard and written, and who watches. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from voxfleet.core import (
    AudioInfo,
    AudioOptions,
    Hypothesis,
    RecognitionOptions,
    SpooledSegment,
    TextOptions,
    WorkClass,
)
from voxfleet.transcribe.transcript_stream import TextListener


class Listener(Protocol):
    """Somebody who watches a request being answered, such as a progress bar."""

    def opened(self, info: AudioInfo) -> None: ...
    def recognised(self, segment: SpooledSegment, hypothesis: Hypothesis) -> None: ...


class Checkpoints(Protocol):
    """Segments of this request that were recognised before its server was lost."""

    def found(self, segment: SpooledSegment) -> Hypothesis | None: ...
    def keep(self, segment: SpooledSegment, hypothesis: Hypothesis) -> None:
        """Returns at once; it may be stored later, or never where the request ends first."""
        ...


@dataclass(frozen=True, slots=True)
class TranscribeRequest:
    """One file to turn into text. `name` is what its owner calls it, `path` where it lies."""

    path: Path
    name: str
    model: str | None = None
    work_class: WorkClass = WorkClass.INTERACTIVE
    audio: AudioOptions = field(default_factory=AudioOptions)
    recognition: RecognitionOptions = field(default_factory=RecognitionOptions)
    text: TextOptions = field(default_factory=TextOptions)
    timeout_s: float | None = None
    id: str = ""
    #: whose it is: clients share the workers fairly
    client: str = ""
    listener: Listener | None = None
    #: who is told the text while it grows, in the file's order
    text_listener: TextListener | None = None
    checkpoints: Checkpoints | None = None
    #: a stored text of the same sound will do, and this one may be stored
    use_results: bool = False
    #: decoded sound of the same file will do, and this one's may be stored
    use_decoded: bool = False
