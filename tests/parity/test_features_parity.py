"""Our batched features against FunASR's front end, on every recording and on noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from voxfleet.audio.decode import open_audio
from voxfleet.errors import AudioError

pytest.importorskip("funasr", reason="funasr is not installed: `make test-parity` installs it")
torch = pytest.importorskip("torch")

from voxfleet.paraformer.features import FeatureExtractor  # noqa: E402  # needs torch

pytestmark = [pytest.mark.speech, pytest.mark.filterwarnings("default")]

RATE = 16_000
LONGEST_S = 60
WIDTH = 560
BATCH = 12


@pytest.fixture(scope="module")
def statistics(speech_dir: Path) -> Path:
    return speech_dir / "models" / "seaco-paraformer-config" / "am.mvn"


def front_end(statistics: Path | None) -> Any:
    from funasr.frontends.wav_frontend import WavFrontend

    torch.set_num_threads(1)
    return WavFrontend(
        cmvn_file=None if statistics is None else str(statistics),
        fs=RATE,
        window="hamming",
        n_mels=80,
        frame_length=25,
        frame_shift=10,
        lfr_m=7,
        lfr_n=6,
        dither=0.0,
    )


def by_funasr(front: Any, samples: NDArray[np.int16]) -> NDArray[np.float32]:
    sound = torch.from_numpy(samples.astype(np.float32) / 32768)
    frames, _ = front(sound[None], torch.tensor([len(samples)]))
    item: NDArray[np.float32] = frames[0].numpy()
    return item


def recordings(speech_dir: Path) -> list[NDArray[np.int16]]:
    found = []
    for path in sorted((speech_dir / "audio").rglob("*.*")):
        try:
            with open_audio(path, path.name) as stream:
                samples = stream.read(RATE * LONGEST_S)[:, 0]
        except AudioError:
            continue
        if len(samples) >= 400:
            found.append(samples)
    return found


def compare(ours: FeatureExtractor, front: Any, waveforms: list[NDArray[np.int16]]) -> None:
    batch = ours(waveforms)
    for item, length, samples in zip(batch.frames, batch.lengths, waveforms, strict=True):
        expected = by_funasr(front, samples)
        assert length == len(expected)
        np.testing.assert_allclose(item[:length].numpy(), expected, atol=1e-3, rtol=0)


def test_every_recording_has_the_same_features(speech_dir: Path, statistics: Path) -> None:
    front = front_end(statistics)
    shift, scale = front.cmvn.numpy()
    ours = FeatureExtractor(shift, scale)
    found = recordings(speech_dir)
    assert len(found) > 100
    for at in range(0, len(found), BATCH):
        compare(ours, front, found[at : at + BATCH])


def test_noise_of_every_length_has_the_same_log_mel_features() -> None:
    # without statistics, which shrink every difference
    ours = FeatureExtractor(np.zeros(WIDTH, np.float32), np.ones(WIDTH, np.float32))
    rng = np.random.default_rng(0)
    loudness = (1, 30, 3000, 30_000)
    lengths = [*range(400, 400 + 160 * 40, 53), 50_000]
    compare(
        ours,
        front_end(None),
        [
            (rng.normal(0, loudness[place % 4], samples)).clip(-32768, 32767).astype(np.int16)
            for place, samples in enumerate(lengths)
        ],
    )
