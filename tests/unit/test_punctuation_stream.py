"""A text in pieces comes out in whole sentences; what is not finished is read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.errors import AlignmentError, EngineFaultError
from voxfleet.transcribe.punctuation import Letters
from voxfleet.transcribe.punctuation_stream import MAX_SENTENCE_WORDS, PunctuationStream


class Engine:
    """Ends a sentence after every "z" word and at the end of what it is given, as models do."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, text: str) -> str:
        self.asked.append(text)
        words = [word.capitalize() if word == "a" else word for word in text.split()]
        return " ".join(word + "." if word.endswith("z") else word for word in words) + "."


async def test_sentences_come_out_when_something_follows_them() -> None:
    engine = Engine()
    stream = PunctuationStream(engine)
    assert await stream.feed("a b") == ""
    assert await stream.feed("cz") == ""
    assert await stream.feed("dd e") == "A b cz."
    assert stream.kept == "dd e"
    assert await stream.finish() == "dd e."
    assert engine.asked == ["a b", "a b cz", "a b cz dd e", "dd e"]
    assert (stream.kept, await stream.finish()) == ("", "")


async def test_chinese_needs_no_spaces() -> None:
    answers = iter(["今天好。", "今天好。我们走。", "我们走。"])

    async def engine(_: str) -> str:
        return next(answers)

    stream = PunctuationStream(engine)
    assert await stream.feed("今天好") == ""
    assert await stream.feed("我们走") == "今天好。"
    assert (stream.kept, await stream.finish()) == ("我们走", "我们走。")


async def test_silence_and_bare_marks_ask_nobody() -> None:
    engine = Engine()
    stream = PunctuationStream(engine)
    assert [await stream.feed(text) for text in ("", "  ", "...")] == ["", "", ""]
    assert await stream.finish() == "..."
    assert engine.asked == []


async def test_a_sentence_without_end_is_cut_at_a_comma_and_at_last_anywhere() -> None:
    async def commas(text: str) -> str:
        return text.replace("c", "c,")

    async def nothing(text: str) -> str:
        return text

    stream = PunctuationStream(commas)
    assert await stream.feed("b c " * 100) == ""
    assert (await stream.feed("bb")).endswith("b c,")
    assert stream.kept == "bb"
    stream = PunctuationStream(nothing)
    assert await stream.feed("x " * 2 * MAX_SENTENCE_WORDS) == ""
    assert len((await stream.feed("y")).split()) == 2 * MAX_SENTENCE_WORDS + 1
    assert stream.kept == ""


async def test_a_fault_loses_nothing() -> None:
    async def broken(_: str) -> str:
        raise EngineFaultError("no")

    async def deaf(_: str) -> str:
        return "something else"

    for engine, fault in ((broken, EngineFaultError), (deaf, AlignmentError)):
        stream = PunctuationStream(engine)
        for _ in range(2):
            with pytest.raises(fault):
                await stream.feed("a")
        assert stream.kept == "a a"


@given(st.lists(st.lists(st.sampled_from(["a", "bb", "cz", "z", "x'y"]), max_size=5)))
async def test_all_that_goes_in_comes_out_in_order(pieces: list[list[str]]) -> None:
    stream = PunctuationStream(Engine())
    out = [await stream.feed(" ".join(piece)) for piece in pieces]
    out.append(await stream.finish())
    spoken = "".join(word for piece in pieces for word in piece)
    assert Letters("".join(out)).folded == Letters(spoken).folded
    for part in filter(None, out[:-1]):
        assert part.endswith(".")
