"""Our end points against FunASR's own, on every recording and on verdicts made up at random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from voxfleet.audio.decode import open_audio
from voxfleet.audio.fsmn_endpoint import Endpointer
from voxfleet.audio.vad_fsmn import FsmnDetector, load_fsmn
from voxfleet.errors import AudioError

pytest.importorskip("funasr", reason="funasr is not installed: `make test-parity` installs it")
torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.speech, pytest.mark.filterwarnings("default")]

RATE = 16_000
FIXED_SILENCE_MS = 800
CHECKPOINT = "vad.pb"


@pytest.fixture(scope="module")
def folder(speech_dir: Path) -> Path:
    return speech_dir / "models" / "fsmn-vad-16k"


@pytest.fixture(scope="module")
def funasr_vad(folder: Path) -> Any:
    """FunASR's model with its published weights; its end-point settings are its defaults."""
    from funasr.models.fsmn_vad_streaming import encoder as _registers_fsmn  # noqa: F401
    from funasr.models.fsmn_vad_streaming.model import FsmnVADStreaming

    torch.set_num_threads(1)
    model = FsmnVADStreaming(
        encoder="FSMN",
        encoder_conf={
            "input_dim": 400,
            "input_affine_dim": 140,
            "fsmn_layers": 4,
            "linear_dim": 250,
            "proj_dim": 128,
            "lorder": 20,
            "rorder": 0,
            "lstride": 1,
            "rstride": 0,
            "output_affine_dim": 140,
            "output_dim": 248,
        },
    )
    weights = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)
    model.load_state_dict({f"encoder.{name}": weight for name, weight in weights.items()})
    return model.eval()


@pytest.fixture(scope="module")
def frontend(folder: Path) -> Any:
    from funasr.frontends.wav_frontend import WavFrontendOnline

    return WavFrontendOnline(
        cmvn_file=str(folder / "am.mvn"),
        fs=RATE,
        window="hamming",
        n_mels=80,
        frame_length=25,
        frame_shift=10,
        lfr_m=5,
        lfr_n=1,
        dither=0.0,
    )


def recordings(speech_dir: Path) -> list[Path]:
    kinds = {".wav", ".flac", ".ogg", ".opus", ".mp3"}
    paths = sorted((speech_dir / "audio").rglob("*"))
    return [path for path in paths if path.suffix in kinds and path.parent.name != "malformed"]


def decoded(path: Path) -> NDArray[np.int16]:
    with open_audio(path, path.name) as stream:
        return stream.read(RATE * 150)[:, 0]


def by_funasr(model: Any, frontend: Any, samples: NDArray[np.int16]) -> list[list[int]]:
    with torch.no_grad():
        results, _ = model.inference(
            [torch.from_numpy(samples.astype(np.float32) / 32768)],
            key=["recording"],
            frontend=frontend,
            cache={},
            device="cpu",
            is_final=True,
            fs=RATE,
            max_end_silence_time=FIXED_SILENCE_MS,
        )
    return [list(segment) for segment in results[0]["value"]]


def by_us(folder: Path, samples: NDArray[np.int16]) -> list[list[int]]:
    detector = FsmnDetector(load_fsmn(folder))
    spans = detector.push(samples).spans + detector.finish().spans
    return [[span.start // 16, span.end // 16] for span in spans]


def test_every_recording_has_the_same_segments(
    speech_dir: Path, folder: Path, funasr_vad: Any, frontend: Any
) -> None:
    compared, different = 0, []
    for path in recordings(speech_dir):
        try:
            samples = decoded(path)
        except AudioError:
            continue
        compared += 1
        if by_us(folder, samples) != by_funasr(funasr_vad, frontend, samples):
            different.append(path.name)
    assert compared > 100
    assert different == []


class Scripted(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Stands where FunASR has its network: tells a given probability of silence."""

    def __init__(self, silence: NDArray[np.float32]) -> None:
        super().__init__()
        self._silence = torch.from_numpy(silence)

    def forward(self, feats: Any, cache: Any = None) -> Any:
        scores = torch.full((1, len(self._silence), 2), 0.5)
        scores[0, :, 0] = self._silence
        return scores


def scripted_verdicts(seed: int) -> NDArray[np.bool_]:
    """Random stretches; at 15 speech frames in 20 the rules turn on every frame."""
    rng = np.random.default_rng(seed)
    densities = rng.choice([0.0, 0.1, 0.6, 0.7, 0.75, 0.8, 1.0], 30)
    parts = [rng.random(rng.integers(1, 250)) < density for density in densities]
    periodic = np.tile([True, True, True, False], rng.integers(0, 40))
    return np.concatenate([*parts, periodic, np.zeros(rng.integers(0, 120), bool)])


@pytest.mark.parametrize("seed", range(40))
def test_end_points_of_random_verdicts_are_the_same(funasr_vad: Any, seed: int) -> None:
    speech = scripted_verdicts(seed)
    if seed % 4 == 0:
        # longer than the longest piece of a minute
        speech = np.concatenate((speech, np.ones(7000, bool), speech))
    silence = np.where(speech, 0.1, 0.9).astype(np.float32)
    cache: dict[str, Any] = {}
    real, funasr_vad.encoder = funasr_vad.encoder, Scripted(silence)
    try:
        funasr_vad.init_cache(cache, max_end_silence_time=FIXED_SILENCE_MS)
        segments = funasr_vad.forward(
            torch.zeros(1, len(speech), 400),
            torch.zeros(1, 400 + 160 * (len(speech) - 1)),
            cache=cache,
            is_final=True,
            is_streaming_input=False,
        )
    finally:
        funasr_vad.encoder = real
    theirs = [tuple(edge // 10 for edge in segment) for batch in segments for segment in batch]
    ends = Endpointer()
    assert ends.push(speech) + ends.finish() == theirs
