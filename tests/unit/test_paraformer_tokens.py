"""Reading a vocabulary and refusing bad ones; pieces into words and words into text."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.core import Word
from voxfleet.errors import StartError
from voxfleet.paraformer import tokens as tokens_module
from voxfleet.paraformer.tokens import Token, Vocabulary, read_vocabulary, text_from, words_from

PIECES = ["<blank>", "<s>", "</s>", "中", "hel@@", "lo", "a", "<unk>"]


def said(line: str) -> tuple[Token, ...]:
    """Pieces between spaces, one after another, a second each."""
    return tuple(
        Token(piece, float(start), float(start + 1), 0.9)
        for start, piece in enumerate(line.split())
    )


def words(line: str) -> list[str]:
    return [word.text for word in words_from(said(line))]


def text(line: str) -> str:
    return text_from(words_from(said(line)))


def test_a_vocabulary_knows_pieces_by_id_and_ids_by_piece() -> None:
    vocabulary = Vocabulary(PIECES)
    assert vocabulary.pieces == tuple(PIECES)
    assert len(vocabulary) == len(PIECES)
    assert vocabulary.unknown_id == 7
    assert (vocabulary.sos_id, vocabulary.eos_id) == (1, 2)
    assert vocabulary.id_of("lo") == 5
    assert vocabulary.id_of("absent") is None


def test_ids_that_steer_the_model_are_no_text() -> None:
    vocabulary = Vocabulary(PIECES)
    ids = range(-2, len(PIECES) + 2)
    assert [token_id for token_id in ids if vocabulary.is_text(token_id)] == [3, 4, 5, 6, 7]


def test_the_other_spelling_of_the_reserved_tokens_is_known() -> None:
    assert Vocabulary(["<blank>", "<sos>", "<eos>", "<unk>"]).eos_id == 2


def test_a_vocabulary_does_not_change() -> None:
    pieces = list(PIECES)
    vocabulary = Vocabulary(pieces)
    pieces[3] = "国"
    assert vocabulary.pieces[3] == "中"
    with pytest.raises(AttributeError):
        vocabulary.pieces = ()  # type: ignore[misc]


BAD_PIECES = {
    "is empty": [],
    "has '\\u4e2d' twice, as 3 and 8": [*PIECES, "中"],
    "lacks <unk>": PIECES[:-1],
    "does not have <blank> as token 0": ["<unk>", "<s>", "</s>"],
    "does not have <s> as token 1": ["<blank>", "</s>", "<s>", "<unk>"],
    "does not have </s> as token 2": ["<blank>", "<s>"],
    "has '' as token 8, which is no text": [*PIECES, ""],
    "has '\\u3000' as token 8": [*PIECES, "\u3000"],
    "has 'a\\r' as token 8": [*PIECES, "a\r"],
    "has '\\ud800' as token 8": [*PIECES, "\ud800"],
}


@pytest.mark.parametrize("fault", BAD_PIECES)
def test_bad_pieces_are_refused(fault: str) -> None:
    with pytest.raises(StartError) as caught:
        Vocabulary(BAD_PIECES[fault])
    assert fault in caught.value.message
    assert "copy the model's own vocabulary file" in caught.value.message


@pytest.mark.parametrize("fault", BAD_PIECES)
def test_a_file_of_bad_pieces_is_refused_by_name(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps(BAD_PIECES[fault]), encoding="utf-8")
    with pytest.raises(StartError) as caught:
        read_vocabulary(path)
    assert f"{path} {fault}" in caught.value.message


def test_json_and_lines_are_the_same_vocabulary(tmp_path: Path) -> None:
    as_json, as_lines = tmp_path / "tokens.json", tmp_path / "tokens.txt"
    pieces = [*PIECES, "\u2028x"]
    as_json.write_text(json.dumps(pieces), encoding="utf-8")
    for ending in ("", "\n"):
        as_lines.write_text("\n".join(pieces) + ending, encoding="utf-8")
        assert read_vocabulary(as_lines).pieces == read_vocabulary(as_json).pieces == tuple(pieces)


BAD_FILES = {
    "is not UTF-8 at byte 2": ("tokens.txt", b"a\n\xff"),
    "is not valid JSON": ("tokens.json", b"[1, "),
    "is not valid JSON ": ("tokens.json", b"[" * 200_000),
    "is not a JSON list": ("tokens.json", b'{"a": 1}'),
    "has an entry that is not a string": ("tokens.json", b'["<blank>", 1]'),
    "is empty": ("tokens.txt", b""),
    "does not have <blank> as token 0": ("tokens.txt", "\ufeff<blank>\n<s>".encode()),
    "has '' as token 1": ("tokens.txt", b"<blank>\n\n<s>"),
}


@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_malformed_file_is_refused_by_name(tmp_path: Path, fault: str) -> None:
    name, content = BAD_FILES[fault]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StartError) as caught:
        read_vocabulary(tmp_path / name)
    assert f"{tmp_path / name} {fault.strip()}" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_file_that_is_not_there_or_none_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    for name, fault in (("absent.json", "No such file"), ("pipe.txt", "is not a file")):
        with pytest.raises(StartError, match=fault):
            read_vocabulary(tmp_path / name)
    with pytest.raises(StartError, match="is not a file"):
        read_vocabulary(tmp_path)


def test_a_huge_file_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "MAX_VOCABULARY_BYTES", 2**20)
    path = tmp_path / "tokens.txt"
    path.write_bytes(b"x" * (2**20 + 1))
    with pytest.raises(StartError, match="is larger than 1 MB"):
        read_vocabulary(path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("你 好", ["你", "好"]),
        ("hel@@ lo world", ["hello", "world"]),
        ("in@@ ter@@ na@@ tional", ["international"]),
        ("it@@ 's that's n't", ["it's", "that's", "n't"]),
        ("a i", ["AI"]),
        ("a hello i", ["a", "hello", "i"]),
        ("用 g p t 四", ["用", "GPT", "四"]),
        ("a 中 i", ["a", "中", "i"]),
        ("a@@ i b", ["ai", "b"]),
        ("i ' m", ["i", "'", "m"]),
        ("a <unk> i", ["AI"]),
        ("hel@@ <OOV> lo", ["hello"]),
        ("<s> 中 </s> <blank> <eos> <sos>", ["中"]),
        ("1@@ 5 个 2 0", ["15", "个", "2", "0"]),
        # a piece whose rest never came
        ("中 hel@@", ["中", "hel"]),
        ("hel@@ 中 lo", ["hel", "中", "lo"]),
        ("@@", []),
        ("中@@ 国", ["中", "国"]),
        ("𫖯 a i", ["𫖯", "AI"]),
    ],
)
def test_words(line: str, expected: list[str]) -> None:
    assert words(line) == expected


def test_a_word_lasts_from_its_first_piece_to_its_last() -> None:
    found = words_from(said("hel@@ <unk> lo 中 a b c"))
    assert [(word.start_s, word.end_s) for word in found] == [(0, 3), (3, 4), (4, 7)]


def test_confidence_is_the_geometric_mean_of_the_pieces() -> None:
    pieces = [Token("hel@@", 0, 1, 0.4), Token("lo", 1, 2, 0.9), Token("中", 2, 3, 0.5)]
    hello, han = words_from(pieces)
    assert hello.confidence == pytest.approx(0.6)
    assert han.confidence == pytest.approx(0.5)


def test_confidence_of_an_abbreviation_is_of_its_letters() -> None:
    (word,) = words_from([Token("a", 0, 1, 0.1), Token("b", 1, 2, 1.0), Token("c", 2, 3, 1.0)])
    assert word.confidence == pytest.approx(0.1 ** (1 / 3))


@pytest.mark.parametrize("value", [0.0, 1.0, 1.0000001])
def test_confidence_stays_a_probability_with_a_logarithm(value: float) -> None:
    (word,) = words_from([Token("中", 0, 1, value)])
    assert word.confidence is not None
    assert 0 < word.confidence <= 1
    assert math.isfinite(math.log(word.confidence))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", ""),
        ("你 好", "你好"),
        ("hello world", "hello world"),
        ("hello 你 好 world", "hello你好world"),
        ("a i 很 好", "AI很好"),
        ("use a i now", "use AI now"),
        ("version 2", "version2"),
        ("it 's", "it 's"),
        ("it ' s", "it ' s"),
        ("r & d", "r &d"),
        ("hello & 中", "hello &中"),
        ("我 @ 家", "我@家"),
        ("𫖯 中", "𫖯中"),
        ("あ い", "あい"),
        ("안녕 하세요", "안녕 하세요"),
    ],
)
def test_text(line: str, expected: str) -> None:
    assert text(line) == expected


def test_text_of_words_without_text_is_empty() -> None:
    assert text_from([Word("", 0, 1), Word("中", 1, 2), Word("", 2, 3)]) == "中"


pieces = st.one_of(
    st.sampled_from([*PIECES, "b", "'s", "1@@", "7", "&", "-@@", "@@", "@@@", "世"]),
    st.text(max_size=4),
)


@given(st.lists(pieces, max_size=12))
def test_every_letter_is_said_once_and_in_order(line: list[str]) -> None:
    found = words_from([Token(piece, 0.0, 0.0, 0.5) for piece in line])
    silent = {"<blank>", "<s>", "</s>", "<unk>"}
    expected = "".join(piece.removesuffix("@@") for piece in line if piece not in silent)
    assert "".join(word.text for word in found).casefold() == expected.casefold()
    assert text_from(found).replace(" ", "").casefold() == expected.replace(" ", "").casefold()
    assert all(word.text for word in found)
