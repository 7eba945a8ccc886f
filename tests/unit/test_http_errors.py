"""Error answers: OpenAI's body, its type by status, and what a retrying client is told."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.errors import (
    BY_CODE,
    CorruptAudioError,
    DeadlineError,
    NotReadyError,
    OverloadError,
    ParameterError,
    PlanError,
    RateLimitError,
    VoxfleetError,
    WorkerLostError,
)
from voxfleet.gateway.http_errors import error_response, error_type, shown, warning_headers
from voxfleet.gateway.multipart_form import shown_name
from voxfleet.gateway.probes import health_of
from voxfleet.gateway.request_edge import choose_request_id
from voxfleet.pool_contract import PoolSnapshot, WorkerSnapshot, WorkerState


@pytest.mark.parametrize("kind", BY_CODE.values())
def test_every_error_has_openais_four_keys(kind: type[VoxfleetError]) -> None:
    response = error_response(kind("what went wrong", param="file"))
    assert response.status_code == kind.status
    assert json.loads(bytes(response.body)) == {
        "error": {
            "message": "what went wrong",
            "type": error_type(kind.status),
            "param": "file",
            "code": kind.code,
        }
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_type_by_status(status: int, kind: str) -> None:
    assert error_type(status) == kind


@pytest.mark.parametrize(
    ("error", "retry_after", "should_retry"),
    [
        (OverloadError("full", retry_after_s=6.2), "7", "true"),
        (OverloadError("full", retry_after_s=0.0), "1", "true"),
        (NotReadyError("starting"), "1", "true"),
        (WorkerLostError("died"), "1", "true"),
        (CorruptAudioError("broken"), None, "false"),
        (DeadlineError("late"), None, "false"),
        (VoxfleetError("bug"), None, "false"),
        (PlanError("does not fit"), None, "false"),
        (RateLimitError("too often", retry_after_s=2.1), "3", "true"),
        (ParameterError("wrong"), None, None),
    ],
)
def test_retry_headers(
    error: VoxfleetError, retry_after: str | None, should_retry: str | None
) -> None:
    headers = error_response(error).headers
    assert (headers.get("retry-after"), headers.get("x-should-retry")) == (
        retry_after,
        should_retry,
    )


@given(st.text())
def test_anything_is_shown_in_one_short_line(text: str) -> None:
    line = shown(text)
    assert line.isprintable()
    assert len(line) <= 100


@given(st.text(), st.integers(1, 200))
def test_what_is_short_and_plain_is_shown_as_it_is(text: str, limit: int) -> None:
    plain = "".join(char for char in text if char.isprintable())[:limit]
    assert shown(plain, limit) == plain


def test_warnings_in_a_header() -> None:
    assert warning_headers(()) == {}
    said = warning_headers(("会.wav: breaks off", "a\r\nSet-Cookie: b"))["x-voxfleet-warnings"]
    assert said == "\\u4f1a.wav: breaks off; a\\r\\nSet-Cookie: b"


@given(st.lists(st.text(max_size=2000), min_size=1))
def test_any_warnings_make_one_short_header_line(warnings: list[str]) -> None:
    line = warning_headers(warnings)["x-voxfleet-warnings"]
    assert line.isascii()
    assert not line or line.isprintable()
    assert len(line) <= 1000


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("talk.wav", "talk.wav"),
        ("会议 录音.m4a", "会议 录音.m4a"),
        ("../../etc/passwd", "passwd"),
        ("C:\\sound\\a.wav", "a.wav"),
        ("a\r\nb\x00\x1b[2J\u202e.wav", "a\\r\\nb\\x00\\x1b[2J\\u202e.wav"),
        ("folder/", "upload"),
        ("x" * 10_000, "x" * 99 + "…"),
    ],
)
def test_a_files_name_is_for_messages_only(raw: str, name: str) -> None:
    assert shown_name(raw) == name


@pytest.mark.parametrize("offered", ["a", "req-1.2_3", "A" * 64])
def test_a_sane_request_id_is_kept(offered: str) -> None:
    assert choose_request_id(offered) == offered


@pytest.mark.parametrize("offered", [None, "", "a b", "a\n", "é", "A" * 65, "../x"])
def test_any_other_request_id_is_replaced(offered: str | None) -> None:
    chosen = choose_request_id(offered)
    assert chosen != offered
    assert len(chosen) == 32


def pool(*states: WorkerState) -> PoolSnapshot:
    workers = tuple(
        WorkerSnapshot(str(n), "m", "cpu", None, state, 0, False) for n, state in enumerate(states)
    )
    return PoolSnapshot("m", workers, None)


READY, STARTING, FAILED = WorkerState.READY, WorkerState.STARTING, WorkerState.FAILED
RESTARTING = WorkerState.RESTARTING


@pytest.mark.parametrize(
    ("pools", "ready", "status"),
    [
        ([], False, "starting"),
        ([pool()], False, "starting"),
        ([pool(STARTING)], False, "starting"),
        ([pool(READY)], True, "ok"),
        ([pool(READY)], False, "degraded"),
        ([pool(READY, FAILED)], True, "ok"),
        ([pool(FAILED)], False, "degraded"),
        ([pool(RESTARTING)], False, "degraded"),
        ([pool(READY), pool(STARTING)], True, "starting"),
        ([pool(READY), pool(FAILED)], True, "degraded"),
    ],
)
def test_health(pools: list[PoolSnapshot], ready: bool, status: str) -> None:
    assert health_of(pools, ready) == status
