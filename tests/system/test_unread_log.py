"""A server whose log nobody reads goes on."""

from __future__ import annotations

from pathlib import Path

from tests.integration.server_process import serving


def test_a_log_that_nobody_reads_stops_no_request(tmp_path: Path) -> None:
    """Its pipe holds some hundred lines; each request makes one."""
    with serving(tmp_path, "--model", "fake") as server, server.client() as client:
        statuses = {client.get("/v1/models").status_code for _ in range(2000)}
        assert statuses == {200}
        assert server.stop().count("/v1/models") > 500
