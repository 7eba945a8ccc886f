"""Sound in, words with times out: the whole of Paraformer behind one class.

Knows no request, no process and no queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxfleet.core import SAMPLE_RATE_HZ, Word
from voxfleet.paraformer.checkpoint import Checkpoint
from voxfleet.paraformer.device_memory import (
    device_faults,
    is_memory_fault,
    memory_error,
    release,
)
from voxfleet.paraformer.features import FeatureExtractor, frame_count
from voxfleet.paraformer.hotwords import HotwordEmbedder, HotwordTokenizer, read_seg_dict
from voxfleet.paraformer.network import ParaformerNetwork
from voxfleet.paraformer.reading import BatchWords
from voxfleet.paraformer.tokens import text_from, words_from
from voxfleet.paraformer.track import Track, tokens_of


@dataclass(frozen=True, slots=True)
class Utterance:
    """16 kHz mono int16 samples [n], and the words to listen for."""

    samples: NDArray[np.int16]
    hotwords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recognised:
    """Times in seconds from the utterance's start; `token_ids` without marks of begin and end.

    Not `finite`: the model's numbers overflowed, and what was said is unknown.
    """

    text: str
    words: tuple[Word, ...]
    token_ids: tuple[int, ...]
    unknown_hotwords: tuple[str, ...] = ()
    finite: bool = True


class Reader(Protocol):
    """How a batch of features is read on one kind of device."""

    def read(
        self, frames: Tensor, lengths: Sequence[int], words: BatchWords | None
    ) -> list[Track]: ...


class Recogniser:
    def __init__(self, checkpoint: Checkpoint, network: ParaformerNetwork, reader: Reader) -> None:
        self._vocabulary = checkpoint.vocabulary
        self._reader = reader
        frontend = checkpoint.config.frontend
        self._device = next(network.parameters()).device
        self._features = FeatureExtractor(
            checkpoint.cmvn_shift, checkpoint.cmvn_scale, frontend.lfr_m, frontend.lfr_n
        ).to(self._device)
        self._embedder: HotwordEmbedder | None = None
        if checkpoint.config.hotwords is not None:
            spelling = read_seg_dict(checkpoint.seg_dict_path) if checkpoint.seg_dict_path else {}
            tokenizer = HotwordTokenizer(checkpoint.vocabulary, spelling)
            self._embedder = HotwordEmbedder(network, tokenizer)

    @property
    def takes_hotwords(self) -> bool:
        return self._embedder is not None

    def recognise(self, batch: Sequence[Utterance]) -> list[Recognised]:
        """One answer per utterance, in order; one too short for a frame is silent.

        Raises DeviceMemoryError where the whole batch does not fit, and DeviceFaultError where the
        device computes nothing any more.
        """
        heard = [place for place, item in enumerate(batch) if frame_count(len(item.samples))]
        answers = [Recognised("", (), ())] * len(batch)
        if heard:
            found = self._within_memory([batch[place] for place in heard])
            for place, answer in zip(heard, found, strict=True):
                answers[place] = answer
        return answers

    def _within_memory(self, batch: Sequence[Utterance]) -> list[Recognised]:
        try:
            with device_faults(self._device):
                return self._recognise(batch)
        except RuntimeError as fault:
            if not is_memory_fault(fault):
                raise
            durations_s = [len(item.samples) / SAMPLE_RATE_HZ for item in batch]
            failure = memory_error(fault, self._device, durations_s)
        # not before here: the fault's frames held the batch's tensors
        release(self._device)
        raise failure

    @torch.inference_mode()
    def _recognise(self, batch: Sequence[Utterance]) -> list[Recognised]:
        # first, as copying new words waits for the device, which now has nothing to do yet
        words, unknown = self._words(batch)
        features = self._features([item.samples for item in batch])
        tracks = self._reader.read(features.frames, features.lengths, words)
        return [
            self._spoken(track, len(item.samples) / SAMPLE_RATE_HZ, missing)
            for track, item, missing in zip(tracks, batch, unknown, strict=True)
        ]

    def _words(
        self, batch: Sequence[Utterance]
    ) -> tuple[BatchWords | None, Sequence[tuple[str, ...]]]:
        if self._embedder is None or not any(item.hotwords for item in batch):
            return None, [()] * len(batch)
        prepared = self._embedder.prepare([item.hotwords for item in batch])
        return BatchWords(prepared.words, prepared.counts), prepared.unknown

    def _spoken(self, track: Track, duration_s: float, unknown: tuple[str, ...]) -> Recognised:
        words = words_from(tokens_of(track, self._vocabulary, duration_s))
        ids = tuple(token for token in track.ids if self._vocabulary.is_text(token))
        return Recognised(text_from(words), words, ids, unknown, track.finite)
