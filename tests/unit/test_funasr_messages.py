"""What FunASR's clients say is understood in every spelling, and what nobody means is refused."""

from __future__ import annotations

import json

import pytest

from voxfleet.errors import ParameterError
from voxfleet.gateway.funasr_messages import (
    MAX_MESSAGE_CHARS,
    ClientMessage,
    FileWish,
    FunAsrMode,
    read_message,
)
from voxfleet.transcribe.hotword_text import WITHOUT_LISTS


def said(*before: FileWish, **fields: object) -> ClientMessage:
    return read_message(json.dumps(fields), before[0] if before else FileWish(), WITHOUT_LISTS)


def test_a_whole_first_message() -> None:
    message = said(
        mode="2pass",
        wav_name="meeting",
        wav_format="PCM",
        is_speaking=True,
        audio_fs=8000,
        chunk_size=[5, 10, 5],
        chunk_interval=10,
        encoder_chunk_look_back=4,
        hotwords='{"vox": 20, "fleet": "30"}',
        itn=False,
        svs_lang="auto",
        svs_itn=True,
    )
    wish = FileWish(FunAsrMode.TWICE, "meeting", True, 8000, ("vox", "fleet"), itn=False)
    assert message == ClientMessage(wish, ends=False, wants_ack=False)


@pytest.mark.parametrize(
    "hotwords",
    [
        '{"阿里": 20, "巴巴": 30}',
        '{"阿里": "20", "巴巴": "30"}',
        "阿里,巴巴",
        "阿里 巴巴",
        {"阿里": 1, "巴巴": 2},
    ],
)
def test_hotwords_in_every_spelling(hotwords: object) -> None:
    assert said(hotwords=hotwords).wish.hotwords == ("阿里", "巴巴")


def test_what_was_said_once_holds_for_the_next_file() -> None:
    first = said(mode="online", hotwords="vox", audio_fs=8000, itn=False).wish
    second = said(first, wav_name="b", hotwords="").wish
    assert second == FileWish(FunAsrMode.ONLINE, "b", True, 8000, ("vox",), itn=False)


def test_a_client_that_names_no_mode_is_the_one_for_files() -> None:
    assert said(is_speaking=True).wish.mode is FunAsrMode.OFFLINE


@pytest.mark.parametrize(
    ("fields", "ends", "wants_ack"),
    [
        ({"is_speaking": False}, True, False),
        ({"is_speaking": False, "is_end": True}, True, True),
        ({"is_finished": True}, True, False),
        ({"is_speaking": True, "is_end": False}, False, False),
        ({}, False, False),
    ],
)
def test_how_a_file_ends(fields: dict[str, object], ends: bool, wants_ack: bool) -> None:
    message = said(**fields)
    assert (message.ends, message.wants_ack) == (ends, wants_ack)


@pytest.mark.parametrize("wav_format", ["mp3", "wav", "others", ""])
def test_all_but_pcm_is_a_file_of_its_own(wav_format: str) -> None:
    assert not said(wav_format=wav_format).wish.pcm


@pytest.mark.parametrize(
    "text",
    ["", "START", "[1]", "null", "[" * 100_000, '"' + "x" * MAX_MESSAGE_CHARS + '"', "{'a': 1}"],
)
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="message: "):
        read_message(text, FileWish(), WITHOUT_LISTS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mode", "3pass"),
        ("mode", 2),
        ("wav_name", ["a"]),
        ("wav_name", "x" * 513),
        ("wav_format", 1),
        ("audio_fs", "16000"),
        ("audio_fs", True),
        ("audio_fs", 16000.5),
        ("audio_fs", 0),
        ("audio_fs", 10**30),
        ("audio_fs", float("nan")),
        ("audio_fs", float("inf")),
        ("is_speaking", "false"),
        ("itn", 1),
        ("hotwords", 7),
        ("hotwords", '{"vox": '),
        ("hotwords", "@list"),
        ("hotwords", "x" * 51),
    ],
)
def test_a_wrong_value_is_named(name: str, value: object) -> None:
    with pytest.raises(ParameterError, match=name) as refusal:
        said(**{name: value})
    assert refusal.value.message.isprintable()
    assert len(refusal.value.message) < 300


def test_half_a_character_in_a_name_does_not_break_the_answer() -> None:
    assert said(wav_name="a\ud800b").wish.wav_name == "a?b"
