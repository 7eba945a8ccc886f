"""An answer is written out without holding up the event loop: in a thread, where it is a long one.

Knows how long a transcription is; knows nothing of what is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from voxfleet.core import Transcription

#: segments that are written without a thread, which costs more than they do; beyond, the event
#: loop would stand still: a second for ten hours of words
WRITTEN_AT_ONCE = 32

Written = TypeVar("Written")


async def written(transcription: Transcription, write: Callable[[], Written]) -> Written:
    """What `write` makes of the transcription."""
    segments = sum(len(transcript.segments) for transcript in transcription.transcripts)
    if segments <= WRITTEN_AT_ONCE:
        return write()
    return await asyncio.to_thread(write)
