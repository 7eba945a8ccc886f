"""NIST SPHERE headers: uncompressed ones are read, compressed ones refused by their method."""

from __future__ import annotations

import io

import pytest

from voxfleet.audio.pcm import PcmCoding, PcmLayout
from voxfleet.audio.sph_header import read_sph_header
from voxfleet.errors import CorruptAudioError, UnsupportedAudioError

_FIELDS = {
    "channel_count": "-i 2",
    "sample_count": "-i 1000",
    "sample_rate": "-i 8000",
    "sample_n_bytes": "-i 2",
    "sample_byte_format": "-s2 10",
}


def sph_header(**changed: str) -> bytes:
    lines = [f"{key} {value}" for key, value in (_FIELDS | changed).items()]
    return ("\n".join(["NIST_1A", "   1024", *lines, "end_head", ""])).encode().ljust(1024)


def _read(content: bytes) -> PcmLayout:
    return read_sph_header(io.BytesIO(content), "a.sph")


def test_linear_samples_of_either_byte_order() -> None:
    layout = _read(sph_header())
    assert (layout.format.codec, layout.offset, layout.byte_count) == ("pcm_s16be", 1024, 4000)
    assert _read(sph_header(sample_byte_format="-s2 01")).format.codec == "pcm_s16le"


@pytest.mark.parametrize(
    ("value", "coding"),
    [("-s4 ulaw", PcmCoding.MULAW), ("-s6 mu-law", PcmCoding.MULAW), ("-s4 alaw", PcmCoding.ALAW)],
)
def test_telephone_codings(value: str, coding: PcmCoding) -> None:
    layout = _read(sph_header(sample_coding=value, sample_n_bytes="-i 1"))
    assert layout.format.coding is coding


@pytest.mark.parametrize("method", ["shorten-v2.00", "wavpack", "shortpack-v0"])
def test_compressed_files_are_refused_by_method_with_the_remedy(method: str) -> None:
    with pytest.raises(UnsupportedAudioError, match=method.split("-")[0]) as caught:
        _read(sph_header(sample_coding=f"-s26 pcm,embedded-{method}"))
    assert "sph2pipe" in caught.value.message


def test_an_unknown_coding_is_refused() -> None:
    with pytest.raises(UnsupportedAudioError, match="SPHERE coding"):
        _read(sph_header(sample_coding="-s3 xyz"))


def test_without_a_count_the_rest_of_the_file_is_sound() -> None:
    assert _read(sph_header(sample_count="-i 0")).byte_count is None


@pytest.mark.parametrize(
    "changed",
    [
        {"sample_rate": "-i fast"},
        {"sample_rate": "-i 99999999999999999999"},
        {"sample_n_bytes": "-i 7"},
        {"channel_count": "-i 0"},
        {"sample_count": "-i -5"},
    ],
)
def test_broken_fields_are_refused(changed: dict[str, str]) -> None:
    with pytest.raises(CorruptAudioError, match=r"^a\.sph: "):
        _read(sph_header(**changed))


@pytest.mark.parametrize(
    "opening", [b"NIST_1A\n", b"NIST_1A\n   9999999", b"NIST_1A\n\xff\xfe\0\0\0\0\0\0"]
)
def test_a_broken_opening_is_refused(opening: bytes) -> None:
    with pytest.raises(CorruptAudioError):
        _read(opening)
