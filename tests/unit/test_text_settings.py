"""What the settings say of text engines is what their worker is told."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from voxfleet.config_sources import load_settings
from voxfleet.engines.text_catalog import CT_PUNC, ITN, TextEngineOptions
from voxfleet.errors import SettingsError
from voxfleet.part_settings import text_engine_options


def test_by_default_there_are_no_text_engines() -> None:
    options = text_engine_options(load_settings({}, {}))
    assert options == TextEngineOptions()
    assert options.names == ()


def test_every_setting_reaches_the_text_worker() -> None:
    environment = {
        "VOXFLEET_PUNCTUATION__DIR": "~/ct-punc",
        "VOXFLEET_PUNCTUATION__DEVICE": "cuda:1",
        "VOXFLEET_ITN__ENABLED": "true",
        "VOXFLEET_ITN__LANGUAGE": "zh",
    }
    options = text_engine_options(load_settings({}, environment))
    assert options == TextEngineOptions(str(Path.home() / "ct-punc"), "cuda:1", True, "zh")
    assert options.names == (CT_PUNC, ITN)
    assert msgspec.json.decode(msgspec.json.encode(options), type=TextEngineOptions) == options


@pytest.mark.parametrize(
    ("key", "value"),
    [("itn.language", "es"), ("itn.enabled", "perhaps"), ("punctuation.folder", "x")],
)
def test_what_nobody_understands_is_refused(key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=key):
        load_settings({key: value}, {})
