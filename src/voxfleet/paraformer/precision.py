"""The numbers a model computes with: chosen or refused by device, then put into its layers.

Layer norms, the sums of residuals, the predictor and the outputs stay in float32 at any precision:
they are cheap, and they decide. Knows no file and no batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxfleet.errors import StartError
from voxfleet.paraformer.int8_linear import Int8Linear
from voxfleet.paraformer.network import ParaformerNetwork
from voxfleet.paraformer.sanm import FeedForward, Memory, SanmAttention

#: what decides tokens stays exact: few vectors pass these layers
_EXACT = ("output_layer", "hotword_output_layer", "cif_output", "cif_output2")
#: the encoder's residual stream is kept this much smaller in float16. Layer norms cancel it, and
#: only sums beyond 65504 x 64 would overflow; a power of two costs no precision
_FLOAT16_STREAM_SCALE = 1 / 64
#: a model below this size gains nothing from int8
_WORTH_INT8_PARAMETERS = 20_000_000


class Precision(StrEnum):
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    INT8 = "int8"


@dataclass(frozen=True, slots=True)
class DeviceAbility:
    """What is known of a device: `capability` is NVIDIA's compute capability, None on a CPU."""

    name: str
    capability: tuple[int, int] | None = None
    int8: bool = False


def choose_precision(wanted: str, device: DeviceAbility, parameters: int) -> Precision:
    """The wanted precision, or the fastest safe one for `""`; raises StartError with a reason."""
    if not wanted:
        return _best(device, parameters)
    if wanted not in set(Precision):
        raise StartError(f"precision {wanted!r} is unknown; choose one of {', '.join(Precision)}")
    reason = _refusal(Precision(wanted), device)
    if reason:
        raise StartError(
            f"precision {wanted}: {device.name} {reason}; leave precision empty"
            f" or set it to {_best(device, parameters)}"
        )
    return Precision(wanted)


def _best(device: DeviceAbility, parameters: int) -> Precision:
    if device.capability is None:
        worth = device.int8 and parameters >= _WORTH_INT8_PARAMETERS
        return Precision.INT8 if worth else Precision.FLOAT32
    for precision in (Precision.BFLOAT16, Precision.FLOAT16):
        if not _refusal(precision, device):
            return precision
    return Precision.FLOAT32


def _refusal(precision: Precision, device: DeviceAbility) -> str:
    if precision is Precision.INT8:
        if device.capability is not None:
            return "is a GPU, and int8 is for CPUs here"
        return "" if device.int8 else "has no int8 kernels in this PyTorch"
    if device.capability is None or precision is Precision.FLOAT32:
        return ""
    if precision is Precision.BFLOAT16:
        return "" if device.capability >= (8, 0) else "has no bfloat16 (it came with Ampere)"
    if "GTX 16" in device.name:
        return "computes NaN in float16, a known fault of the GTX 16 series"
    return "" if device.capability >= (7, 0) else "has no fast float16 (it came with Volta)"


def set_precision(network: ParaformerNetwork, precision: Precision) -> None:
    """Exchange the layers in place; the network is float32 on its device before."""
    if precision is Precision.INT8:
        _exchange(network, Int8Linear)
    if precision in (Precision.BFLOAT16, Precision.FLOAT16):
        if precision is Precision.FLOAT16:
            _shrink_stream(network.encoder)
        dtype = getattr(torch, precision.value)
        _exchange(network, lambda linear: HalfLinear(linear, dtype))
        for module in network.modules():
            if isinstance(module, Memory):
                module.to(dtype)


def set_cuda_rules(precision: Precision) -> None:
    """For this process, which has one model: float32 means float32.

    In half precision what is left in float32 may be multiplied in TF32, as exact as its input; and
    no sum of a product may be rounded to float16 on its way, where it could overflow.
    """
    half = precision in (Precision.BFLOAT16, Precision.FLOAT16)
    torch.backends.cuda.matmul.allow_tf32 = half
    torch.backends.cudnn.allow_tf32 = half
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False


class HalfLinear(nn.Module):
    """Replaces one nn.Linear: weights, input and output in half precision."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        bias = None if linear.bias is None else linear.bias.detach().to(dtype)
        self.register_buffer("weight", linear.weight.detach().to(dtype), persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.get_buffer("weight")
        bias = self._buffers["bias"]
        return functional.linear(x.to(weight.dtype), weight, bias)


def _exchange(module: nn.Module, kind: Callable[[nn.Linear], nn.Module]) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Linear):
            if name not in _EXACT:
                setattr(module, name, kind(child))
        else:
            _exchange(child, kind)


@torch.no_grad()
def _shrink_stream(encoder: nn.Module) -> None:
    for module in encoder.modules():
        if isinstance(module, SanmAttention):
            module.output_scale = _FLOAT16_STREAM_SCALE
            _scale(module.linear_out)
        if isinstance(module, FeedForward):
            _scale(module.w_2)


def _scale(linear: nn.Linear) -> None:
    linear.weight = nn.Parameter(linear.weight * _FLOAT16_STREAM_SCALE, requires_grad=False)
    linear.bias = nn.Parameter(linear.bias * _FLOAT16_STREAM_SCALE, requires_grad=False)
