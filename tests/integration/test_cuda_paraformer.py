"""On a real NVIDIA GPU: the answers of a CPU, no wait on the way, errors that say enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.integration.checkpoint_rig import ARCHITECTURES, random_checkpoint
from voxfleet.paraformer.batch_reader import BatchReader
from voxfleet.paraformer.device_memory import DeviceMemoryError
from voxfleet.paraformer.features import FeatureExtractor, Features
from voxfleet.paraformer.loading import LoadedModel, load_recogniser
from voxfleet.paraformer.recogniser import Recognised, Utterance
from voxfleet.paraformer.shape_buckets import split

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")

DURATIONS_S = (2.0, 0.1, 15.5, 0.3, 7.7, 2.0, 1.0, 4.0, 1.1, 6.0)
HOTWORDS: tuple[tuple[str, ...], ...] = (("hello",), (), ("world", "abc"), (), ("c",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoints")
    for architecture in ARCHITECTURES:
        random_checkpoint(path, architecture)
    return path


@pytest.fixture
def waits_may_be_errors() -> Iterator[None]:
    yield
    torch.cuda.set_sync_debug_mode("default")


def sounds() -> list[NDArray[np.int16]]:
    noise = np.random.default_rng(0)
    return [noise.normal(0, 1000, round(16_000 * s)).astype(np.int16) for s in DURATIONS_S]


def utterances(hotwords: bool) -> list[Utterance]:
    lists = HOTWORDS * 2 if hotwords else ((),) * len(DURATIONS_S)
    return [Utterance(samples, words) for samples, words in zip(sounds(), lists, strict=True)]


def on(device: str, folder: Path, precision: str = "float32") -> LoadedModel:
    return load_recogniser(folder, device, precision, 1)


def assert_same(found: list[Recognised], expected: list[Recognised]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.finite
        assert one.token_ids == other.token_ids
        assert one.text == other.text
        for word, like in zip(one.words, other.words, strict=True):
            assert word.confidence == pytest.approx(like.confidence, abs=1e-3)
            assert word.start_s == pytest.approx(like.start_s, abs=0.061)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("hotwords", [False, True])
def test_float32_says_what_a_cpu_says(folder: Path, architecture: str, hotwords: bool) -> None:
    model = on("cuda:0", folder / architecture)
    expected = on("cpu", folder / architecture).recogniser.recognise(utterances(hotwords))
    assert any(heard.text for heard in expected)
    # eager, then captured, then replayed twice
    for _ in range(4):
        assert_same(model.recogniser.recognise(utterances(hotwords)), expected)


def test_alone_as_in_company(folder: Path) -> None:
    recogniser = on("cuda:0", folder / "seaco").recogniser
    together = recogniser.recognise(utterances(True))
    assert_same([recogniser.recognise([item])[0] for item in utterances(True)], together)


def features_on_gpu() -> Features:
    extractor = FeatureExtractor(np.full(560, -8.3, np.float32), np.full(560, 0.15, np.float32)).to(
        torch.device("cuda:0")
    )
    found: Features = extractor(sounds())
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_warm_reader_never_waits_on_the_way(
    folder: Path, architecture: str, waits_may_be_errors: None
) -> None:
    reader = on("cuda:0", folder / architecture).batch_reader
    assert reader is not None
    given = features_on_gpu()
    for _ in range(3):
        warm = reader.read(given.frames, given.lengths, None)
    torch.cuda.set_sync_debug_mode("error")
    again = reader.read(given.frames, given.lengths, None)
    assert [track.ids for track in again] == [track.ids for track in warm]


def test_the_shapes_of_a_warm_up_are_replayed(folder: Path) -> None:
    reader = on("cuda:0", folder / "bicif").batch_reader
    assert reader is not None
    reader.warm_up()
    replays: list[int] = []
    replay = torch.cuda.CUDAGraph.replay

    def counted(graph: torch.cuda.CUDAGraph) -> None:
        replays.append(1)
        replay(graph)

    given = features_on_gpu()
    longest = max(range(len(given.lengths)), key=lambda place: given.lengths[place])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda.CUDAGraph, "replay", counted)
        reader.read(given.frames[longest : longest + 1], given.lengths[longest : longest + 1], None)
    assert replays == [1]


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_counts_the_same_tokens(folder: Path, precision: str) -> None:
    if precision == "bfloat16" and torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this GPU has no bfloat16")
    expected = on("cpu", folder / "seaco").recogniser.recognise(utterances(False))
    found = on("cuda:0", folder / "seaco", precision).recogniser.recognise(utterances(False))
    same = [
        len(one.token_ids) == len(other.token_ids)
        for one, other in zip(found, expected, strict=True)
    ]
    assert all(heard.finite for heard in found)
    assert sum(same) >= len(same) - 1


def test_no_memory_is_said_and_survived(folder: Path) -> None:
    recogniser = on("cuda:0", folder / "seaco").recogniser
    expected = recogniser.recognise(utterances(False))
    huge = [Utterance(np.zeros(16_000 * 60, np.int16))] * 200
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (64 << 20)) / total)
    try:
        with pytest.raises(
            DeviceMemoryError, match=r"cuda:0 could not allocate .*B for 200 segments"
        ):
            recogniser.recognise(huge)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert_same(recogniser.recognise(utterances(False)), expected)


def test_graphs_say_what_eager_passes_say(folder: Path) -> None:
    model = on("cuda:0", folder / "bicif")
    assert model.batch_reader is not None
    given = features_on_gpu()
    assert len(split(given.lengths, 16_384)) >= 1
    network = model.batch_reader.network
    eager = BatchReader(network, torch.device("cuda:0"), graphs=False)
    expected = eager.read(given.frames, given.lengths, None)
    for _ in range(3):
        found = model.batch_reader.read(given.frames, given.lengths, None)
    for one, other in zip(found, expected, strict=True):
        assert one.ids == other.ids
        np.testing.assert_allclose(one.curve.weights, other.curve.weights, atol=1e-4)
