"""Marks and digits on whole transcripts, with engines that are functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from voxfleet.core import EngineInfo, TextOptions, Transcript, TranscriptSegment, Word
from voxfleet.engines.text_catalog import CT_PUNC, ITN
from voxfleet.errors import EngineFaultError, ParameterError, VoxfleetError
from voxfleet.pool_contract import PoolSnapshot
from voxfleet.transcribe.text_stage import TextStage

BARE = EngineInfo("bare", ("en", "zh"), 1.0)
MARKING = EngineInfo("marking", ("en",), 1.0, punctuates=True)

Answer = str | VoxfleetError
FAULT = EngineFaultError("the text worker died")


class Texts:
    """Text engines without a process."""

    def __init__(self, **engines: Callable[[str], Answer]) -> None:
        self._engines = {name.replace("_", "-"): engine for name, engine in engines.items()}
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    @property
    def engines(self) -> frozenset[str]:
        return frozenset(self._engines)

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def snapshot(self) -> PoolSnapshot:
        return PoolSnapshot("texts", (), None)

    async def process(self, engine: str, texts: Sequence[str]) -> list[Answer]:
        self.asked.append((engine, tuple(texts)))
        return [self._engines[engine](text) for text in texts]


def mark(text: str) -> Answer:
    return ", ".join(text.capitalize().split()) + "."


def count(text: str) -> Answer:
    return text.replace("two", "2").replace("Two", "2")


def transcript(*texts: str, language: str | None = "en", channel: str | None = None) -> Transcript:
    segments = tuple(
        TranscriptSegment(i, i, i + 1, text, (Word(text, i, i + 1),))
        for i, text in enumerate(texts)
    )
    return Transcript(" ".join(texts), language, 9.0, segments, channel)


def both() -> Texts:
    return Texts(ct_punc=mark, itn=count)


async def test_marks_then_digits_in_text_and_segments() -> None:
    texts = both()
    done = await TextStage(texts).finish((transcript("two", "a two"),), TextOptions(itn=True), BARE)
    (finished,) = done.transcripts
    assert [segment.text for segment in finished.segments] == ["2,", "a, 2."]
    assert finished.text == "2, a, 2."
    assert finished.segments[1].words[0].text == "a two"
    assert (done.warnings, [name for name, _ in texts.asked]) == ((), [CT_PUNC, ITN])


async def test_each_channel_is_a_text_of_its_own() -> None:
    texts = both()
    channels = (transcript("a b", channel="left"), transcript("c", channel="right"))
    done = await TextStage(texts).finish(channels, TextOptions(), BARE)
    assert texts.asked == [(CT_PUNC, ("a b", "c"))]
    assert [(t.channel, t.text) for t in done.transcripts] == [("left", "A, b."), ("right", "C.")]


@pytest.mark.parametrize(
    ("wanted", "info"),
    [(TextOptions(punctuate=False), BARE), (TextOptions(), MARKING), (TextOptions(True), MARKING)],
)
async def test_no_marks_where_none_are_wanted(wanted: TextOptions, info: EngineInfo) -> None:
    texts = both()
    stage = TextStage(texts)
    stage.refuse(wanted, info)
    given = (transcript("a b"),)
    done = await stage.finish(given, wanted, info)
    assert (done.transcripts, done.warnings, texts.asked) == (given, (), [])


async def test_silence_is_no_work_and_no_warning() -> None:
    silent = (transcript(),)
    done = await TextStage(both()).finish(silent, TextOptions(True, itn=True), BARE)
    assert (done.transcripts, done.warnings) == (silent, ())


async def test_what_fails_stays_as_recognised_and_is_told() -> None:
    stage = TextStage(Texts(ct_punc=lambda _: FAULT, itn=lambda t: FAULT if "a" in t else count(t)))
    given = (transcript("two", "a two"),)
    done = await stage.finish(given, TextOptions(itn=True), BARE)
    assert done.transcripts[0].text == "2 a two"
    assert done.warnings == (
        "punctuation: failed, the text is as recognised: the text worker died",
        "itn: failed, 1 of 2 parts are as recognised: the text worker died",
    )


async def test_an_engine_that_changes_words_is_not_believed() -> None:
    stage = TextStage(Texts(ct_punc=lambda text: "Something else."))
    given = (transcript("a b"),)
    done = await stage.finish(given, TextOptions(), BARE)
    assert done.transcripts == given
    assert "punctuation changed more than marks" in done.warnings[0]


async def test_digits_only_in_languages_the_grammars_know() -> None:
    given = (
        transcript("ten two", language="es", channel="left"),
        transcript("two", language=None, channel="right"),
    )
    done = await TextStage(Texts(itn=count)).finish(given, TextOptions(itn=True), BARE)
    assert [t.text for t in done.transcripts] == ["ten two", "2"]
    assert done.warnings == ("itn: not used for es, as the number grammars know only en and zh",)


@pytest.mark.parametrize(
    ("wanted", "param", "remedy"),
    [
        (TextOptions(itn=True), "itn", r"itn\.enabled.*voxfleet\[itn\]"),
        (TextOptions(punctuate=True), "punctuate", r"punctuation\.dir"),
    ],
)
@pytest.mark.parametrize("texts", [None, Texts()])
def test_what_the_server_lacks_is_refused_by_name(
    wanted: TextOptions, param: str, remedy: str, texts: Texts | None
) -> None:
    with pytest.raises(ParameterError, match=remedy) as refused:
        TextStage(texts).refuse(wanted, BARE)
    assert refused.value.param == param


async def test_without_engines_nothing_happens() -> None:
    given = (transcript("a"),)
    assert (await TextStage(None).finish(given, TextOptions(), BARE)).transcripts == given
