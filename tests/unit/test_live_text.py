"""A growing text with marks and digits: together the pieces are the whole text, and exactly it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.errors import EngineFaultError, VoxfleetError
from voxfleet.pool_contract import PoolSnapshot
from voxfleet.transcribe.live_text import LiveText
from voxfleet.transcribe.stitch import join_texts

FAULT = EngineFaultError("the text worker died")

Engine = Callable[[str], str | VoxfleetError]


class Engines:
    """Text engines that are functions."""

    def __init__(self, **engines: Engine) -> None:
        self._engines = {name.replace("_", "-"): engine for name, engine in engines.items()}

    @property
    def engines(self) -> frozenset[str]:
        return frozenset(self._engines)

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def snapshot(self) -> PoolSnapshot:
        return PoolSnapshot("texts", (), None)

    async def process(self, engine: str, texts: Sequence[str]) -> list[str | VoxfleetError]:
        return [self._engines[engine](text) for text in texts]


def sentences(text: str) -> str:
    """A sentence ends behind every word that ends in z."""
    words = [word + "." if word.endswith("z") else word for word in text.split()]
    return " ".join(words).rstrip(".") + "."


def digits(text: str) -> str:
    return text.replace("two", "2")


async def told(live: LiveText, *runs: Sequence[str], language: str | None = "en") -> list[str]:
    return [await live.feed(run, language) for run in runs] + [await live.finish()]


@given(st.lists(st.lists(st.text("ab .,你好。 「", max_size=6), min_size=1, max_size=3)))
def test_without_engines_it_is_the_joined_text_letter_for_letter(runs: list[list[str]]) -> None:
    live = LiveText(None, marks=False, digits=False)
    pieces = asyncio.run(told(live, *runs))
    assert "".join(pieces) == join_texts(text for run in runs for text in run)
    assert (live.kept, live.warnings) == ("", ())


async def test_marks_come_sentence_by_sentence() -> None:
    live = LiveText(Engines(ct_punc=sentences), marks=True, digits=False)
    assert await live.feed(["a bz"], "en") == ""
    assert live.kept == "a bz"
    assert await live.feed(["cc dd"], "en") == "a bz."
    assert await live.feed(["ez", "ff gg"], "en") == " cc dd ez."
    assert await live.finish() == " ff gg."
    assert (live.kept, live.warnings) == ("", ())


async def test_digits_are_made_of_what_is_given_out() -> None:
    live = LiveText(Engines(ct_punc=sentences, itn=digits), marks=True, digits=True)
    assert await told(live, ["two bz"], ["two cc"]) == ["", "2 bz.", " 2 cc."]


async def test_marks_that_fail_leave_the_text_as_it_was_said_and_are_told() -> None:
    answers: list[str | VoxfleetError] = [FAULT, "cc dd.", FAULT]
    live = LiveText(Engines(ct_punc=lambda _: answers.pop(0)), marks=True, digits=False)
    assert await told(live, ["a bz"], ["cc dd"]) == ["a bz", "", " cc dd"]
    assert live.warnings == (
        "punctuation: failed, 2 of 3 parts are as recognised: the text worker died",
    )


async def test_marks_that_change_words_are_not_believed() -> None:
    live = LiveText(Engines(ct_punc=lambda _: "Else."), marks=True, digits=False)
    assert await told(live, ["a b"]) == ["a b", ""]
    assert "changed more than marks" in live.warnings[0]


@pytest.mark.parametrize("answer", [FAULT, " "])
async def test_digits_that_fail_leave_the_words(answer: str | VoxfleetError) -> None:
    live = LiveText(Engines(itn=lambda _: answer), marks=False, digits=True)
    assert await told(live, ["two"], ["", "b"]) == ["two", " b", ""]
    assert len(live.warnings) == isinstance(answer, VoxfleetError)


async def test_digits_only_in_languages_the_grammars_know() -> None:
    live = LiveText(Engines(itn=digits), marks=False, digits=True)
    assert await told(live, ["two"], language="es") == ["two", ""]
    assert live.warnings == ("itn: not used for es, as the number grammars know only en and zh",)
    assert await told(live, ["two"], language=None) == [" 2", ""]
