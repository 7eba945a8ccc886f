"""An answer is written at once where that is quick, and in a thread where it would take long."""

from __future__ import annotations

import threading

import pytest

from voxfleet.core import Transcript, Transcription, TranscriptSegment
from voxfleet.gateway.long_answers import written


def of_segments(number: int) -> Transcription:
    segments = tuple(TranscriptSegment(i, i, i + 1, f"word{i}") for i in range(number))
    text = " ".join(segment.text for segment in segments)
    return Transcription("fake", float(number), (Transcript(text, None, float(number), segments),))


@pytest.mark.parametrize(("segments", "here"), [(0, True), (32, True), (33, False)])
async def test_only_long_answers_take_a_thread(segments: int, here: bool) -> None:
    thread = await written(of_segments(segments), threading.get_ident)
    assert (thread == threading.get_ident()) is here


async def test_segments_of_both_channels_count() -> None:
    (one,) = of_segments(20).transcripts
    thread = await written(Transcription("fake", 20.0, (one, one)), threading.get_ident)
    assert thread != threading.get_ident()
