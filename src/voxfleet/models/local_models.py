"""Finds a Paraformer-large that is on this machine already: in our own folder or in a hub's cache.

Looks at names only and downloads nothing. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

#: best first: with hotwords and time stamps, then the plain one
_HUB_NAMES = (
    "speech_seaco_paraformer_large_asr_nat-zh-cn-16k-common-vocab8404-pytorch",
    "speech_paraformer-large-vad-punc_asr_nat-zh-cn-16k-common-vocab8404-pytorch",
    "speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-pytorch",
)
_SHORT_NAMES = ("seaco-paraformer", "paraformer-zh", "paraformer-large")
#: ModelScope's namespaces, and the places below its cache that its versions have used
_NAMESPACES = ("iic", "damo")
_MODELSCOPE_PLACES = ("hub/models", "models", "hub", "")
_HUGGING_FACE_PLACE = "hub/models--funasr--paraformer-zh/snapshots"
_NEEDED = ("config.yaml", "model.pt")


def find_paraformer_large(data_dir: Path, environment: Mapping[str, str]) -> Path | None:
    """The first folder that has its files; `environment` as of the process, for cache places."""
    for folder in _candidates(data_dir, environment):
        if all(_is_file(folder / name) for name in _NEEDED):
            return folder
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # a cache of somebody else's is as good as none
        return False


def _candidates(data_dir: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    for name in (*_SHORT_NAMES, *_HUB_NAMES):
        yield data_dir / "models" / name
    home = Path(environment.get("HOME", "/"))
    modelscope = Path(environment.get("MODELSCOPE_CACHE") or home / ".cache" / "modelscope")
    for name in _HUB_NAMES:
        for place in _MODELSCOPE_PLACES:
            for namespace in _NAMESPACES:
                yield modelscope / place / namespace / name
    hugging_face = Path(environment.get("HF_HOME") or home / ".cache" / "huggingface")
    yield from sorted((hugging_face / _HUGGING_FACE_PLACE).glob("*"))
