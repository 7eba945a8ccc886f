"""Sound files made in memory for the tests of decoding: tones, wav headers field by field, and
every container PyAV can write.
"""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.decode import open_audio
from voxfleet.core import ChannelMode, RawPcm

TONE_HZ = 440.0


def tone(seconds: float, rate: int, hertz: float = TONE_HZ, level: float = 0.3) -> NDArray[Any]:
    """A sine as float64 in -1..1."""
    wave: NDArray[Any] = level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    return wave


def int16_tone(seconds: float, rate: int, hertz: float = TONE_HZ) -> NDArray[np.int16]:
    samples: NDArray[np.int16] = np.rint(tone(seconds, rate, hertz) * 32767).astype(np.int16)
    return samples


def fmt_body(tag: int, channels: int, rate: int, bits: int) -> bytes:
    block = channels * ((bits + 7) // 8) & 0xFFFF
    byte_rate = rate * block & 0xFFFFFFFF
    return struct.pack("<HHIIHH", tag, channels, rate, byte_rate, block, bits)


def chunk(tag: bytes, body: bytes, size: int | None = None) -> bytes:
    padding = b"\0" * (len(body) % 2)
    return tag + struct.pack("<I", len(body) if size is None else size) + body + padding


def wav(fmt: bytes, data: bytes, size: int | None = None, before: bytes = b"") -> bytes:
    body = b"WAVE" + before + chunk(b"fmt ", fmt) + chunk(b"data", data, size)
    return b"RIFF" + struct.pack("<I", len(body) & 0xFFFFFFFF) + body


def wav_16(samples: NDArray[np.int16], rate: int = 16_000, channels: int = 1) -> bytes:
    return wav(fmt_body(1, channels, rate, 16), samples.astype("<i2").tobytes())


def encoded(
    container: str, codec: str, rate: int, channels: int = 1, seconds: float = 1.0
) -> bytes:
    """A tone in any container and codec that PyAV can write."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as target:
        stream = target.add_stream(codec, rate=rate, options={"strict": "experimental"})
        assert isinstance(stream, av.AudioStream)
        layout = {1: "mono", 2: "stereo", 8: "7.1"}[channels]
        stream.layout = layout
        if codec == "wmav2":
            stream.bit_rate = 64_000
        samples = np.repeat(int16_tone(seconds, rate), channels).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, "s16", layout)
        frame.sample_rate = rate
        frame.pts, frame.time_base = 0, Fraction(1, rate)
        target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return out.getvalue()


def video(seconds: float, *, with_sound: bool) -> bytes:
    """An mp4 of grey pictures, with a tone or silent film."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as target:
        pictures = target.add_stream("mpeg4", rate=25)
        assert isinstance(pictures, av.VideoStream)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sound = target.add_stream("aac", rate=16_000) if with_sound else None
        if isinstance(sound, av.AudioStream):
            sound.layout = "mono"
        for _ in range(int(seconds * 25)):
            grey = np.full((48, 64, 3), 90, np.uint8)
            target.mux(pictures.encode(av.VideoFrame.from_ndarray(grey, "rgb24")))
        target.mux(pictures.encode(None))
        if isinstance(sound, av.AudioStream):
            samples = int16_tone(seconds, 16_000).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate, frame.pts = 16_000, 0
            target.mux(sound.encode(frame))
            target.mux(sound.encode(None))
    return out.getvalue()


def decoded(
    content: bytes,
    folder: Path,
    channel: ChannelMode = ChannelMode.MIX,
    raw_pcm: RawPcm | None = None,
    piece: int = 16_000,
) -> tuple[NDArray[np.int16], list[str]]:
    """All samples of a file with this content, and the warnings; messages call it clip.bin."""
    path = folder / "spool-0001"
    path.write_bytes(content)
    with open_audio(path, "clip.bin", channel, raw_pcm) as stream:
        pieces = [np.zeros((0, stream.channels), np.int16)]
        while len(piece_read := stream.read(piece)):
            pieces.append(piece_read)
        return np.concatenate(pieces), stream.warnings


def loudest_hz(samples: NDArray[np.int16]) -> float:
    """The frequency with the most energy, at 16 kHz."""
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float64)))
    return float(np.argmax(spectrum)) * 16_000 / len(samples)
