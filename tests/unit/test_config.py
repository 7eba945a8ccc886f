"""Settings: precedence, refusal of what is unknown, and errors that name the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxfleet.config import Settings, setting_keys, setting_value
from voxfleet.config_sources import load_settings, origin, read_sources
from voxfleet.errors import SettingsError


def written(folder: Path, text: str) -> Path:
    path = folder / "voxfleet.toml"
    path.write_text(text)
    return path


def test_flags_beat_environment_beats_file_beats_defaults(tmp_path: Path) -> None:
    file = written(tmp_path, '[server]\nport = 1\nhost = "file"\nmax_upload_mb = 7\n')
    environment = {"VOXFLEET_SERVER__PORT": "2", "VOXFLEET_SERVER__HOST": "env"}
    settings = load_settings({"server.port": 3}, environment, file)
    assert (settings.server.port, settings.server.host) == (3, "env")
    assert settings.server.max_upload_mb == 7
    assert settings.server.request_timeout_s == 300


def test_flag_not_given_is_no_value() -> None:
    assert load_settings({"server.port": None}, {}).server.port == 7860


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("[server]\nprot = 1", "server.port"),
        ("instance = 2", "instances"),
        ("max_waiting = 2", "queue.max_waiting"),
        ("[sever]\nport = 2", "server.port"),
        ("port = 2", "server.port"),
    ],
)
def test_unknown_key_in_file_names_its_neighbour(tmp_path: Path, wrong: str, near: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({}, {}, written(tmp_path, wrong))
    assert f"did you mean {near!r}" in caught.value.message
    assert "voxfleet.toml" in caught.value.message


def test_unknown_variable_is_refused_too() -> None:
    with pytest.raises(SettingsError, match=r"environment: unknown setting 'server.prot'"):
        load_settings({}, {"VOXFLEET_SERVER__PROT": "1"})


def test_variables_that_are_no_settings_are_let_be() -> None:
    environment = {
        "VOXFLEET_SPEECH_DIR": "/x",
        "VOXFLEET_CONFIG": "/y",
        "VOXFLEET_PORT": "tcp://10.0.0.1:7860",
        "VOXFLEET_PORT_7860_TCP_ADDR": "10.0.0.1",
        "VOXFLEET_SERVICE_HOST": "10.0.0.1",
        "OTHER": "1",
    }
    assert load_settings({}, environment) == load_settings({}, {})


def test_a_port_meant_as_a_setting_is_not_taken_for_kubernetes() -> None:
    with pytest.raises(SettingsError, match=r"did you mean 'server.port'"):
        load_settings({}, {"VOXFLEET_PORT": "8000"})


def test_home_in_a_path_is_understood() -> None:
    settings = load_settings({}, {"VOXFLEET_DATA_DIR": "~/vox", "VOXFLEET_AUDIO__FSMN_DIR": "~/m"})
    assert (settings.data_dir, settings.audio.fsmn_dir) == (
        Path.home() / "vox",
        Path.home() / "m",
    )


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"VOXFLEET_SERVER__PORT": "none"}, "environment: server.port = 'none'"),
        ({"VOXFLEET_SERVER__PORT": "70000"}, "server.port = '70000'"),
        ({"VOXFLEET_AUDIO__VAD": "loud"}, "audio.vad = 'loud'"),
        ({"VOXFLEET_INSTANCES": "0"}, "instances = '0'"),
    ],
)
def test_bad_value_names_key_value_and_source(environment: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({}, environment)
    assert words in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("text", ["[server\nport=1", "\x00", "a = "])
def test_broken_toml_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="not valid TOML"):
        load_settings({}, {}, written(tmp_path, text))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.toml: no such settings file"):
        load_settings({}, {}, tmp_path / "gone.toml")


def test_a_section_given_as_a_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="unknown setting 'server'"):
        load_settings({}, {}, written(tmp_path, "server = 3"))


def test_fsmn_without_its_model_is_refused_before_anything_starts() -> None:
    with pytest.raises(SettingsError, match=r"^audio: vad fsmn needs fsmn_dir"):
        load_settings({}, {"VOXFLEET_AUDIO__VAD": "fsmn"})
    both = {"VOXFLEET_AUDIO__VAD": "fsmn", "VOXFLEET_AUDIO__FSMN_DIR": "models"}
    assert load_settings({}, both).audio.vad == "fsmn"


def test_origin_of_each_value() -> None:
    sources = read_sources({"instances": 2}, {"VOXFLEET_MODEL": "fake"})
    assert [origin(key, sources) for key in ("instances", "model", "device")] == [
        "flag",
        "environment",
        "default",
    ]


def test_every_key_has_a_value_and_a_description() -> None:
    settings = load_settings({}, {})
    for key in setting_keys():
        setting_value(settings, key)
        *sections, name = key.split(".")
        model = Settings
        for section in sections:
            kind = model.model_fields[section].annotation
            assert isinstance(kind, type)
            model = kind
        assert model.model_fields[name].description, key
