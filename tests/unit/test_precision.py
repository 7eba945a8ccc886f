"""Every precision says what float32 says, as nearly as its numbers allow, or is refused by name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.integration.checkpoint_rig import ARCHITECTURES
from tests.unit.feature_batches import checkpoints, one_thread
from voxfleet.errors import StartError
from voxfleet.paraformer import precision as precision_module
from voxfleet.paraformer.checkpoint import load_network, read_checkpoint
from voxfleet.paraformer.cpu_reader import CpuReader
from voxfleet.paraformer.encoder import SanmEncoder
from voxfleet.paraformer.network import ParaformerNetwork
from voxfleet.paraformer.precision import (
    DeviceAbility,
    Precision,
    choose_precision,
    set_cuda_rules,
    set_precision,
)
from voxfleet.paraformer.sanm import FeedForward, SanmAttention

LARGE, SMALL = 220_000_000, 500_000
CPU = DeviceAbility("this CPU", int8=True)
OLD_CPU = DeviceAbility("this CPU")
GTX_1080 = DeviceAbility("NVIDIA GeForce GTX 1080", (6, 1))
GTX_1660 = DeviceAbility("NVIDIA GeForce GTX 1660 Ti", (7, 5))
V100 = DeviceAbility("Tesla V100-SXM2-16GB", (7, 0))
T4 = DeviceAbility("Tesla T4", (7, 5))
A100 = DeviceAbility("NVIDIA A100-SXM4-80GB", (8, 0))
H200 = DeviceAbility("NVIDIA H200", (9, 0))

FLOAT32, BFLOAT16, FLOAT16, INT8 = Precision
YES = None
#: of int8, float16 and bfloat16: what a refusal says, or YES
ABILITIES = [
    (CPU, YES, YES, YES),
    (OLD_CPU, "has no int8 kernels", YES, YES),
    (GTX_1080, "is a GPU", "no fast float16", "no bfloat16"),
    (GTX_1660, "is a GPU", "NaN in float16, a known fault", "no bfloat16"),
    (V100, "is a GPU", YES, "no bfloat16"),
    (T4, "is a GPU", YES, "no bfloat16"),
    (A100, "is a GPU", YES, YES),
    (H200, "is a GPU", YES, YES),
]


@pytest.mark.parametrize(
    ("device", "large", "small"),
    [
        (CPU, INT8, FLOAT32),
        (OLD_CPU, FLOAT32, FLOAT32),
        (GTX_1080, FLOAT32, FLOAT32),
        (GTX_1660, FLOAT32, FLOAT32),
        (V100, FLOAT16, FLOAT16),
        (T4, FLOAT16, FLOAT16),
        (A100, BFLOAT16, BFLOAT16),
        (H200, BFLOAT16, BFLOAT16),
    ],
)
def test_the_fastest_safe_one_is_chosen(
    device: DeviceAbility, large: Precision, small: Precision
) -> None:
    assert choose_precision("", device, LARGE) is large
    assert choose_precision("", device, SMALL) is small


@pytest.mark.parametrize(("device", "int8", "float16", "bfloat16"), ABILITIES)
@pytest.mark.parametrize("parameters", [LARGE, SMALL])
def test_what_is_wanted_is_done_or_refused_with_a_reason(
    device: DeviceAbility,
    int8: str | None,
    float16: str | None,
    bfloat16: str | None,
    parameters: int,
) -> None:
    assert choose_precision("float32", device, parameters) is FLOAT32
    for wanted, reason in ((INT8, int8), (FLOAT16, float16), (BFLOAT16, bfloat16)):
        if reason is YES:
            assert choose_precision(wanted, device, parameters) is wanted
            continue
        with pytest.raises(StartError) as refused:
            choose_precision(wanted, device, parameters)
        said = refused.value.message
        assert said.startswith(f"precision {wanted}: {device.name} ")
        assert reason in said
        assert said.endswith(f"or set it to {choose_precision('', device, parameters)}")


def test_an_unknown_precision_is_refused_with_the_choices() -> None:
    with pytest.raises(StartError, match="'fp16' is unknown; choose one of float32, bfloat16"):
        choose_precision("fp16", CPU, LARGE)


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints(tmp_path_factory.mktemp("checkpoints"))


def network_in(folder: Path, precision: Precision, stretch: float = 1.0) -> ParaformerNetwork:
    """With `stretch`, what the encoder's layers add to their input is so many times larger."""
    network = load_network(read_checkpoint(folder))
    with torch.no_grad():
        for module in network.encoder.modules():
            if isinstance(module, SanmAttention):
                stretched(module.linear_out, stretch)
            if isinstance(module, FeedForward):
                stretched(module.w_2, stretch)
    set_precision(network, precision)
    return network


def stretched(linear: torch.nn.Linear, factor: float) -> None:
    # not in place: the weights are a read-only map of the file
    linear.weight = torch.nn.Parameter(linear.weight * factor, requires_grad=False)
    linear.bias = torch.nn.Parameter(linear.bias * factor, requires_grad=False)


def features() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(3, 120, 560)


@torch.inference_mode()
def heard(network: ParaformerNetwork) -> tuple[Tensor, list[int]]:
    found = network.listen(features(), torch.full((3,), 120), padded=False)
    return found.hidden, found.predicted.token_counts.tolist()


def tokens(network: ParaformerNetwork) -> list[list[int]]:
    tracks = CpuReader(network, 1).read(features(), [120] * 3, None)
    assert all(track.finite for track in tracks)
    return [list(track.ids) for track in tracks]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("precision", [FLOAT16, BFLOAT16, INT8])
def test_the_encoder_says_nearly_the_same(
    folder: Path, architecture: str, precision: Precision
) -> None:
    exact, counts = heard(network_in(folder / architecture, FLOAT32))
    found, found_counts = heard(network_in(folder / architecture, precision))
    assert 0 < (found - exact).norm() / exact.norm() < 0.03
    assert found_counts == counts
    assert min(counts) > 10


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("precision", [FLOAT16, BFLOAT16])
def test_half_precision_flips_few_tokens(
    folder: Path, architecture: str, precision: Precision
) -> None:
    exact = [*chain(*tokens(network_in(folder / architecture, FLOAT32)))]
    found = [*chain(*tokens(network_in(folder / architecture, precision)))]
    assert len(found) == len(exact)
    same = sum(one == other for one, other in zip(found, exact, strict=True))
    assert same >= 0.9 * len(exact)


#: what a layer adds is then some 100,000, beyond the 65,504 of float16
STRETCH = 1e5


def test_plain_float16_would_overflow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_module, "_FLOAT16_STREAM_SCALE", 1.0)
    hidden, _ = heard(network_in(folder / "seaco", FLOAT16, STRETCH))
    assert not math.isfinite(hidden.sum())


def test_float16_does_not_overflow_where_float32_is_large(folder: Path) -> None:
    exact_hidden, exact_counts = heard(network_in(folder / "seaco", FLOAT32, STRETCH))
    hidden, counts = heard(network_in(folder / "seaco", FLOAT16, STRETCH))
    assert (hidden - exact_hidden).norm() / exact_hidden.norm() < 0.03
    assert counts == exact_counts
    exact = tokens(network_in(folder / "seaco", FLOAT32, STRETCH))
    assert tokens(network_in(folder / "seaco", FLOAT16, STRETCH)) == exact


def test_an_overflow_in_spite_of_all_is_known_as_one(folder: Path) -> None:
    network = network_in(folder / "seaco", FLOAT16, 1e9)
    tracks = CpuReader(network, 1).read(features(), [120] * 3, None)
    assert [track.finite for track in tracks] == [False] * 3
    assert [len(track.ids) for track in tracks] == [0] * 3


def test_int8_does_not_hear_the_neighbours(folder: Path) -> None:
    reader = CpuReader(network_in(folder / "seaco", INT8), 1)
    quiet = features()[:1]
    (alone,) = reader.read(quiet, [120], None)
    beside = reader.read(torch.cat((quiet * 50, quiet, quiet * 1000)), [120] * 3, None)[1]
    assert list(beside.ids) == list(alone.ids)
    assert list(beside.probabilities) == list(alone.probabilities)
    assert beside.curve.weights.tolist() == pytest.approx(alone.curve.weights.tolist(), abs=1e-6)


def test_half_precision_keeps_what_decides_in_float32(folder: Path) -> None:
    network = network_in(folder / "seaco", BFLOAT16)
    exact = (
        network.decoder.output_layer,
        network.predictor.cif_output,
        network.hotword_output_layer,
    )
    assert all(part is not None and part.weight.dtype is torch.float32 for part in exact)
    halves = [part for part in network.modules() if isinstance(part, precision_module.HalfLinear)]
    assert len(halves) > 20
    assert all(part.get_buffer("weight").dtype is torch.bfloat16 for part in halves)
    assert isinstance(network.encoder, SanmEncoder)


@pytest.mark.parametrize(
    ("precision", "tf32"), [(FLOAT32, False), (FLOAT16, True), (BFLOAT16, True)]
)
def test_float32_means_float32(
    precision: Precision, tf32: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    matmul = torch.backends.cuda.matmul
    before = (matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    reduced = matmul.allow_fp16_reduced_precision_reduction
    try:
        set_cuda_rules(precision)
        assert matmul.allow_tf32 is tf32
        assert torch.backends.cudnn.allow_tf32 is tf32
        assert not matmul.allow_fp16_reduced_precision_reduction
    finally:
        matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
        matmul.allow_fp16_reduced_precision_reduction = reduced
