"""The events of a streamed transcript are those that OpenAI's typed client knows."""

from __future__ import annotations

from openai.types.audio import TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent

from voxfleet.core import Transcript, Transcription, TranscriptSegment, Word
from voxfleet.transcribe.stream_events import delta_event, done_event
from voxfleet.transcribe.transcript_stream import TextDelta

WORDS = (Word("hello", 0.0, 0.5, 0.5),)
WHOLE = Transcription(
    "m",
    1.23456,
    (Transcript("Hello.", "en", 1.23456, (TranscriptSegment(0, 0, 1, "hello", WORDS),)),),
    ("odd",),
)


def test_a_delta() -> None:
    event = delta_event(TextDelta(" Hello.", WORDS), with_log_probs=False)
    assert event == {"type": "transcript.text.delta", "delta": " Hello."}
    sure = delta_event(TextDelta(" Hello.", WORDS), with_log_probs=True)
    known = TranscriptionTextDeltaEvent.model_validate(sure, strict=True)
    assert [entry.token for entry in known.logprobs or ()] == ["hello"]


def test_the_end() -> None:
    event = done_event(WHOLE, with_log_probs=False)
    assert event == {
        "type": "transcript.text.done",
        "text": "Hello.",
        "duration": 1.235,
        "warnings": ["odd"],
    }
    sure = done_event(WHOLE, with_log_probs=True)
    known = TranscriptionTextDoneEvent.model_validate(sure, strict=True)
    assert [entry.token for entry in known.logprobs or ()] == ["hello"]
