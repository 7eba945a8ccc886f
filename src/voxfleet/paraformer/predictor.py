"""Continuous integrate-and-fire: how many tokens there are, where, and what each sounded like.

Source: Dong & Xu, "CIF: Continuous Integrate-and-Fire" (arXiv 1905.11235). No loop over frames:
all follows from the running sum of the weights. Knows no words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxfleet.paraformer.model_config import PredictorConfig
from voxfleet.paraformer.sanm import Mask, valid_mask


@dataclass(frozen=True, slots=True)
class Predicted:
    """`weights` [batch, frames + 1] with the tail; `token_counts` [batch] with `</s>`, int64."""

    weights: Tensor
    token_counts: Tensor


def integrate(hidden: Tensor, weights: Tensor, max_tokens: int) -> Tensor:
    """Embedding of each token: [batch, max_tokens, size].

    Token k is the sum of the hidden vectors, each by the part of its weight that lies between k and
    k + 1 of the running sum. Zero beyond an item's last whole token is up to the caller's mask.
    """
    ends = weights.double().cumsum(dim=1)
    starts = functional.pad(ends[:, :-1], (1, 0))
    borders = torch.arange(max_tokens, device=weights.device, dtype=ends.dtype)[None, :, None]
    upper = torch.minimum(ends[:, None, :], borders + 1)
    lower = torch.maximum(starts[:, None, :], borders)
    parts = (upper - lower).clamp_(min=0).to(hidden.dtype)
    return parts @ hidden


class CifPredictor(nn.Module):
    """V2, or V3 where the configuration has an up-sampled head."""

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self._config = config
        width = config.left_order + config.right_order + 1
        self.cif_conv1d = nn.Conv1d(config.size, config.size, width)
        self.cif_output = nn.Linear(config.size, 1)
        if config.upsample:
            times = config.upsample.times
            self.upsample_cnn = nn.ConvTranspose1d(config.size, config.size, times, times)
            if config.upsample.blstm:
                self.blstm = nn.LSTM(config.size, config.size, batch_first=True, bidirectional=True)
            head_size = config.size * (2 if config.upsample.blstm else 1)
            self.cif_output2 = nn.Linear(head_size, 1)

    def forward(self, hidden: Tensor, mask: Mask, lengths: Tensor) -> Predicted:
        """`hidden` [batch, frames, size] must be zero where an item has ended.

        Otherwise the last real frame would hear the padding through the convolution.
        """
        config = self._config
        raw = self.cif_output(self._around(hidden).transpose(1, 2)).squeeze(2)
        # in float32 at any precision: a sum of hundreds of weights decides the number of tokens
        weights = _smooth(raw.float(), config.smooth_factor, config.noise_threshold)
        if mask.rows is not None:
            weights = weights * mask.rows.squeeze(2)
        weights = self._with_tail(weights, lengths)
        return Predicted(weights, weights.double().sum(dim=1).floor().long())

    def unit_weights(self, hidden: Tensor, lengths: Sequence[int]) -> Tensor:
        """The second head's weights, [batch, frames * times], not yet scaled to a count.

        `hidden` as in `forward`; `lengths` are known on the host, so that no device is waited for.
        """
        upsample = self._config.upsample
        if upsample is None:
            raise TypeError("this predictor has no head for time stamps")
        channels = self._around(hidden) if upsample.after_conv else hidden.transpose(1, 2)
        fine = self.upsample_cnn(channels).transpose(1, 2)
        units = torch.tensor(lengths) * upsample.times
        if upsample.blstm:
            fine = self._both_ways(fine, units)
        raw = self.cif_output2(fine).squeeze(2).float()
        weights = _smooth(raw, upsample.smooth_factor, upsample.noise_threshold)
        valid = valid_mask(units.to(weights.device, non_blocking=True), weights.shape[1])
        return weights * valid

    def _around(self, hidden: Tensor) -> Tensor:
        """Each frame with its neighbours: [batch, size, frames]."""
        padding = (self._config.left_order, self._config.right_order)
        padded = functional.pad(hidden.transpose(1, 2), padding)
        return functional.relu(self.cif_conv1d(padded))

    def _with_tail(self, weights: Tensor, lengths: Tensor) -> Tensor:
        """A last push of the threshold right after the item's end, so that the last token fires."""
        weights = functional.pad(weights, (0, 1))
        tail = torch.full_like(lengths, self._config.tail_threshold, dtype=weights.dtype)
        return weights.scatter_add(1, lengths[:, None], tail[:, None])

    def _both_ways(self, fine: Tensor, lengths: Tensor) -> Tensor:
        """The BLSTM as if each item were alone: packed, so that no padding is heard."""
        # sorting would copy its order to the device, and wait for it
        in_order = bool((lengths[:-1] >= lengths[1:]).all())
        packed = nn.utils.rnn.pack_padded_sequence(
            fine, lengths, batch_first=True, enforce_sorted=in_order
        )
        heard, _ = self.blstm(packed)
        padded, _ = nn.utils.rnn.pad_packed_sequence(
            heard, batch_first=True, total_length=fine.shape[1]
        )
        return padded


def _smooth(raw: Tensor, factor: float, noise: float) -> Tensor:
    return functional.relu(torch.sigmoid(raw) * factor - noise)
