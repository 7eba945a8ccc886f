"""How stores of objects are spoken to, what their faults mean, and what a start refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.integration.s3_rig import BucketRig, set_keys
from tests.integration.s3_server import KEYS
from voxfleet.errors import OverloadError, PermissionDeniedError, StartError, VoxfleetError
from voxfleet.jobs import object_stores
from voxfleet.jobs.object_stores import ObjectStores, file_system_options
from voxfleet.jobs.source_rules import SourceRules
from voxfleet.jobs.storage_check import checked_storage
from voxfleet.jobs.storage_place import ObjectPlace

Request = tuple[str, str, dict[str, str], bytes]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_keys(monkeypatch, tmp_path)
    # so that a fault is told in a moment
    monkeypatch.setattr(object_stores, "_REQUEST_TRIES", 1)


@contextmanager
def answering(status: int) -> Iterator[tuple[str, list[Request]]]:
    """A store that gives one answer to all; its address, and what it was asked."""
    asked: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked.append((self.command, self.path, headers, body))
            self.send_response(status)
            self.send_header("etag", '"x"')
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_PUT = do_DELETE = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "kind"), [(403, PermissionDeniedError), (500, OverloadError), (503, OverloadError)]
)
async def test_a_store_that_refuses_says_whether_it_may_pass(
    tmp_path: Path, status: int, kind: type[VoxfleetError]
) -> None:
    with answering(status) as (endpoint, asked):
        rig = BucketRig(tmp_path, ObjectStores(endpoint))
        assert type(await rig.refused("s3://sounds/in/a.wav")) is kind
        rig.stores.close()
    assert asked


async def test_a_store_that_is_away_may_be_back_later(tmp_path: Path) -> None:
    with answering(200) as (endpoint, _):
        pass
    rig = BucketRig(tmp_path, ObjectStores(endpoint))
    fault = await rig.refused("s3://sounds/in/a.wav")
    assert (type(fault), fault.retryable) == (OverloadError, True)
    rig.stores.close()


@pytest.mark.parametrize("scheme", ["s3", "oss"])
async def test_a_body_is_sent_without_trailer(tmp_path: Path, scheme: str) -> None:
    """OSS refuses aws-chunked bodies, and so do other stores that speak like S3."""
    with answering(200) as (endpoint, asked):
        stores = ObjectStores(endpoint, endpoint, KEYS)
        rig = BucketRig(tmp_path, stores, f"{scheme}://kept")
        await rig.blobs.put(rig.upload(b"sound"), "job_1/0")
        stores.close()
    command, path, headers, body = asked[-1]
    assert (command, path, body) == ("PUT", "/kept/job_1/0", b"sound")
    assert "content-encoding" not in headers
    assert not [name for name in headers if "checksum" in name or "trailer" in name]
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256")


def checked(stores: ObjectStores, **changed: object) -> SourceRules:
    settings: dict[str, object] = {
        "sources": [],
        "blob_url": "",
        "archive_url": "",
        "archives": ["keep"],
    }
    return checked_storage(stores, **(settings | changed))  # type: ignore[arg-type]


def test_storage_without_fault_is_checked() -> None:
    stores = ObjectStores("", "https://oss-cn-hangzhou.aliyuncs.com", KEYS)
    rules = checked(
        stores,
        sources=["s3://b-1/in", "oss://b-2", "/srv/in"],
        blob_url="oss://b-2/blobs",
        archive_url="s3://b-1/old",
        archives=["keep", "move"],
    )
    assert rules.understood("/srv/in/a.wav") == "/srv/in/a.wav"


@pytest.mark.parametrize("setting", ["sources", "blob_url", "archive_url"])
@pytest.mark.parametrize(
    ("endpoint", "keys", "told"),
    [("", KEYS, r"jobs\.oss_endpoint"), ("https://oss.example", {}, "OSS_ACCESS_KEY_ID")],
)
def test_oss_needs_its_address_and_keys(
    setting: str, endpoint: str, keys: dict[str, str], told: str
) -> None:
    value = ["oss://b-2"] if setting == "sources" else "oss://b-2"
    with pytest.raises(StartError, match=told) as raised:
        checked(ObjectStores("", endpoint, keys), **{setting: value})
    assert f"jobs.{setting}" in raised.value.message


@pytest.mark.parametrize("setting", ["sources", "blob_url", "archive_url"])
def test_the_package_that_is_missing_is_named(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    value = ["s3://b-1"] if setting == "sources" else "s3://b-1"
    with pytest.raises(StartError, match=r"pip install 'voxfleet\[s3\]'"):
        checked(ObjectStores(), **{setting: value})


def test_move_needs_a_place() -> None:
    with pytest.raises(StartError, match=r"jobs\.archive_url"):
        checked(ObjectStores(), archives=["keep", "move"])


@pytest.mark.parametrize(
    ("endpoint", "style", "region"),
    [
        ("https://oss-cn-hangzhou.aliyuncs.com", "virtual", "cn-hangzhou"),
        ("https://s3.oss-ap-southeast-1-internal.aliyuncs.com/", "virtual", "ap-southeast-1"),
        ("https://oss.example", "virtual", "oss"),
        ("http://127.0.0.1:9000", "path", "oss"),
        ("http://[::1]:9000", "path", "oss"),
        ("http://localhost:9000", "path", "oss"),
    ],
)
def test_buckets_of_oss_are_hosts(endpoint: str, style: str, region: str) -> None:
    options = file_system_options("oss", endpoint, KEYS)
    config = options["config_kwargs"]
    assert isinstance(config, dict)
    assert config["s3"] == {"addressing_style": style}
    assert options["client_kwargs"] == {"region_name": region}
    assert (options["key"], options["secret"]) == ("key", "hidden")


def test_a_place_in_a_bucket_has_parts() -> None:
    assert ObjectPlace("s3", "b", "").under("a/b").path == "b/a/b"
