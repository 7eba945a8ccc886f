"""The limit of open files is raised as far as one may, and never lowered."""

from __future__ import annotations

import resource

import pytest

from voxfleet.observe.descriptors import WANTED, raise_descriptor_limit

FOREVER = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "after"),
    [
        (1024, 524_288, WANTED),
        (1024, 4096, 4096),
        (1024, FOREVER, WANTED),
        (1024, 1024, 1024),
        (200_000, 524_288, 200_000),
        (FOREVER, FOREVER, FOREVER),
    ],
)
def test_the_limit(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, after: int) -> None:
    limits = {"now": (soft, hard)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.update(now=new))
    assert raise_descriptor_limit() == after
    assert limits["now"] == (after, hard)
