"""The text fields of a form, read by name, and the options that every route shares. Pure.

A field that is known must have a value that is known: the error names the field and what it takes.
Fields nobody asks for are ignored, as OpenAI's clients send more than any server has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain

from voxfleet.core import AudioOptions, ChannelMode, RawPcm, TextOptions, VadMode
from voxfleet.errors import ParameterError
from voxfleet.gateway.http_errors import shown
from voxfleet.transcribe.hotword_text import (
    MAX_HOTWORDS,
    HotwordLists,
    expanded,
    refuse_many_lists,
    split_hotwords,
    within_limits,
)

#: a prompt is prose with names in it: only what is as short as a name becomes a hotword
_MAX_PROMPT_PHRASE_CHARS = 30
_MAX_PROMPT_PHRASE_WORDS = 4

_LIST_SUFFIX = re.compile(r"\[\d*\]$")
_KEYED = re.compile(r"([^\[\]]+)\[(.+)\]", re.DOTALL)
_SENTENCE_ENDS = re.compile(r"[,，、;；\r\n.。!！?？:：]")
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")

#: `input_format` as ffmpeg calls headerless PCM, less its "pcm_"
#: (`audio.pcm` reads them; a test holds the two lists together, as numpy is not for the gateway)
RAW_ENCODINGS = (
    *("s8", "u8", "s16le", "s16be", "s24le", "s24be", "s32le", "s32be"),
    *("f32le", "f32be", "f64le", "alaw", "mulaw"),
)
_MIN_RATE_HZ, _MAX_RATE_HZ = 4_000, 384_000
_MAX_CHANNELS = 8


class FormFields:
    """A form's values by name; `name[]` and `name[0]` mean the same as `name`, in their order."""

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        self._bracketed: set[str] = set()
        for raw_name, value in fields:
            name = _LIST_SUFFIX.sub("", raw_name)
            if name != raw_name:
                self._bracketed.add(name)
            self._values.setdefault(name, []).append(value)

    def many(self, name: str) -> tuple[str, ...]:
        """Every value that is not blank."""
        stripped = (value.strip() for value in self._values.get(name, ()))
        return tuple(value for value in stripped if value)

    def keys(self, name: str) -> tuple[str, ...]:
        """The keys of an object, which form encoders write as `name[key]`."""
        matches = (_KEYED.fullmatch(raw_name) for raw_name in self._values)
        found = (match[2].strip() for match in matches if match and match[1] == name)
        return tuple(key for key in found if key)

    def is_list(self, name: str) -> bool:
        """Whether the client itself made a list of it, so that no value is to be split."""
        return name in self._bracketed or len(self._values.get(name, ())) > 1

    def one(self, name: str) -> str | None:
        values = self.many(name)
        if len(values) > 1:
            raise ParameterError(f"{name} was given {len(values)} times; give it once", param=name)
        return values[0] if values else None

    def choice(self, name: str, allowed: Collection[str]) -> str | None:
        value = self.one(name)
        return None if value is None else _known(name, value, allowed)

    def choices(self, name: str, allowed: Collection[str]) -> tuple[str, ...]:
        """Several of `allowed`, as repeated fields or as one with commas."""
        given = (part.strip() for value in self.many(name) for part in value.split(","))
        return tuple(_known(name, part, allowed) for part in given if part)

    def flag(self, name: str) -> bool:
        value = self.one(name)
        return value is not None and _known(name, value.lower(), (*_TRUE, *_FALSE)) in _TRUE

    def number(self, name: str, low: float, high: float) -> float | None:
        value = self.one(name)
        if value is None:
            return None
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise _out_of_range(name, value, f"a number from {low:g} to {high:g}")
        return number

    def whole_number(self, name: str, low: int, high: int) -> int | None:
        value = self.one(name)
        if value is None:
            return None
        if not re.fullmatch(r"[0-9]{1,9}", value) or not low <= int(value) <= high:
            raise _out_of_range(name, value, f"a whole number from {low} to {high}")
        return int(value)


def _known(name: str, value: str, allowed: Collection[str]) -> str:
    if value not in allowed:
        raise ParameterError(
            f"{name} '{shown(value)}' is unknown; use one of {', '.join(allowed)}", param=name
        )
    return value


def _out_of_range(name: str, value: str, wanted: str) -> ParameterError:
    return ParameterError(f"{name} '{shown(value)}' is not {wanted}", param=name)


@dataclass(frozen=True, slots=True)
class Phrases:
    """What a client wants heard right: `explicit` as hotwords, `hinted` by way of a prompt."""

    explicit: tuple[str, ...] = ()
    hinted: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Each once; a prompt only fills the room that is left."""
        return tuple(dict.fromkeys(self.explicit + self.hinted))[:MAX_HOTWORDS]


def read_phrases(fields: FormFields, lists: HotwordLists) -> Phrases:
    """`@name` among hotwords and keywords stands for the words of that list; a prompt is prose."""
    written = {name: _written(fields, name) for name in ("hotwords", "keywords")}
    # both are one list to the model
    refuse_many_lists([word for words in written.values() for word in words])
    each = (expanded(words, lists, name) for name, words in written.items())
    explicit = tuple(chain.from_iterable(each))
    within_limits(tuple(dict.fromkeys(explicit)))
    return Phrases(explicit, split_prompt(fields.one("prompt") or ""))


def _written(fields: FormFields, name: str) -> tuple[str, ...]:
    values = fields.many(name)
    phrases = values if fields.is_list(name) else split_hotwords("".join(values), name)
    # the keys are FunASR's {"word": weight}, as OpenAI's client sends it
    return phrases + fields.keys(name)


def split_prompt(prompt: str) -> tuple[str, ...]:
    """The parts of a prompt that are as short as a name or a term."""
    parts = (part.strip() for part in _SENTENCE_ENDS.split(prompt))
    return tuple(part for part in parts if part and _is_term(part))


def _is_term(part: str) -> bool:
    short = len(part) <= _MAX_PROMPT_PHRASE_CHARS
    return short and len(part.split()) <= _MAX_PROMPT_PHRASE_WORDS


def read_audio_options(fields: FormFields, default_vad: VadMode) -> AudioOptions:
    return AudioOptions(
        vad=VadMode(fields.choice("vad", tuple(VadMode)) or default_vad),
        channel=ChannelMode(fields.choice("channel", tuple(ChannelMode)) or ChannelMode.MIX),
        raw_pcm=_read_raw_pcm(fields),
    )


def read_text_options(fields: FormFields) -> TextOptions:
    said = fields.one("punctuate") is not None
    return TextOptions(punctuate=fields.flag("punctuate") if said else None, itn=fields.flag("itn"))


def _read_raw_pcm(fields: FormFields) -> RawPcm | None:
    allowed = ("auto", *(f"pcm_{encoding}" for encoding in RAW_ENCODINGS))
    input_format = fields.choice("input_format", allowed)
    rate = fields.whole_number("sample_rate", _MIN_RATE_HZ, _MAX_RATE_HZ)
    channels = fields.whole_number("channels", 1, _MAX_CHANNELS)
    if input_format not in (None, "auto"):
        if rate is None:
            raise ParameterError(
                f"input_format {input_format} needs sample_rate, such as 16000",
                param="sample_rate",
            )
        return RawPcm(str(input_format).removeprefix("pcm_"), rate, channels or 1)
    for name, value in (("sample_rate", rate), ("channels", channels)):
        if value is not None:
            raise ParameterError(
                f"{name} is only for sound without a header: say input_format too, such as "
                "pcm_s16le, or leave it out",
                param=name,
            )
    return None
