"""Sound that strangers send: of known length, and never silent."""

from __future__ import annotations

import io
import random
import wave

import av
import numpy as np

#: by container
CODECS = {"mp3": "libmp3lame", "flac": "flac", "ogg": "libopus", "mp4": "aac", "wav": "pcm_alaw"}


def noise(seconds: float, seed: int = 7) -> bytes:
    """A WAV file of 16 kHz mono noise."""
    samples = random.Random(seed).randbytes(2 * int(16_000 * seconds))  # noqa: S311  (only sound)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(samples)
    return file.getvalue()


def encoded(container: str) -> bytes:
    """Half a second of noise in that container."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(CODECS[container], rate=16_000)
        assert isinstance(stream, av.AudioStream)
        samples = np.random.default_rng(1).integers(-9_000, 9_000, (1, 8_000), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return file.getvalue()
