"""What is told of each request: its stages to who measures, its end and, where asked for, its text
to the log.

Knows no metric; whoever computes a request is given one of these.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from voxfleet.core import Transcription
from voxfleet.observe.stages import UNOBSERVED, Stages

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RequestWatch:
    """`log_texts` is the operator's wish: texts may be private."""

    stages: Stages = UNOBSERVED
    log_texts: bool = False

    def answered(self, transcription: Transcription, took_s: float) -> None:
        """To be called once, by the request's own task, when its text is there."""
        audio_s = transcription.duration_s
        self.stages.answered(transcription.model, audio_s)
        _log.debug("%.1f s of sound in %.2f s", audio_s, took_s)
        if self.log_texts:
            for transcript in transcription.transcripts:
                # with line breaks escaped: a text must not look like a line of ours
                _log.info("text: %r", transcript.text)


#: for whoever has nobody to tell, such as `voxfleet transcribe`
UNWATCHED = RequestWatch()
