"""The events of a streamed transcript, as OpenAI's clients know them. Pure; knows no frame.

There are no events of our own: clients take an unknown type for one they know.
"""

from __future__ import annotations

from voxfleet.core import Transcription
from voxfleet.transcribe.formats import JsonObject, log_probs_of, rounded, warnings_of
from voxfleet.transcribe.log_probs import log_probs
from voxfleet.transcribe.transcript_stream import TextDelta


def delta_event(delta: TextDelta, *, with_log_probs: bool) -> JsonObject:
    event: JsonObject = {"type": "transcript.text.delta", "delta": delta.text}
    return event | {"logprobs": log_probs(delta.words)} if with_log_probs else event


def done_event(transcription: Transcription, *, with_log_probs: bool) -> JsonObject:
    """Of a transcription with one transcript."""
    (transcript,) = transcription.transcripts
    return {
        "type": "transcript.text.done",
        "text": transcript.text,
        **(log_probs_of(transcription) if with_log_probs else {}),
        # not as `usage`: by OpenAI's types that counts tokens here, and a strict client insists
        "duration": rounded(transcription.duration_s),
        **warnings_of(transcription),
    }
