"""Hotwords that a model was not made to listen for, as warnings. Pure; knows no engine."""

from __future__ import annotations

from collections.abc import Collection

from voxfleet.core import EngineInfo, RecognitionOptions
from voxfleet.transcribe.hotword_text import show_words

#: unknown hotwords that a warning names
MAX_SHOWN_HOTWORDS = 20


def unheard(
    wanted: RecognitionOptions, engine: EngineInfo, unknown: Collection[str] = ()
) -> tuple[str, ...]:
    """Told rather than silently dropped: hotwords that this model cannot be made to listen for."""
    if not wanted.hotwords:
        return ()
    if not engine.hotwords:
        return (f"hotwords: not used, as the model {engine.model} takes none",)
    unused = tuple(word for word in wanted.hotwords if word in unknown)
    if not unused:
        return ()
    shown = show_words(unused, MAX_SHOWN_HOTWORDS)
    return (f"hotwords: not in the vocabulary of {engine.model} and not used: {shown}",)
