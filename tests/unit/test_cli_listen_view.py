"""What `voxfleet listen` writes where nobody's terminal is."""

from __future__ import annotations

import pytest

from voxfleet.cli_listen_view import EventView, LineView, printable


def test_a_finished_utterance_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with LineView() as view:
        view.growing(["one"])
        view.event("{}")
        view.finished("one\ntwo")
        view.finished("")
        view.say("voxfleet: why")
    assert capsys.readouterr() == ("one two\n", "voxfleet: why\n")


def test_an_event_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with EventView() as view:
        view.event('{\n "type": "x",\n "text": "会\\n"}')
        view.finished("one")
    assert capsys.readouterr().out == '{"type":"x","text":"会\\n"}\n'


def test_no_text_can_order_a_terminal_about() -> None:
    assert printable("\x1b[2Jred\x9b1m\x07") == "\\x1b[2Jred\\x9b1m\\x07"
    # a joiner that Persian is written with
    assert printable("می\u200cخواهم") == "می\u200cخواهم"
