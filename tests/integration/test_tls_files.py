"""HTTPS: a real handshake, a renewed certificate without a restart, and files of no use."""

from __future__ import annotations

import os
import shutil
import ssl
from pathlib import Path

import httpx
import pytest

from tests.integration.made_certificate import make_certificate
from tests.integration.server_process import serving
from voxfleet.errors import StartError
from voxfleet.gateway.tls_files import TlsFiles


def test_a_server_with_a_certificate_speaks_https(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "desk")
    settings = {
        "VOXFLEET_SERVER__TLS_CERT": str(certificate),
        "VOXFLEET_SERVER__TLS_KEY": str(key),
    }
    with serving(tmp_path / "data", "--model", "fake", **settings) as server:
        assert server.address.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=certificate)
        with httpx.Client(base_url=server.address, verify=trusting) as client:
            assert client.get("/readyz").status_code == 200
        with pytest.raises(httpx.ConnectError, match="certificate"):
            httpx.get(f"{server.address}/readyz")


def handshake(files: TlsFiles, trusted: Path) -> str:
    """Whose certificate a client sees that trusts only that one."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = files.context.wrap_bio(to_server, to_client, server_side=True)
    trusting = ssl.create_default_context(cafile=trusted)
    client = trusting.wrap_bio(to_client, to_server, server_hostname="localhost")
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    peer = client.getpeercert()
    assert peer
    # its only name
    return str(peer["subject"][0][0][1])


@pytest.fixture
def first(tmp_path: Path) -> tuple[Path, Path]:
    return make_certificate(tmp_path, "first")


def replace_by(new: tuple[Path, Path], old: tuple[Path, Path]) -> None:
    for source, target in zip(new, old, strict=True):
        shutil.copyfile(source, target)
        # a file system may count time in whole seconds
        os.utime(target, (1, 1))


def test_a_renewed_certificate_is_used_without_a_restart(
    tmp_path: Path, first: tuple[Path, Path]
) -> None:
    files = TlsFiles(*first)
    assert handshake(files, first[0]) == "first"
    replace_by(make_certificate(tmp_path, "second"), first)
    files.reload_if_changed()
    assert handshake(files, tmp_path / "second.crt") == "second"


def test_half_a_renewal_leaves_what_was_loaded(
    tmp_path: Path, first: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    files = TlsFiles(*first)
    kept = shutil.copyfile(first[0], tmp_path / "kept.crt")
    other, _ = make_certificate(tmp_path, "other")
    shutil.copyfile(other, first[0])
    os.utime(first[0], (1, 1))
    for _ in range(3):
        files.reload_if_changed()
    # once, not every half minute for ever
    assert caplog.text.count("stays in use") == 1
    assert handshake(files, kept) == "first"


@pytest.mark.parametrize("broken", [0, 1])
def test_files_of_no_use_are_named(first: tuple[Path, Path], broken: int) -> None:
    first[broken].write_text("no PEM")
    with pytest.raises(StartError, match=str(first[broken])):
        TlsFiles(*first)
    first[broken].unlink()
    with pytest.raises(StartError, match="No such file"):
        TlsFiles(*first)
