"""A checkpoint's folder as a model: what its engine answers, and which folders are refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.integration.checkpoint_rig import change_config, random_checkpoint
from tests.integration.server_process import serving
from tests.integration.worker_rig import noise, segment
from voxfleet.core import Hypothesis, RecognitionOptions, Segment
from voxfleet.engines.catalog import EngineOptions, make_engine
from voxfleet.engines.engine import Engine
from voxfleet.errors import StartError, VoxfleetError
from voxfleet.worker import load_engine

LIMIT_S = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("engine"), "seaco")


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return load_engine(EngineOptions(str(folder), threads=1))


def heard(engine: Engine, *batch: Segment) -> list[Hypothesis]:
    answers = [answer for answer in engine.recognise(batch) if isinstance(answer, Hypothesis)]
    assert len(answers) == len(batch)
    return answers


def item(seconds: float, name: str, *hotwords: str) -> Segment:
    return segment(noise(seconds, len(name)), name, RecognitionOptions(hotwords=hotwords))


def test_as_many_answers_as_segments_in_their_order(engine: Engine) -> None:
    batch = [
        item(2.0, "a"),
        item(0.0, "bb", "hello"),
        item(4.0, "ccc", "丁丂"),
        item(0.01, "dddd"),
        item(1.0, "eeeee", "hello", "不七"),
        segment(np.zeros(16_000, np.int16), "silence"),
    ]
    together = heard(engine, *batch)
    alone = [heard(engine, one)[0] for one in batch]
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    assert [answer.words != () for answer in together] == [answer.words != () for answer in alone]
    assert [bool(answer.text) for answer in together[:5]] == [True, False, True, False, True]


def test_an_answer_tells_all_that_is_known(engine: Engine) -> None:
    (answer,) = heard(engine, item(3.0, "a", "丁丂", "龘龘"))
    assert answer.language == "zh"
    assert len(answer.tokens) >= len(answer.words) > 0
    assert answer.avg_logprob is not None
    assert answer.avg_logprob < 0
    assert answer.unknown_hotwords == ("龘龘",)


def test_it_is_known_by_its_folder_and_says_what_it_can(engine: Engine, tmp_path: Path) -> None:
    assert (engine.info.model, engine.info.hotwords, engine.info.word_times) == (
        "seaco",
        True,
        True,
    )
    assert engine.info.memory_mb > 0
    bicif = load_engine(EngineOptions(str(random_checkpoint(tmp_path, "bicif")), threads=1))
    assert (bicif.info.model, bicif.info.hotwords) == ("bicif", False)
    # hotwords for a model that takes none change nothing, and are no fault
    plain, asked = heard(bicif, item(2.0, "a"), item(2.0, "b", "丁丂"))
    assert plain.text == asked.text


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16", "int8"])
def test_every_precision_answers(folder: Path, precision: str) -> None:
    engine = load_engine(EngineOptions(str(folder), precision=precision, threads=1))
    (answer,) = heard(engine, item(2.0, "a"))
    assert answer.words


def test_a_precision_nobody_knows_is_refused(folder: Path) -> None:
    with pytest.raises(StartError, match="precision 'float8' is unknown; choose one of float32,"):
        load_engine(EngineOptions(str(folder), precision="float8"))


def test_a_device_nobody_knows_is_refused(folder: Path) -> None:
    with pytest.raises(StartError, match="device 'gpu0'"):
        load_engine(EngineOptions(str(folder), device="gpu0"))


def test_asked_before_it_is_loaded(folder: Path) -> None:
    with pytest.raises(StartError, match="before it was loaded"):
        make_engine(str(folder), EngineOptions(str(folder))).recognise([item(1.0, "a")])


class Planted:
    """What runs a command when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self._trace}",)


def half_downloaded(folder: Path) -> None:
    path = folder / "model.pt"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def malicious(folder: Path) -> None:
    weights = torch.load(folder / "model.pt", weights_only=True)
    torch.save(weights | {"trojan": Planted(folder / "trace")}, folder / "model.pt")


def without_weights(folder: Path) -> None:
    (folder / "model.pt").unlink()


def without_statistics(folder: Path) -> None:
    (folder / "am.mvn").unlink()


def of_another_architecture(folder: Path) -> None:
    change_config(folder, "model", "WhisperWarp")


def not_a_checkpoint(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    (folder / "holiday.jpg").write_bytes(b"\xff\xd8")


#: what is done to a good folder, and what its refusal says
BAD: dict[Callable[[Path], None], str] = {
    half_downloaded: "half downloaded",
    malicious: "holds more than tensors",
    without_weights: "download the model again",
    without_statistics: "am.mvn",
    of_another_architecture: "WhisperWarp",
    not_a_checkpoint: "no checkpoint of a known kind",
}


@pytest.fixture(params=BAD, ids=lambda spoil: spoil.__name__)
def spoilt(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> tuple[Path, str]:
    bad = tmp_path / "spoilt"
    shutil.copytree(folder, bad)
    request.param(bad)
    return bad, BAD[request.param]


def test_a_bad_folder_is_refused_by_name(spoilt: tuple[Path, str]) -> None:
    bad, fault = spoilt
    with pytest.raises(StartError) as refused:
        load_engine(EngineOptions(str(bad), threads=1))
    assert str(bad) in refused.value.message
    assert fault in refused.value.message
    assert "\n" not in refused.value.message
    assert not (bad / "trace").exists()


def test_a_folder_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(VoxfleetError, match=f"{tmp_path / 'gone'}: no such folder"):
        load_engine(EngineOptions(str(tmp_path / "gone")))


def voxfleet(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "voxfleet.cli", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env=os.environ | {"VOXFLEET_AUDIO__VAD": "off"},
    )


def assert_refused(done: subprocess.CompletedProcess[str], bad: Path, fault: str) -> None:
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("voxfleet: ")
    assert done.stderr.count("\n") == 1
    assert str(bad) in done.stderr
    assert fault in done.stderr
    assert not (bad / "trace").exists()


def test_the_command_line_refuses_it_in_one_line(
    spoilt: tuple[Path, str], sample_clip: Path
) -> None:
    assert_refused(voxfleet("transcribe", sample_clip, "--model", spoilt[0]), *spoilt)


@pytest.mark.parametrize("spoil", [half_downloaded, malicious, not_a_checkpoint])
def test_a_server_refuses_it_in_one_line(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    bad = tmp_path / "spoilt"
    shutil.copytree(folder, bad)
    spoil(bad)
    done = voxfleet("serve", "--port", "0", "--data-dir", tmp_path / "data", "--model", bad)
    assert_refused(done, bad, BAD[spoil])


def test_the_command_line_transcribes_with_it(folder: Path, sample_clip: Path) -> None:
    done = voxfleet("transcribe", sample_clip, "--model", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.strip()) > 3


def test_a_server_serves_it_under_its_folders_name(
    folder: Path, tmp_path: Path, sample_clip: Path
) -> None:
    settings = {"VOXFLEET_AUDIO__VAD": "off"}
    with (
        serving(tmp_path / "data", "--model", str(folder), **settings) as server,
        server.client() as client,
    ):
        assert client.get("/v1/models").json()["data"][0]["id"] == "seaco"
        sent = {"file": ("a.wav", sample_clip.read_bytes())}
        answer = client.post("/v1/audio/transcriptions", files=sent, data={"model": "seaco"})
        assert answer.status_code == 200
        assert len(answer.json()["text"]) > 3
