"""Hotwords as people write them."""

from __future__ import annotations

import pytest

from voxfleet.transcribe.hotwords import split_hotwords


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("阿里巴巴 通义实验室", ("阿里巴巴", "通义实验室")),
        ("New York, Acme Corp", ("New York", "Acme Corp")),
        ("达摩院，通义、 千问;x\ny", ("达摩院", "通义", "千问", "x", "y")),
        (" , ", ()),
        ("", ()),
    ],
)
def test_hotwords_are_parted_by_commas_else_by_spaces(text: str, phrases: tuple[str, ...]) -> None:
    assert split_hotwords(text) == phrases
