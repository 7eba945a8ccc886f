"""Fixtures of several unit tests; what needs PyTorch imports it only when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    from tests.unit.feature_batches import one_thread

    with one_thread():
        yield


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random checkpoint of each architecture; not to be written to."""
    from tests.unit.feature_batches import checkpoints

    return checkpoints(tmp_path_factory.mktemp("checkpoints"))
