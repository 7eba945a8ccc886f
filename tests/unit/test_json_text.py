"""Long lists are written in pieces, and are the JSON that they would be in one."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from voxfleet.transcribe.json_text import json_pieces, json_text

ENTRY = {"token": '你"\n', "logprob": -0.25, "bytes": [1, 2]}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "\u2028 é", "duration": 1.5, "none": None},
        *({"before": 1, "list": [ENTRY] * size, "after": []} for size in (0, 1, 256, 257, 1000)),
        {"first": [ENTRY] * 300, "second": [1, [2]] * 400},
    ],
)
def test_it_is_what_the_encoder_would_write(body: Mapping[str, object]) -> None:
    assert json_text(body) == json.dumps(body, ensure_ascii=False)


def test_no_piece_keeps_other_threads_waiting_for_long() -> None:
    body = {"text": "x", "logprobs": [ENTRY] * 100_000}
    sizes = [len(piece) for piece in json_pieces(body)]
    assert max(sizes) < 20_000 < sum(sizes)


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_text({"logprobs": [float("nan")] * 1000})
