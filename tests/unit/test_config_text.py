"""The settings written out are a settings file with the same meaning."""

from __future__ import annotations

from pathlib import Path

from voxfleet.config_sources import load_settings, read_sources
from voxfleet.config_text import settings_as_toml


def test_written_settings_read_back_the_same(tmp_path: Path) -> None:
    environment = {"VOXFLEET_MODEL": 'odd "name" 模型', "VOXFLEET_AUDIO__VAD": "energy"}
    sources = read_sources({"server.port": 1234}, environment)
    text = settings_as_toml(sources)
    file = tmp_path / "shown.toml"
    file.write_text(text, encoding="utf-8")
    assert load_settings({}, {}, file) == load_settings({"server.port": 1234}, environment)


def test_each_line_names_its_source() -> None:
    lines = settings_as_toml(read_sources({"server.port": 1}, {"VOXFLEET_MODEL": "fake"}))
    assert "port = 1  # flag" in lines
    assert 'model = "fake"  # environment' in lines
    assert 'host = "127.0.0.1"  # default' in lines
