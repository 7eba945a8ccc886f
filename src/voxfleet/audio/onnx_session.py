"""ONNX Runtime sessions as every detector needs them: one thread, loaded once per process.

The only module that imports ONNX Runtime, since its published builds report to their maker unless
told otherwise before the import. Knows no model.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voxfleet.errors import SettingsError

# read once, at the import: no uploader, no event, no identifier left in the temp folder
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort


class Session(Protocol):
    def run(
        self, output_names: Sequence[str] | None, input_feed: Mapping[str, NDArray[np.generic]]
    ) -> list[NDArray[np.float32]]: ...


@cache
def open_session(model: Path) -> Session:
    """The session of a model file; detectors share it, for a run keeps no state in it."""
    options = ort.SessionOptions()
    # a media process is one core: more threads would take turns on it, spinning ones would burn it
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session: Session = ort.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise SettingsError(
            f"speech detector {model} cannot be loaded ({_first_line(error)}): "
            "fetch the file again, or set vad=silero"
        ) from error
    return session


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
