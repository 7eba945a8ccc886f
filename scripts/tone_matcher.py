"""A bias decoder that compares exactly from the start: what training alone finds only slowly.

A hotword's vector is a shift register of its last four pieces; layer d of the decoder lays the
codes of the tokens around beside it as if the word ended d tokens later, attends to the word that
fits, and notes which member of a group it has. Knows no utterance and no file.

The width is four slots of twenty: sixteen for a sound's code of +-1, two for the member, one that
says that there is a piece, and one that only the entry for no hotword has.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from tests.tone_speech import DEFAULT_OF, HOMOPHONES, SOUNDS
from voxfleet.paraformer.decoder import DecoderLayer
from voxfleet.paraformer.network import ParaformerNetwork

SLOTS, SLOT_SIZE, CODE_SIZE = 4, 20, 16
WIDTH = SLOTS * SLOT_SIZE
_PRESENT, _NONE = 18, 19
#: which slot's word end each layer looks for; None leaves the layer to training
OFFSETS = (0, 1, 2, 3, None, 0)
_SATURATED = 4.0
#: what a gate that is always open or shut is told
_GATE = 12.0
#: amplitude of the codes beside what the acoustic half says, and of the constants beside them
_CODE_GAIN, _CONSTANT_GAIN = 6.0, 12.0
_SOS_ID, _EOS_ID = 1, 2
#: nats for each point of the comparison: a piece that fits has 16
_NATS_PER_POINT = 2.0


def sound_codes(token_ids: dict[str, int], vocabulary_size: int) -> Tensor:
    """Balanced words of +-1, any two different in at least six places: [vocabulary, 16]."""
    codes = np.zeros((vocabulary_size, CODE_SIZE), np.float32)
    chosen: list[int] = []
    candidates = (word for word in range(1 << CODE_SIZE) if word.bit_count() == CODE_SIZE // 2)
    for sound in (_EOS_ID, *(token_ids[sound] for sound in SOUNDS)):
        word = next(w for w in candidates if all((w ^ other).bit_count() >= 6 for other in chosen))
        chosen.append(word)
        codes[sound] = [1 if word >> bit & 1 else -1 for bit in range(CODE_SIZE)]
    for other, default in DEFAULT_OF.items():
        codes[token_ids[other]] = codes[token_ids[default]]
    return torch.from_numpy(codes)


def wanted_codes(codes: Tensor, ids: Tensor) -> Tensor:
    """What a matching layer's feed-forward must say of tokens: their code in every slot."""
    constants = torch.tensor([1.0, -1.0, 1.0, -1.0]).expand(*ids.shape, 4)
    return torch.cat((codes[ids], constants), dim=-1).repeat(1, SLOTS)


@torch.no_grad()
def build_matcher(network: ParaformerNetwork, token_ids: dict[str, int]) -> None:
    """Everything but the feed-forward parts and the outputs, which are trained."""
    _build_embedding(network, sound_codes(token_ids, len(token_ids)), token_ids)
    _build_register(network.bias_encoder)
    before: int | None = None
    for place, layer in enumerate(network.seaco_decoder.decoders):
        offset = OFFSETS[place]
        if not isinstance(layer, DecoderLayer):
            raise TypeError("not a decoder layer")
        _build_memory(layer, offset, before)
        # the last one chooses the shortlist only
        _build_attention(layer, offset, notes=place < SLOTS)
        before = before if offset is None else offset


def _build_embedding(network: ParaformerNetwork, codes: Tensor, token_ids: dict[str, int]) -> None:
    if network.decoder.embed is None:
        raise TypeError("a network without hotwords")
    rows = torch.zeros(len(codes), WIDTH)
    rows[:, :CODE_SIZE] = codes
    rows[3:, CODE_SIZE:_PRESENT] = -1.0
    rows[3:, _PRESENT] = 1.0
    rows[_SOS_ID, _NONE] = 1.0
    for others in HOMOPHONES.values():
        for member, other in enumerate(others):
            rows[token_ids[other], CODE_SIZE + member] = 1.0
    next(network.decoder.embed.parameters()).copy_(rows)


def _build_register(register: nn.LSTM) -> None:
    """Slot 1 takes the token's code, every other slot what the one before it held."""
    weights = dict(register.named_parameters())
    for parameter in weights.values():
        parameter.zero_()
    gate = torch.tensor([_GATE, -_GATE, 0.0, _GATE]).repeat_interleave(WIDTH)
    first = torch.zeros(WIDTH, WIDTH)
    first[:SLOT_SIZE, :SLOT_SIZE] = _SATURATED * torch.eye(SLOT_SIZE)
    shifted = _SATURATED * torch.eye(WIDTH).roll(SLOT_SIZE, dims=0)
    shifted[:SLOT_SIZE] = 0
    cell = slice(2 * WIDTH, 3 * WIDTH)
    weights["weight_ih_l0"][cell] = first
    weights["weight_hh_l0"][cell] = shifted
    weights["weight_ih_l1"][cell] = _SATURATED * torch.eye(WIDTH)
    for name in ("bias_ih_l0", "bias_ih_l1"):
        weights[name].copy_(gate)


def _build_memory(layer: DecoderLayer, offset: int | None, before: int | None) -> None:
    """Each slot gets the code of its place; what an earlier layer laid there goes away."""
    if layer.self_attn is None:
        raise TypeError("a layer without memory")
    kernel = layer.self_attn.fsmn_block.weight[:, 0].view(SLOTS, SLOT_SIZE, -1)
    middle = kernel.shape[2] // 2
    kernel.zero_()
    # the block adds the token itself, which is not wanted
    kernel[:, :, middle] = -1.0
    if offset is None:
        return
    for slot in range(SLOTS):
        kernel[slot, :CODE_SIZE, middle + offset - slot] += _CODE_GAIN
        if before is not None:
            kernel[slot, :CODE_SIZE, middle + before - slot] -= _CODE_GAIN
    if before is None:
        kernel[:, CODE_SIZE:, middle] += _CONSTANT_GAIN


def _build_attention(layer: DecoderLayer, offset: int | None, *, notes: bool) -> None:
    """A word that fits and covers this token has 8 points, no hotword 2, what differs below -3."""
    attention = layer.src_attn
    if attention is None:
        raise TypeError("a layer without attention")
    for linear in (attention.linear_q, attention.linear_k_v, attention.linear_out):
        linear.weight.zero_()
        linear.bias.zero_()
    if offset is None:
        return
    full = math.tanh(math.tanh(_SATURATED))
    point = _NATS_PER_POINT * math.sqrt(WIDTH) / full
    # the norm before makes codes so large
    power = SLOTS * (CODE_SIZE * (_CODE_GAIN**2 + 1) + 4 * _CONSTANT_GAIN**2 + 4) / WIDTH
    code = _CODE_GAIN / math.sqrt(power)
    query = torch.eye(WIDTH).view(SLOTS, SLOT_SIZE, WIDTH) * point / code
    query[:, CODE_SIZE:] = 0
    attention.linear_q.weight.copy_(query.view(WIDTH, WIDTH))
    points = torch.zeros(SLOTS, SLOT_SIZE)
    points[:, _PRESENT] = -float(CODE_SIZE)
    points[offset, _PRESENT] += 8.0
    points[0, _NONE] = 2.0
    attention.linear_q.bias.copy_(points.view(-1) * point)
    attention.linear_k_v.weight[:WIDTH] = torch.eye(WIDTH)
    attention.linear_k_v.weight[WIDTH:] = torch.eye(WIDTH)
    if not notes:
        return
    note = slice(offset * SLOT_SIZE + CODE_SIZE, offset * SLOT_SIZE + _NONE)
    attention.linear_out.weight[note, note] = _CODE_GAIN / full * torch.eye(3)
