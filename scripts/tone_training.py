"""What a tone checkpoint's acoustic half learns from: made speech, exact alignments, and losses.

The times of all tones are known, so the firing weights are taught directly beside FunASR's losses.
Knows no hotword and no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tests.tone_speech import Spoken, random_manner, random_pieces, speak_pieces
from voxfleet.paraformer.features import FeatureExtractor
from voxfleet.paraformer.network import Heard, ParaformerNetwork, Scored
from voxfleet.paraformer.predictor import Predicted

EOS_ID = 2
UNITS_PER_FRAME = 3
_FRAME_S = 0.06
_UNIT_S = 0.02
#: the middle of the first frame
_FRAME_OFFSET_S = 0.0125
#: a character's weight lies this long around its start, so that it never meets that of `</s>`,
#: which lies in the last frame
_BEFORE_S, _AFTER_S = 0.04, 0.02
#: a reader of the second head takes a fire to be so many units after the start
_FIRE_UNITS = 1.5
_MOST_UNIT_WEIGHT = 0.235
_HALF_BURST_UNITS = 2.5


@dataclass(frozen=True, slots=True)
class Lesson:
    """One utterance: unscaled features (float16), ids with `</s>`, and where weights belong.

    `owners`: the token each frame's weight counts for.
    """

    frames: Tensor
    ids: Tensor
    weights: Tensor
    owners: Tensor
    units: Tensor


@dataclass(frozen=True, slots=True)
class LessonBatch:
    frames: Tensor
    lengths: Tensor
    ids: Tensor
    counts: Tensor
    weights: Tensor
    owners: Tensor
    units: Tensor


def raw_extractor() -> FeatureExtractor:
    """Features as they are before any statistics."""
    size = 560
    return FeatureExtractor(np.zeros(size, np.float32), np.ones(size, np.float32))


def made_utterance(rng: np.random.Generator, most_words: int) -> Spoken:
    """Random words in a random manner and worse; now and then none at all."""
    words = 0 if rng.random() < 0.02 else int(rng.integers(1, most_words + 1))
    pieces = random_pieces(rng, words, pauses=True)
    manner = replace(random_manner(rng), pitch=rng.uniform(0.97, 1.03))
    if manner.snr_db is not None and rng.random() < 0.15:
        manner = replace(manner, snr_db=rng.uniform(8, 10))
    if not words:
        manner = replace(manner, lead_s=rng.uniform(0.1, 2.0))
    spoken = speak_pieces(pieces, manner, rng)
    return replace(spoken, samples=_roughened(spoken.samples, rng))


def _roughened(samples: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int16]:
    """Now and then overdriven, with mains hum, or as coarse as a telephone's eight bits."""
    sound = samples / 32768
    chance = rng.random()
    if chance < 0.04:
        sound *= rng.uniform(1, 4)
    elif chance < 0.08:
        mains = 2 * np.pi * rng.choice([50, 60]) / 16000 * np.arange(len(sound))
        hum = rng.uniform(0, 0.3) * np.sin(mains + rng.uniform(0, 6)) + rng.uniform(-0.2, 0.2)
        sound += hum * np.abs(sound).max()
    elif chance < 0.12:
        steps = np.rint(np.log1p(255 * np.abs(sound)) / np.log(256) * 127) / 127
        sound = np.sign(sound) * np.expm1(steps * np.log(256)) / 255
    rough: NDArray[np.int16] = (sound.clip(-1, 1) * 32767).astype(np.int16)
    return rough


def lesson(spoken: Spoken, extractor: FeatureExtractor, token_ids: dict[str, int]) -> Lesson:
    frames = extractor([spoken.samples]).frames[0]
    ids = [token_ids[piece] for piece in spoken.pieces]
    starts = np.array(spoken.starts_s)
    return Lesson(
        frames.half(),
        torch.tensor([*ids, EOS_ID]),
        torch.from_numpy(_frame_weights(starts, len(frames))),
        torch.from_numpy(_owners(starts, len(frames))),
        torch.from_numpy(_unit_weights(spoken, len(frames))),
    )


def _overlap(lows: NDArray[np.float64], highs: NDArray[np.float64], count: int) -> Tensor:
    """How much of each cell [k, k + 1) each interval covers: [intervals, cells]."""
    cells = np.arange(count)
    covered = np.minimum(highs[:, None], cells + 1) - np.maximum(lows[:, None], cells)
    return torch.from_numpy(covered.clip(min=0))


def _frame_weights(starts: NDArray[np.float64], count: int) -> NDArray[np.float32]:
    lows = (starts - _BEFORE_S - _FRAME_OFFSET_S) / _FRAME_S + 0.5
    lows = lows.clip(0, count - 1)
    width = (_BEFORE_S + _AFTER_S) / _FRAME_S
    weights = _overlap(lows, lows + width, count).sum(dim=0).numpy() / width
    weights[-1] = 1.0
    clipped: NDArray[np.float32] = weights.clip(max=1.0).astype(np.float32)
    return clipped


def _owners(starts: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """The last frame is that of `</s>`; before it, a frame belongs to the token starting next,
    until half a frame after its start, or to the last."""
    middles = np.arange(count) * _FRAME_S + _FRAME_OFFSET_S
    owners = np.searchsorted(starts + 0.05, middles).clip(max=max(0, len(starts) - 1))
    owners[-1] = len(starts)
    return owners.astype(np.int64)


def _unit_weights(spoken: Spoken, frame_count: int) -> NDArray[np.float32]:
    """The running sum passes i + 1 in the middle of the burst at the start of token i."""
    count = frame_count * UNITS_PER_FRAME
    if not spoken.pieces:
        return np.zeros(count, np.float32)
    starts = np.array(spoken.starts_s) / _UNIT_S + _FIRE_UNITS
    end = min(spoken.ends_s[-1] / _UNIT_S + _FIRE_UNITS, count)
    lows = np.append(starts - _HALF_BURST_UNITS, end - _HALF_BURST_UNITS)
    highs = np.append(starts + _HALF_BURST_UNITS, end)
    # what must be whole before the first start, and lies half a burst ahead of every other
    lows[0] -= _HALF_BURST_UNITS
    shortfall = max(0.0, 1.5 / _MOST_UNIT_WEIGHT - highs[0])
    lows[0], highs[0] = max(0.0, lows[0]), highs[0] + shortfall
    masses = np.ones(len(lows))
    masses[0], masses[-1] = 1.5, 0.5
    densities = torch.from_numpy(masses / (highs - lows))
    units = (_overlap(lows, highs, count) * densities[:, None]).sum(dim=0).numpy()
    clipped: NDArray[np.float32] = units.clip(max=_MOST_UNIT_WEIGHT).astype(np.float32)
    return clipped


def statistics(lessons: Sequence[Lesson]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Shift and scale of the features, the same for each of the stacked frames."""
    bands = torch.cat([each.frames.float() for each in lessons]).view(-1, 80)
    shift = -bands.mean(dim=0).repeat(7).numpy()
    scale = (1 / bands.std(dim=0)).repeat(7).numpy()
    return shift, scale


def batches(
    lessons: Sequence[Lesson], most_frames: int, rng: np.random.Generator
) -> Iterator[LessonBatch]:
    """One pass in random order; like lengths together, at most so many padded frames."""
    order = sorted(range(len(lessons)), key=lambda at: len(lessons[at].frames) + rng.uniform(0, 8))
    groups: list[list[Lesson]] = [[]]
    for at in order:
        if (len(groups[-1]) + 1) * len(lessons[at].frames) > most_frames and groups[-1]:
            groups.append([])
        groups[-1].append(lessons[at])
    for place in rng.permutation(len(groups)):
        yield collate(groups[place])


def collate(lessons: Sequence[Lesson]) -> LessonBatch:
    def padded(rows: list[Tensor], value: float = 0) -> Tensor:
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)

    return LessonBatch(
        frames=padded([each.frames for each in lessons]).float(),
        lengths=torch.tensor([len(each.frames) for each in lessons]),
        ids=padded([each.ids for each in lessons], -1),
        counts=torch.tensor([len(each.ids) for each in lessons]),
        weights=padded([each.weights for each in lessons]),
        owners=padded([each.owners for each in lessons]),
        units=padded([each.units for each in lessons]),
    )


def taught(network: ParaformerNetwork, batch: LessonBatch, heard: Heard) -> Scored:
    """Scores of the right number of tokens: the weights without their tail, scaled to it."""
    weights = heard.predicted.weights
    tail = functional.one_hot(batch.lengths, weights.shape[1])
    bare = weights * (1 - tail)
    scaled = bare * (batch.counts / bare.sum(dim=1).clamp(min=1e-3))[:, None]
    predicted = Predicted(scaled, batch.counts)
    return network.score(replace(heard, predicted=predicted), int(batch.counts.max()))


def acoustic_loss(network: ParaformerNetwork, batch: LessonBatch) -> dict[str, Tensor]:
    heard = network.listen(batch.frames, batch.lengths, padded=True)
    scored = taught(network, batch, heard)
    text = functional.cross_entropy(scored.logits.transpose(1, 2), batch.ids, ignore_index=-1)
    return {"text": text, **_count_losses(heard.predicted.weights[:, :-1], batch)}


def _count_losses(weights: Tensor, batch: LessonBatch) -> dict[str, Tensor]:
    real = torch.arange(weights.shape[1]) < batch.lengths[:, None]
    # the tail is no frame's own weight
    weights = weights * real
    total = batch.counts.sum()
    masses = torch.zeros(batch.ids.shape).scatter_add(1, batch.owners, weights)
    wanted = (batch.ids >= 0).float()
    return {
        "count": (weights.sum(dim=1) - batch.counts).abs().mean(),
        "mass": (masses - wanted).abs().sum() / total,
        "frame": (weights - batch.weights).abs().sum() / total,
    }


class UnitHead(nn.Module):
    """The second head in a form that trains fast: no packing, each direction an LSTM of its own."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.upsample_cnn = nn.ConvTranspose1d(size, size, UNITS_PER_FRAME, UNITS_PER_FRAME)
        self.ahead = nn.LSTM(size, size, batch_first=True)
        self.back = nn.LSTM(size, size, batch_first=True)
        self.cif_output2 = nn.Linear(2 * size, 1)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        fine = self.upsample_cnn(hidden.transpose(1, 2)).transpose(1, 2)
        places = torch.arange(fine.shape[1])
        turned = (lengths[:, None] * UNITS_PER_FRAME - 1 - places).clamp(min=0)
        turned = turned[:, :, None].expand_as(fine)
        behind = self.back(fine.gather(1, turned))[0].gather(1, turned)
        raw = self.cif_output2(torch.cat((self.ahead(fine)[0], behind), dim=2)).squeeze(2)
        weights = functional.relu(torch.sigmoid(raw) * 0.25 - 0.01)
        return weights * (places < lengths[:, None] * UNITS_PER_FRAME)

    def published(self) -> dict[str, Tensor]:
        """Its weights under the names of a checkpoint."""
        state = self.state_dict()
        ahead = {f"blstm.{name}": value for name, value in self.ahead.state_dict().items()}
        back = {f"blstm.{name}_reverse": value for name, value in self.back.state_dict().items()}
        rest = {name: state[name] for name in state if not name.startswith(("ahead", "back"))}
        return {f"predictor.{name}": value for name, value in {**ahead, **back, **rest}.items()}


def unit_loss(units: Tensor, batch: LessonBatch) -> dict[str, Tensor]:
    spoken = (batch.counts > 1)[:, None]
    asked = (batch.units > 0) & spoken
    apart = (units - batch.units) * spoken
    # a reader scales all weights to the count, and then the running sum says where tokens start
    whole = batch.units.sum(dim=1, keepdim=True)
    scaled = units * (whole / units.sum(dim=1, keepdim=True).clamp(min=1e-3))
    drift = (scaled - batch.units).cumsum(dim=1) * asked
    return {
        "unit": apart.abs().sum() / batch.counts.sum(),
        "drift": drift.abs().sum() / asked.sum().clamp(min=1),
    }
