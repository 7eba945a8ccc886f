"""One side of `paraformer_speed`: loads its model, then reads the corpus once per line of input.

`python bench/paraformer_side.py SIDE FOLDER CORPUS`. Answers one line of JSON after loading and one
per round, so that the parent can let the sides take turns on an otherwise idle machine.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxfleet.core import SAMPLE_RATE_HZ, Segment, Waveform
from voxfleet.engines.catalog import EngineOptions, make_engine
from voxfleet.errors import RecognitionError

Clip = NDArray[np.int16]
Reader = Callable[[Sequence[Clip]], list[str]]
#: FunASR writes to stdout what it likes; that goes elsewhere, and answers where the parent listens
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def ours(folder: Path, precision: str) -> Reader:
    options = EngineOptions(str(folder), precision=precision)
    engine = make_engine(options.model, options)
    engine.load()

    def read(clips: Sequence[Clip]) -> list[str]:
        texts = []
        for batch in _batches(clips, engine.info.max_batch_s):
            segments = [Segment(str(n), Waveform(clip)) for n, clip in enumerate(batch)]
            for answer in engine.recognise(segments):
                if isinstance(answer, RecognitionError):
                    raise answer
                texts.append(answer.text)
        return texts

    return read


def _batches(clips: Sequence[Clip], max_batch_s: float) -> list[list[Clip]]:
    """Clips of like length together, as the dispatcher sends them."""
    batches: list[list[Clip]] = [[]]
    for clip in sorted(clips, key=len):
        padded_s = (len(batches[-1]) + 1) * len(clip) / SAMPLE_RATE_HZ
        if batches[-1] and padded_s > max_batch_s:
            batches.append([])
        batches[-1].append(clip)
    return batches


def auto_model(folder: Path) -> Reader:
    from funasr import AutoModel

    model = AutoModel(model=str(folder), device="cpu", disable_update=True, disable_pbar=True)

    def read(clips: Sequence[Clip]) -> list[str]:
        sounds = (clip.astype(np.float32) / 32768 for clip in clips)
        return [str(model.generate(input=sound)[0]["text"]) for sound in sounds]

    return read


def onnx_graph(folder: Path) -> Reader:
    """The graph alone: features are computed before the clock starts, and no text is made."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime
    import torch

    from voxfleet.paraformer.checkpoint import read_checkpoint
    from voxfleet.paraformer.features import FeatureExtractor

    checkpoint = read_checkpoint(folder)
    extract = FeatureExtractor(checkpoint.cmvn_shift, checkpoint.cmvn_scale)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(
        str(folder / "onnx" / "model_quant.onnx"), options, providers=["CPUExecutionProvider"]
    )
    inputs: list[dict[str, NDArray[np.generic]]] = []

    def read(clips: Sequence[Clip]) -> list[str]:
        if not inputs:
            with torch.inference_mode():
                inputs.extend(_graph_inputs(extract([clip]).frames.numpy()) for clip in clips)
        for given in inputs:
            session.run(None, given)
        return []

    return read


def _graph_inputs(frames: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
    return {"speech": frames, "speech_lengths": np.array([frames.shape[1]], np.int32)}


SIDES: dict[str, Callable[[Path], Reader]] = {
    "funasr": auto_model,
    "onnx": onnx_graph,
    "ours-int8": lambda folder: ours(folder, "int8"),
    "ours-float32": lambda folder: ours(folder, "float32"),
}


def main() -> None:
    side, folder, corpus = sys.argv[1:]
    began_s = time.monotonic()
    read = SIDES[side](Path(folder))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answer({"load_s": time.monotonic() - began_s, "peak_mb": peak_mb})
    with np.load(corpus) as stored:
        clips = [stored[name] for name in stored.files]
    # the first time pays for threads, buffers and, in the graph's case, for features
    read(clips)
    for _ in sys.stdin:
        began_s = time.perf_counter()
        texts = read(clips)
        took_s = time.perf_counter() - began_s
        answer({"took_s": took_s, "characters": sum(map(len, texts))})


def answer(content: dict[str, float]) -> None:
    print(json.dumps(content), file=ANSWERS, flush=True)


if __name__ == "__main__":
    main()
