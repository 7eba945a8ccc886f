"""Train the tone checkpoint of the tests and write it in the published layout.

`python scripts/train_tone_checkpoint.py OUT_DIR [--seed 0]`. Three parts, each on what the ones
before have learnt: encoder, predictor and decoder; the second head; the bias decoder.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

# the tone language is the tests' own
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.tone_hotword_training import (
    HotwordBatch,
    HotwordMaker,
    Reading,
    code_loss,
    hotword_loss,
    layer_inputs,
)
from scripts.tone_layout import TOKEN_IDS, TOKENS, WIDTH, config, write
from scripts.tone_matcher import OFFSETS, build_matcher, sound_codes, wanted_codes
from scripts.tone_training import (
    Lesson,
    LessonBatch,
    UnitHead,
    acoustic_loss,
    batches,
    lesson,
    made_utterance,
    raw_extractor,
    statistics,
    unit_loss,
)
from voxfleet.paraformer.checkpoint_config import paraformer_config
from voxfleet.paraformer.decoder import DecoderLayer
from voxfleet.paraformer.network import ParaformerNetwork

#: utterances of up to so many words
POOLS = {8: 2200, 32: 2000, 120: 80}
STEPS = {
    "acoustic": 2400,
    "units": 800,
    "codes": 2000,
    "outputs": 200,
    "hotwords": 1000,
    "polish": 1300,
}
BATCH_FRAMES = 1500
LOSS_WEIGHTS = {"text": 1, "count": 0.5, "mass": 1, "frame": 0.5, "unit": 1, "drift": 1}
LOSS_WEIGHTS |= {"bias": 1, "found": 0.2, "code": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train(arguments.out_dir, arguments.seed)


def train(out_dir: Path, seed: int) -> None:
    rng = seeded(seed, "acoustic")
    network = ParaformerNetwork(paraformer_config("config.yaml", config(), len(TOKENS)))
    pools = made_pools(rng)
    shift, scale = statistics(pools[0])
    normalise = Normaliser(torch.from_numpy(shift), torch.from_numpy(scale))
    train_acoustics(network, pools, normalise, rng)
    lessons = [each for pool in pools for each in pool]
    train_units(network, lessons, normalise, seeded(seed, "units"))
    rng = seeded(seed, "hotwords")
    read = readings(network, lessons, normalise, rng)
    train_hotwords(network, read, rng)
    rng = seeded(seed, "polish")
    lessons = [each for pool in made_pools(rng) for each in pool]
    polish_hotwords(network, [*read, *readings(network, lessons, normalise, rng)], rng)
    write(out_dir, network, shift, scale)


def seeded(seed: int, part: str) -> np.random.Generator:
    """No part depends on how many numbers the ones before have drawn."""
    number = list(STEPS).index(part)
    torch.manual_seed(100 * seed + number)
    return np.random.default_rng([seed, number])


class Normaliser:
    def __init__(self, shift: Tensor, scale: Tensor) -> None:
        self._shift, self._scale = shift, scale

    def __call__(self, batch: LessonBatch) -> LessonBatch:
        return replace(batch, frames=(batch.frames + self._shift) * self._scale)


class Optimiser:
    """Adam under a warm-up and half a cosine; tells now and then how it goes."""

    def __init__(self, name: str, parameters: Sequence[nn.Parameter], rate: float) -> None:
        self._name, self._rate, self._steps = name, rate, STEPS[name]
        self._parameters = list(parameters)
        self._adam = torch.optim.Adam(self._parameters, rate, betas=(0.9, 0.98))
        self._started = time.monotonic()

    def step(self, number: int, losses: dict[str, Tensor]) -> None:
        done = number / self._steps
        rate = self._rate * min(1.0, number / 50) * (0.01 + 0.5 + 0.5 * math.cos(math.pi * done))
        self._adam.param_groups[0]["lr"] = rate
        self._adam.zero_grad()
        loss = torch.stack([LOSS_WEIGHTS[name] * loss for name, loss in losses.items()]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._adam.step()
        if number % 100 == 0:
            told = " ".join(f"{name} {loss.item():.4f}" for name, loss in losses.items())
            seconds = time.monotonic() - self._started
            print(f"{self._name} {number}/{self._steps} {seconds:.0f} s: {told}", flush=True)


def made_pools(rng: np.random.Generator) -> list[list[Lesson]]:
    """From short utterances to long ones."""
    started, extractor = time.monotonic(), raw_extractor()
    pools = [
        [lesson(made_utterance(rng, words), extractor, TOKEN_IDS) for _ in range(count)]
        for words, count in POOLS.items()
    ]
    print(f"{sum(map(len, pools))} utterances in {time.monotonic() - started:.0f} s", flush=True)
    return pools


def endless(
    pools: Sequence[Sequence[Lesson]], steps: int, rng: np.random.Generator
) -> Iterator[tuple[int, LessonBatch]]:
    """Numbered batches: the short utterances alone at first, then all."""
    number = 0
    while number < steps:
        known = pools[:1] if number < steps // 5 else pools
        for batch in batches([each for pool in known for each in pool], BATCH_FRAMES, rng):
            number += 1
            yield number, batch
            if number == steps:
                return


def train_acoustics(
    network: ParaformerNetwork,
    pools: Sequence[Sequence[Lesson]],
    normalise: Normaliser,
    rng: np.random.Generator,
) -> None:
    parts = (network.encoder, network.predictor, network.decoder)
    parameters = [each for part in parts for each in part.parameters()]
    optimiser = Optimiser("acoustic", parameters, 2e-3)
    for number, batch in endless(pools, STEPS["acoustic"], rng):
        optimiser.step(number, acoustic_loss(network, normalise(batch)))


def train_units(
    network: ParaformerNetwork,
    lessons: Sequence[Lesson],
    normalise: Normaliser,
    rng: np.random.Generator,
) -> None:
    head = UnitHead(WIDTH)
    optimiser = Optimiser("units", list(head.parameters()), 4e-3)
    for number, raw in endless([lessons], STEPS["units"], rng):
        batch = normalise(raw)
        with torch.no_grad():
            hidden = network.listen(batch.frames, batch.lengths, padded=True).hidden
        optimiser.step(number, unit_loss(head(hidden, batch.lengths), batch))
    network.load_state_dict(head.published(), strict=False)


@torch.no_grad()
def readings(
    network: ParaformerNetwork,
    lessons: Sequence[Lesson],
    normalise: Normaliser,
    rng: np.random.Generator,
) -> list[Reading]:
    """What the trained half makes of the lessons, where it makes no mistake."""
    read = []
    for raw in batches(lessons, 4 * BATCH_FRAMES, rng):
        batch = normalise(raw)
        heard = network.listen(batch.frames, batch.lengths, padded=True)
        scored = network.score(heard, max(1, int(heard.predicted.token_counts.max())))
        best = scored.logits.argmax(dim=2)
        for at, count in enumerate(heard.predicted.token_counts.tolist()):
            ids = batch.ids[at, : batch.counts[at]].tolist()
            if best[at, :count].tolist() == ids:
                embeds, states = scored.embeds[at, :count], scored.states[at, :count]
                read.append(Reading(tuple(ids[:-1]), embeds.clone(), states.clone()))
    print(f"{len(read)} of {len(lessons)} utterances are read without a mistake", flush=True)
    return read


def train_hotwords(
    network: ParaformerNetwork, read: Sequence[Reading], rng: np.random.Generator
) -> None:
    """On top of a built matcher: its feed-forward parts one by one, its outputs, then all."""
    build_matcher(network, TOKEN_IDS)
    maker, decoder = HotwordMaker(TOKEN_IDS, rng), network.seaco_decoder
    for place, offset in enumerate(OFFSETS):
        if offset is not None:
            teach_codes(network, maker, read, place)
    ends = (decoder.decoders3, decoder.after_norm, network.hotword_output_layer)
    for name, parts, rate in (
        ("outputs", ends, 3e-3),
        ("hotwords", (decoder, network.hotword_output_layer), 5e-4),
    ):
        optimiser = Optimiser(name, [each for part in parts for each in part.parameters()], rate)
        for number in range(1, STEPS[name] + 1):
            batch = hotword_batch(maker, read, alone=0.5)
            optimiser.step(number, hotword_loss(network, batch))


def teach_codes(
    network: ParaformerNetwork, maker: HotwordMaker, read: Sequence[Reading], place: int
) -> None:
    layer = network.seaco_decoder.decoders[place]
    if not isinstance(layer, DecoderLayer):
        raise TypeError("not a decoder layer")
    made = (hotword_batch(maker, read, alone=0.5) for _ in range(60))
    inputs, ids = layer_inputs(network, made, place)
    wanted = wanted_codes(sound_codes(TOKEN_IDS, len(TOKENS)), ids)
    optimiser = Optimiser("codes", list(layer.feed_forward.parameters()), 1e-2)
    for number in range(1, STEPS["codes"] + 1):
        picked = torch.from_numpy(maker.rng.integers(len(ids), size=1024))
        optimiser.step(number, code_loss(layer, inputs[picked], wanted[picked]))


def polish_hotwords(
    network: ParaformerNetwork, read: Sequence[Reading], rng: np.random.Generator
) -> None:
    """More utterances, most of them with a list of their own, some too long for the decoder."""
    parts = (network.seaco_decoder, network.hotword_output_layer)
    parameters = [each for part in parts for each in part.parameters()]
    optimiser, maker = Optimiser("polish", parameters, 3e-4), HotwordMaker(TOKEN_IDS, rng)
    for number in range(1, STEPS["polish"] + 1):
        longest = 300 if number % 8 == 0 else 50
        batch = hotword_batch(maker, read, alone=0.7, longest_list=longest)
        optimiser.step(number, hotword_loss(network, batch))


def hotword_batch(
    maker: HotwordMaker, read: Sequence[Reading], alone: float, longest_list: int = 50
) -> HotwordBatch:
    """Thirty utterances, each by itself, or sixty, five to an item."""
    rng = maker.rng
    together = 1 if rng.random() < alone else 5
    count = 30 if together == 1 else 60
    picked = [read[place] for place in rng.integers(len(read), size=count)]
    if together == 1:
        # at both ends of what is said there is less to compare
        picked[::2] = [_short_one(read, rng) for _ in picked[::2]]
    groups = [picked[at : at + together] for at in range(0, count, together)]
    return maker.batch(groups, int(rng.integers(1, longest_list + 1)))


def _short_one(read: Sequence[Reading], rng: np.random.Generator) -> Reading:
    tried: list[Reading] = [read[place] for place in rng.integers(len(read), size=12).tolist()]
    spoken = [each for each in tried if each.sounds]
    return min(spoken, key=lambda each: len(each.sounds))


if __name__ == "__main__":
    main()
