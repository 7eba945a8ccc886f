"""An answer is written at once where that is quick, and in a thread where it would take long."""

from __future__ import annotations

import threading

import pytest

from voxfleet.core import Transcript, Transcription, TranscriptSegment
from voxfleet.gateway import openai_api
from voxfleet.gateway.file_transcriber import AnswerStyle
from voxfleet.transcribe.formats import Rendered, render


def of_segments(number: int) -> Transcription:
    segments = tuple(TranscriptSegment(i, i, i + 1, f"word{i}") for i in range(number))
    text = " ".join(segment.text for segment in segments)
    return Transcription("fake", float(number), (Transcript(text, None, float(number), segments),))


@pytest.mark.parametrize(("segments", "here"), [(0, True), (32, True), (33, False)])
async def test_only_long_answers_take_a_thread(
    segments: int, here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def noting(*wanted: object, **details: object) -> Rendered:
        threads.append(threading.get_ident())
        return render(of_segments(segments), "json")

    monkeypatch.setattr(openai_api, "render", noting)
    rendered = await openai_api._rendered(of_segments(segments), AnswerStyle("json"))
    assert rendered == render(of_segments(segments), "json")
    assert [thread == threading.get_ident() for thread in threads] == [here]
