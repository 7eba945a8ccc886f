"""The whole model as one module: features of a batch in, token scores and firing weights out.

Submodule names are those of the published checkpoints, so that a state dict fits as it is. Knows
no file, no vocabulary and no precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxfleet.paraformer.decoder import SanmDecoder
from voxfleet.paraformer.encoder import SanmEncoder
from voxfleet.paraformer.model_config import HotwordConfig, ParaformerConfig
from voxfleet.paraformer.predictor import CifPredictor, Predicted, integrate
from voxfleet.paraformer.sanm import Mask, valid_mask

#: hotwords that the bias decoder looks at; of longer lists the most attended are taken
SHORTLIST = 50
#: the layer of the bias decoder whose attention chooses them
_SHORTLIST_LAYER = 5


@dataclass(frozen=True, slots=True)
class Heard:
    """What the acoustic half knows of a batch, on the device.

    `hidden` [batch, frames, size] is zero where an item has ended.
    """

    hidden: Tensor
    mask: Mask
    predicted: Predicted


@dataclass(frozen=True, slots=True)
class Scored:
    """`embeds`, `states` [batch, tokens, size]; `logits` [batch, tokens, vocabulary], float32."""

    embeds: Tensor
    states: Tensor
    mask: Mask
    logits: Tensor


class ParaformerNetwork(nn.Module):
    def __init__(self, config: ParaformerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = SanmEncoder(config.encoder)
        self.predictor = CifPredictor(config.predictor)
        self.decoder = SanmDecoder(config.decoder, config.vocabulary_size)
        if config.hotwords:
            self._add_bias(config.hotwords, config.vocabulary_size)

    def _add_bias(self, hotwords: HotwordConfig, vocabulary_size: int) -> None:
        size = hotwords.decoder.size
        self.bias_encoder = nn.LSTM(size, size, hotwords.lstm_layers, batch_first=True)
        self.seaco_decoder = SanmDecoder(hotwords.decoder)
        self.hotword_output_layer = nn.Linear(size, vocabulary_size)

    def listen(self, features: Tensor, lengths: Tensor, *, padded: bool) -> Heard:
        """Encode and count. `features` [batch, frames, 560]; `padded` if any item is shorter.

        Nothing here waits for the device.
        """
        valid = valid_mask(lengths, features.shape[1]) if padded else None
        mask = Mask(valid)
        hidden = self.encoder(features, mask)
        if mask.rows is not None:
            hidden = hidden * mask.rows
        return Heard(hidden, mask, self.predictor(hidden, mask, lengths))

    def score(self, heard: Heard, max_tokens: int) -> Scored:
        """Decode every token at once; `max_tokens` is at least 1 and at least each count."""
        predicted = heard.predicted
        hidden = functional.pad(heard.hidden, (0, 0, 0, 1))
        embeds = integrate(hidden, predicted.weights, max_tokens)
        valid = valid_mask(predicted.token_counts, max_tokens)
        mask = Mask(valid)
        embeds = embeds * valid[:, :, None]
        states = self.decoder(embeds, mask, heard.hidden, heard.mask)
        return Scored(embeds, states, mask, self.decoder.scores(states).float())

    def embed_hotwords(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """One vector per hotword, [words, size]: a pure function of its token ids."""
        if self.decoder.embed is None:
            raise TypeError("a model without token embedding takes no hotwords")
        device = self.hotword_output_layer.weight.device
        rows = [torch.tensor(word, dtype=torch.long) for word in ids]
        padded = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device)
        states, _ = self.bias_encoder(self.decoder.embed(padded))
        last = torch.tensor([len(word) - 1 for word in ids], device=device)
        chosen: Tensor = states[torch.arange(len(ids), device=device), last]
        return chosen

    def bias(self, scored: Scored, words: Tensor, word_counts: Tensor) -> Tensor:
        """Logits of the bias decoder, [batch, tokens, vocabulary], float32.

        `words` [batch, longest list, size]; the last of each item's `word_counts` is no hotword but
        the entry that stands for none.
        """
        mask = Mask(valid_mask(word_counts, words.shape[1]))
        if words.shape[1] > SHORTLIST + 1:
            words, word_counts = self._shortlist(scored, words, word_counts, mask)
            mask = Mask(valid_mask(word_counts, words.shape[1]))
        heard = self.seaco_decoder(scored.embeds, scored.mask, words, mask)
        read = self.seaco_decoder(scored.states, scored.mask, words, mask)
        logits: Tensor = self.hotword_output_layer(heard + read)
        return logits.float()

    def _shortlist(
        self, scored: Scored, words: Tensor, word_counts: Tensor, mask: Mask
    ) -> tuple[Tensor, Tensor]:
        """Each item's most attended hotwords and its entry for none, in the list's order."""
        weights = self.seaco_decoder.source_weights(
            scored.states, scored.mask, words, mask, _SHORTLIST_LAYER
        )
        rows = scored.mask.rows
        if rows is not None:
            weights = weights * rows[:, None]
        attention = weights.sum(dim=(1, 2))
        places = torch.arange(words.shape[1], device=words.device)
        # the entry for none takes part in no contest, nor does what is not there
        attention = attention.masked_fill(places >= word_counts[:, None] - 1, -1.0)
        best = attention.topk(SHORTLIST, dim=1).indices.sort(dim=1).values
        short = word_counts - 1 <= SHORTLIST
        best = torch.where(short[:, None], places[:SHORTLIST].expand_as(best), best)
        counts = torch.where(short, word_counts, SHORTLIST + 1)
        none = (word_counts - 1)[:, None]
        chosen = torch.cat((best, none), dim=1)
        # where the whole list is short, the entry for none stands where the list has it
        whole = places[: SHORTLIST + 1].expand_as(chosen)
        chosen = torch.where(short[:, None], whole, chosen)
        rows_index = chosen[:, :, None].expand(-1, -1, words.shape[2])
        return words.gather(1, rows_index), counts
