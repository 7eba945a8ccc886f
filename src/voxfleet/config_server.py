"""Settings of the HTTP side: where to listen, whom to trust, what to write down of requests.

Knows neither where values come from nor what they are used for.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from voxfleet.config_pool import Section, split_list

#: a path as people write it, ~ included
HomePath = Annotated[Path, AfterValidator(Path.expanduser)]

_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+")
_ENDPOINT = re.compile(r"(https?://\S+)?")


def _checked_proxy(address: str) -> str:
    try:
        ipaddress.ip_network(address, strict=False)
    except ValueError:
        raise ValueError("name proxies by address, such as 10.0.0.5 or 10.0.0.0/8") from None
    return address


def _checked_root_path(path: str) -> str:
    trimmed = path.rstrip("/")
    if not _ROOT_PATH.fullmatch(trimmed):
        raise ValueError("write it as the proxy has it, such as /speech")
    return trimmed


def _checked_origin(origin: str) -> str:
    if origin != "*" and not _ORIGIN.fullmatch(origin):
        raise ValueError("write scheme, host and port, such as https://desk.example.com, or *")
    return origin


def _checked_endpoint(url: str) -> str:
    if not _ENDPOINT.fullmatch(url):
        raise ValueError("write an address such as http://collector:4318/v1/traces")
    return url


ProxyList = Annotated[
    tuple[Annotated[str, AfterValidator(_checked_proxy)], ...], BeforeValidator(split_list)
]
OriginList = Annotated[
    tuple[Annotated[str, AfterValidator(_checked_origin)], ...], BeforeValidator(split_list)
]


class ServerSection(Section):
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=7860, ge=0, le=65535, description="Port to listen on; 0 takes any free one."
    )
    request_timeout_s: float = Field(
        default=300,
        gt=0,
        description="Time allowed for one request; longer files are refused early.",
    )
    max_upload_mb: int = Field(default=1000, ge=1, description="Largest upload in MB (10^6 bytes).")
    shutdown_grace_s: float = Field(
        default=30, ge=0, description="How long requests in work may finish after a stop signal."
    )
    drain_delay_s: float = Field(
        default=0,
        ge=0,
        description="How long new requests are still taken after a stop signal, while `/readyz`"
        " already says no.",
    )
    min_free_disk_mb: int = Field(
        default=100,
        ge=0,
        description="With less free on the data directory's disk, `/readyz` says no.",
    )
    root_path: Annotated[str, AfterValidator(_checked_root_path)] = Field(
        default="", description="Path under which a proxy shows this server, such as `/speech`."
    )
    trusted_proxies: ProxyList = Field(
        default=(),
        description="Addresses of proxies whose `X-Forwarded-For` and `-Proto` are believed.",
    )
    tls_cert: HomePath | None = Field(
        default=None, description="PEM file of the certificate and its chain; makes it HTTPS."
    )
    tls_key: HomePath | None = Field(default=None, description="PEM file of its private key.")
    cors_origins: OriginList = Field(
        default=(),
        description="Web pages that may call from a browser, such as `https://desk.example.com`.",
    )
    docs: bool = Field(
        default=True, description="Whether `/docs`, `/redoc` and `/openapi.json` are there."
    )

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together; set both or neither")
        return self


class LogSection(Section):
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severity that is logged."
    )
    format: Literal["text", "json"] = Field(
        default="text", description="Lines for people, or JSON objects."
    )
    transcripts: bool = Field(
        default=False, description="Whether texts are logged too; they may be private."
    )


class TracesSection(Section):
    endpoint: Annotated[str, AfterValidator(_checked_endpoint)] = Field(
        default="",
        description="Address that takes OTLP over HTTP; empty sends none. Needs `voxfleet[otel]`.",
    )
    sample_ratio: float = Field(
        default=1.0, ge=0, le=1, description="Share of requests that are traced."
    )
