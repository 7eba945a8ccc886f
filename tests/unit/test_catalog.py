"""The catalog: late imports, near misses named, options that travel as JSON."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from voxfleet.engines.catalog import EngineOptions, engine_names, make_engine, require_engine
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.errors import NotFoundError


@pytest.mark.parametrize("name", engine_names())
def test_every_name_makes_an_engine_of_that_name(name: str) -> None:
    assert make_engine(name, EngineOptions(name)).info.model == name


def test_a_near_miss_is_named() -> None:
    with pytest.raises(NotFoundError, match=r"'pocketsphinks' is unknown; did you mean pocketsph"):
        make_engine("pocketsphinks", EngineOptions("pocketsphinks"))


def test_a_name_like_none_lists_all() -> None:
    with pytest.raises(NotFoundError, match="known are fake, pocketsphinx"):
        make_engine("zzz", EngineOptions("zzz"))


def test_options_travel_as_json() -> None:
    options = EngineOptions("fake", "cuda:1", FakeOptions(speed=3.5, fault="crash@2"))
    assert msgspec.json.decode(msgspec.json.encode(options), type=EngineOptions) == options


def test_the_catalog_imports_no_engine() -> None:
    code = "import sys, voxfleet.engines.catalog; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    modules = set(loaded.decode().split())
    assert modules & {"numpy", "pocketsphinx", "voxfleet.engines.fake"} == set()


@pytest.mark.parametrize("name", ["x" * 300, "/" + "y" * 5000, "~nosuchuser/x"])
def test_a_name_that_no_folder_can_have_is_unknown(name: str) -> None:
    with pytest.raises(NotFoundError):
        require_engine(name)
