"""A sentence's texts are told whole before the next one's, however late its final text comes."""

from __future__ import annotations

import pytest

from voxfleet.gateway.funasr_answers import LiveAnswers
from voxfleet.gateway.funasr_messages import FileWish, FunAsrMode
from voxfleet.transcribe.session_contract import Completed, ItemFailed, PartialText

LATE: list[PartialText | Completed | ItemFailed] = [
    PartialText(0, "hello big"),
    PartialText(1, "next one"),
    Completed(0, 0.0, 1.0, "hello big world today"),
    PartialText(1, " is"),
    Completed(1, 1.0, 2.0, "next one is here"),
]


def shown(mode: FunAsrMode, events: list[PartialText | Completed | ItemFailed]) -> str:
    """As a client shows it: increments are added, a finished sentence takes their place."""
    answers = LiveAnswers(FileWish(mode=mode))
    finished = growing = ""
    for event in events:
        for answer in answers.of(event):
            text = str(answer["text"])
            if answer["mode"] == "2pass-offline":
                finished, growing = finished + text, ""
            else:
                growing += text
    return finished + growing


@pytest.mark.parametrize("mode", [FunAsrMode.ONLINE, FunAsrMode.TWICE])
def test_a_late_sentence_is_told_before_the_next(mode: FunAsrMode) -> None:
    assert shown(mode, LATE) == "hello big world today next one is here"


def test_a_sentence_that_failed_lets_the_next_be_told() -> None:
    events: list[PartialText | Completed | ItemFailed] = [
        *LATE[:2],
        ItemFailed(0, "engine_fault", "broke"),
        *LATE[3:],
    ]
    assert shown(FunAsrMode.TWICE, events).endswith("next one is here")
