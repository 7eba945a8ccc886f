"""What the parts are told by default is what the settings say: one truth for each number."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from voxfleet.assemble import engine_options, gateway_settings, media_settings
from voxfleet.config_sources import load_settings
from voxfleet.engines.catalog import EngineOptions
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.media.media_settings import MediaSettings
from voxfleet.observe.data_dir import DataDir

DEFAULTS = load_settings({}, {})


def test_media_defaults_are_the_settings() -> None:
    assert media_settings(DEFAULTS) == MediaSettings()


def test_fake_defaults_are_the_settings() -> None:
    assert engine_options(DEFAULTS) == EngineOptions(model="pocketsphinx")


def test_gateway_defaults_are_the_settings() -> None:
    given = gateway_settings(DEFAULTS, DataDir(Path("data")))
    told = GatewaySettings(given.upload_dir, given.version, started_at_s=given.started_at_s)
    assert given == told


def test_every_media_setting_reaches_the_media_processes() -> None:
    file = {f"media.{name}": value for name, value in {"processes": 3, "slice_s": 7}.items()}
    speech = {"audio.max_segment_s": 9, "audio.padding_s": 0.3, "audio.fsmn_dir": "models"}
    told = media_settings(load_settings(file | speech, {}))
    assert (told.processes, told.slice_s, told.max_segment_s) == (3, 7, 9)
    assert (told.padding_s, told.fsmn_dir) == (0.3, Path("models"))
    assert {field.name for field in fields(told)} >= set(type(DEFAULTS.media).model_fields)
