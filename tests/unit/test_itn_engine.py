"""Number formatting with the real grammars: what is written as digits, and what is left alone."""

from __future__ import annotations

import importlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voxfleet.engines import itn
from voxfleet.engines.itn import ItnEngine, clauses, token_groups
from voxfleet.errors import RecognitionError, StartError


@pytest.fixture(scope="module")
def engine() -> ItnEngine:
    made = ItnEngine()
    made.load()
    made.warm_up()
    return made


@pytest.mark.parametrize(
    ("spoken", "written"),
    [
        ("twenty three dollars and fifty cents", "$23.50"),
        ("We have twenty three, or fifty percent.", "We have 23, or 50 %."),
        ("It's two thirty p.m. Yes.", "It's 02:30 p.m. Yes."),
        ("on november twentieth twenty twenty six.", "on november 20 2026."),
        ("一共一百二十三块五毛，第三次。", "一共123块5毛，第三次。"),
        ("百分之五十", "50%"),
        ("今天 hello 二十 world", "今天 hello 20 world"),
        ("二十个人。 twenty people?", "20个人。 20 people?"),
        # neighbours that are both numbers must not become one
        ("二零二六年十一月二十日下午三点半", "2026/11/20 3:30p.m."),
        ("fifty percent fifty percent", "50 % 50 %"),
        ("百分之五十百分之二十", "50% 20%"),
        ("  twenty\n\ntwenty  ", "  20\n\n20  "),
    ],
)
def test_numbers_become_digits(engine: ItnEngine, spoken: str, written: str) -> None:
    assert engine.process([spoken]) == [written]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "...",
            "你好，世界。",
            "Hello, world. It's me!",
            "九和六",
            "one of them",
            "a\0b",
        ),
        *('"x"', "\\", "{ } }", 'cardinal { integer: "x" }', "<eps>", "[x]", "😀", "\u2028"),
    ],
)
def test_the_rest_is_left_alone(engine: ItnEngine, text: str) -> None:
    assert engine.process([text]) == [text]


HOSTILE = st.text(
    st.sampled_from(
        "\0\x01\n \"\\{}[]<>:;,.-_%$#@&|/~'’“”，。零一百三十点半万亿两第分之年月日号块é😀\u202e"
    )
    | st.characters(exclude_categories=["Cs"]),
    max_size=80,
)
WORDS = st.lists(
    st.sampled_from(["twenty", "one", "hundred", "p.m.", "dollars", "dot", "com", "at", "{", '"x"'])
).map(" ".join)


@given(HOSTILE | WORDS)
@example('tokens { word: "x" } twenty')
@example("a\\")
def test_no_text_breaks_it(engine: ItnEngine, text: str) -> None:
    (answer,) = engine.process([text])
    assert isinstance(answer, RecognitionError) or bool(answer.strip("\0")) == bool(
        text.strip("\0")
    )


@given(HOSTILE)
def test_clauses_join_to_the_text(text: str) -> None:
    assert "".join(part for part, _ in clauses(text)) == text


def test_long_texts_without_any_mark(engine: ItnEngine) -> None:
    assert engine.process(["twenty " * 1000])[0] != ""
    (answer,) = engine.process(["今天好" * 1000])
    assert answer == "今天好" * 1000


def test_a_language_may_be_fixed() -> None:
    chinese = ItnEngine("zh")
    chinese.load()
    assert chinese.process(["twenty 二十"]) == ["twenty 20"]


def test_tokens_side_by_side_are_parted() -> None:
    tagged = 'date { year: "2" } time { hour: "3" } char { value: "x" } time { hour: "4" }'
    assert [len(group.split(" }")) - 1 for group in token_groups(tagged)] == [1, 3]


def test_no_part_of_a_tagged_text_is_dropped() -> None:
    with pytest.raises(RuntimeError, match="tags nobody understands"):
        token_groups('char { value: "x" } char { value: "y" z }')


def test_a_library_that_finds_no_way_fails_only_that_text(
    engine: ItnEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = engine._tag
    assert whole is not None
    monkeypatch.setattr(engine, "_tag", lambda text, *a: "" if "bad" in text else whole(text, *a))
    good, bad, last = engine.process(["twenty", "bad", "thirty"])
    assert (good, last) == ("20", "30")
    assert isinstance(bad, RecognitionError)


def test_a_missing_library_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(itn, "import_module", missing)
    with pytest.raises(StartError, match=r"wetext is not installed.*voxfleet\[itn\]"):
        ItnEngine().load()
    monkeypatch.undo()
    assert importlib.import_module("wetext")
