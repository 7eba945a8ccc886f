"""Pools as settings: read from tables, refused by name, short way and tables never together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voxfleet.config import Settings, pools_of
from voxfleet.config_pool import PoolSection, parse_cores
from voxfleet.config_sources import load_settings
from voxfleet.errors import SettingsError

SETTINGS_PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def read(folder: Path, text: str) -> Settings:
    path = folder / "voxfleet.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings({}, {}, path)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(folder, text)
    assert "\n" not in caught.value.message
    return caught.value.message


def pool(folder: Path, lines: str) -> PoolSection:
    (only,) = read(folder, f'[[pool]]\nmodel = "fake"\n{lines}\n').pool
    return only


def test_the_example_of_the_documents_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", SETTINGS_PAGE.read_text("utf-8"), re.DOTALL)
    settings = read(tmp_path, example)
    meetings, english = settings.pool
    assert (meetings.instances, meetings.most_instances, meetings.autoscaled) == (2, 6, True)
    assert meetings.all_devices == ("cuda:0", "cuda:1")
    assert (english.core_numbers, english.env) == ((0, 1, 2, 3), {"MALLOC_ARENA_MAX": "2"})
    assert (english.autoscaled, english.all_devices) == (False, ("cpu",))
    assert (settings.fleet.reserve_mb, settings.autoscale.target_wait_s) == (1024, 3)


def test_the_short_way_is_one_pool() -> None:
    flags = {"model": "fake", "instances": 3, "device": "cuda:1", "precision": "float16"}
    (only,) = pools_of(load_settings(flags, {}))
    assert (only.name, only.model, only.instances) == ("fake", "fake", 3)
    assert (only.all_devices, only.precision) == (("cuda:1",), "float16")


def test_a_model_nobody_named_is_the_one_that_is_found() -> None:
    settings = load_settings({}, {})
    assert [(pool.name, pool.model) for pool in pools_of(settings)] == [("pool", "")]
    (found,) = pools_of(settings, "/models/zh large")
    assert (found.name, found.model) == ("zh-large", "/models/zh large")


@pytest.mark.parametrize("key", ["model", "instances", "device", "precision"])
@pytest.mark.parametrize("source", ["flag", "environment", "file"])
def test_the_short_way_and_pools_are_refused_together(
    tmp_path: Path, key: str, source: str
) -> None:
    value = {"model": "fake", "instances": "2", "device": "cpu", "precision": "int8"}[key]
    path = tmp_path / "voxfleet.toml"
    line = f'{key} = "{value}"\n' if source == "file" else ""
    path.write_text(f'{line}[[pool]]\nmodel = "fake"\n')
    environment = {f"VOXFLEET_{key.upper()}": value} if source == "environment" else {}
    with pytest.raises(SettingsError) as caught:
        load_settings({key: value} if source == "flag" else {}, environment, path)
    place = str(path) if source == "file" else source
    assert caught.value.message.startswith(f"{place}: {key} cannot be set beside the [[pool]]")


@pytest.mark.parametrize("name", ["VOXFLEET_POOL", "VOXFLEET_POOL__0__MODEL"])
def test_the_environment_makes_no_pools(name: str) -> None:
    with pytest.raises(SettingsError, match=r"environment: pools cannot be set by variables"):
        load_settings({}, {name: "fake"})


@pytest.mark.parametrize("text", ['[pool]\nmodel = "fake"', "pool = 3", "pool = [3]"])
def test_a_pool_that_is_no_table_is_told_how(tmp_path: Path, text: str) -> None:
    assert "a table of its own that begins with [[pool]]" in refusal(tmp_path, text)


def test_a_misspelt_table_names_its_neighbour(tmp_path: Path) -> None:
    assert "did you mean 'pool'?" in refusal(tmp_path, '[[pools]]\nmodel = "fake"')


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("modle = 1", "pool 1: unknown setting 'modle'; did you mean 'model'?"),
        ("xyzzy = 1", "pool 1: unknown setting 'xyzzy'; known are name, model"),
        ('name = "a"\nprecison = ""', "pool 'a': unknown setting 'precison'; did you mean"),
        ("instances = 0", "pool 1: instances = 0: input should be greater than or equal to 1"),
        ('name = "a b"', "pool 'a b': name = 'a b': string should match"),
        ('name = "-a"', "pool '-a': name = '-a'"),
        (f'name = "{"a" * 41}"', "at most 40 characters"),
        ('device = "tpu"', "device = 'tpu': use cpu, cuda (every card), cuda:0"),
        ('device = "cuda:x"', "use cpu"),
        ('devices = ["cuda:0", "gpu"]', "pool 1: devices = 'gpu': use cpu"),
        ('device = "cpu"\ndevices = ["cuda"]', "pool 1: device and devices are both given"),
        ('devices = ["cpu", "cuda"]', "make two pools"),
        ('devices = ["cuda", "cuda:1"]', "leave the others out"),
        ('devices = ["cuda:1", "cuda:1"]', "names one twice"),
        ("min_instances = 2", "min_instances and max_instances go together"),
        ("max_instances = 2", "min_instances and max_instances go together"),
        ("min_instances = 3\nmax_instances = 2", "min_instances 3 is above max_instances 2"),
        ("instances = 5\nmin_instances = 2\nmax_instances = 4", "5 is not between 2 and 4"),
        ('min_instances = "x"\nmax_instances = 4', "min_instances = 'x': input should be"),
        ("batch_size_s = 0", "batch_size_s = 0: input should be greater than 0"),
        ("max_segment_s = 61", "max_segment_s = 61"),
        ("weight = inf", "weight = inf: input should be a finite number"),
        ("memory_mb = 0", "memory_mb = 0"),
        ('precision = "int4"', "precision = 'int4'"),
        ('cores = "3-1"', "cores = '3-1': name cores as in 0-3,8"),
        ('cores = "0-9999"', "name cores as in 0-3,8"),
        ('cores = ""', "name cores as in 0-3,8"),
        ('hotwords = [" "]', "a hotword must not be empty"),
        ("env = { A = 1 }", "env.A = 1: input should be a valid string"),
        ("env = { 'A B' = '1' }", "'A B' cannot be set in an environment"),
        ("env = { CUDA_VISIBLE_DEVICES = '1' }", "CUDA_VISIBLE_DEVICES is set by the plan"),
        ("env = { VOXFLEET_MODEL = '1' }", "VOXFLEET_MODEL is voxfleet's own"),
        ("env = { _VOXFLEET_PARENT_PID = '1' }", "_VOXFLEET_PARENT_PID is voxfleet's own"),
    ],
)
def test_a_wrong_pool_is_refused_by_name(tmp_path: Path, lines: str, words: str) -> None:
    assert words in refusal(tmp_path, f'[[pool]]\nmodel = "fake"\n{lines}\n')


def test_the_second_pool_is_the_second(tmp_path: Path) -> None:
    text = '[[pool]]\nmodel = "fake"\n[[pool]]\ninstances = 2\n'
    assert refusal(tmp_path, text).endswith("voxfleet.toml: pool 2: model is missing")


def test_two_pools_of_one_name_are_refused(tmp_path: Path) -> None:
    one = '[[pool]]\nname = "a"\nmodel = "fake"\n'
    assert "two pools are named 'a'" in refusal(tmp_path, one * 2)


def test_pools_without_a_name_are_named_after_their_models(tmp_path: Path) -> None:
    models = ["fake", "/m/模型/", "/m/Paraformer zh_v2/", "fake", "x" * 60, "x" * 60, "fake"]
    tables = "".join(f'[[pool]]\nmodel = "{model}"\n' for model in models)
    named = read(tmp_path, f'{tables}name = "fake-2"\n').pool
    assert [pool.name for pool in named] == [
        "fake",
        "pool",
        "Paraformer-zh-v2",
        "fake-3",
        "x" * 40,
        f"{'x' * 36}-2",
        "fake-2",
    ]


def test_bounds_alone_say_where_a_pool_starts(tmp_path: Path) -> None:
    scaled = pool(tmp_path, "min_instances = 2\nmax_instances = 4")
    assert (scaled.instances, scaled.most_instances, scaled.autoscaled) == (2, 4, True)
    started = pool(tmp_path, "instances = 3\nmin_instances = 2\nmax_instances = 4")
    assert started.instances == 3
    assert not pool(tmp_path, "min_instances = 2\nmax_instances = 2").autoscaled


@pytest.mark.parametrize(
    ("text", "cores"),
    [("0", (0,)), ("0-3,8", (0, 1, 2, 3, 8)), ("8, 0-1,1", (0, 1, 8)), ("4095", (4095,))],
)
def test_cores_are_read_as_taskset_reads_them(text: str, cores: tuple[int, ...]) -> None:
    assert parse_cores(text) == cores


@pytest.mark.parametrize("text", ["a", "1-", "-1", "1,,2", "4096", "0-1-2"])
def test_what_names_no_cores_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="name cores as in"):
        parse_cores(text)


def test_simulated_cards_come_from_a_file_or_a_variable(tmp_path: Path) -> None:
    file = read(tmp_path, "[fleet]\nsimulated_gpus = [6, 0.5]")
    variable = load_settings({}, {"VOXFLEET_FLEET__SIMULATED_GPUS": "6, 0.5"})
    for settings in (file, variable):
        assert list(settings.fleet.simulated_gpus) == [6.0, 0.5]
    with pytest.raises(SettingsError, match=r"fleet.simulated_gpus = 'x'"):
        load_settings({}, {"VOXFLEET_FLEET__SIMULATED_GPUS": "6,x"})
