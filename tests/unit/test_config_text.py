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


POOLS = """
[[pool]]
model = "fake"
devices = ["cuda:0", "GPU-8f1"]
min_instances = 1
max_instances = 3
hotwords = ["达摩院", 'a "quoted" one']
env = { OMP_NUM_THREADS = "2", PATH_LIKE = 'a\\b' }

[[pool]]
name = "second"
model = "/models/a \\u007f b"
device = "cuda"
cores = "0-1"
memory_mb = 300

[fleet]
simulated_gpus = [6, 0.5]
"""


def test_written_pools_read_back_the_same(tmp_path: Path) -> None:
    given, shown = tmp_path / "given.toml", tmp_path / "shown.toml"
    given.write_text(POOLS, encoding="utf-8")
    shown.write_text(settings_as_toml(read_sources({}, {}, given)), encoding="utf-8")
    assert load_settings({}, {}, shown) == load_settings({}, {}, given)
    assert len(load_settings({}, {}, shown).pool) == 2


def test_each_line_of_a_pool_names_its_source(tmp_path: Path) -> None:
    file = tmp_path / "given.toml"
    file.write_text(POOLS, encoding="utf-8")
    text = settings_as_toml(read_sources({}, {}, file))
    first, second = text.split("[[pool]]\n")[1:]
    assert f'devices = ["cuda:0", "GPU-8f1"]  # {file}' in first
    assert 'name = "fake"  # default' in first
    assert "device = " not in first
    assert f'device = "cuda"  # {file}' in second
    assert "# min_instances is not set" in second
    assert "# model is set by each pool" in text
