"""What the parts are told by default is what the settings say: one truth for each number."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from voxfleet.config_sources import load_settings
from voxfleet.engines.catalog import EngineOptions
from voxfleet.errors import NotFoundError, SettingsError
from voxfleet.fleet.autoscale import ScaleRule
from voxfleet.fleet.credit import CreditRule
from voxfleet.fleet.local_pool import LocalPoolSettings
from voxfleet.fleet.plan import PoolPlanInput
from voxfleet.fleet.pool_order import PoolOrder
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.media.media_settings import MediaSettings
from voxfleet.part_settings import (
    gateway_settings,
    local_pool_settings,
    media_settings,
    pool_orders,
    queue_limits,
    reread,
)
from voxfleet.transcribe.front_desk import QueueLimits

DEFAULTS = load_settings({}, {})


def checkpoint(folder: Path) -> Path:
    """What looks like one, to whoever does not read it."""
    folder.mkdir(parents=True)
    for name in ("config.yaml", "model.pt"):
        (folder / name).touch()
    return folder


def test_media_defaults_are_the_settings() -> None:
    assert media_settings(DEFAULTS) == MediaSettings()


def test_the_short_way_is_one_pool() -> None:
    (order,) = pool_orders(DEFAULTS)
    assert order == PoolOrder(
        PoolPlanInput("pocketsphinx", need_mb=150), EngineOptions(model="pocketsphinx")
    )


def test_queue_and_worker_defaults_are_the_settings() -> None:
    assert queue_limits(DEFAULTS) == QueueLimits()
    assert local_pool_settings(DEFAULTS, Path("logs")) == LocalPoolSettings(Path("logs"))


def only_model(values: dict[str, object]) -> str:
    (order,) = pool_orders(load_settings(values, {}))
    return order.model


def test_a_folder_is_given_to_workers_by_its_full_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = checkpoint(tmp_path / "models" / "zh")
    assert only_model({"model": "~/models/zh"}) == str(folder)


def test_a_paraformer_that_is_here_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    folder = checkpoint(tmp_path / "models" / "paraformer-large")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert only_model({"data_dir": tmp_path}) == str(folder)


def test_gateway_defaults_are_the_settings() -> None:
    given = gateway_settings(DEFAULTS, Path("data"), Path("data/uploads"))
    told = GatewaySettings(
        Path("data/uploads"), given.version, Path("data"), started_at_s=given.started_at_s
    )
    assert given == told


def test_every_media_setting_reaches_the_media_processes() -> None:
    file = {f"media.{name}": value for name, value in {"processes": 3, "slice_s": 7}.items()}
    speech = {"audio.max_segment_s": 9, "audio.padding_s": 0.3, "audio.fsmn_dir": "models"}
    told = media_settings(load_settings(file | speech, {}))
    assert (told.processes, told.slice_s, told.max_segment_s) == (3, 7, 9)
    assert (told.padding_s, told.fsmn_dir) == (0.3, Path("models"))
    assert {field.name for field in fields(told)} >= set(type(DEFAULTS.media).model_fields)


def test_the_home_of_nobody_is_no_home() -> None:
    with pytest.raises(NotFoundError, match="/~nosuchuser/x: no such folder"):
        only_model({"model": "~nosuchuser/x"})


POOLS = """
[[pool]]
name = "calls"
model = "fake"
min_instances = 2
max_instances = 5
batch_size_s = 60
max_segment_s = 20
weight = 3
hotwords = ["Zhou"]
cores = "0-1"
memory_mb = 77
env = {OMP_NUM_THREADS = "1"}

[[pool]]
model = "pocketsphinx"
"""


def test_every_key_of_a_pool_reaches_the_fleet(tmp_path: Path) -> None:
    file = tmp_path / "voxfleet.toml"
    file.write_text(POOLS, encoding="utf-8")
    calls, other = pool_orders(load_settings({}, {}, file))
    assert calls.plan == PoolPlanInput(
        "calls", instances=2, need_mb=77, max_instances=5, cores=(0, 1), weight=3
    )
    assert calls.credit == CreditRule(batch_size_s=60)
    assert calls.scale == ScaleRule(2, 5, 15, 300, 5)
    assert (calls.hotwords, calls.max_segment_s) == (("Zhou",), 20)
    assert calls.env == {"OMP_NUM_THREADS": "1"}
    assert (other.name, other.model, other.scale) == ("pocketsphinx", "pocketsphinx", None)


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    folders = [checkpoint(tmp_path / place / "zh") for place in ("a", "b")]
    tables = "".join(f'[[pool]]\nmodel = "{folder}"\n' for folder in folders)
    file = tmp_path / "voxfleet.toml"
    file.write_text(tables, encoding="utf-8")
    with pytest.raises(SettingsError, match="'zh'; rename the folder"):
        pool_orders(load_settings({}, {}, file))


def test_a_reload_says_which_settings_it_cannot_change() -> None:
    new = load_settings({"instances": 3, "server.port": 1, "log.level": "debug"}, {})
    told = reread(DEFAULTS, new)
    assert told.needs_start == ("server", "log")
    assert [order.plan.instances for order in told.orders] == [3]


def test_what_a_reload_brings_to_the_workers_needs_no_start() -> None:
    new = load_settings({"queue.batch_goal_s": 9, "autoscale.target_wait_s": 1}, {})
    assert reread(DEFAULTS, new).needs_start == ()
    new = load_settings({"queue.max_waiting": 9, "autoscale.interval_s": 1}, {})
    assert reread(DEFAULTS, new).needs_start == ("queue", "autoscale.interval_s")


def test_a_model_that_is_not_there_is_a_wrong_setting_to_a_reload(tmp_path: Path) -> None:
    for model in ("nobody", str(tmp_path), str(tmp_path / "gone")):
        with pytest.raises(SettingsError, match="model"):
            reread(DEFAULTS, load_settings({"model": model}, {}))
