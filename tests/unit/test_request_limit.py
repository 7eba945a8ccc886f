"""The time a request may take: less than the server's own when its client says so."""

from __future__ import annotations

import pytest

from voxfleet.errors import ParameterError
from voxfleet.gateway.request_limit import request_limit_s


@pytest.mark.parametrize(
    ("asked", "limit_s"),
    [(None, 300), ("10", 10), (" 0.5 ", 0.5), ("301", 300), ("inf", 300), ("1e-3", 0.001)],
)
def test_a_client_may_only_ask_for_less(asked: str | None, limit_s: float) -> None:
    assert request_limit_s(asked, 300) == limit_s


@pytest.mark.parametrize("asked", ["", "soon", "0", "-1", "nan", "-inf", "10s", "1\n2"])
def test_what_is_no_time_is_refused_by_name(asked: str) -> None:
    with pytest.raises(ParameterError) as refusal:
        request_limit_s(asked, 300)
    assert refusal.value.param == "X-Request-Timeout"
    assert refusal.value.message.isprintable()
