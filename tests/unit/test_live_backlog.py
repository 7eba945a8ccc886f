"""What is kept of a stream's bytes, and when sending more is worth it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voxfleet.audio.live_rate import rate_change
from voxfleet.media.live_backlog import Backlog


def backlog(rate: int = 16_000, width: int = 2, keep_s: float = 60.0) -> Backlog:
    return Backlog(rate_change(rate), width, keep_s)


def test_half_a_sample_waits_for_its_other_half() -> None:
    log = backlog()
    log.feed(b"abc")
    assert (log.fed, log.take()) == (1, b"ab")
    log.feed(b"d")
    assert (log.fed, log.take()) == (2, b"cd")


@given(st.lists(st.binary(max_size=3_000), max_size=40), st.sampled_from([1, 2]))
def test_all_bytes_are_sent_once_and_in_order(parts: list[bytes], width: int) -> None:
    log, sent = backlog(8_000, width), b""
    for part in parts:
        log.feed(part)
        if log.worth_sending:
            sent += log.take()
            log.heard = log.sent
            log.forget(log.heard)
    while log.sent < log.fed:
        sent += log.take()
    fed = b"".join(parts)
    assert sent == fed[: len(fed) // width * width]


def test_less_than_detectors_take_is_not_worth_a_message() -> None:
    log, worth = backlog(), []
    for more in (1_022, 2, 1_000, 24):
        log.feed(bytes(more))
        worth.append(log.worth_sending)
        if worth[-1]:
            log.take()
    assert worth == [False, True, False, True]


def test_much_is_sent_by_the_second_and_no_further_than_asked() -> None:
    log = backlog()
    log.feed(bytes(96_000))
    assert len(log.take()) == 32_000
    assert len(log.take(until=20_000)) == 8_000
    assert log.unheard_s == 3.0


def test_what_was_not_heard_is_never_forgotten() -> None:
    log = backlog()
    log.feed(bytes(range(256)) * 1_000)
    log.take()
    log.forget(10**9)
    assert log.rewind() == 0
    log.take()
    log.heard = log.sent
    log.forget(10**9)
    assert log.rewind() == 8_000
    assert log.take()[:4] == (bytes(range(256)) * 1_000)[16_000:16_004]


def test_what_is_older_than_may_be_kept_goes() -> None:
    log = backlog(keep_s=2.0)
    for _ in range(5):
        log.feed(bytes(32_000))
        log.take()
        log.heard = log.sent
        log.forget(0)
    assert log.rewind() == 80_000 - 32_000 - 8_000


def test_it_begins_again_at_a_sample_of_both_rates() -> None:
    log = backlog(44_100)
    log.feed(bytes(2 * 44_100))
    log.take()
    log.heard = log.sent
    log.forget(12_345)
    position = log.rewind()
    assert position % 160 == 0
    assert 0 <= 12_345 - 8_000 - position < 160
    assert log.sent * 160 == position * 441
