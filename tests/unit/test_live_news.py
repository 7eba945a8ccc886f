"""News are merged, told once, and lose nothing when another process hears the sound again."""

from __future__ import annotations

from voxfleet.audio.speech import SpeechSpan, SpeechUpdate
from voxfleet.media.live_news import News
from voxfleet.media.live_sound import Heard


def heard(
    position: int,
    *spans: tuple[int, int],
    since: int | None = None,
    until: int | None = None,
    settled: int | None = None,
) -> Heard:
    known = position if since is None else since
    pieces = tuple(SpeechSpan(*span) for span in spans)
    settled = known if settled is None else settled
    return Heard(position, SpeechUpdate(pieces, since, settled, until))


def test_several_become_one() -> None:
    news = News()
    assert news.take() is None
    assert news.add(heard(100, (10, 20)))
    assert news.add(heard(200, (110, 150), since=180, until=190))
    assert news.take() == heard(200, (10, 20), (110, 150), since=180, until=190)
    assert news.take() is None


def test_what_was_told_is_not_told_again() -> None:
    news = News()
    news.add(heard(200, (10, 150)))
    news.take()
    assert not news.add(heard(100, (10, 90)))
    assert not news.add(heard(180, (95, 149)))
    assert news.take() is None
    assert news.add(heard(300))
    assert news.take() == heard(300)


def test_an_end_found_while_hearing_again_is_told_with_what_is_new() -> None:
    news = News()
    news.add(heard(200, since=120, until=200))
    news.take()
    assert not news.add(heard(190, (120, 170)))
    assert news.add(heard(250))
    assert news.take() == heard(250, (120, 170))


def test_speech_that_only_the_dead_process_heard_is_not_lost() -> None:
    news = News()
    news.add(heard(200, since=120, until=190))
    news.take()
    assert news.add(heard(300))
    assert news.take() == heard(300, (120, 190))


def test_speech_that_seems_to_begin_later_began_where_it_was_told() -> None:
    news = News()
    news.add(heard(200, since=120, until=190))
    news.take()
    assert news.add(heard(300, since=150, until=290))
    assert news.take() == heard(300, since=120, until=290)
    assert news.add(heard(400, (160, 350)))
    assert news.take() == heard(400, (120, 350))


def test_speech_after_a_pause_is_not_what_was_told() -> None:
    news = News()
    news.add(heard(200, since=120, until=190))
    news.take()
    assert news.add(heard(300, since=240, until=290))
    assert news.take() == heard(300, (120, 190), since=240, until=290)


def test_what_is_not_heard_again_comes_before_what_is_new() -> None:
    news = News()
    news.add(heard(200, since=120, until=190))
    news.take()
    assert news.add(heard(300, (240, 260)))
    assert news.take() == heard(300, (120, 190), (240, 260))


def test_nothing_begins_before_what_was_settled() -> None:
    news = News()
    news.add(heard(200))
    news.take()
    news.add(heard(300, (180, 260)))
    assert news.take() == heard(300, (200, 260))


def test_an_end_without_new_sound_is_told() -> None:
    news = News()
    news.add(heard(200, since=120, until=200))
    news.take()
    assert news.add(heard(200, (120, 200)))
    assert news.take() == heard(200, (120, 200))
