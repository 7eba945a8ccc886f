"""The shape of a Paraformer as plain numbers: what a config.yaml says, checked and typed.

Knows no file and no tensor; `checkpoint` reads files into it, `network` builds modules from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Architecture(StrEnum):
    """The three published kinds; BICIF and SEACO bring time stamps, SEACO hotwords."""

    PARAFORMER = "Paraformer"
    BICIF = "BiCifParaformer"
    SEACO = "SeacoParaformer"


@dataclass(frozen=True, slots=True)
class FrontendConfig:
    """Low frame rate: `lfr_m` frames of `mel_bands` side by side, every `lfr_n` frames."""

    mel_bands: int = 80
    lfr_m: int = 7
    lfr_n: int = 6

    @property
    def feature_size(self) -> int:
        return self.mel_bands * self.lfr_m


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    input_size: int
    size: int
    heads: int
    linear_units: int
    layers: int
    kernel_size: int
    shift: int = 0


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """`layers` attend to the encoder, `plain_layers` after them do not."""

    size: int
    heads: int
    linear_units: int
    layers: int
    plain_layers: int
    kernel_size: int
    shift: int = 0


@dataclass(frozen=True, slots=True)
class UpsampleConfig:
    """The second head of CifPredictorV3: `times` units a frame, for time stamps."""

    times: int
    smooth_factor: float
    noise_threshold: float
    blstm: bool
    after_conv: bool


@dataclass(frozen=True, slots=True)
class PredictorConfig:
    size: int
    left_order: int
    right_order: int
    tail_threshold: float
    smooth_factor: float = 1.0
    noise_threshold: float = 0.0
    upsample: UpsampleConfig | None = None


@dataclass(frozen=True, slots=True)
class HotwordConfig:
    """SeACo's bias decoder; a token `no_bias_id` means that no hotword is spoken here."""

    decoder: DecoderConfig
    no_bias_id: int
    lstm_layers: int = 2


@dataclass(frozen=True, slots=True)
class ParaformerConfig:
    architecture: Architecture
    frontend: FrontendConfig
    encoder: EncoderConfig
    decoder: DecoderConfig
    predictor: PredictorConfig
    vocabulary_size: int
    hotwords: HotwordConfig | None = None
