"""A real S3 on a socket of this machine, and file systems that speak to it, for tests."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from moto.server import ThreadedMotoServer

from voxfleet.jobs.object_stores import ObjectStores

AWS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hidden"}
KEYS = {"OSS_ACCESS_KEY_ID": "key", "OSS_ACCESS_KEY_SECRET": "hidden"}


@dataclass(frozen=True, slots=True)
class LocalS3:
    """`client` looks from outside, with another library than the one under test."""

    endpoint: str
    client: Any

    def stores(self) -> ObjectStores:
        return ObjectStores(self.endpoint, self.endpoint, KEYS)

    def put(self, bucket: str, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=content)

    def objects(self, bucket: str) -> dict[str, bytes]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        return {key: self._read(bucket, key) for key in keys}

    def _read(self, bucket: str, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def emptied(self, *buckets: str) -> None:
        for bucket in buckets:
            if bucket in {found["Name"] for found in self.client.list_buckets()["Buckets"]}:
                for key in self.objects(bucket):
                    self.client.delete_object(Bucket=bucket, Key=key)
            else:
                self.client.create_bucket(Bucket=bucket)


@contextmanager
def local_s3() -> Iterator[LocalS3]:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = importlib.import_module("boto3").client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=AWS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=AWS["AWS_SECRET_ACCESS_KEY"],
    )
    try:
        yield LocalS3(endpoint, client)
    finally:
        client.close()
        server.stop()
