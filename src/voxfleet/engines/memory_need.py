"""How much memory one instance of a model will want, estimated before anything is loaded.

Reads the sizes of files only, and never PyTorch: the gateway plans with it. An estimate errs to the
large side; a pool's `memory_mb` replaces it.
"""

from __future__ import annotations

from pathlib import Path

from voxfleet.engines.catalog import is_folder
from voxfleet.errors import StartError
from voxfleet.paraformer.checkpoint_files import find_files

#: a worker that has loaded no model: Python, NumPy, ZeroMQ (37 MiB measured), and room to answer
_PROCESS_MB = 60
#: as its engine's info says; 137 MiB measured with the model loaded and warm
_POCKETSPHINX_MB = 150
#: a worker after `import torch`, CPU build (222 MiB measured)
_TORCH_PROCESS_MB = 220
#: the weights while they are loaded, with what is copied on the way: 1,074 MB less the process is
#: 1.02 x the weights (docs/performance.md). In every precision, since they are float32 in the file
#: and become int8 layer by layer: 1,081 MB
_LOADING_FACTOR = 1.05
#: a batch of 120 s on a CPU: each core has one item of up to 30 s at a time, whose widest layer and
#: scores are 8 MB each
_CPU_BATCH_MB = 200
#: on a card a half-precision model keeps norms, biases, outputs and the predictor in float32:
#: at most a tenth of Paraformer-large, so 0.55 x the file
_CARD_FACTORS = {"float32": 1.0, "bfloat16": 0.55, "float16": 0.55}
#: the fastest safe choice, on every card since Volta
_CARD_DEFAULT = "bfloat16"
#: a pass of 8 minutes of sound (8,192 frames of 133 KB at the fullest moment), which keeps most
#: cards busy; its graphs share one pool. A card with more free memory takes up to the double
_CARD_BATCH_MB = 1024
#: what the driver and PyTorch's kernels take of a card before the first tensor: an estimate, it is
#: 300 to 550 MiB by driver and card. No limit on PyTorch's own memory counts it
CUDA_CONTEXT_MB = 500
_MIB = 1 << 20


def memory_need_mb(model: str, device: str, precision: str, fake_memory_mb: int) -> int:
    """MiB that one instance wants on its device; 0 where nothing is known of the model.

    `model` is a name or a folder, `device` cpu or the name of a card.
    """
    on_cpu = device == "cpu"
    if model == "fake":
        return fake_memory_mb + (_PROCESS_MB if on_cpu else 0)
    if model == "pocketsphinx":
        return _POCKETSPHINX_MB
    weights_mb = _weights_mb(Path(model)) if is_folder(model) else 0
    if not weights_mb:
        return 0
    if on_cpu:
        return round(_TORCH_PROCESS_MB + _LOADING_FACTOR * weights_mb + _CPU_BATCH_MB)
    factor = _CARD_FACTORS.get(precision or _CARD_DEFAULT, 1.0)
    return round(CUDA_CONTEXT_MB + factor * weights_mb + _CARD_BATCH_MB)


def _weights_mb(folder: Path) -> float:
    """0 for a folder that lacks something: the worker, which reads it, says what."""
    try:
        return find_files(folder).weights.stat().st_size / _MIB
    except (StartError, OSError):
        return 0
