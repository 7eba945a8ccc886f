"""From features of a batch to token ids and probabilities, all on the device. Knows no host data.

`read` is one straight line without a wait for the device; what must be known on the host comes in
as lengths and goes out as tensors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from voxfleet.paraformer.network import Heard, ParaformerNetwork, Scored


@dataclass(frozen=True, slots=True)
class BatchWords:
    """Hotword vectors [batch, longest list, size] and how many entries each item has."""

    vectors: Tensor
    counts: Tensor


@dataclass(frozen=True, slots=True)
class Reading:
    """`ids`, `probabilities` [batch, tokens], of which each item has `counts`.

    An item with a count beyond the tokens asked for must be read again with more. `scored` has
    lost its logits: nobody reads them again, and they are by far the largest.
    """

    ids: Tensor
    probabilities: Tensor
    counts: Tensor
    heard: Heard
    scored: Scored


def read(
    network: ParaformerNetwork, heard: Heard, max_tokens: int, words: BatchWords | None
) -> Reading:
    plain = read_plainly(network, heard, max_tokens)
    return plain if words is None else with_hotwords(network, plain, words)


def read_plainly(network: ParaformerNetwork, heard: Heard, max_tokens: int) -> Reading:
    scored = network.score(heard, max_tokens)
    ids, probabilities = _best(scored.logits)
    kept = replace(scored, logits=scored.logits.new_empty(0))
    return Reading(ids, probabilities, heard.predicted.token_counts, heard, kept)


def with_hotwords(network: ParaformerNetwork, plain: Reading, words: BatchWords) -> Reading:
    if network.config.hotwords is None:
        return plain
    biased_ids, biased = _best(network.bias(plain.scored, words.vectors, words.counts))
    # the entry for none alone is no list at all: such an item is read as without one
    wanted = (biased_ids != network.config.hotwords.no_bias_id) & (words.counts > 1)[:, None]
    return replace(
        plain,
        ids=torch.where(wanted, biased_ids, plain.ids),
        probabilities=torch.where(wanted, biased, plain.probabilities),
    )


def _best(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Most likely token of each place and its probability."""
    top, ids = logits.max(dim=2)
    return ids, (top - logits.logsumexp(dim=2)).exp()
