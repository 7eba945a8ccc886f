"""The languages people name, in any common spelling, as ISO-639 codes a model knows. Pure."""

from __future__ import annotations

import re

from voxfleet.core import EngineInfo
from voxfleet.errors import ParameterError

#: names, and codes that mean the same as the one that models use
_SPELLINGS = {
    "arabic": "ar",
    "cantonese": "yue",
    "chinese": "zh",
    "cmn": "zh",
    "deu": "de",
    "dutch": "nl",
    "eng": "en",
    "english": "en",
    "french": "fr",
    "german": "de",
    "hindi": "hi",
    "indonesian": "id",
    "italian": "it",
    "japanese": "ja",
    "jpn": "ja",
    "kor": "ko",
    "korean": "ko",
    "mandarin": "zh",
    "polish": "pl",
    "portuguese": "pt",
    "russian": "ru",
    "spanish": "es",
    "swedish": "sv",
    "thai": "th",
    "turkish": "tr",
    "vietnamese": "vi",
    "zho": "zh",
}
_DETECT = frozenset({"auto", "und", "none"})
_TAG = re.compile(r"([a-z]{2,3})([-_][a-z0-9]{1,8})*")


def known_language(param: str, name: str, info: EngineInfo) -> str | None:
    """The code the model has for a named language, None for detection; raises ParameterError."""
    lowered = name.lower()
    if lowered in _DETECT:
        return None
    tag = _TAG.fullmatch(lowered)
    code = _SPELLINGS.get(lowered) or (tag and _SPELLINGS.get(tag[1], tag[1]))
    if code and code in info.languages:
        return code
    raise ParameterError(
        f"{param} {name[:40]!r}: the model {info.model} has {', '.join(info.languages)}; "
        "leave it out to have it detected",
        param=param,
    )
