"""An utterance's final text as a file's would be: with marks and digits. Knows no session."""

from __future__ import annotations

from dataclasses import replace

from voxfleet.core import EngineInfo, Transcript, TranscriptSegment
from voxfleet.transcribe.session_contract import Completed, SessionOptions
from voxfleet.transcribe.text_stage import TextStage


async def finished(
    told: Completed, options: SessionOptions, engine: EngineInfo, text_stage: TextStage
) -> Completed:
    """A text that marks or digits cannot be had for stays as it was recognised."""
    language = told.language or options.recognition.language or _only(engine.languages)
    if not told.text:
        return replace(told, language=language)
    duration_s = told.end_s - told.start_s
    segment = TranscriptSegment(0, told.start_s, told.end_s, told.text)
    transcript = Transcript(told.text, language, duration_s, (segment,))
    done = await text_stage.finish((transcript,), options.text, engine)
    return replace(told, text=done.transcripts[0].text, language=language)


def _only(languages: tuple[str, ...]) -> str | None:
    return languages[0] if len(languages) == 1 else None
