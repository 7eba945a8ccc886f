"""How long a request may take: what its client says, within what the server allows. Pure."""

from __future__ import annotations

import math

from voxfleet.errors import ParameterError
from voxfleet.gateway.http_errors import shown

HEADER = "X-Request-Timeout"


def request_limit_s(asked: str | None, most_s: float) -> float:
    """Seconds; a client may only ask for less. Raises ParameterError for what is no number."""
    if asked is None:
        return most_s
    try:
        limit_s = float(asked)
    except ValueError:
        limit_s = math.nan
    if not limit_s > 0:
        raise ParameterError(
            f"{HEADER} '{shown(asked)}' is not a number of seconds above 0", param=HEADER
        )
    return min(limit_s, most_s)
