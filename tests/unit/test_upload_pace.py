"""How slowly an upload may arrive: trickles end, bursts and slow but steady ones go on."""

from __future__ import annotations

from voxfleet.gateway.upload_pace import UploadPace


def test_steady_uploads_at_the_least_rate_go_on() -> None:
    pace = UploadPace(30, 16_000)
    for _ in range(1000):
        pace.came(16_000, 1.0)
        assert pace.left_s > 0


def test_a_byte_now_and_then_wins_no_time() -> None:
    pace = UploadPace(30, 16_000)
    for n in range(1, 31):
        pace.came(1, 1.0)
        assert pace.left_s == 30 - n
    assert "30 bytes came in 30 s and 480000 are the least" in pace.fault


def test_a_fast_beginning_buys_no_slow_end() -> None:
    pace = UploadPace(30, 16_000)
    pace.came(100_000_000, 2.0)
    assert pace.left_s == 30
    pace.came(1, 29.0)
    assert pace.left_s == 1
    pace.came(1, 29.0)
    assert pace.left_s == 0
