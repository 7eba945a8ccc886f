"""Parts that encoder, decoder and punctuation share: self-attention with a memory (SAN-M).

Source: Gao et al., "SAN-M: Memory Equipped Self-Attention for End-to-End Speech Recognition"
(arXiv 2006.01713). Module names are those of the published checkpoints. Knows no sound and no text.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

NORM_EPSILON = 1e-12
#: a table of positions begins with so many, and doubles; each is kept for good
_FIRST_POSITIONS = 1024


def valid_mask(lengths: Tensor, longest: int) -> Tensor:
    """True where an item still has frames: bool [batch, longest]."""
    return torch.arange(longest, device=lengths.device) < lengths[:, None]


class Mask:
    """Which frames are real, once per batch in the two forms that layers need.

    `None` forms mean that nothing is padded: an item alone takes the short way.
    """

    def __init__(self, valid: Tensor | None) -> None:
        self.rows: Tensor | None = None
        self.keys: Tensor | None = None
        if valid is not None:
            self.rows = valid[:, :, None]
            self.keys = valid[:, None, None, :]


def position_encoding(longest: int, size: int, device: torch.device) -> Tensor:
    """All sines, then all cosines, of positions from 1: float32 [longest, size], read-only."""
    positions = max(_FIRST_POSITIONS, 1 << (longest - 1).bit_length())
    return _position_table(positions, size, device)[:longest]


# unbounded, as captured CUDA graphs go on reading a table; sizes and doublings are few
@functools.cache
@torch.inference_mode(mode=False)
def _position_table(longest: int, size: int, device: torch.device) -> Tensor:
    places = torch.arange(1, longest + 1, device=device, dtype=torch.float32)
    step = -math.log(10000.0) / (size / 2 - 1)
    scales = torch.exp(torch.arange(size // 2, device=device, dtype=torch.float32) * step)
    angles = places[:, None] * scales
    return torch.cat((angles.sin(), angles.cos()), dim=1)


class Norm(nn.LayerNorm):
    """Layer norm computed and answered in float32, whatever precision its input has."""

    def __init__(self, size: int) -> None:
        super().__init__(size, NORM_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float())


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, keys: Tensor | None) -> Tensor:
    """Scaled dot-product attention over [batch, time, size]; `keys` masks what is not there."""
    batch, length, size = query.shape

    def by_head(part: Tensor) -> Tensor:
        return part.view(*part.shape[:2], heads, size // heads).transpose(1, 2)

    heard = functional.scaled_dot_product_attention(
        by_head(query), by_head(key), by_head(value), attn_mask=keys
    )
    return heard.transpose(1, 2).reshape(batch, length, size)


class Memory(nn.Conv1d):
    """A depthwise convolution over time beside the value itself; padding never leaks in."""

    def __init__(self, size: int, kernel_size: int, shift: int) -> None:
        super().__init__(size, size, kernel_size, groups=size, bias=False)
        left = (kernel_size - 1) // 2 + max(shift, 0)
        self._pad = (left, kernel_size - 1 - left)

    def remember(self, value: Tensor, rows: Tensor | None) -> Tensor:
        value = value.to(self.weight.dtype)
        if rows is not None:
            value = value * rows
        remembered = self._along_time(value) + value
        return remembered if rows is None else remembered * rows

    def _along_time(self, value: Tensor) -> Tensor:
        # [batch, time, size] is the channels-last layout of an image one pixel high: on a CPU that
        # is read in place, at 2.4x the speed of a transposed convolution
        image = value.transpose(1, 2).unsqueeze(2)
        left, right = self._pad
        if left != right:
            image = functional.pad(image, (left, right))
            left = 0
        weight = self.weight.unsqueeze(2)
        out = functional.conv2d(image, weight, padding=(0, left), groups=self.groups)
        return out.squeeze(2).transpose(1, 2)


class SanmAttention(nn.Module):
    """`output_scale` is what `linear_out` was scaled by, so that the memory fits beside it."""

    def __init__(
        self, input_size: int, size: int, heads: int, kernel_size: int, shift: int
    ) -> None:
        super().__init__()
        self.heads = heads
        self.output_scale = 1.0
        self.linear_q_k_v = nn.Linear(input_size, 3 * size)
        self.linear_out = nn.Linear(size, size)
        self.fsmn_block = Memory(size, kernel_size, shift)

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        query, key, value = self.linear_q_k_v(x).chunk(3, dim=-1)
        # before the memory, not after: its sums are what would overflow
        scaled = value if self.output_scale == 1.0 else value * self.output_scale
        memory = self.fsmn_block.remember(scaled, mask.rows)
        heard: Tensor = self.linear_out(attend(query, key, value, self.heads, mask.keys))
        return heard + memory


class FeedForward(nn.Module):
    def __init__(self, size: int, linear_units: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(size, linear_units)
        self.w_2 = nn.Linear(linear_units, size)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.w_2(functional.relu(self.w_1(x), inplace=not self.training))
        return out


class SanmLayer(nn.Module):
    def __init__(
        self,
        input_size: int,
        size: int,
        heads: int,
        linear_units: int,
        kernel_size: int,
        shift: int,
    ) -> None:
        super().__init__()
        self.self_attn = SanmAttention(input_size, size, heads, kernel_size, shift)
        self.feed_forward = FeedForward(size, linear_units)
        self.norm1 = Norm(input_size)
        self.norm2 = Norm(size)
        # a layer that changes the width has nothing to add its result to
        self._residual = input_size == size

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        heard: Tensor = self.self_attn(self.norm1(x), mask)
        x = x + heard if self._residual else heard
        out: Tensor = x + self.feed_forward(self.norm2(x))
        return out
