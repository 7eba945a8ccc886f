"""What FFmpeg's libraries are allowed to do with a hostile file, and what of its header is true.

They see bytes and no path, open no second file or address, and start audio decoders only.
"""

from __future__ import annotations

import errno
import re
from typing import BinaryIO

from av import AudioStream
from av.container import InputContainer
from av.stream import Discard

from voxfleet.audio.containers import Container
from voxfleet.errors import UnsupportedAudioError

#: decoders of sound people record, as libavcodec names and lists them; no video decoder can start
_DECODER_LIST = (
    "aac,aac_fixed,aac_latm,ac3,eac3,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_sbpro_2,"
    "adpcm_sbpro_3,adpcm_sbpro_4,adpcm_swf,adpcm_yamaha,alac,amrnb,amrwb,libopencore_amrnb,"
    "libopencore_amrwb,ape,atrac3,dca,flac,g722,g723_1,g726,g726le,g729,gsm,gsm_ms,ilbc,mp1,"
    "mp1float,mp2,mp2float,mp3,mp3float,nellymoser,opus,libopus,pcm_alaw,pcm_bluray,pcm_dvd,"
    "pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,pcm_s16be_planar,pcm_s16le,"
    "pcm_s16le_planar,pcm_s24be,pcm_s24le,pcm_s24le_planar,pcm_s32be,pcm_s32le,"
    "pcm_s32le_planar,pcm_s8,pcm_s8_planar,pcm_u16be,pcm_u16le,pcm_u24be,pcm_u24le,pcm_u32be,"
    "pcm_u32le,pcm_u8,s302m,speex,truehd,truespeech,tta,vorbis,wavpack,wmalossless,wmapro,"
    "wmav1,wmav2,wmavoice"
)
DECODERS = frozenset(_DECODER_LIST.split(","))

#: an empty protocol list lets no demuxer reach any file or address of its own accord
OPEN_OPTIONS = {"protocol_whitelist": "", "codec_whitelist": _DECODER_LIST}

#: containers whose tracks each say their own length; elsewhere the longest track speaks for all
_LENGTH_PER_TRACK = frozenset(("mp4", "ogg", "avi", "mp3", "flac", "aiff", "caf", "wav", "w64"))
_WITH_SPEAKER_MAPS = frozenset(("mp4", "caf", "aiff"))
_SPEAKER_MAP = re.compile(rb"chan|chnl|CHAN|SA3D|iacb")
_TAG_BYTES = 4
_MATROSKA_TAG = re.compile(r"(\d{1,5}):(\d\d):(\d\d(?:\.\d{1,9})?)")


class ReadOnlyBytes:
    """All of a file that the libraries get to see: no name, no descriptor, no speaker maps.

    PyAV 18.1 frees a hand-made channel order twice, so a header that spells one out would corrupt
    memory. Those chunks are renamed to one that is skipped; channels are only counted here anyway.
    """

    def __init__(self, file: BinaryIO, kind: Container) -> None:
        self._file = file
        self._hides_maps = kind.name in _WITH_SPEAKER_MAPS
        file.seek(0)

    def read(self, size: int) -> bytes:
        if not self._hides_maps:
            return self._file.read(size)
        place = self._file.tell()
        before = min(place, _TAG_BYTES - 1)  # a tag may lie across the edge of a read
        self._file.seek(place - before)
        seen = self._file.read(before + size + _TAG_BYTES - 1)
        shown = _SPEAKER_MAP.sub(b"free", seen)[before : before + size]
        self._file.seek(place + len(shown))
        return shown

    def seek(self, offset: int, whence: int = 0) -> int:
        """The new place, or what libavformat reads as an error: an exception would be printed."""
        try:
            return self._file.seek(offset, whence)
        except OSError as error:
            return -(error.errno or errno.EINVAL)

    def tell(self) -> int:
        return self._file.tell()


def sound_stream(container: InputContainer, name: str) -> AudioStream:
    """The main sound track; every other track is dropped unread where the format allows."""
    tracks = list(container.streams.audio)
    if not tracks:
        raise UnsupportedAudioError(f"{name}: has no audio stream; send a file with sound in it")
    best = container.streams.best("audio")
    decodable = [track for track in tracks if _is_decodable(track)]
    if not decodable:
        raise UnsupportedAudioError(
            f"{name}: its sound is in a codec that is not read{_named(tracks[0])}; "
            "convert it to wav, flac or mp3 first"
        )
    chosen = next((track for track in decodable if track is best), decodable[0])
    for stream in container.streams:
        stream.discard = Discard.default if stream is chosen else Discard.all
    return chosen


def _is_decodable(track: AudioStream) -> bool:
    # libavformat also lists tracks whose codec it cannot name; PyAV's types leave that out
    context: object = track.codec_context
    return context is not None and track.codec_context.codec.name in DECODERS


def _named(track: AudioStream) -> str:
    context: object = track.codec_context
    return "" if context is None else f" ({track.codec_context.codec.canonical_name})"


def true_duration_s(
    container: InputContainer, stream: AudioStream, kind: Container
) -> float | None:
    """The length of the sound by the header; None where that is a guess or another track's."""
    if not kind.length_known:
        return None
    alone = len(container.streams) == 1
    if (alone or kind.name in _LENGTH_PER_TRACK) and stream.duration and stream.time_base:
        return _positive(float(stream.duration * stream.time_base))
    if tag := _MATROSKA_TAG.match(stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = tag.groups()
        return _positive(int(hours) * 3600 + int(minutes) * 60 + float(seconds))
    if alone and container.duration:
        return _positive(container.duration / 1_000_000)
    return None


def _positive(duration_s: float) -> float | None:
    return duration_s if duration_s > 0 else None
