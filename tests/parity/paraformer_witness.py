"""What FunASR computes of one clip, step by step, and what we compute of it, in the same shape.

Both from the same checkpoint's folder and each from the samples on; knows no tolerance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxfleet.core import SAMPLE_RATE_HZ
from voxfleet.paraformer.batch_reader import BatchReader
from voxfleet.paraformer.checkpoint import load_network, read_checkpoint
from voxfleet.paraformer.cpu_reader import CpuReader
from voxfleet.paraformer.network import Heard, ParaformerNetwork, Scored
from voxfleet.paraformer.precision import Precision, set_precision
from voxfleet.paraformer.reading import BatchWords
from voxfleet.paraformer.recogniser import Recognised, Recogniser, Utterance
from voxfleet.paraformer.tokens import Vocabulary
from voxfleet.paraformer.track import Track, tokens_of

#: hotwords beyond which FunASR attends to the best only
SHORTLIST = 50


@dataclass(frozen=True, slots=True)
class Clip:
    name: str
    samples: NDArray[np.int16]

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Steps:
    """Of one clip: features [1, frames, 560], encoder output [frames, size], log probabilities
    [tokens, vocabulary].

    `spans_ms` are times of the text tokens; None where FunASR's are not to be compared.
    """

    features: Tensor
    hidden: Tensor
    log_probs: Tensor
    spans_ms: list[tuple[float, float]] | None
    text: str

    @property
    def ids(self) -> list[int]:
        return self.log_probs.argmax(dim=1).tolist()


class FunasrWitness:
    """FunASR's own model, by the calls that its inference makes."""

    def __init__(self, folder: Path) -> None:
        from funasr import AutoModel

        self.auto = AutoModel(model=str(folder), device="cpu", disable_update=True, ncpu=1)
        self.model = self.auto.model
        self._frontend = self.auto.kwargs["frontend"]
        self._tokenizer = self.auto.kwargs["tokenizer"]

    def generated(self, clip: Clip, hotwords: Sequence[str] = ()) -> str:
        """The text by the one call that its users make."""
        sound = clip.samples.astype(np.float32) / 32768
        given = {"hotword": " ".join(hotwords)} if hotwords else {}
        (answer,) = self.auto.generate(input=sound, fs=SAMPLE_RATE_HZ, **given)
        text: str = answer["text"]
        return text

    @torch.inference_mode()
    def hear(self, clip: Clip, hotwords: Sequence[str] = ()) -> Steps:
        sound = torch.from_numpy(clip.samples.astype(np.float32) / 32768)
        frames, lengths = self._frontend(sound[None], torch.tensor([len(sound)]))
        hidden, lengths = self.model.encode(frames, lengths)
        embeds, counts = self.model.calc_predictor(hidden, lengths)[:2]
        counts = counts.round().long()
        if int(counts) == 0:
            return Steps(frames, hidden[0], torch.zeros(0, 1), [], "")
        if hasattr(self.model, "seaco_decoder"):
            log_probs = self._with_hotwords(hidden, lengths, embeds, counts, hotwords)
        else:
            log_probs = self.model.cal_decoder_with_predictor(hidden, lengths, embeds, counts)[0]
        log_probs = log_probs[0, : int(counts)]
        pieces = self._pieces(log_probs.argmax(dim=1).tolist())
        spans = self._spans(hidden, lengths, counts, pieces)
        return Steps(frames, hidden[0], log_probs, spans, self._text(pieces))

    def _with_hotwords(
        self, hidden: Tensor, lengths: Tensor, embeds: Tensor, counts: Tensor, words: Sequence[str]
    ) -> Tensor:
        ids = self.model.generate_hotwords_list(
            " ".join(words) if words else None, tokenizer=self._tokenizer, frontend=self._frontend
        )
        step = self.model._seaco_decode_with_ASF
        if ids is not None and len(ids) > SHORTLIST + 1:
            ids = self._shortlist(ids, hidden, lengths, embeds, counts)
        found: Tensor = step(hidden, lengths, embeds, counts, hw_list=ids, nfilter=0)
        return found

    def _shortlist(
        self, ids: list[list[int]], hidden: Tensor, lengths: Tensor, embeds: Tensor, counts: Tensor
    ) -> list[list[int]]:
        """By FunASR's own measure, but its entry for none does not compete with the hotwords."""
        states = self.model.decoder(
            hidden, lengths, embeds, counts, return_hidden=True, return_both=True
        )[1]
        padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(word) for word in ids], True)
        vectors = self.model._hotword_representation(padded, torch.tensor([len(w) for w in ids]))
        attention = self.model.seaco_decoder.forward_asf6(
            vectors[None], torch.tensor([len(ids)]), states, counts
        )
        best = attention[0].sum(0).sum(0)[:-1].topk(SHORTLIST).indices.tolist()
        return [*(ids[place] for place in best), ids[-1]]

    def _pieces(self, ids: Sequence[int]) -> list[str]:
        model = self.model
        reserved = (model.blank_id, model.sos, model.eos)
        pieces: list[str] = self._tokenizer.ids2tokens([x for x in ids if x not in reserved])
        return pieces

    def _spans(
        self, hidden: Tensor, lengths: Tensor, counts: Tensor, pieces: list[str]
    ) -> list[tuple[float, float]] | None:
        if not hasattr(self.model, "calc_predictor_timestamp"):
            # plain Paraformer takes its times from the wrong curve: see test_text_parity
            return None
        from funasr.utils.timestamp_tools import ts_prediction_lfr6_standard

        weights, peaks = self.model.calc_predictor_timestamp(hidden, lengths, counts)[2:]
        spans = ts_prediction_lfr6_standard(weights[0], peaks[0], list(pieces))[1]
        return [(float(start), float(end)) for start, end in spans]

    def _text(self, pieces: list[str]) -> str:
        from funasr.utils.postprocess_utils import sentence_postprocess

        text: str = sentence_postprocess(list(pieces))[0]
        return text


class _Kept:
    """A network and a reader that note what passes through them."""

    def __init__(self, network: ParaformerNetwork) -> None:
        self._network = network
        self._listen, self._score, self._bias = network.listen, network.score, network.bias
        self.heard: Heard | None = None
        self.scored: Scored | None = None
        self.biased: Tensor | None = None
        self.tracks: list[Track] = []
        self.frames = torch.empty(0)
        #: read in place of those that come
        self.given: Tensor | None = None
        self._reader = CpuReader(self, 1)  # type: ignore[arg-type]  # stands for the network

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def listen(self, features: Tensor, lengths: Tensor, *, padded: bool) -> Heard:
        self.heard = self._listen(features, lengths, padded=padded)
        self.scored = self.biased = None
        return self.heard

    def score(self, heard: Heard, max_tokens: int) -> Scored:
        self.scored = self._score(heard, max_tokens)
        return self.scored

    def bias(self, scored: Scored, words: Tensor, word_counts: Tensor) -> Tensor:
        self.biased = self._bias(scored, words, word_counts)
        return self.biased

    def read(self, frames: Tensor, lengths: Sequence[int], words: BatchWords | None) -> list[Track]:
        self.frames = frames if self.given is None else self.given
        self.tracks = self._reader.read(self.frames, lengths, words)
        return self.tracks


class OurWitness:
    """Our recogniser as it is used, with what it computed on the way."""

    def __init__(self, folder: Path, precision: Precision = Precision.FLOAT32) -> None:
        checkpoint = read_checkpoint(folder)
        self._network = load_network(checkpoint)
        set_precision(self._network, precision)
        self._kept = _Kept(self._network)
        self.vocabulary: Vocabulary = checkpoint.vocabulary
        self._recogniser = Recogniser(checkpoint, self._network, self._kept)
        padding = BatchReader(self._network, torch.device("cpu"), graphs=False)
        self._padding = Recogniser(checkpoint, self._network, padding)

    @torch.inference_mode()
    def hear(
        self, clip: Clip, hotwords: Sequence[str] = (), features: Tensor | None = None
    ) -> Steps:
        """With `features` in place of our own, where they are given."""
        self._kept.given = features
        (answer,) = self._recogniser.recognise([Utterance(clip.samples, tuple(hotwords))])
        assert answer.unknown_hotwords == ()
        kept, (track,) = self._kept, self._kept.tracks
        assert kept.heard is not None
        tokens = tokens_of(track, self.vocabulary, clip.duration_s)
        steps = Steps(
            kept.frames,
            kept.heard.hidden[0],
            self._merged(),
            [(token.start_s * 1000, token.end_s * 1000) for token in tokens],
            answer.text,
        )
        # what is compared is what was answered
        assert steps.ids == list(track.ids)
        return steps

    def hear_padded(self, asked: Sequence[tuple[Clip, Sequence[str]]]) -> list[Recognised]:
        """All in one batch, as a GPU reads them."""
        return self._padding.recognise(
            [Utterance(clip.samples, tuple(words)) for clip, words in asked]
        )

    def _merged(self) -> Tensor:
        """As FunASR tells it: the bias decoder's word wherever it does not say "none"."""
        kept, hotwords = self._kept, self._network.config.hotwords
        if kept.scored is None:
            return torch.zeros(0, 1)
        log_probs = kept.scored.logits[0].log_softmax(dim=1)
        if kept.biased is None or hotwords is None:
            return log_probs
        bias = kept.biased[0].log_softmax(dim=1)
        none = bias.argmax(dim=1) == hotwords.no_bias_id
        return torch.where(none[:, None], log_probs, bias)
