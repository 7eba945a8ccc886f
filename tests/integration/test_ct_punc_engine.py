"""Punctuation from directories in the published layout, and what is refused instead of loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.make_random_punc import write_random_punc
from voxfleet.engines.ct_punc import CtPuncEngine
from voxfleet.errors import StartError
from voxfleet.paraformer import ct_jieba
from voxfleet.paraformer.ct_text import PunctuationState

HAN = "".join(chr(0x4E00 + place) for place in range(150))
MIXED = st.text(st.sampled_from(HAN[:40] + "abcXYZ019'-.， \t\u3000😀é\ud800\x00"), max_size=400)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_punc(tmp_path_factory.mktemp("punc"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> CtPuncEngine:
    torch.set_num_threads(1)
    engine = CtPuncEngine(folder)
    engine.load()
    engine.warm_up()
    return engine


def test_a_text_gets_marks_and_capitals(engine: CtPuncEngine) -> None:
    (found,) = engine.process(["hello world " + HAN[:120]])
    assert isinstance(found, str)
    assert found.startswith("Hello")
    assert found[-1] in "。？"
    assert sum(found.count(mark) for mark in "，。？、,.?") > 5
    bare = "".join(character for character in found.lower() if character not in "，。？、,.? ")
    assert bare == "helloworld" + HAN[:120]


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("", ("",)),
        (" \u3000\n", ("",)),
        ("。", ("。", "？")),
        ("!", (".", "?")),
        ("😀", ("。", "？")),
        ("x" * 20_000, (".", "?")),
        ("1 2 3", (".", "?")),
        ("龘靐", ("。", "？")),
        ("\ud800", ("。", "？")),
    ],
)
def test_odd_texts_have_sensible_answers(
    engine: CtPuncEngine, text: str, ends: tuple[str, ...]
) -> None:
    (found,) = engine.process([text])
    assert isinstance(found, str)
    assert found.endswith(ends)
    assert not found.startswith(" ")


def test_no_text_has_no_answer(engine: CtPuncEngine) -> None:
    assert engine.process([]) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(MIXED, min_size=1, max_size=8))
def test_alone_or_in_any_batch_is_the_same(engine: CtPuncEngine, texts: list[str]) -> None:
    assert engine.process(texts) == [engine.process([text])[0] for text in texts]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(MIXED, min_size=1, max_size=8))
def test_a_stream_becomes_what_the_whole_becomes(engine: CtPuncEngine, pieces: list[str]) -> None:
    state, parts = PunctuationState(), []
    for number, piece in enumerate(pieces, 1):
        parts += engine.punctuator.process([state], [piece], [number == len(pieces)])
    assert ["".join(parts).lstrip(" ")] == engine.process([" ".join(pieces)])


def test_a_stream_gives_sentences_before_its_end(engine: CtPuncEngine) -> None:
    state = PunctuationState()
    (early,) = engine.punctuator.process([state], [HAN], [False])
    assert early.endswith(("。", "？"))
    assert 0 < len(state.unfinished) < len(HAN)


def test_the_word_table_is_mapped_not_copied(folder: Path) -> None:
    engine = CtPuncEngine(folder)
    engine.load()
    weight = engine.punctuator._network.embed.weight
    assert not weight.requires_grad
    regions = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    mapped = [line.split()[0].split("-") for line in regions if str(folder) in line]
    assert any(int(low, 16) <= weight.data_ptr() < int(high, 16) for low, high in mapped)


def test_files_of_the_old_kind_are_read(tmp_path: Path, engine: CtPuncEngine) -> None:
    write_random_punc(tmp_path)
    weights = torch.load(tmp_path / "model.pt", weights_only=True)
    torch.save(weights, tmp_path / "model.pt", _use_new_zipfile_serialization=False)
    old = CtPuncEngine(tmp_path)
    old.load()
    assert old.process([HAN]) == engine.process([HAN])


def test_without_an_index_the_usual_names_are_taken(tmp_path: Path, engine: CtPuncEngine) -> None:
    write_random_punc(tmp_path)
    (tmp_path / "configuration.json").unlink()
    words = json.loads((tmp_path / "tokens.json").read_text(encoding="utf-8"))
    (tmp_path / "tokens.json").unlink()
    (tmp_path / "tokens.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    plain = CtPuncEngine(tmp_path)
    plain.load()
    assert plain.process([HAN]) == engine.process([HAN])


def change_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    change(content)
    (folder / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def change_weights(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    weights = torch.load(folder / "model.pt", weights_only=True)
    change(weights)
    torch.save(weights, folder / "model.pt")


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


class Malicious:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (Path.touch, (Path("hacked"),))  # type: ignore[return-value]


BREAKAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (lambda at: (at / "model.pt").unlink(), r"model\.pt is missing"),
    "no config": (lambda at: (at / "config.yaml").unlink(), r"config\.yaml is missing"),
    "no words": (lambda at: (at / "tokens.json").unlink(), r"tokens\.json is missing"),
    "half of the weights": (lambda at: cut_off(at / "model.pt"), r"model\.pt"),
    "half of the words": (lambda at: cut_off(at / "tokens.json"), r"tokens\.json.*cannot be read"),
    "empty weights": (lambda at: (at / "model.pt").write_bytes(b""), r"model\.pt"),
    "a pointer": (
        lambda at: (at / "model.pt").write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
        "Git LFS pointer",
    ),
    "malicious": (
        lambda at: torch.save({"embed.weight": Malicious()}, at / "model.pt"),
        "holds more than tensors",
    ),
    "a list": (lambda at: torch.save([1], at / "model.pt"), "holds no weights by name"),
    "streaming": (
        lambda at: change_config(at, lambda c: c.update(model="CTTransformerStreaming")),
        "'CTTransformerStreaming' is not supported",
    ),
    "recogniser": (
        lambda at: change_config(at, lambda c: c.update(model="SeacoParaformer")),
        "'SeacoParaformer' is not supported",
    ),
    "more layers": (
        lambda at: change_config(at, lambda c: c["encoder_conf"].update(num_blocks=3)),
        r"missing encoder\.encoders\.1\..* and 10 more, unexpected nothing",
    ),
    "fewer marks": (
        lambda at: change_config(at, lambda c: c["model_conf"]["punc_list"].pop()),
        r"decoder\.weight has the shape \[6, 32\].*\[5, 32\]",
    ),
    "extra weight": (
        lambda at: change_weights(at, lambda w: w.update(more=torch.zeros(1))),
        "unexpected more",
    ),
    "not a number": (
        lambda at: change_weights(at, lambda w: w["decoder.bias"].fill_(float("nan"))),
        r"decoder\.bias holds values that are no numbers",
    ),
    "whole numbers": (
        lambda at: change_weights(at, lambda w: w.update({"decoder.bias": torch.arange(6)})),
        r"decoder\.bias holds values that are no numbers",
    ),
    "another word list": (
        lambda at: (at / "tokens.json").write_text('["<unk>", "a"]'),
        r"embed\.weight has the shape \[200, 32\]",
    ),
    "words twice": (
        lambda at: (at / "tokens.json").write_text('["<unk>", "a", "a"]'),
        r"tokens\.json.*holds a word twice",
    ),
    "no yaml": (lambda at: (at / "config.yaml").write_text("{"), r"config\.yaml is no valid YAML"),
    "outside": (
        lambda at: (at / "configuration.json").write_text(
            json.dumps({"file_path_metas": {"init_param": "../model.pt"}})
        ),
        "outside the folder",
    ),
    "jieba list missing": (
        lambda at: (at / "configuration.json").write_text(
            json.dumps({"file_path_metas": {"jieba_usr_dict": "jieba_usr_dict"}})
        ),
        "jieba_usr_dict is missing",
    ),
}


@pytest.mark.parametrize("name", list(BREAKAGES))
def test_what_is_no_such_checkpoint_is_refused_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_random_punc(tmp_path / "punc")
    breakage, said = BREAKAGES[name]
    breakage(folder)
    with pytest.raises(StartError, match=said) as refused:
        CtPuncEngine(folder).load()
    assert "\n" not in refused.value.message
    assert str(folder) in refused.value.message
    assert not (tmp_path / "hacked").exists()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no such folder"):
        CtPuncEngine(tmp_path / "none").load()


@pytest.mark.speech
def test_the_realtime_variant_is_refused_by_name(speech_dir: Path, tmp_path: Path) -> None:
    config = (speech_dir / "models" / "ct-punc-config" / "config.yaml").read_bytes()
    (write_random_punc(tmp_path) / "config.yaml").write_bytes(config)
    with pytest.raises(StartError, match="'vad_realtime' is not supported"):
        CtPuncEngine(tmp_path).load()


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(folder: Path, device: str) -> None:
    with pytest.raises(StartError, match=device):
        CtPuncEngine(folder, device).load()


def test_asked_before_it_is_loaded(folder: Path) -> None:
    with pytest.raises(StartError, match="before it was loaded"):
        CtPuncEngine(folder).process(["一"])


def test_words_need_jieba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jieba", None)
    write_random_punc(tmp_path, jieba=True)
    with pytest.raises(StartError, match="pip install jieba"):
        CtPuncEngine(tmp_path).load()


def test_words_are_cut_by_jieba_without_a_shared_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("jieba", reason="jieba is not installed: only the large model needs it")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = write_random_punc(tmp_path / "punc", jieba=True)
    cut = ct_jieba.load_cutter(folder / "jieba_usr_dict")
    assert list(cut("万丈三上一丁丂abc，")) == ["万丈三上", "一丁丂", "abc", "，"]
    assert [path.name for path in tmp_path.iterdir()] == ["punc"]
    (tmp_path / "bad").write_bytes(b"\xff\xfe")
    with pytest.raises(StartError, match="bad is no list of words"):
        ct_jieba.load_cutter(tmp_path / "bad")


def test_importing_the_engine_loads_no_torch() -> None:
    code = "import sys, voxfleet.engines.ct_punc; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout.strip() == "False"
