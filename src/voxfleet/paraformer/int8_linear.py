"""Linear layers in int8 on a CPU: weights by output row, activations by item, sums in int32.

The scale of the activations is taken from the whole input of a call, so a call must hold one item
only, or the loudest neighbour would decide how finely the others are read. Knows no model.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from voxfleet.errors import StartError


class Int8Linear(nn.Module):
    """Replaces one nn.Linear; float32 in and out."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self._packed = _packed(linear)
        # without VNNI two products of 8 bits overflow the 16 that they are added in
        self._reduce_range = not torch.cpu._is_vnni_supported()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = torch.ops.quantized.linear_dynamic(x, self._packed, self._reduce_range)
        return out


def _packed(linear: nn.Linear) -> torch.ScriptObject:
    weight = linear.weight.detach().float()
    scales = weight.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny).double() / 127
    bias = None if linear.bias is None else linear.bias.detach().float()
    with warnings.catch_warnings():
        # PyTorch announces that it will replace quantised tensors; only this packing uses them
        warnings.simplefilter("ignore", UserWarning)
        try:
            zeros = torch.zeros(len(scales), dtype=torch.long)
            rows = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
            packed: torch.ScriptObject = torch.ops.quantized.linear_prepack(rows, bias)
        except (RuntimeError, AttributeError) as fault:
            raise StartError(
                f"precision int8: this PyTorch ({torch.__version__}) cannot: {fault};"
                " set precision to float32"
            ) from None
    return packed
