"""Overflow and lack of memory are errors of the segments concerned, in words that help."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.integration.checkpoint_rig import ARCHITECTURES
from tests.unit.feature_batches import (
    CPU,
)
from voxfleet.core import EngineInfo, Hypothesis, Segment, Waveform
from voxfleet.engines.catalog import EngineOptions, make_engine
from voxfleet.engines.paraformer import ParaformerEngine, hypothesis_from
from voxfleet.errors import DeviceFaultError, EngineFaultError, RecognitionError
from voxfleet.paraformer import loading
from voxfleet.paraformer.batch_reader import BatchReader
from voxfleet.paraformer.checkpoint import load_network, read_checkpoint
from voxfleet.paraformer.cpu_reader import CpuReader
from voxfleet.paraformer.device_memory import (
    DeviceMemoryError,
    device_faults,
    free_bytes,
    is_memory_fault,
    memory_error,
)
from voxfleet.paraformer.encoder import SanmEncoder
from voxfleet.paraformer.network import Heard, ParaformerNetwork
from voxfleet.paraformer.recogniser import Recogniser, Utterance
from voxfleet.paraformer.sanm import Mask
from voxfleet.wire.heartbeat import Progress
from voxfleet.worker import Attempt

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def utterances(*levels: float) -> list[Utterance]:
    noise = np.random.default_rng(0)
    return [
        Utterance((noise.normal(0, level, 16_000 + 4_000 * place)).astype(np.int16))
        for place, level in enumerate(levels)
    ]


def poison_the_loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that overflows on loud items, in the rows of their own."""
    encode = SanmEncoder.forward

    def overflowing(self: SanmEncoder, x: Tensor, mask: Mask) -> Tensor:
        loud = x.amax(dim=(1, 2), keepdim=True) > 2.0
        return torch.where(loud, torch.nan, encode(self, x, mask))

    monkeypatch.setattr(SanmEncoder, "forward", overflowing)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("padded", [True, False])
def test_what_is_no_number_is_no_text_and_harms_nobody(
    tiny_models: Path, architecture: str, padded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = read_checkpoint(tiny_models / architecture)
    network = load_network(checkpoint)
    reader = BatchReader(network, CPU, graphs=False) if padded else CpuReader(network, 1)
    recogniser = Recogniser(checkpoint, network, reader)
    given = utterances(30, 30, 20_000, 30)
    healthy = recogniser.recognise(given)
    assert all(heard.finite and heard.text for heard in healthy)
    poison_the_loud(monkeypatch)
    found = recogniser.recognise(given)
    assert [heard.finite for heard in found] == [True, True, False, True]
    assert found[2].text == ""
    assert [heard.text for heard in found if heard.finite] == [
        heard.text for place, heard in enumerate(healthy) if place != 2
    ]


def segments(given: Sequence[Utterance]) -> list[Segment]:
    return [Segment(f"s{n}", Waveform(item.samples, 0.0)) for n, item in enumerate(given)]


@pytest.mark.parametrize(
    ("precision", "says"),
    [
        ("float16", "float16 overflowed on this segment; set precision to bfloat16 or float32"),
        ("float32", "float32 numbers overflowed"),
    ],
)
def test_an_overflow_is_an_error_of_its_segment(
    tiny_models: Path, precision: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ParaformerEngine(
        EngineOptions(str(tiny_models / "seaco"), precision=precision, threads=1)
    )
    engine.load()
    poison_the_loud(monkeypatch)
    first, second = engine.recognise(segments(utterances(30, 20_000)))
    assert isinstance(first, Hypothesis)
    assert first.text
    assert isinstance(second, EngineFaultError)
    assert says in second.message


def refuse_batches_of(monkeypatch: pytest.MonkeyPatch, items: int) -> None:
    listen = ParaformerNetwork.listen

    def refusing(
        self: ParaformerNetwork, features: Tensor, lengths: Tensor, *, padded: bool
    ) -> Heard:
        if len(features) >= items:
            raise torch.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of"
                " 8.00 GiB of which 1.00 GiB is free."
            )
        return listen(self, features, lengths, padded=padded)

    monkeypatch.setattr(ParaformerNetwork, "listen", refusing)


class Gpu:
    """The engine with the reader of GPUs, on a CPU."""

    info = EngineInfo("tiny", ("zh",), 1.0)

    def __init__(self, folder: Path) -> None:
        checkpoint = read_checkpoint(folder)
        network = load_network(checkpoint)
        self.recogniser = Recogniser(checkpoint, network, BatchReader(network, CPU, graphs=False))

    def load(self) -> None: ...
    def warm_up(self) -> None: ...

    def recognise(self, batch: Sequence[Segment]) -> list[Hypothesis | RecognitionError]:
        given = [Utterance(segment.waveform.samples) for segment in batch]
        return [hypothesis_from(heard) for heard in self.recogniser.recognise(given)]


def test_no_memory_names_size_batch_and_device(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_batches_of(monkeypatch, 2)
    engine = Gpu(tiny_models / "seaco")
    with pytest.raises(DeviceMemoryError) as refused:
        engine.recognise(segments(utterances(30, 30)))
    said = "cpu could not allocate 2.50 GiB for 2 segments of up to 1.2 s (2.2 s in all)"
    assert str(refused.value) == said
    # nothing of the failed batch is kept alive
    assert refused.value.__context__ is None
    assert all(
        isinstance(answer, Hypothesis)
        for answer in Attempt(engine).recognise(segments(utterances(30, 30)))
    )


def test_no_memory_for_one_segment_is_its_error(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_batches_of(monkeypatch, 1)
    (fault,) = Attempt(Gpu(tiny_models / "seaco")).recognise(segments(utterances(30)))
    assert isinstance(fault, EngineFaultError)
    assert "2.50 GiB" in fault.message
    assert "larger device" in fault.message


@pytest.mark.parametrize(
    ("device", "said", "synchronises", "kind"),
    [
        ("cuda:0", "CUDA error: an illegal memory access was encountered", False, DeviceFaultError),
        ("cuda:0", "CUDA error: device-side assert\ntriggered", False, DeviceFaultError),
        # refused, but the context lives
        ("cuda:0", "CUDA error: invalid configuration argument", True, RuntimeError),
        ("cuda:0", "CUDA error: out of memory", False, RuntimeError),
        ("cpu", "CUDA error: an illegal memory access was encountered", False, RuntimeError),
    ],
)
def test_a_device_is_lost_when_it_says_so_again(
    device: str,
    said: str,
    synchronises: bool,
    kind: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def synchronize(_: torch.device) -> None:
        if not synchronises:
            raise RuntimeError(said)

    monkeypatch.setattr("torch.cuda.synchronize", synchronize)
    with pytest.raises(kind) as raised, device_faults(torch.device(device)):
        raise RuntimeError(said)
    assert type(raised.value) is kind
    if kind is DeviceFaultError:
        assert str(raised.value) == f"cuda:0: {' '.join(said.split())}; the process starts anew"


def test_memory_that_cuda_or_its_libraries_lack_is_memory() -> None:
    assert is_memory_fault(RuntimeError("CUDA error: out of memory\nCUDA kernel errors might"))
    assert is_memory_fault(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"))
    assert not is_memory_fault(RuntimeError("CUDA error: an illegal memory access"))


@pytest.mark.parametrize(
    ("fraction", "reserved", "free"),
    [(1.0, 1 << 30, 6 << 30), (0.25, 1 << 30, 1 << 30), (0.1, 1 << 30, 0)],
)
def test_no_more_is_free_than_a_process_may_take(
    fraction: float, reserved: int, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (6 << 30, 8 << 30))
    monkeypatch.setattr("torch.cuda.get_per_process_memory_fraction", lambda _: fraction)
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda _: reserved)
    assert free_bytes(torch.device("cuda:0")) == free


@pytest.mark.parametrize(
    ("device", "fraction", "asked"), [("cuda:0", 0.4, [0.4]), ("cuda:0", 0.0, []), ("cpu", 0.4, [])]
)
def test_a_share_of_the_memory_is_asked_for_before_the_weights_move(
    device: str,
    fraction: float,
    asked: list[float],
    tiny_models: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[object] = []
    monkeypatch.setattr(loading, "_device", torch.device)
    monkeypatch.setattr(loading, "_put_together", lambda *_: done.append("together"))
    monkeypatch.setattr(
        "torch.cuda.set_per_process_memory_fraction", lambda share, _: done.append(share)
    )
    folder = tiny_models / "seaco"
    loading.load_recogniser(folder, device, "", 1, memory_fraction=fraction)
    assert done == [*asked, "together"]


def test_every_item_of_a_cpu_is_progress(tiny_models: Path) -> None:
    progress = Progress()
    options = EngineOptions(str(tiny_models / "seaco"), threads=2)
    engine = make_engine(options.model, options, progress.tick)
    engine.load()
    engine.recognise(segments(utterances(30, 30, 30)))
    assert progress.count == 3


def test_a_cpu_out_of_memory_is_told_from_other_faults() -> None:
    fault = RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory:"
        " you tried to allocate 400000000000 bytes. Error code 12 (Cannot allocate memory)"
    )
    assert is_memory_fault(fault)
    assert not is_memory_fault(RuntimeError("shape '[2]' is invalid for input of size 3"))
    text = str(memory_error(fault, torch.device("cpu"), [3.0, 1.5]))
    assert text == (
        "cpu could not allocate 400000000000 bytes for 2 segments of up to 3.0 s (4.5 s in all)"
    )
