"""The network computed here against ONNX Runtime's, chunk by chunk, and against its own slices."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxfleet.audio import silero_stream
from voxfleet.audio.decode import open_audio
from voxfleet.audio.onnx_session import open_session
from voxfleet.audio.silero_stream import (
    BLOCK_CHUNKS,
    CHUNK_SAMPLES,
    CONTEXT_SAMPLES,
    SileroStream,
    encode,
)
from voxfleet.audio.silero_weights import SileroWeights, load_silero
from voxfleet.audio.vad_silero import silero_file

RATE = 16_000


def step_by_step(sound: NDArray[np.int16]) -> NDArray[np.float32]:
    """The model as published: one chunk with its context after the other."""
    session, scaled = open_session(silero_file()), sound.astype(np.float32) / 32768
    state, rate = np.zeros((2, 1, 128), np.float32), np.array(RATE, np.int64)
    found = []
    for at in range(0, len(sound) - CONTEXT_SAMPLES - CHUNK_SAMPLES + 1, CHUNK_SAMPLES):
        chunk = scaled[None, at : at + CONTEXT_SAMPLES + CHUNK_SAMPLES]
        probability, state = session.run(None, {"input": chunk, "state": state, "sr": rate})
        found.append(probability[0, 0])
    return np.array(found, np.float32)


def begun(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """With the silence that precedes a recording, in whole chunks."""
    whole = len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES
    return np.concatenate((np.zeros(CONTEXT_SAMPLES, np.int16), samples[:whole]))


def clip(path: Path) -> NDArray[np.int16]:
    with open_audio(path, path.name) as stream:
        return np.ascontiguousarray(stream.read(60 * RATE)[:, 0])


def stream() -> SileroStream:
    return SileroStream(load_silero(silero_file()))


def test_the_clip_is_heard_as_by_the_published_model(sample_clip: Path) -> None:
    sound = begun(clip(sample_clip))
    expected = step_by_step(sound)
    assert expected.max() > 0.9, "the clip has speech"
    assert expected.min() < 0.1, "and pauses"
    np.testing.assert_allclose(stream().run(sound), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["noise", "loud noise", "tone", "clicks", "rail"])
def test_other_sounds_are_heard_as_by_the_published_model(name: str) -> None:
    at, random = np.arange(5 * RATE), np.random.default_rng(0)
    sounds = {
        "noise": random.normal(0, 300, len(at)),
        "loud noise": random.uniform(-32768, 32767, len(at)),
        "tone": 8000 * np.sin(2 * np.pi * 440 / RATE * at),
        "clicks": np.where(at % 997 == 0, 30_000, 0),
        "rail": np.full(len(at), -32768),
    }
    sound = begun(sounds[name].astype(np.int16))
    np.testing.assert_allclose(stream().run(sound), step_by_step(sound), rtol=0, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 120), max_size=12))
def test_slicing_changes_no_bit(places: list[int]) -> None:
    random = np.random.default_rng(1)
    envelope = np.repeat(random.uniform(0, 9000, 120), CHUNK_SAMPLES)
    sound = begun((random.normal(0, 1, len(envelope)) * envelope).clip(-32768, 32767).astype("i2"))
    sliced, edges = stream(), [0, *sorted(places), 120]
    parts = [
        sliced.run(sound[begin * CHUNK_SAMPLES : end * CHUNK_SAMPLES + CONTEXT_SAMPLES])
        for begin, end in itertools.pairwise(edges)
    ]
    assert np.array_equal(np.concatenate(parts), stream().run(sound))


def test_each_chunk_has_its_place_in_a_block_in_any_slicing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A matrix product may round by its number of rows and by the row: neither may vary."""
    seen: list[NDArray[np.float32]] = []

    def watched(windows: NDArray[np.float32], weights: SileroWeights) -> NDArray[np.float32]:
        seen.append(windows[:, 1, -1].copy())
        return encode(windows, weights)

    monkeypatch.setattr(silero_stream, "encode", watched)
    sound = begun(np.repeat(np.arange(1, 61, dtype=np.int16), CHUNK_SAMPLES))
    sliced = stream()
    for begin, end in itertools.pairwise([0, 1, 3, 20, 21, 47, 60]):
        sliced.run(sound[begin * CHUNK_SAMPLES : end * CHUNK_SAMPLES + CONTEXT_SAMPLES])
    chunks = np.array(seen).astype(int) - 1
    rows = np.broadcast_to(np.arange(BLOCK_CHUNKS), chunks.shape)
    there = chunks >= 0
    assert set(chunks[there]) == set(range(60))
    assert np.array_equal(chunks[there] % BLOCK_CHUNKS, rows[there])


def test_streams_share_nothing_but_the_weights(sample_clip: Path) -> None:
    sound = begun(clip(sample_clip))
    alone, one, other = stream().run(sound), stream(), stream()
    half = 40 * CHUNK_SAMPLES
    first = one.run(sound[: half + CONTEXT_SAMPLES])
    other.run(begun(np.full(half, 9000, np.int16)))
    second = one.run(sound[half:])
    assert np.array_equal(np.concatenate((first, second)), alone)
