"""Transcriptions, hypotheses and options as the bytes that are stored: JSON. Pure."""

from __future__ import annotations

import msgspec

from voxfleet.core import Hypothesis, Transcription
from voxfleet.errors import VoxfleetError
from voxfleet.jobs.job import JobOptions

_transcription = msgspec.json.Decoder(Transcription)
_hypothesis = msgspec.json.Decoder(Hypothesis)
_options = msgspec.json.Decoder(JobOptions)


def transcription_bytes(transcription: Transcription) -> bytes:
    return msgspec.json.encode(transcription)


def read_transcription(content: bytes) -> Transcription:
    """Raises VoxfleetError for what is no stored text."""
    try:
        return _transcription.decode(content)
    except msgspec.DecodeError as fault:
        raise VoxfleetError(f"a stored text cannot be read ({fault}); run its file again") from None


def hypothesis_bytes(hypothesis: Hypothesis) -> bytes:
    return msgspec.json.encode(hypothesis)


def read_hypothesis(content: bytes) -> Hypothesis | None:
    """None for what is none: the segment is recognised again."""
    try:
        return _hypothesis.decode(content)
    except msgspec.DecodeError:
        return None


def options_text(options: JobOptions) -> str:
    return msgspec.json.encode(options).decode()


def read_options(text: str) -> JobOptions:
    """Raises VoxfleetError for what a newer voxfleet wrote."""
    try:
        return _options.decode(text)
    except msgspec.DecodeError as fault:
        raise VoxfleetError(
            f"a job's options cannot be read ({fault}); remove the job, or update voxfleet"
        ) from None
