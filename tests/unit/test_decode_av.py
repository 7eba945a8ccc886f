"""Compressed sound: every container, damage in the middle, and files that reach for others."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from tests.unit.made_sound import decoded, encoded, int16_tone, loudest_hz, video, wav_16
from voxfleet.audio.av_safety import DECODERS, OPEN_OPTIONS, ReadOnlyBytes
from voxfleet.audio.containers import MATROSKA, MP4
from voxfleet.audio.decode import open_audio
from voxfleet.core import SAMPLE_RATE_HZ
from voxfleet.errors import NotAudioError, UnsupportedAudioError


@pytest.mark.parametrize(
    ("muxer", "codec", "rate", "channels"),
    [
        ("mp3", "libmp3lame", 44_100, 2),
        ("mp3", "libmp3lame", 8_000, 1),
        ("adts", "aac", 44_100, 2),
        ("ipod", "aac", 48_000, 2),
        ("mp4", "aac", 48_000, 8),
        ("ipod", "alac", 44_100, 1),
        ("mov", "pcm_s24le", 48_000, 2),
        ("3gp", "libopencore_amrnb", 8_000, 1),
        ("webm", "libopus", 48_000, 1),
        ("matroska", "flac", 16_000, 2),
        ("ogg", "libopus", 48_000, 2),
        ("ogg", "vorbis", 44_100, 2),
        ("ogg", "flac", 16_000, 1),
        ("flac", "flac", 44_100, 2),
        ("amr", "libopencore_amrnb", 8_000, 1),
        ("asf", "wmav2", 44_100, 2),
        ("aiff", "pcm_s16be", 44_100, 1),
        ("caf", "pcm_s16be", 22_050, 1),
        ("au", "pcm_mulaw", 8_000, 1),
        ("w64", "pcm_s16le", 16_000, 1),
        ("wav", "adpcm_ima_wav", 16_000, 1),
        ("wav", "adpcm_ms", 16_000, 1),
        ("wav", "libmp3lame", 16_000, 1),
        ("mpegts", "aac", 48_000, 2),
        ("mpeg", "mp2", 48_000, 2),
        ("avi", "libmp3lame", 44_100, 2),
        ("ac3", "ac3", 48_000, 2),
        ("eac3", "eac3", 48_000, 2),
        ("wv", "wavpack", 44_100, 1),
        ("tta", "tta", 44_100, 1),
    ],
)
def test_every_container_gives_its_tone(
    muxer: str,
    codec: str,
    rate: int,
    channels: int,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    samples, warnings = decoded(encoded(muxer, codec, rate, channels, 2.0), tmp_path)
    assert len(samples) / 16_000 == pytest.approx(2.0, abs=0.15)
    assert loudest_hz(samples[1_600:30_000, 0]) == pytest.approx(440, abs=2)
    assert np.abs(samples).max() == pytest.approx(0.3 * 32767, rel=0.3)
    assert warnings == []
    assert capfd.readouterr() == ("", "")


def test_lossless_is_exact(tmp_path: Path) -> None:
    samples, _ = decoded(encoded("flac", "flac", 16_000), tmp_path)
    assert np.array_equal(samples[:, 0], int16_tone(1.0, 16_000))


def test_the_sound_track_of_a_video_is_read_and_its_pictures_are_not(tmp_path: Path) -> None:
    samples, warnings = decoded(video(2.0, with_sound=True), tmp_path)
    assert len(samples) / 16_000 == pytest.approx(2.0, abs=0.15)
    assert loudest_hz(samples[:, 0]) == pytest.approx(440, abs=2)
    assert warnings == []
    assert not DECODERS & {"h264", "hevc", "mpeg4", "png", "mjpeg", "vp8", "vp9", "av1"}


def test_a_film_without_sound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedAudioError, match=r"^clip\.bin: has no audio stream"):
        decoded(video(0.2, with_sound=False), tmp_path)


def test_a_codec_that_is_not_on_the_list_is_named(tmp_path: Path) -> None:
    content = encoded("wav", "dfpwm", 48_000)
    with pytest.raises(UnsupportedAudioError, match="dfpwm"):
        decoded(content, tmp_path)


def test_truncated_mp3_gives_its_beginning_and_says_so(tmp_path: Path) -> None:
    whole = encoded("mp3", "libmp3lame", 16_000, seconds=6.0)
    samples, warnings = decoded(whole[: len(whole) // 2], tmp_path)
    assert 2.0 < len(samples) / 16_000 < 4.0
    assert warnings == [f"truncated after {len(samples) / 16_000:.1f} s of 6.0 s"]


def test_damage_in_the_middle_is_passed_over_with_one_warning(tmp_path: Path) -> None:
    whole = bytearray(encoded("adts", "aac", 16_000, seconds=8.0))
    third = len(whole) // 3
    noise = np.random.default_rng(1).integers(0, 256, 400, dtype=np.uint8).tobytes()
    whole[third : third + 400] = noise
    samples, warnings = decoded(bytes(whole), tmp_path)
    assert 7.0 < len(samples) / 16_000 < 8.3
    assert len(warnings) == 1
    assert "damaged" in warnings[0]
    assert loudest_hz(samples[-32_000:-1_600, 0]) == pytest.approx(440, abs=2)


def test_two_recordings_in_one_file_with_different_rates(tmp_path: Path) -> None:
    first = encoded("adts", "aac", 16_000, seconds=2.0)
    second = encoded("adts", "aac", 44_100, 2, seconds=2.0)
    samples, _ = decoded(first + second, tmp_path)
    assert len(samples) / 16_000 == pytest.approx(4.0, abs=0.3)
    assert loudest_hz(samples[-24_000:-1_600, 0]) == pytest.approx(440, abs=2)


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile {}\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n",
        '<?xml version="1.0"?><MPD><BaseURL>{}</BaseURL></MPD>',
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\n",
        "[playlist]\nFile1={}\n",
    ],
)
def test_files_that_name_others_are_no_audio(text: str, tmp_path: Path) -> None:
    other = tmp_path / "other.wav"
    other.write_bytes(wav_16(int16_tone(1.0, 16_000)))
    with pytest.raises(NotAudioError):
        decoded(text.format(other).encode(), tmp_path)


def test_even_a_playlist_demuxer_could_open_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second lock, tried from behind the first: these options open nothing else."""
    monkeypatch.chdir(tmp_path)
    Path("other.wav").write_bytes(wav_16(int16_tone(1.0, 16_000)))
    playlist = tmp_path / "list.txt"
    playlist.write_bytes(b"ffconcat version 1.0\nfile other.wav\n")
    with (
        playlist.open("rb") as file,
        av.open(ReadOnlyBytes(file, MATROSKA), format="concat") as unlocked,
    ):
        assert len(unlocked.streams.audio) == 1
    with playlist.open("rb") as file, pytest.raises(av.FFmpegError):
        av.open(ReadOnlyBytes(file, MATROSKA), format="concat", options=dict(OPEN_OPTIONS))


def test_a_place_that_no_file_has_is_an_error_code_and_no_exception(tmp_path: Path) -> None:
    """libavformat would let an exception through to stderr."""
    path = tmp_path / "spool"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        shown = ReadOnlyBytes(file, MATROSKA)
        assert shown.seek(4) == 4
        assert shown.seek(-9) < 0
        assert shown.seek((1 << 63) - 1) < 0
        assert shown.read(2) == b"45"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
def test_speaker_maps_are_hidden_wherever_reads_break(size: int, tmp_path: Path) -> None:
    path = tmp_path / "spool"
    content = b"..chan.chachanSA3D......CHANiacb..chnl"
    path.write_bytes(content)
    with path.open("rb") as file:
        shown = ReadOnlyBytes(file, MP4)
        pieces = list(iter(lambda: shown.read(size), b""))
    assert b"".join(pieces) == b"..free.chafreefree......freefree..free"


def test_a_speaker_map_of_ones_own_does_not_break_the_process(tmp_path: Path) -> None:
    whole = encoded("caf", "pcm_s16be", 16_000)
    place = whole.index(b"info")
    chan = b"chan" + struct.pack(">QIII", 32, 0, 0, 1) + struct.pack(">IIfff", 65_600, 0, 0, 0, 0)
    samples, _ = decoded(whole[:place] + chan + whole[place:], tmp_path)
    assert len(samples) == 16_000


def test_only_a_length_the_file_knows_is_told(tmp_path: Path) -> None:
    known = {}
    for muxer, codec in (("mp3", "libmp3lame"), ("ipod", "aac"), ("adts", "aac")):
        path = tmp_path / muxer
        path.write_bytes(encoded(muxer, codec, 16_000, seconds=3.0))
        with open_audio(path, muxer) as stream:
            known[muxer] = stream.info.duration_s
    assert known["mp3"] == pytest.approx(3.0, abs=0.1)
    assert known["ipod"] == pytest.approx(3.0, abs=0.1)
    assert known["adts"] is None


def test_amr_wb_is_decoded(tmp_path: Path) -> None:
    # no encoder of ours writes it: 23.85 kbit/s speech frames of chance bits, 20 ms each
    chance = np.random.default_rng(1)
    frames = b"".join(b"\x44" + chance.bytes(60) for _ in range(150))
    path = tmp_path / "call.awb"
    path.write_bytes(b"#!AMR-WB\n" + frames)
    with open_audio(path, path.name) as stream:
        samples = stream.read(10 * SAMPLE_RATE_HZ)
        assert stream.info.codec == "amr_wb"
    assert len(samples) == 3 * SAMPLE_RATE_HZ
    assert np.abs(samples).max() > 1000
