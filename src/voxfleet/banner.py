"""What a server says when it is ready: its model, its address, and a line to try it with."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from voxfleet.config import Settings
from voxfleet.core import EngineInfo
from voxfleet.part_settings import BUNDLED_MODEL


def banner(
    infos: Sequence[EngineInfo],
    settings: Settings,
    listener: socket.socket,
    warnings: Sequence[str] = (),
) -> str:
    host, port = listener.getsockname()[:2]
    shown_host = f"[{host}]" if ":" in host else host
    # an address to listen on everywhere is none to connect to
    shown_host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(shown_host, shown_host)  # noqa: S104
    scheme = "https" if settings.server.tls_cert else "http"
    address = f"{scheme}://{shown_host}:{port}"
    why = "" if settings.model or settings.pool else f" ({_reason(infos[0])})"
    models = ", ".join(info.model for info in infos)
    warned = "".join(f"warning  {warning}\n" for warning in warnings)
    return (
        f"voxfleet {version('voxfleet')}\n"
        f"model    {models}{why}\n"
        f"address  {address}\n"
        f"{warned}"
        f"try      curl -F file=@{sample_clip()} {address}/v1/audio/transcriptions"
    )


def _reason(info: EngineInfo) -> str:
    if info.model != BUNDLED_MODEL:
        return "found on this machine; no other model was named"
    return "bundled English; no other model was named"


def sample_clip() -> Path:
    """The bundled recording, as short a path as works from where the server was started."""
    clip = Path(__file__).with_name("samples") / "hello.wav"
    here = Path.cwd()
    return clip.relative_to(here) if clip.is_relative_to(here) else clip
