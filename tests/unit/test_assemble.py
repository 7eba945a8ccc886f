"""What the parts are told by default is what the settings say: one truth for each number."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest

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
    cores = len(os.sched_getaffinity(0))
    assert engine_options(DEFAULTS) == EngineOptions(model="pocketsphinx", threads=cores)


def test_instances_share_the_cores() -> None:
    assert engine_options(load_settings({"instances": 200}, {})).threads == 1


def test_a_folder_is_given_to_workers_by_its_full_path() -> None:
    options = engine_options(load_settings({"model": "~/models/zh"}, {}))
    assert options.model == str(Path.home() / "models" / "zh")


def test_a_paraformer_that_is_here_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    folder = tmp_path / "models" / "paraformer-large"
    folder.mkdir(parents=True)
    for name in ("config.yaml", "model.pt"):
        (folder / name).touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert engine_options(load_settings({"data_dir": tmp_path}, {})).model == str(folder)


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


def test_the_home_of_nobody_is_no_home() -> None:
    options = engine_options(load_settings({"model": "~nosuchuser/x"}, {}))
    assert options.model.endswith("/~nosuchuser/x")
