"""What a client is told of marks and digits that could not be had. Pure; knows no engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from voxfleet.errors import VoxfleetError

#: what the number grammars read; Cantonese is written in Chinese characters
ITN_LANGUAGES = ("en", "zh", "yue")


def has_grammar(language: str | None) -> bool:
    """Whether numbers of that language can be written as digits; unknown ones are tried."""
    return language is None or language in ITN_LANGUAGES


def unread_notes(languages: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        f"itn: not used for {language}, as the number grammars know only en and zh"
        for language in sorted(languages)
    )


def failure_notes(what: str, faults: Sequence[VoxfleetError], all_parts: int) -> tuple[str, ...]:
    """Nothing where nothing failed; else one line, with the first fault."""
    if not faults:
        return ()
    share = "the text is" if len(faults) == all_parts else f"{len(faults)} of {all_parts} parts are"
    return (f"{what}: failed, {share} as recognised: {faults[0].message}",)
