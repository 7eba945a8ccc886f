"""End points against a step-by-step reading of the published rules; the model's files."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxfleet.audio.detectors import make_detector
from voxfleet.audio.fsmn_endpoint import Endpointer, EndpointLimits
from voxfleet.audio.speech import SpeechSpan
from voxfleet.audio.vad_fsmn import FsmnDetector, FsmnModel, missing_files, read_cmvn
from voxfleet.core import VadMode
from voxfleet.errors import ParameterError, SettingsError


class FrameByFrame:
    """The rules of `Endpointer`, one frame after the other."""

    def __init__(self, limits: EndpointLimits) -> None:
        self.limits = limits
        self.pieces: list[tuple[int, int]] = []
        self.floor = 0
        self.forget()

    def forget(self) -> None:
        self.window = [0] * 20
        self.speaking = False
        self.silence = 0
        self.start: int | None = None

    def take(self, frame: int, speech: bool) -> None:
        self.window = [*self.window[1:], int(speech)]
        turned = self.turn(sum(self.window))
        if self.start is None:
            if turned and self.speaking:
                self.start = max(self.floor, frame - 40)
            return
        self.silence = self.silence + 1 if not turned and not self.speaking else 0
        if self.silence >= self.limits.silence:
            self.end(frame - self.limits.silence + 12)
        elif frame - self.start + 1 > self.limits.longest:
            self.end(frame + 1)

    def turn(self, count: int) -> bool:
        turns = count <= 15 if self.speaking else count >= 15
        self.speaking ^= turns
        return turns

    def end(self, at: int) -> None:
        assert self.start is not None
        self.pieces.append((self.start, at))
        self.floor = at
        self.forget()


def frame_by_frame(verdicts: NDArray[np.bool_], limits: EndpointLimits) -> list[tuple[int, int]]:
    rules = FrameByFrame(limits)
    for frame, speech in enumerate(verdicts):
        rules.take(frame, bool(speech))
    if rules.start is not None:
        rules.end(len(verdicts))
    return rules.pieces


@st.composite
def verdicts(draw: st.DrawFn) -> NDArray[np.bool_]:
    """Stretches of different density: around 15 speech frames in 20 the window turns often."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    stretches = draw(
        st.lists(
            st.tuples(st.sampled_from([0.0, 0.1, 0.6, 0.7, 0.75, 0.8, 1.0]), st.integers(1, 200)),
            max_size=12,
        )
    )
    parts = [rng.random(length) < density for density, length in stretches]
    periodic = np.tile([True, True, True, False], draw(st.integers(0, 30)))
    return np.concatenate([np.empty(0, bool), *parts, periodic, *parts])


@settings(max_examples=300, deadline=None)
@given(
    verdicts(),
    st.lists(st.integers(0, 2000), max_size=10),
    st.sampled_from([EndpointLimits(), EndpointLimits(longest=150), EndpointLimits(silence=20)]),
)
def test_end_points_follow_the_rules_in_any_slicing(
    speech: NDArray[np.bool_], places: list[int], limits: EndpointLimits
) -> None:
    edges = [0, *sorted(place for place in places if place < len(speech)), len(speech)]
    ends, found = Endpointer(limits), list[tuple[int, int]]()
    for a, b in itertools.pairwise(edges):
        known = (ends.open_since, ends.open_until, ends.settled)
        fresh = ends.push(speech[a:b])
        assert_promises(known, fresh)
        found += fresh
    found += ends.finish()
    assert found == frame_by_frame(speech, limits)


def assert_promises(known: tuple[int | None, int, int], fresh: list[tuple[int, int]]) -> None:
    since, until, settled = known
    if not fresh:
        return
    assert fresh[0][0] >= settled
    if since is not None:
        assert fresh[0][0] == since
        assert fresh[0][1] >= until


class LoudIsSpeech:
    """A stand-in for the model: silence is certain where the middle frame is quiet."""

    def run(
        self, output_names: Sequence[str] | None, input_feed: Mapping[str, NDArray[np.generic]]
    ) -> list[NDArray[np.float32]]:
        rows = input_feed["speech"].astype(np.float32)
        posteriors = np.zeros((*rows.shape[:2], 248), np.float32)
        posteriors[..., 0] = rows[..., 160:240].mean(axis=-1) < 5.0
        return [posteriors, *(np.zeros((1, 128, 19, 1), np.float32) for _ in range(4))]


def loud_model() -> FsmnModel:
    return FsmnModel(LoudIsSpeech(), np.zeros(400, np.float32), np.ones(400, np.float32))


def test_frames_become_samples() -> None:
    samples = np.zeros(16_000 * 5, np.int16)
    samples[16_000:48_000] = np.random.default_rng(0).integers(-9000, 9000, 32_000)
    detector = FsmnDetector(loud_model())
    first, last = detector.push(samples), detector.finish()
    spans = first.spans + last.spans
    assert len(spans) == 1
    assert abs(spans[0].start - (16_000 - 160 * 26)) <= 320, "looks back 200 ms and the window"
    assert abs(spans[0].end - (48_000 + 160 * 17)) <= 320
    assert last.settled == len(samples)
    assert last.open_since is None


def test_speech_at_the_end_lasts_to_the_last_frame() -> None:
    samples = np.random.default_rng(0).integers(-9000, 9000, 16_000).astype(np.int16)
    detector = FsmnDetector(loud_model())
    assert detector.push(samples).open_since == 0
    assert detector.finish().spans == (SpeechSpan(0, 98 * 160),)


@pytest.mark.parametrize("samples", [0, 1, 399, 400, 600])
def test_less_than_a_word_is_no_speech(samples: int) -> None:
    detector = FsmnDetector(loud_model())
    update = detector.push(np.ones(samples, np.int16))
    assert update.spans + detector.finish().spans == ()


def write_cmvn(path: Path, width: int) -> None:
    shift = " ".join(["-1.5"] * width)
    scale = " ".join(["0.25"] * width)
    path.write_text(
        f"<Nnet>\n<Splice> {width} {width}\n[ 0 ]\n<AddShift> {width} {width}\n"
        f"<LearnRateCoef> 0 [ {shift} ]\n<Rescale> {width} {width}\n"
        f"<LearnRateCoef> 0 [ {scale} ]\n</Nnet>\n",
        encoding="ascii",
    )


def test_cmvn_is_read(tmp_path: Path) -> None:
    write_cmvn(tmp_path / "am.mvn", 400)
    shift, scale = read_cmvn(tmp_path / "am.mvn")
    assert shift.tolist() == [-1.5] * 400
    assert scale.tolist() == [0.25] * 400


@pytest.mark.parametrize("content", ["", "<AddShift> 400 400\n", "<AddShift>\n<L> 0 [ a b ]\n"])
def test_a_bad_cmvn_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "am.mvn"
    path.write_text(content, encoding="ascii")
    with pytest.raises(SettingsError, match=r"am\.mvn does not hold"):
        read_cmvn(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    assert len(missing_files(tmp_path)) == 2
    for mode in (VadMode.FSMN, VadMode.AUTO):
        with pytest.raises(SettingsError, match=r"lacks .*model\.onnx and am\.mvn") as refusal:
            make_detector(mode, tmp_path, 30.0)
        assert refusal.value.param == "audio.fsmn_dir"


def test_a_request_for_a_model_that_is_not_set_is_a_bad_request() -> None:
    with pytest.raises(ParameterError, match="no fsmn-vad model") as refusal:
        make_detector(VadMode.FSMN, None, 30.0)
    assert (refusal.value.status, refusal.value.param) == (400, "vad")


def test_a_cmvn_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_cmvn(tmp_path)


def test_a_bad_model_is_named(tmp_path: Path) -> None:
    write_cmvn(tmp_path / "am.mvn", 400)
    (tmp_path / "model.onnx").write_bytes(b"nonsense")
    with pytest.raises(SettingsError, match=r"model\.onnx cannot be loaded"):
        make_detector(VadMode.FSMN, tmp_path, 30.0)
