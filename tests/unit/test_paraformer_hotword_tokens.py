"""Hotwords as token ids: as FunASR where that knows them, from the vocabulary's pieces else."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxfleet.errors import StartError
from voxfleet.paraformer.hotwords import HotwordTokenizer, read_seg_dict
from voxfleet.paraformer.tokens import Vocabulary

HAN = tuple("一三上下你好歌")
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
PIECES = (
    *("<blank>", "<s>", "</s>"),
    *(*LETTERS, *(f"{letter}@@" for letter in LETTERS if letter not in "qz")),
    *("hel@@", "lo", "hello", "vox@@", "fle@@", "fleet@@", "world", "don't", "0", "1", "5", "1@@"),
    *("&", "@", *HAN, "<unk>"),
)
VOCABULARY = Vocabulary(PIECES)
SEG_DICT = {
    "alibaba": ("al@@", "i"),
    "hi": ("h@@", "i"),
    "gpt": ("g@@", "p@@", "t"),
    "你好": ("你", "好"),
    "3": ("三",),
    "k歌": ("k", "歌"),
    "lost": ("<unk>",),
    "marks": ("<s>", "a"),
    "'cause": ("c@@", "a@@", "u@@", "s@@", "e"),
}


def pieces_of(word: str, seg_dict: dict[str, tuple[str, ...]] | None = None) -> str | None:
    ids = HotwordTokenizer(VOCABULARY, SEG_DICT if seg_dict is None else seg_dict).ids(word)
    return None if ids is None else " ".join(PIECES[id_] for id_ in ids)


@pytest.mark.parametrize(
    ("word", "pieces"),
    [
        ("上下", "上 下"),
        (" 上 下 ", "上 下"),
        ("HI", "h@@ i"),
        ("gpt", "g@@ p@@ t"),
        ("3", "三"),
        ("上3", "上 三"),
        ("K歌", "k 歌"),
        ("'cause", "c@@ a@@ u@@ s@@ e"),
    ],
)
def test_words_of_the_segment_dictionary_and_chinese_are_as_in_funasr(
    word: str, pieces: str
) -> None:
    assert pieces_of(word, SEG_DICT | {char: (char,) for char in "上下"}) == pieces


@pytest.mark.parametrize(
    ("word", "pieces"),
    [
        ("hello", "hello"),
        ("helloo", "hel@@ l@@ o@@ o"),
        ("voxfleet", "vox@@ fle@@ e@@ t"),
        ("VoxFleet上", "vox@@ fle@@ e@@ t 上"),
        ("hello World", "hello world"),
        ("ＡＢ１上！", "a@@ b@@ 1 上"),
        ("IBM", "i b m"),
        ("上IBM下", "上 i b m 下"),
        ("wi-fi", "w@@ i f@@ i"),
        ("a·b", "a b"),
        ("b15", "b@@ 1@@ 5"),
        ("b51", "b 5 1"),
        ("105", "1 0 5"),
        ("at&t", "a@@ t & t"),
        ("Don\u2019t", "don't"),
        ("《上下》。", "上 下"),
        ("and@@", "a@@ n@@ d"),
        ("q@@a", "q @ @ a"),
        ("hi , lo", "h@@ i lo"),
        ("marks", "m@@ a@@ r@@ k@@ s"),
    ],
)
def test_other_words_are_put_together_from_the_vocabulary(word: str, pieces: str) -> None:
    assert pieces_of(word) == pieces


@pytest.mark.parametrize(
    "word",
    [
        *("龘", "上龘", "😀", "café", "c++", "a€b", "上2", "qa", "hello 龘", "\x00", "\ufdfa"),
        *("<s>", "<unk>", "<blank>", "</s>上", "/etc/passwd", "https://host/a.txt"),
    ],
)
def test_what_the_vocabulary_cannot_say_is_told(word: str) -> None:
    assert pieces_of(word) is None


def test_lost_words_of_the_dictionary_are_never_unknown_tokens() -> None:
    assert pieces_of("lost") == "l@@ o@@ s@@ t"


@pytest.mark.parametrize("word", ["", "  ", "。", "--", "“ ”"])
def test_nothing_to_say_is_no_token(word: str) -> None:
    assert HotwordTokenizer(VOCABULARY, {}).ids(word) == ()


def test_without_a_dictionary_the_vocabulary_does() -> None:
    assert pieces_of("Hi上", {}) == "h@@ i 上"


def test_a_seg_dict_is_read_as_funasr_does(tmp_path: Path) -> None:
    path = tmp_path / "seg_dict"
    path.write_text("hi h@@ i\n\nalone\n你好  你\t好\r\nhi h i\n", encoding="utf-8")
    assert read_seg_dict(path) == {"hi": ("h", "i"), "alone": (), "你好": ("你", "好")}
    assert HotwordTokenizer(VOCABULARY, read_seg_dict(path)).ids("alone") is not None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hi h@@ i\nb\xff b\n", "line 2 is not UTF-8"),
        (b"PK\x03\x04\x00\x00 x", "line 1 is no word"),
        (b"a " + b"x" * 20_000, "line 1 is no word"),
    ],
)
def test_a_file_that_is_no_seg_dict_is_named_with_its_line(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "seg_dict"
    path.write_bytes(content)
    with pytest.raises(StartError, match=said) as refused:
        read_seg_dict(path)
    assert str(path) in refused.value.message


def test_a_seg_dict_that_is_not_there_or_huge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be read"):
        read_seg_dict(tmp_path / "gone")
    huge = tmp_path / "seg_dict"
    with huge.open("wb") as file:
        file.truncate(200 << 20)
    with pytest.raises(StartError, match="no list of words"):
        read_seg_dict(huge)
