"""Opening and reading recordings: channels, read sizes, truncation, errors that name the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.unit.made_sound import (
    chunk,
    decoded,
    encoded,
    fmt_body,
    int16_tone,
    loudest_hz,
    tone,
    wav,
    wav_16,
)
from tests.unit.test_sph_header import sph_header
from voxfleet.audio.decode import open_audio
from voxfleet.core import ChannelMode, RawPcm
from voxfleet.errors import (
    AudioError,
    CorruptAudioError,
    EmptyAudioError,
    NotAudioError,
    ParameterError,
    UnsupportedAudioError,
    VoxfleetError,
)

_TONE = int16_tone(1.0, 16_000)
_STEREO = np.stack([int16_tone(1.0, 16_000, 300), int16_tone(1.0, 16_000, 700)], axis=1)


def test_16_khz_int16_passes_through_untouched(tmp_path: Path) -> None:
    samples, warnings = decoded(wav_16(_TONE), tmp_path)
    assert np.array_equal(samples[:, 0], _TONE)
    assert warnings == []


@pytest.mark.parametrize("piece", [1, 999, 16_000, 7 * 16_000, 30 * 16_000])
@pytest.mark.parametrize("kind", ["wav", "mp3"])
def test_samples_do_not_depend_on_read_sizes(kind: str, piece: int, tmp_path: Path) -> None:
    seconds = 0.2 if piece == 1 else 12.0
    content = (
        wav_16(int16_tone(seconds, 44_100), 44_100)
        if kind == "wav"
        else encoded("mp3", "libmp3lame", 44_100, 2, seconds)
    )
    once, _ = decoded(content, tmp_path, piece=1 << 24)
    again, _ = decoded(content, tmp_path, piece=piece)
    assert np.array_equal(once, again)
    assert abs(len(once) / 16_000 - seconds) < 0.05


def test_reads_are_full_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    path.write_bytes(wav_16(int16_tone(1.0, 8_000), 8_000))
    with open_audio(path, "a.wav") as stream:
        sizes = [len(stream.read(6_000)) for _ in range(5)]
        assert sizes == [6_000, 6_000, 4_000, 0, 0]
        with pytest.raises(ValueError, match="max_samples"):
            stream.read(0)


def test_8_khz_is_up_sampled(tmp_path: Path) -> None:
    samples, _ = decoded(wav_16(int16_tone(1.0, 8_000), 8_000), tmp_path)
    assert len(samples) == 16_000
    assert loudest_hz(samples[:, 0]) == pytest.approx(440, abs=2)


def test_channels_of_a_call_recording(tmp_path: Path) -> None:
    content = wav_16(_STEREO.reshape(-1), channels=2)
    left, _ = decoded(content, tmp_path, ChannelMode.LEFT)
    right, _ = decoded(content, tmp_path, ChannelMode.RIGHT)
    split, warnings = decoded(content, tmp_path, ChannelMode.SPLIT)
    mixed, _ = decoded(content, tmp_path, ChannelMode.MIX)
    assert np.array_equal(left[:, 0], _STEREO[:, 0])
    assert np.array_equal(right[:, 0], _STEREO[:, 1])
    assert np.array_equal(split, _STEREO)
    assert np.abs(mixed[:, 0] - _STEREO.mean(axis=1)).max() <= 0.5
    assert warnings == []


def test_split_survives_resampling(tmp_path: Path) -> None:
    both = np.stack([int16_tone(1.0, 44_100, 300), int16_tone(1.0, 44_100, 700)], axis=1)
    split, _ = decoded(wav_16(both.reshape(-1), 44_100, 2), tmp_path, ChannelMode.SPLIT)
    assert [round(loudest_hz(split[:, column]), -1) for column in (0, 1)] == [300, 700]


@pytest.mark.parametrize(
    ("mode", "warned"),
    [(ChannelMode.LEFT, 0), (ChannelMode.RIGHT, 1), (ChannelMode.SPLIT, 1), (ChannelMode.MIX, 0)],
)
def test_a_mono_file_has_one_channel_whatever_is_asked(
    mode: ChannelMode, warned: int, tmp_path: Path
) -> None:
    samples, warnings = decoded(wav_16(_TONE), tmp_path, mode)
    assert np.array_equal(samples[:, 0], _TONE)
    assert len(warnings) == warned


def test_more_than_two_channels(tmp_path: Path) -> None:
    six = np.tile(_TONE[:, np.newaxis], (1, 6))
    content = wav_16(six.reshape(-1), channels=6)
    mixed, _ = decoded(content, tmp_path)
    split, warnings = decoded(content, tmp_path, ChannelMode.SPLIT)
    assert np.abs(mixed[:, 0].astype(int) - _TONE).max() <= 1
    assert split.shape == (16_000, 2)
    assert "6 channels" in warnings[0]


def test_of_a_compressed_surround_recording_two_channels_are_split(tmp_path: Path) -> None:
    content = encoded("flac", "flac", 48_000, channels=8)
    split, warnings = decoded(content, tmp_path, ChannelMode.SPLIT)
    assert split.shape == (16_000, 2)
    assert "8 channels" in warnings[0]


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_streamed_wav_is_read_to_its_end(size: int, tmp_path: Path) -> None:
    content = wav(fmt_body(1, 1, 16_000, 16), _TONE.tobytes(), size)
    samples, warnings = decoded(content, tmp_path)
    assert np.array_equal(samples[:, 0], _TONE)
    assert warnings == []


def test_odd_byte_count_and_chunks_after_the_sound(tmp_path: Path) -> None:
    odd = wav(fmt_body(1, 1, 16_000, 16), _TONE.tobytes() + b"\x07")
    assert len(decoded(odd, tmp_path)[0]) == 16_000
    trailing = wav_16(_TONE) + chunk(b"LIST", b"INFOsome text") + b"junk at the end"
    assert np.array_equal(decoded(trailing, tmp_path)[0][:, 0], _TONE)


def test_a_cut_off_wav_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    samples, warnings = decoded(wav_16(_TONE)[: 44 + 16_000], tmp_path)
    assert np.array_equal(samples[:, 0], _TONE[:8_000])
    assert warnings == ["truncated after 0.5 s of 1.0 s"]


def test_silence_is_sound(tmp_path: Path) -> None:
    samples, warnings = decoded(wav_16(np.zeros(16_000, np.int16)), tmp_path)
    assert not samples.any()
    assert (len(samples), warnings) == (16_000, [])


def test_raw_pcm_only_when_asked_for(tmp_path: Path) -> None:
    raw = (tone(1.0, 8_000) * 0.5).astype(">f4").tobytes()
    samples, _ = decoded(raw, tmp_path, raw_pcm=RawPcm("f32be", 8_000))
    assert loudest_hz(samples[:, 0]) == pytest.approx(440, abs=2)
    with pytest.raises(NotAudioError):
        decoded(_TONE.tobytes(), tmp_path)
    with pytest.raises(ParameterError, match="s16le"):
        decoded(raw, tmp_path, raw_pcm=RawPcm("s17"))
    with pytest.raises(UnsupportedAudioError):
        decoded(raw, tmp_path, raw_pcm=RawPcm("s16le", 5))


def test_sphere_file(tmp_path: Path) -> None:
    header = sph_header(sample_count="-i 16000", sample_rate="-i 16000")
    samples, _ = decoded(header + _STEREO.astype(">i2").tobytes(), tmp_path, ChannelMode.SPLIT)
    assert np.array_equal(samples, _STEREO)


def test_info_tells_what_the_header_knows(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    path.write_bytes(wav_16(_STEREO.reshape(-1), channels=2))
    with open_audio(path, "a.wav") as stream:
        info = stream.info
    assert (info.container, info.codec, info.sample_rate_hz) == ("wav", "pcm_s16le", 16_000)
    assert (info.channels, info.duration_s) == (2, 1.0)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", EmptyAudioError),
        (wav_16(np.zeros(0, np.int16)), EmptyAudioError),
        (wav_16(_TONE)[:45], EmptyAudioError),
        (b"hello, this is text", NotAudioError),
        (b"\0" * 5_000, NotAudioError),
        (wav_16(_TONE)[:30], CorruptAudioError),
        (wav(fmt_body(0x7777, 1, 16_000, 16), bytes(999)), UnsupportedAudioError),
        (b"fLaC" + bytes(200), CorruptAudioError),
        (b"OggS" + bytes(200), CorruptAudioError),
        (b"\0\0\0\x18ftypM4A " + bytes(99), CorruptAudioError),
        (b"\x1a\x45\xdf\xa3" + bytes(200), CorruptAudioError),
        (b"#!AMR\n", CorruptAudioError),
    ],
)
def test_hopeless_files_are_refused_in_one_line(
    content: bytes, error: type[AudioError], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(error) as caught:
        decoded(content, tmp_path)
    assert caught.value.message.startswith("clip.bin: ")
    assert "\n" not in caught.value.message
    assert "spool" not in caught.value.message
    assert capfd.readouterr() == ("", "")


def test_names_cannot_write_to_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    path.write_bytes(b"text")
    with pytest.raises(NotAudioError) as caught:
        open_audio(path, "a\n\x1b[31m\u202e\udcff\u4f60" + "b" * 999 + ".wav")
    message = caught.value.message
    assert message.startswith("a\\n\\x1b[31m\\u202e\\udcff\u4f60bbb")
    assert message.isprintable()
    assert len(message) < 400


def test_a_file_that_cannot_be_read_is_a_voxfleet_error_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(VoxfleetError) as caught:
        open_audio(tmp_path / "gone", "a.wav")
    assert caught.value.message.startswith("a.wav: cannot be read (No such file")
    assert str(tmp_path) not in caught.value.message
