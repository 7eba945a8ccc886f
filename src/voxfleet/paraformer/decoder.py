"""The parallel decoder: acoustic embeddings of tokens to token scores; and SeACo's, to hotwords.

Module names are those of the published checkpoints. Knows neither vocabulary nor lists of words.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from voxfleet.paraformer.model_config import DecoderConfig
from voxfleet.paraformer.sanm import Mask, Memory, Norm, attend


class DecoderFeedForward(nn.Module):
    def __init__(self, size: int, linear_units: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(size, linear_units)
        self.norm = Norm(linear_units)
        self.w_2 = nn.Linear(linear_units, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.w_2(self.norm(functional.relu(self.w_1(x))))
        return out


class TokenMemory(nn.Module):
    """The memory alone, in place of self-attention."""

    def __init__(self, size: int, kernel_size: int, shift: int) -> None:
        super().__init__()
        self.fsmn_block = Memory(size, kernel_size, shift)

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        return self.fsmn_block.remember(x, mask.rows)


class SourceAttention(nn.Module):
    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q = nn.Linear(size, size)
        self.linear_k_v = nn.Linear(size, 2 * size)
        self.linear_out = nn.Linear(size, size)

    def forward(self, x: Tensor, source: Tensor, mask: Mask) -> Tensor:
        key, value = self._keys_values(source)
        out: Tensor = self.linear_out(attend(self.linear_q(x), key, value, self.heads, mask.keys))
        return out

    def weights(self, x: Tensor, source: Tensor, mask: Mask) -> Tensor:
        """How much each position looks at each source vector: [batch, heads, queries, keys]."""
        key, _ = self._keys_values(source)

        def by_head(part: Tensor) -> Tensor:
            return part.view(*part.shape[:2], self.heads, -1).transpose(1, 2)

        query, key = by_head(self.linear_q(x)), by_head(key)
        scores = (query @ key.transpose(-2, -1)).float() / math.sqrt(query.shape[-1])
        if mask.keys is not None:
            scores = scores.masked_fill(~mask.keys, -math.inf)
        return scores.softmax(dim=-1)

    def _keys_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        # one list of hotwords for every item is one list seen several times
        shared = source.shape[0] > 1 and source.stride(0) == 0
        both: Tensor = self.linear_k_v(source[:1] if shared else source)
        key, value = both.expand(source.shape[0], -1, -1).chunk(2, dim=-1)
        return key, value


class DecoderLayer(nn.Module):
    """With memory and source attention, with memory alone, or with neither (the last one)."""

    def __init__(self, config: DecoderConfig, *, memory: bool, source: bool) -> None:
        super().__init__()
        self.feed_forward = DecoderFeedForward(config.size, config.linear_units)
        self.norm1 = Norm(config.size)
        self.self_attn: TokenMemory | None = None
        self.src_attn: SourceAttention | None = None
        if memory:
            self.self_attn = TokenMemory(config.size, config.kernel_size, config.shift)
            self.norm2 = Norm(config.size)
        if source:
            self.src_attn = SourceAttention(config.size, config.heads)
            self.norm3 = Norm(config.size)

    def forward(self, x: Tensor, mask: Mask, source: Tensor, source_mask: Mask) -> Tensor:
        x = self._remembered(x, mask)
        if self.src_attn is None:
            return x
        out: Tensor = x + self.src_attn(self.norm3(x), source, source_mask)
        return out

    def source_weights(self, x: Tensor, mask: Mask, source: Tensor, source_mask: Mask) -> Tensor:
        if self.src_attn is None:
            raise TypeError("this decoder layer attends to nothing")
        return self.src_attn.weights(self.norm3(self._remembered(x, mask)), source, source_mask)

    def _remembered(self, x: Tensor, mask: Mask) -> Tensor:
        # the feed-forward comes first and has no residual of its own
        inner: Tensor = self.feed_forward(self.norm1(x))
        if self.self_attn is None:
            return inner
        out: Tensor = x + self.self_attn(self.norm2(inner), mask)
        return out


class SanmDecoder(nn.Module):
    """`vocabulary_size` 0 leaves out token embedding and output layer (SeACo's decoder)."""

    def __init__(self, config: DecoderConfig, vocabulary_size: int = 0) -> None:
        super().__init__()
        self.embed: nn.Sequential | None = None
        self.output_layer: nn.Linear | None = None
        if vocabulary_size:
            self.embed = nn.Sequential(nn.Embedding(vocabulary_size, config.size))
            self.output_layer = nn.Linear(config.size, vocabulary_size)
        self.decoders = nn.ModuleList(
            DecoderLayer(config, memory=True, source=True) for _ in range(config.layers)
        )
        if config.plain_layers:
            self.decoders2 = nn.ModuleList(
                DecoderLayer(config, memory=True, source=False) for _ in range(config.plain_layers)
            )
        self.decoders3 = nn.ModuleList([DecoderLayer(config, memory=False, source=False)])
        self.after_norm = Norm(config.size)

    def forward(self, x: Tensor, mask: Mask, source: Tensor, source_mask: Mask) -> Tensor:
        """Hidden vectors of tokens, [batch, tokens, size]; `source` is [batch, keys, size]."""
        for layer in self._layers():
            x = layer(x, mask, source, source_mask)
        out: Tensor = self.after_norm(x)
        return out

    def scores(self, hidden: Tensor) -> Tensor:
        """Logits of every token of the vocabulary: [batch, tokens, vocabulary]."""
        if self.output_layer is None:
            raise TypeError("this decoder has no output layer")
        logits: Tensor = self.output_layer(hidden)
        return logits

    def source_weights(
        self, x: Tensor, mask: Mask, source: Tensor, source_mask: Mask, layer: int
    ) -> Tensor:
        """The attention map of one layer: [batch, heads, tokens, keys], float32."""
        for before in self.decoders[:layer]:
            x = before(x, mask, source, source_mask)
        wanted = self.decoders[layer]
        if not isinstance(wanted, DecoderLayer):
            raise TypeError("not a decoder layer")
        return wanted.source_weights(x, mask, source, source_mask)

    def _layers(self) -> list[nn.Module]:
        plain = list(self.decoders2) if hasattr(self, "decoders2") else []
        return [*self.decoders, *plain, *self.decoders3]
