"""What a CT-Transformer's config.yaml and word list say, checked and typed. Pure: reads no file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from voxfleet.errors import StartError
from voxfleet.paraformer.ct_text import NO_MARK
from voxfleet.paraformer.model_config import EncoderConfig

ARCHITECTURE = "CTTransformer"
_UNKNOWN = "<unk>"
_MAX_SIZE = 65_536
_MAX_LAYERS = 200
#: what the encoder computes; another value would be another network
_FIXED: dict[str, object] = {
    "input_layer": "pe",
    "selfattention_layer_type": "sanm",
    "positionwise_layer_type": "linear",
    "normalize_before": True,
    "concat_after": False,
    "interctc_layer_idx": [],
}


@dataclass(frozen=True, slots=True)
class MarkList:
    """The marks by their number in the network; `cut` ends a sentence cut at a comma."""

    marks: tuple[str, ...]
    cut: str

    def of(self, numbers: Sequence[int]) -> list[str]:
        """`<unk>` is the label that training ignores: never a mark in a text."""
        marks = (self.marks[number] for number in numbers)
        return [NO_MARK if mark == _UNKNOWN else mark for mark in marks]


@dataclass(frozen=True, slots=True)
class CtConfig:
    encoder: EncoderConfig
    marks: MarkList
    unknown: str


class Vocabulary:
    """Numbers of words; raises StartError for a list that no network was trained with."""

    def __init__(self, words: Sequence[str], unknown: str = _UNKNOWN) -> None:
        self._numbers: Mapping[str, int] = {word: number for number, word in enumerate(words)}
        if len(self._numbers) != len(words):
            raise StartError("the word list holds a word twice: download the model again")
        if unknown not in self._numbers:
            raise StartError(f"the word list lacks {unknown!r}: download the model again")
        self._unknown = self._numbers[unknown]

    def __len__(self) -> int:
        return len(self._numbers)

    def numbers(self, words: Sequence[str]) -> list[int]:
        return [self._numbers.get(word, self._unknown) for word in words]


def read_config(content: Mapping[str, object]) -> CtConfig:
    """Raises StartError naming the key that is wrong and what it may be."""
    _check_architecture(content)
    model = _section(content, "model_conf")
    encoder = _encoder(_section(content, "encoder_conf"))
    _check_units(model, encoder)
    tokenizer = content.get("tokenizer_conf") or {}
    unknown = tokenizer.get("unk_symbol", _UNKNOWN) if isinstance(tokenizer, dict) else None
    if not isinstance(unknown, str):
        raise StartError("tokenizer_conf.unk_symbol is no word: download the model again")
    return CtConfig(encoder, _marks(model), unknown)


def _check_architecture(content: Mapping[str, object]) -> None:
    model = content.get("model")
    if model != ARCHITECTURE:
        named = f"model {model!r}" if model else f"punctuation {content.get('punctuation')!r}"
        raise StartError(
            f"{named[:80]} is not supported, only {ARCHITECTURE} is:"
            " use ct-punc or ct-punc-c, not the realtime variant or another kind of model"
        )
    if content.get("encoder") != "SANMEncoder":
        encoder = repr(content.get("encoder"))[:80]
        raise StartError(f"encoder {encoder} is not supported, only SANMEncoder is")


def _encoder(section: Mapping[str, object]) -> EncoderConfig:
    for key, value in _FIXED.items():
        # what is left out is so by default, but for the input layer
        found = section.get(key, None if key == "input_layer" else value)
        if found != value:
            raise StartError(f"encoder_conf.{key} {found!r:.80} is not supported, {value!r} is")
    config = EncoderConfig(
        input_size=_number(section, "input_size", None),
        size=_number(section, "output_size", 256),
        heads=_number(section, "attention_heads", 4),
        linear_units=_number(section, "linear_units", 2048),
        layers=_number(section, "num_blocks", 6, most=_MAX_LAYERS),
        kernel_size=_number(section, "kernel_size", 11),
        shift=_number(section, "sanm_shfit", 0, least=0),
    )
    if config.input_size % 2 or config.input_size < 4:
        raise StartError(f"encoder_conf.input_size {config.input_size} must be even, 4 or more")
    if config.size % config.heads:
        raise StartError(
            f"encoder_conf.output_size {config.size} is no multiple of attention_heads"
        )
    if config.shift >= config.kernel_size // 2 + 1:
        raise StartError(f"encoder_conf.sanm_shfit {config.shift} is beyond half the kernel_size")
    return config


def _check_units(model: Mapping[str, object], encoder: EncoderConfig) -> None:
    embedded, attended = _number(model, "embed_unit", 128), _number(model, "att_unit", 256)
    if embedded != encoder.input_size or attended != encoder.size:
        raise StartError(
            f"model_conf says embed_unit {embedded} and att_unit {attended}, encoder_conf"
            f" input_size {encoder.input_size} and output_size {encoder.size}: they must be equal"
        )


def _marks(model: Mapping[str, object]) -> MarkList:
    marks = model.get("punc_list")
    if not isinstance(marks, list) or not marks or not all(_is_mark(mark) for mark in marks):
        raise StartError("model_conf.punc_list is no list of marks: download the model again")
    end = _number(model, "sentence_end_id", 3, least=0)
    if end >= len(marks):
        raise StartError(f"model_conf.sentence_end_id {end} is beyond the {len(marks)} marks")
    return MarkList(tuple(marks), cut=marks[end])


def _is_mark(mark: object) -> bool:
    return isinstance(mark, str) and mark != "" and not mark.isspace()


def _section(content: Mapping[str, object], key: str) -> Mapping[str, object]:
    section = content.get(key)
    if not isinstance(section, dict):
        raise StartError(f"the configuration lacks {key}: download the model again")
    return section


def _number(
    section: Mapping[str, object],
    key: str,
    default: int | None,
    least: int = 1,
    most: int = _MAX_SIZE,
) -> int:
    value = section.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise StartError(f"{key} is {value!r:.80}, not a whole number from {least} to {most}")
    return value
