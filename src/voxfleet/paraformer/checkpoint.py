"""A published Paraformer directory: read and checked as a whole, then its weights as a network.

Importing this loads no PyTorch. Knows no engine and no precision but float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.kaldi_cmvn import read_cmvn
from voxfleet.errors import StartError
from voxfleet.paraformer import checkpoint_files
from voxfleet.paraformer.checkpoint_config import listed_pieces, paraformer_config
from voxfleet.paraformer.checkpoint_files import CheckpointFiles, find_files
from voxfleet.paraformer.config_file import read_yaml
from voxfleet.paraformer.model_config import ParaformerConfig
from voxfleet.paraformer.tokens import Vocabulary, read_vocabulary

if TYPE_CHECKING:
    from voxfleet.paraformer.network import ParaformerNetwork


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All but the weights. `seg_dict_path` spells words for hotwords, where the model has one."""

    folder: Path
    config: ParaformerConfig
    vocabulary: Vocabulary
    cmvn_shift: NDArray[np.float32]
    cmvn_scale: NDArray[np.float32]
    seg_dict_path: Path | None
    weights_path: Path


def is_checkpoint(folder: Path) -> bool:
    """A cheap look, not a promise: configuration and weights are there."""
    return checkpoint_files.is_checkpoint(folder)


def read_checkpoint(folder: Path) -> Checkpoint:
    """Everything but the weights; raises StartError naming file, fault and remedy."""
    files = find_files(folder)
    content = read_yaml(files.config)
    vocabulary = _vocabulary(files, content)
    config = paraformer_config(str(files.config), content, len(vocabulary))
    shift, scale = read_cmvn(files.cmvn, config.frontend.feature_size)
    return Checkpoint(folder, config, vocabulary, shift, scale, files.seg_dict, files.weights)


def load_network(checkpoint: Checkpoint) -> ParaformerNetwork:
    """On the CPU in float32, in evaluation mode, without gradients; raises StartError."""
    from voxfleet.paraformer.checkpoint_weights import load_weights

    return load_weights(checkpoint.weights_path, checkpoint.config)


def _vocabulary(files: CheckpointFiles, content: dict[str, object]) -> Vocabulary:
    if files.tokens is not None:
        return read_vocabulary(files.tokens)
    pieces = listed_pieces(str(files.config), content)
    if pieces is None:
        raise StartError(
            f"{files.config.parent} has no vocabulary, neither tokens.json nor tokens.txt nor "
            f"token_list in {files.config.name}: download the model again"
        )
    return Vocabulary(pieces)
