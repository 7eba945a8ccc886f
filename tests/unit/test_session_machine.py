"""A realtime session as its client sees it, and the readings it costs, in examples."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.unit.talk_rig import MS, TalkRig, speech_of
from voxfleet.errors import EmptyAudioError
from voxfleet.transcribe.session_contract import (
    Cleared,
    Committed,
    Completed,
    ItemFailed,
    NothingSaid,
    PartialText,
    SpeechStarted,
    SpeechStopped,
    TurnOptions,
)

_HELLO = speech_of((1000, 1400, "hello"), (1450, 1900, "world"), (1950, 2500, "again"))
_BY_CLIENT = TurnOptions(detect=False)


def monologue(length_ms: int, word_ms: int = 400) -> list[tuple[int, int, str]]:
    """Words with short pauses; each is another."""
    starts = range(1000, 1000 + length_ms, word_ms)
    return [(at, at + word_ms - 50, f"w{index}") for index, at in enumerate(starts)]


def first_cut(rig: TalkRig) -> int:
    """Speech up to where a piece becomes too long; the reading that settles it."""
    while rig.position < 10_000 * MS:
        rig.hear(50 * MS)
        rig.answer_partials()
        if rig.in_flight:
            return next(iter(rig.in_flight))
    raise AssertionError("no piece was cut")


def test_an_utterance_from_its_first_word_to_its_text() -> None:
    rig = TalkRig(_HELLO)
    rig.listen(5000)
    kinds = [event for event in rig.events if not isinstance(event, PartialText)]
    assert kinds == [
        SpeechStarted(0, 0.7),
        SpeechStopped(0, 3.0),
        Committed(0, 0.7, 3.0),
        Completed(0, 0.7, 3.0, "hello world again", "l700", kinds[-1].words),  # type: ignore[union-attr]
    ]
    assert "".join(rig.deltas(0)) == "hello world again"
    first = next(event for event in rig.events if isinstance(event, PartialText))
    assert rig.events.index(first) < rig.events.index(SpeechStopped(0, 3.0))


def test_the_last_reading_is_there_before_the_utterance_has_ended() -> None:
    rig = TalkRig(_HELLO)
    rig.listen(2700)
    count = len(rig.reads)
    assert rig.reads[-1].end >= 2550 * MS
    rig.listen(5000)
    assert len(rig.reads) == count
    assert rig.texts == ["hello world again"]


def test_its_answer_may_come_after_the_end() -> None:
    rig = TalkRig(_HELLO)
    rig.listen(2550)
    while rig.position < 3200 * MS:
        rig.hear(50 * MS)
    assert rig.told(Committed)
    assert rig.texts == []
    assert [read.final for read in rig.in_flight.values()] == [False]
    rig.answer_all()
    assert rig.texts == ["hello world again"]


def test_a_reading_on_its_way_that_does_not_reach_the_end_is_dropped() -> None:
    rig = TalkRig(_HELLO)
    rig.hear(1250 * MS)
    early = next(iter(rig.in_flight))
    rig.hear(5000 * MS - rig.position)
    assert rig.drops == [early]
    assert [read.final for read in rig.in_flight.values()] == [True]
    rig.answer_all()
    assert rig.texts == ["hello world again"]


def test_silence_asks_for_nothing_and_keeps_nothing() -> None:
    rig = TalkRig([], TurnOptions(prefix_s=0.3, idle_s=5.0))
    rig.listen(60_000, step_ms=500)
    assert rig.reads == []
    assert rig.events == [NothingSaid(0.0, 5.0)]
    assert rig.position - rig.forgotten <= 1000 * MS


def test_readings_wait_for_speech_to_grow_and_for_their_pace() -> None:
    rig = TalkRig(speech_of((1000, 7000, "long")))
    rig.machine.cost_factor = 0.5
    asked_s = []
    for _ in range(700):
        rig.hear(10 * MS)
        asked_s += [(rig.now_s, read.end - read.start) for read in rig.in_flight.values()]
        rig.answer_all()
    assert asked_s[0][0] == pytest.approx(1.2)
    for (before_s, _), (at_s, length) in pairwise(asked_s):
        assert at_s - before_s >= max(0.3, length / 16_000 * 0.5) - 1e-9
    assert len(asked_s) >= 4


def test_dear_readings_are_few_and_the_last_one_is_not_late() -> None:
    rig = TalkRig(_HELLO)
    rig.machine.cost_factor = 1000.0
    rig.listen(2500)
    assert len(rig.reads) == 1
    rig.listen(2750)
    assert len(rig.reads) == 2
    rig.listen(3000)
    assert rig.texts == ["hello world again"]
    assert len(rig.reads) == 2


def test_a_long_utterance_is_settled_piece_by_piece() -> None:
    rig = TalkRig(speech_of(*monologue(30_000)))
    rig.listen(40_000)
    assert rig.texts == [" ".join(f"w{index}" for index in range(75))]
    assert "".join(rig.deltas(0)) == rig.texts[0]
    cuts = [read for read in rig.reads if read.quiet_from is not None]
    assert len(cuts) >= 3
    assert all(read.end - read.start == 8000 * MS for read in cuts)
    assert {read.quiet_from - read.start for read in cuts if read.quiet_from} == {4800 * MS}


def test_pieces_go_on_before_the_answer_where_the_cut_is_known() -> None:
    rig = TalkRig(speech_of(*monologue(12_000)))
    cut = first_cut(rig)
    rig.take(rig.machine.cut(cut, rig.cut_end(cut), rig.now_s))
    rig.hear(300 * MS)
    following = [read for key, read in rig.in_flight.items() if key != cut]
    assert [read.start for read in following] == [rig.cut_end(cut)]
    rig.answer(following[0].id)
    rig.listen(20_000)
    assert rig.texts == [" ".join(f"w{index}" for index in range(30))]


def test_without_turns_the_client_says_what_belongs_together() -> None:
    rig = TalkRig(speech_of((1000, 2000, "one"), (5000, 6000, "two"), (9000, 9900, "three")))
    rig = TalkRig(rig.words, _BY_CLIENT)
    rig.listen(7000)
    assert not rig.told(SpeechStarted)
    assert not rig.told(Committed)
    assert "".join(rig.deltas(0)) == "one two"
    assert max(read.end - read.start for read in rig.reads) < 2000 * MS
    rig.commit()
    assert rig.told(Committed) == [Committed(0, 0.0, 7.0)]
    assert rig.texts == ["one two"]
    rig.listen(12_000)
    rig.finish()
    rig.check_order()
    assert rig.texts == ["one two", "three"]
    assert rig.told(Committed)[1] == Committed(1, 7.0, 12.0)


def test_a_commit_ends_the_utterance_that_is_open_and_speech_goes_on_in_the_next() -> None:
    rig = TalkRig(_HELLO)
    rig.listen(1930)
    rig.commit()
    rig.answer_all()
    assert rig.told(SpeechStopped) == [SpeechStopped(0, 1.93)]
    assert rig.texts == ["hello world"]
    rig.listen(5000)
    assert rig.told(SpeechStarted)[1] == SpeechStarted(1, 1.93)
    assert rig.texts == ["hello world", "again"]


@pytest.mark.parametrize("turns", [TurnOptions(), _BY_CLIENT])
def test_a_commit_of_silence_is_an_empty_text(turns: TurnOptions) -> None:
    rig = TalkRig([], turns)
    rig.listen(1000)
    rig.commit()
    assert rig.events == [Committed(0, 0.0, 1.0), Completed(0, 0.0, 1.0, "")]
    rig.listen(1090)
    with pytest.raises(EmptyAudioError, match="90 ms"):
        rig.commit()
    rig.listen(1100)
    rig.commit()
    assert rig.told(Committed)[1] == Committed(1, 1.0, 1.1)


def test_what_is_cleared_is_never_committed() -> None:
    rig = TalkRig(_HELLO)
    rig.hear(1250 * MS)
    rig.clear()
    assert not rig.in_flight
    assert rig.events[-2:] == [SpeechStopped(0, rig.now_s), Cleared()]
    rig.listen(5000)
    rig.finish()
    rig.check_order()
    assert rig.texts == ["world again"]
    assert rig.told(Committed)[0].item == 1


def test_a_reading_between_that_fails_costs_nothing() -> None:
    rig = TalkRig(_HELLO)
    while rig.position < 5000 * MS:
        rig.hear(50 * MS)
        for reading_id, read in list(rig.in_flight.items()):
            rig.answer(reading_id) if read.final else rig.fail(reading_id)
    assert rig.texts == ["hello world again"]
    assert sum(read.final for read in rig.reads) == 1


def test_a_last_reading_that_fails_fails_its_utterance_once_and_no_other() -> None:
    rig = TalkRig(speech_of(*monologue(20_000), (30_000, 30_400, "later")))
    rig.fail(first_cut(rig))
    told = len(rig.told(PartialText))
    rig.listen(25_000)
    # the rest of it is read and told all the same
    assert len(rig.told(PartialText)) > told
    assert rig.told(ItemFailed) == [ItemFailed(0, "poison", "no")]
    assert isinstance(rig.events[-2], Committed)
    rig.listen(33_000)
    rig.finish()
    rig.check_order()
    assert rig.texts == ["later"]


def test_texts_are_told_in_order_though_read_in_another() -> None:
    rig = TalkRig(speech_of((1000, 1500, "one"), (3000, 3500, "two")))
    rig.hear(6000 * MS)
    first, second = rig.in_flight
    rig.answer(second)
    assert rig.texts == []
    rig.answer(first)
    assert rig.texts == ["one", "two"]


def test_words_have_their_place_in_the_session() -> None:
    rig = TalkRig(_HELLO)
    rig.listen(5000)
    (word,) = rig.told(Completed)[0].words
    assert [word.start_s, word.end_s] == pytest.approx([0.7, 2.6])


def test_its_language_is_that_of_the_first_piece_that_has_one() -> None:
    words = speech_of((1000, 2000, "one"), (4000, 5000, "two"), (7000, 8000, "three"))
    rig = TalkRig(words, _BY_CLIENT, no_language_ms=2000)
    rig.listen(9000)
    rig.commit()
    assert rig.told(Completed)[0].language == "l3700"


def test_the_end_waits_for_the_last_text() -> None:
    rig = TalkRig(_HELLO)
    rig.listen(2300)
    rig.flush()
    rig.take(rig.machine.finish(rig.now_s))
    assert rig.told(Committed)
    before = rig.machine.done
    rig.answer_all()
    assert (before, rig.machine.done) == (False, True)
    assert rig.texts == ["hello world again"]


def test_turns_may_change_while_somebody_speaks() -> None:
    rig = TalkRig(_HELLO)
    rig.listen(2000)
    rig.machine.change(_BY_CLIENT)
    rig.listen(6000)
    assert rig.told(Committed) == []
    rig.machine.change(TurnOptions(silence_s=1.0))
    rig.listen(6100)
    assert rig.told(SpeechStopped) == [SpeechStopped(0, 3.5)]
    assert rig.texts == ["hello world again"]
