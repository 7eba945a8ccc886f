"""CT-Transformer: word ids in, the scores of the marks after each word out.

Module names are those of the published checkpoints. Knows no text and no file.
"""

from __future__ import annotations

from torch import Tensor, nn

from voxfleet.paraformer.encoder import SanmEncoder
from voxfleet.paraformer.model_config import EncoderConfig
from voxfleet.paraformer.sanm import Mask, valid_mask


class CtTransformer(nn.Module):
    def __init__(self, encoder: EncoderConfig, vocabulary_size: int, mark_count: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary_size, encoder.input_size)
        self.encoder = SanmEncoder(encoder)
        self.decoder = nn.Linear(encoder.size, mark_count)

    def forward(self, words: Tensor, lengths: Tensor | None = None) -> Tensor:
        """[batch, words] to [batch, words, marks]; `lengths` None where no row is padded."""
        embedded = self.embed(words)
        valid = None if lengths is None else valid_mask(lengths, words.shape[1])
        scores: Tensor = self.decoder(self.encoder(embedded, Mask(valid)))
        return scores
