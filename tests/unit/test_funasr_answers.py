"""What FunASR's clients are answered: increments, sentences, times, and one last message."""

from __future__ import annotations

import json

import pytest

from voxfleet.core import Transcript, Transcription, TranscriptSegment, Word
from voxfleet.errors import OverloadError
from voxfleet.gateway.funasr_answers import LiveAnswers, end_ack, fault_answer, file_answer
from voxfleet.gateway.funasr_messages import FileWish, FunAsrMode
from voxfleet.gateway.funasr_stamps import sentences, timestamp
from voxfleet.transcribe.session_contract import (
    Committed,
    Completed,
    Ending,
    ItemFailed,
    PartialText,
    SessionEvent,
    SpeechStarted,
)

OFFLINE = FileWish(FunAsrMode.OFFLINE, "talk")
TWICE = FileWish(FunAsrMode.TWICE, "mic")
ONLINE = FileWish(FunAsrMode.ONLINE, "mic")


def segment(text: str, *words: tuple[str, float, float]) -> TranscriptSegment:
    return TranscriptSegment(0, 0.0, 2.0, text, tuple(Word(*word) for word in words))


def transcription(*segments: TranscriptSegment) -> Transcription:
    text = " ".join(each.text for each in segments)
    return Transcription("main", 2.0, (Transcript(text, None, 2.0, segments),))


def told(wish: FileWish, *events: SessionEvent, ended: bool = False) -> list[dict[str, object]]:
    answers = LiveAnswers(wish)
    if ended:
        answers.sound_ended()
    return [answer for event in events for answer in answers.of(event)] + [answers.last()]


def texts(answers: list[dict[str, object]]) -> list[tuple[object, object, object]]:
    return [(answer["mode"], answer["text"], answer["is_final"]) for answer in answers]


SPOKEN = segment(
    "你好，vox fleet.", ("你", 0, 0.2), ("好", 0.2, 0.4), ("vox", 0.5, 1), ("fleet", 1, 2)
)


def test_the_answer_to_a_file() -> None:
    assert file_answer(OFFLINE, transcription(SPOKEN)) == {
        "mode": "offline",
        "text": "你好，vox fleet.",
        "wav_name": "talk",
        "is_final": True,
        "timestamp": "[[0,200],[200,400],[500,1000],[1000,2000]]",
        "stamp_sents": [
            {"text_seg": "你好", "punc": "，", "start": 0, "end": 400,
             "ts_list": [[0, 200], [200, 400]]},
            {"text_seg": "vox fleet", "punc": ".", "start": 500, "end": 2000,
             "ts_list": [[500, 1000], [1000, 2000]]},
        ],
    }  # fmt: skip


def test_a_file_without_sound_has_an_answer_too() -> None:
    answer = file_answer(OFFLINE, None)
    assert (answer["text"], answer["is_final"], answer["stamp_sents"]) == ("", True, [])


def test_a_model_without_word_times_sends_no_list_that_is_looked_into() -> None:
    answer = file_answer(OFFLINE, transcription(segment("hello world")))
    assert "timestamp" not in answer
    assert answer["stamp_sents"] == [
        {"text_seg": "hello world", "punc": "", "start": 0, "end": 2000, "ts_list": []}
    ]


def test_digits_take_the_time_of_the_words_they_stand_for() -> None:
    spoken = segment("20, ok.", ("twenty", 0, 1), ("ok", 1, 2))
    assert [(s["text_seg"], s["start"], s["end"]) for s in sentences([spoken])] == [
        ("20", 0, 1000),
        ("ok", 1000, 2000),
    ]


@pytest.mark.parametrize("text", ["", "，", "3.5", "a.b. c", "...", "你好。。", "?!"])
def test_every_word_is_in_one_sentence(text: str) -> None:
    spoken = segment(text, ("a", 0, 1), ("b", 1, 2))
    found = [pair for sentence in sentences([spoken]) for pair in sentence["ts_list"]]  # type: ignore[attr-defined]
    assert found in ([[0, 1000], [1000, 2000]], [])
    assert json.loads(timestamp([spoken]) or "") == [[0, 1000], [1000, 2000]]


def test_a_fault_is_no_text() -> None:
    answer = fault_answer(OFFLINE, OverloadError("full; try later"))
    assert (answer["text"], answer["is_final"], answer["mode"]) == ("", True, "offline")
    assert (answer["error"], answer["code"]) == ("full; try later", "overloaded")


def test_acknowledgements() -> None:
    assert end_ack(TWICE, None) == {
        "mode": "2pass-offline", "wav_name": "mic", "is_final": True, "is_end": True
    }  # fmt: skip
    failed = end_ack(TWICE, "broken")
    assert (failed["is_final"], failed["error"]) == (False, "broken")


def test_2pass_tells_increments_and_then_the_sentence() -> None:
    answers = told(
        TWICE,
        SpeechStarted(0, 0.1),
        PartialText(0, "hello"),
        PartialText(0, " wor"),
        Committed(0, 0.0, 1.0),
        Completed(
            0, 0.0, 1.0, "Hello world.", None, (Word("hello", 0, 0.5), Word("world", 0.5, 1))
        ),
    )
    assert texts(answers) == [
        ("2pass-online", "hello", False),
        ("2pass-online", " wor", False),
        ("2pass-offline", "Hello world.", False),
        ("2pass-offline", "", True),
    ]
    sentence = answers[2]
    assert (sentence["start_time"], sentence["end_time"]) == (0, 1000)
    assert sentence["timestamp"] == "[[0,500],[500,1000]]"


def test_the_last_sentence_after_the_end_is_the_final_message() -> None:
    first, second = Completed(0, 0, 1, "一"), Completed(1, 1, 2, "二")
    answers = told(TWICE, first, PartialText(1, "二"), second, ended=True)
    assert texts(answers) == [
        ("2pass-offline", "一", False),
        ("2pass-online", "二", False),
        ("2pass-offline", "二", True),
    ]


def test_sentences_are_parted_where_their_script_wants_it() -> None:
    latin = told(
        TWICE, Completed(0, 0, 1, "One."), PartialText(1, "two"), Completed(1, 1, 2, "Two.")
    )
    assert [answer["text"] for answer in latin] == ["One.", " two", " Two.", ""]
    chinese = told(TWICE, Completed(0, 0, 1, "一。"), Completed(1, 1, 2, "二。"))
    assert [answer["text"] for answer in chinese] == ["一。", "二。", ""]


@pytest.mark.parametrize(
    ("partials", "final", "rest"),
    [
        (["hello", " wor"], "Hello world.", "ld."),
        ([], "Hello.", "Hello."),
        (["hello world"], "Hello world", ""),
        (["hello,"], "hello, world", " world"),
        (["你好"], "你好。", "。"),
        (["one two three"], "one two", ""),
        (["..."], "a", "a"),
    ],
)
def test_online_tells_only_the_rest(partials: list[str], final: str, rest: str) -> None:
    events = [PartialText(0, text) for text in partials]
    answers = told(ONLINE, *events, Completed(0, 0, 1, final))
    assert texts(answers)[len(partials)] == ("online", rest, False)
    assert texts(answers)[-1] == ("online", "", True)


def test_a_lost_sentence_is_told_where_it_would_have_stood() -> None:
    answers = told(TWICE, PartialText(0, "x"), ItemFailed(0, "poison", "it broke"), ended=True)
    assert texts(answers)[-1] == ("2pass-offline", "", True)
    assert answers[-1]["error"] == "it broke"
    assert answers[-1]["code"] == "poison"


def test_the_server_says_why_it_ends() -> None:
    answers = told(TWICE, Completed(0, 0, 1, "一"), Ending("the server stops"))
    assert answers[-1]["error"] == "the server stops"
    assert answers[-1]["is_final"] is True
