"""The SAN-M encoder: features in, one hidden vector per 60 ms out. Knows no words."""

from __future__ import annotations

import math

from torch import Tensor, nn

from voxfleet.paraformer.model_config import EncoderConfig
from voxfleet.paraformer.sanm import Mask, Norm, SanmLayer, position_encoding


class SanmEncoder(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self._embed_scale = math.sqrt(config.size)

        def layer(input_size: int) -> SanmLayer:
            return SanmLayer(
                input_size,
                config.size,
                config.heads,
                config.linear_units,
                config.kernel_size,
                config.shift,
            )

        self.encoders0 = nn.ModuleList([layer(config.input_size)])
        self.encoders = nn.ModuleList(layer(config.size) for _ in range(config.layers - 1))
        self.after_norm = Norm(config.size)

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        """[batch, frames, input_size] to [batch, frames, size]; padded rows hold anything."""
        x = x * self._embed_scale
        places = position_encoding(x.shape[1], x.shape[2], x.device)
        x = x + places
        for layer in (*self.encoders0, *self.encoders):
            x = layer(x, mask)
        out: Tensor = self.after_norm(x)
        return out
