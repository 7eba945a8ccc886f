"""Our punctuation against FunASR's own, on the same directories and the same texts."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.make_random_punc import ENGLISH, JIEBA_WORDS, MARKS, write_random_punc
from voxfleet.engines.ct_punc import CtPuncEngine
from voxfleet.paraformer.ct_text import COMMA_CUT_WORDS, LONGEST_WINDOW_WORDS, PunctuationState

pytest.importorskip("funasr", reason="funasr is not installed: `make test-parity` installs it")

pytestmark = pytest.mark.filterwarnings("default")

RARE_ENDS = {"。": -30.0, "？": -30.0}
#: name -> how the checkpoint differs from the plain one
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rare ends": {"bias": {**RARE_ENDS, "，": -4.0}, "seed": 1},
    "only commas": {"bias": RARE_ENDS, "seed": 2},
    "many marks": {"bias": {"_": -30.0}, "seed": 3},
    "ascii marks": {"marks": ("<unk>", "_", ",", "。", "?", "、"), "seed": 4},
    "jieba": {"jieba": True, "seed": 5},
}

TEXTS = [
    "一",
    "hello",
    "hello world",
    "一丁丂七丄丅丆万",
    "一丁 hello world 丂七 the 丄",
    "iPhone 的 OK it's 2023年 3 月",
    "hello，world。 一，丁？",
    "。",
    "，。？、！",
    ".,?!",
    "😀 👨‍👩‍👧 e\u0301",
    "café naïve straße Ärger",
    "привет мир",
    "龘 靐 鿿 neverseen",
    "a" * 5000,
    " \u3000\u00a0 一 \t 丁 \n hello \r\n",
    "\x00 hello \x1b[0m",
    "１２３ＡＢＣ",
    "3.14 100% $5 a-b a_b http//x.y",
    "万丈三上一丁丂七丄 hello 一丁丂T恤",
    "hello一丁 world七丄 OK",
]


def random_text(rng: random.Random, words: int) -> str:
    def word() -> str:
        kind = rng.random()
        if kind < 0.6:
            return chr(0x4E00 + rng.randrange(150))
        if kind < 0.7:
            return rng.choice(JIEBA_WORDS)
        if kind < 0.9:
            return " " + rng.choice(ENGLISH)
        return rng.choice([" ", " 7", "é", "，", "😀", " x" * 3, "word12"])

    return "".join(word() for _ in range(words))


def texts() -> list[str]:
    rng = random.Random(0)  # noqa: S311 - the same texts every time
    lengths = [*range(1, 45), 59, 60, 61, 100, 199, 200, 201, 219, 220, 221, 240, 241, 400, 900]
    return [*TEXTS, *(random_text(rng, length) for length in lengths)]


class Pair:
    """FunASR and we, loaded from one folder."""

    def __init__(self, folder: Path) -> None:
        from funasr import AutoModel

        torch.set_num_threads(1)
        self.theirs = AutoModel(
            model=str(folder), disable_update=True, disable_pbar=True, device="cpu", ncpu=1
        )
        self.ours = CtPuncEngine(folder)
        self.ours.load()

    def by_funasr(self, text: str) -> str:
        found: str = self.theirs.generate(input=text)[0]["text"]
        return found

    def by_us(self, text: str) -> str:
        """With the space before a first English word that the engine takes away."""
        return self.ours.punctuator.process([PunctuationState()], [text], [True])[0]


@pytest.fixture(scope="module", params=list(KINDS))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("punc")
    return Pair(write_random_punc(folder, **KINDS[request.param]))


def test_every_text_is_the_same(pair: Pair) -> None:
    different = {
        text: (pair.by_us(text), expected)
        for text in texts()
        if pair.by_us(text) != (expected := pair.by_funasr(text))
    }
    assert different == {}


def test_a_batch_is_the_same_but_for_the_space_at_the_start(pair: Pair) -> None:
    every = texts()
    assert pair.ours.process(every) == [pair.by_funasr(text).lstrip(" ") for text in every]


def test_a_stream_in_pieces_is_the_same(pair: Pair, request: pytest.FixtureRequest) -> None:
    if "jieba" in request.node.name:
        pytest.skip("jieba cuts words across the border of pieces")
    rng = random.Random(1)  # noqa: S311 - the same texts every time
    pieces = [random_text(rng, rng.randrange(1, 30)) for _ in range(40)]
    state = PunctuationState()
    streamed = "".join(
        pair.ours.punctuator.process([state], [piece], [place == len(pieces) - 1])[0]
        for place, piece in enumerate(pieces)
    )
    assert streamed == pair.by_funasr(" ".join(pieces))


@pytest.mark.parametrize("text", ["", " ", "\u3000\n"])
def test_no_word_is_no_text(pair: Pair, text: str) -> None:
    assert pair.by_us(text) == pair.by_funasr(text) == ""


def test_differs_on_half_a_character(pair: Pair) -> None:
    """A lone surrogate, which JSON can carry, ends FunASR's run; ours takes it for a character."""
    with pytest.raises(UnicodeEncodeError):
        pair.by_funasr("一\ud800丁")
    assert "\ud800" in pair.by_us("一\ud800丁")


def test_differs_where_the_network_says_unknown(tmp_path: Path) -> None:
    """FunASR writes the label `<unk>` into the text; nobody wants to read that."""
    folder = write_random_punc(tmp_path, bias={"<unk>": 30.0}, marks=MARKS)
    pair = Pair(folder)
    assert pair.by_funasr("一丁") == "一<unk>丁<unk>."
    assert pair.by_us("一丁") == "一丁。"


def test_differs_on_endless_text_without_comma_or_end(tmp_path: Path) -> None:
    """FunASR looks at all of it again every 20 words; we let go of words after 1,000."""
    folder = write_random_punc(tmp_path, bias={**RARE_ENDS, "，": -30.0})
    pair = Pair(folder)
    rng = random.Random(2)  # noqa: S311 - the same texts every time
    text = "".join(chr(0x4E00 + rng.randrange(150)) for _ in range(LONGEST_WINDOW_WORDS + 400))
    short = text[:LONGEST_WINDOW_WORDS]
    assert pair.by_us(short) == pair.by_funasr(short)
    ours, theirs = pair.by_us(text), pair.by_funasr(text)
    assert ours != theirs
    assert ours.replace("、", "") == theirs.replace("、", "")


def test_the_rarer_paths_are_taken(tmp_path: Path) -> None:
    """What the comparisons above would not notice if it never happened."""
    with_words = Pair(write_random_punc(tmp_path / "jieba", **KINDS["jieba"]))
    assert with_words.theirs.model.jieba_usr_dict is not None
    assert with_words.by_us("万丈三上一") != Pair(
        write_random_punc(tmp_path / "plain", seed=KINDS["jieba"]["seed"])
    ).by_us("万丈三上一")
    commas = Pair(write_random_punc(tmp_path / "commas", **KINDS["only commas"]))
    text = random_text(random.Random(3), 900)  # noqa: S311 - the same text every time
    assert len(text) > COMMA_CUT_WORDS
    ends = [commas.by_us(text).count(mark) for mark in "。."]
    assert sum(ends) > 2
