"""One block of a config.yaml, read key by key: every value checked, every key accounted for.

Knows kinds and ranges of values, no model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from voxfleet.errors import StartError

_REMEDY = "use an offline Paraformer, BiCifParaformer or SeacoParaformer checkpoint"


class ConfigSection:
    """`source` is the file's name; `name` the block's key, empty for the file's own level."""

    def __init__(self, source: str, content: dict[str, object], name: str = "") -> None:
        self._source = source
        self._name = name
        self._content = content
        self._read: set[str] = set()

    def block(self, key: str) -> ConfigSection:
        """The block of this key; an empty one where there is none."""
        value = self._take(key)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.refused(key, "is no block of keys and values")
        return ConfigSection(self._source, value, f"{self._name}.{key}".lstrip("."))

    def choice(self, key: str, names: dict[str, str], default: str | None = None) -> str:
        """What a name stands for; `names` has every spelling that is understood."""
        value = self._value(key, default)
        if isinstance(value, str) and value in names:
            return names[value]
        wanted = " or ".join(dict.fromkeys(names.values()))
        raise self.refused(key, f"is not supported (only {wanted})")

    def whole(self, key: str, default: int | None, lowest: int, highest: int) -> int:
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refused(key, "is no whole number")
        if not lowest <= value <= highest:
            raise self.refused(key, f"is outside {lowest} to {highest}")
        return value

    def fraction(self, key: str, default: float, lowest: float, highest: float) -> float:
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refused(key, "is no number")
        if not math.isfinite(value) or not lowest <= value <= highest:
            raise self.refused(key, f"is outside {lowest:g} to {highest:g}")
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise self.refused(key, "is neither true nor false")
        return value

    def only(self, key: str, wanted: object, default: object) -> None:
        """A key that must say (or, left out, must default to) what we compute."""
        value = self._value(key, default)
        if isinstance(value, bool) != isinstance(wanted, bool) or value != wanted:
            raise self.refused(key, f"is not supported (only {_shown(wanted)})")

    def strings(self, key: str) -> list[str] | None:
        value = self._take(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.refused(key, "is no list of texts")
        return value

    def ignore(self, keys: Iterable[str]) -> None:
        """Keys that decide nothing in recognition."""
        self._read.update(keys)

    def finish(self) -> None:
        """Whatever nobody asked about could change what the model computes."""
        unknown = sorted(set(map(str, self._content)) - self._read)
        if unknown:
            raise self.refused(unknown[0], "is a key that voxfleet does not know")

    def refused(self, key: str, fault: str) -> StartError:
        name = f"{self._name}.{key}".lstrip(".")[:120]
        has = _shown(self._content[key]) if key in self._content else "left out"
        return StartError(f"{self._source}: {name} ({has}) {fault}: {_REMEDY}")

    def _take(self, key: str) -> object:
        self._read.add(key)
        return self._content.get(key)

    def _value(self, key: str, default: object) -> object:
        """A null value counts as given: FunASR passes it on."""
        self._read.add(key)
        return self._content.get(key, default)


def _shown(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, dict | list):
        return "{...}" if isinstance(value, dict) else "[...]" if value else "[]"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**30 else "a huge number"
    return " ".join(str(value).split())[:60]
