"""Puts the parts together: the only file that names concrete classes.

Knows the order of starting and stopping; does no work of its own.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from voxfleet.config import Settings
from voxfleet.core import EngineInfo
from voxfleet.engines.catalog import EngineOptions, is_folder, require_engine
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.engines.text_catalog import TextEngineOptions
from voxfleet.errors import StartError
from voxfleet.fleet.local_pool import LocalPool
from voxfleet.fleet.text_pool import TextPool
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_app import create_app
from voxfleet.gateway.http_server import HttpServer, bind
from voxfleet.media.media_pool import MediaPool
from voxfleet.media.media_settings import MediaSettings
from voxfleet.models.local_models import find_paraformer_large
from voxfleet.observe.data_dir import DataDir, open_data_dir, open_scratch_dir
from voxfleet.observe.logs import configure_logging
from voxfleet.transcribe.pipeline import TranscriptionService

#: what `model = ""` means where no Paraformer-large is found
BUNDLED_MODEL = "pocketsphinx"


def run_server(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until a stop signal; raises StartError in one line. `announce` gets the banner."""
    configure_logging(settings.log.level, settings.log.format)
    require_engine(_model(settings))
    with open_data_dir(settings.data_dir) as folder:
        # the port before the model: a busy port is known at once, a model takes its time
        listener = bind(settings.server.host, settings.server.port)
        asyncio.run(_serve(settings, folder, listener, announce))


def _told_of_found_model(settings: Settings, fault: StartError) -> StartError:
    """Nobody named the model that cannot be started: say where it came from."""
    model = _model(settings)
    if settings.model or model == BUNDLED_MODEL:
        return fault
    return StartError(
        f"{fault.message}; {model} was found on this machine, as no model was named: repair or"
        f" remove it, or name another one (--model {BUNDLED_MODEL} is the bundled English)"
    )


async def _serve(
    settings: Settings, folder: DataDir, listener: socket.socket, announce: Callable[[str], None]
) -> None:
    service = _make_service(settings, folder)
    app = create_app(service, gateway_settings(settings, folder))
    server = HttpServer(app, listener, settings.server.shutdown_grace_s)
    serving = asyncio.create_task(server.serve(), name="http server")
    starting = asyncio.create_task(service.start(), name="service start")
    try:
        # a stop signal while the models load ends `serving` first
        await asyncio.wait({serving, starting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            try:
                await starting
            except StartError as fault:
                raise _told_of_found_model(settings, fault) from None
            announce(_banner(service.engine_info(), settings, listener))
        await serving
    finally:
        # stopping, in order: accept nothing new and let requests finish, then decoding and models
        server.stop()
        await asyncio.gather(serving, return_exceptions=True)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await service.stop()


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[tuple[TranscriptionService, Path]]:
    """A service without a server, in scratch folders of its own; also gives a folder to use."""
    configure_logging("error", settings.log.format)
    require_engine(_model(settings))
    with open_scratch_dir() as folder:
        service = _make_service(settings, folder)
        try:
            await service.start()
        except StartError as fault:
            raise _told_of_found_model(settings, fault) from None
        try:
            yield service, folder.uploads
        finally:
            await service.stop()


def _make_service(settings: Settings, folder: DataDir) -> TranscriptionService:
    media = MediaPool(
        media_settings(settings),
        socket_path=folder.run / "media",
        spool_dir=folder.spool,
        log_path=folder.logs / "media.log",
    )
    pool = LocalPool(
        engine_options(settings),
        instances=settings.instances,
        socket_path=folder.run / "workers",
        log_dir=folder.logs,
        start_timeout_s=settings.worker.start_timeout_s,
        min_batch_timeout_s=settings.worker.min_batch_timeout_s,
    )
    return TranscriptionService(
        media, pool, settings.queue.max_waiting, _make_text_pool(settings, folder)
    )


def _make_text_pool(settings: Settings, folder: DataDir) -> TextPool | None:
    """None where no text engine is wanted: then there is no process for it either."""
    options = text_engine_options(settings)
    if not options.names:
        return None
    return TextPool(
        options,
        socket_path=folder.run / "texts",
        log_dir=folder.logs,
        start_timeout_s=settings.worker.start_timeout_s,
        hung_after_s=settings.worker.min_batch_timeout_s,
    )


def _model(settings: Settings) -> str:
    """The name of a model, or the full path of a checkpoint's folder."""
    if settings.model:
        # unlike Path.expanduser, leaves the ~ of a user who does not exist as it is
        named = os.path.expanduser(settings.model)  # noqa: PTH111
        return str(Path(named).absolute()) if is_folder(named) else settings.model
    present = find_paraformer_large(settings.data_dir, os.environ)
    return str(present) if present and _has_torch() else BUNDLED_MODEL


def _has_torch() -> bool:
    # found, not imported: this process never needs it
    return find_spec("torch") is not None


def engine_options(settings: Settings) -> EngineOptions:
    return EngineOptions(
        model=_model(settings),
        device=settings.device,
        fake=FakeOptions(**settings.fake.model_dump()),
        precision=settings.precision,
        # several instances share the cores instead of fighting for them
        threads=max(1, len(os.sched_getaffinity(0)) // settings.instances),
    )


def text_engine_options(settings: Settings) -> TextEngineOptions:
    punctuation = settings.punctuation
    return TextEngineOptions(
        punctuation_dir=str(punctuation.dir or ""),
        device=punctuation.device,
        itn=settings.itn.enabled,
        itn_language=settings.itn.language,
    )


def media_settings(settings: Settings) -> MediaSettings:
    audio, media = settings.audio, settings.media
    return MediaSettings(
        **media.model_dump(),
        fsmn_dir=audio.fsmn_dir,
        max_segment_s=audio.max_segment_s,
        min_silence_s=audio.min_silence_s,
        padding_s=audio.padding_s,
        merge_below_s=audio.merge_below_s,
    )


def gateway_settings(settings: Settings, folder: DataDir) -> GatewaySettings:
    return GatewaySettings(
        upload_dir=folder.uploads,
        version=version("voxfleet"),
        max_upload_mb=settings.server.max_upload_mb,
        request_timeout_s=settings.server.request_timeout_s,
        default_vad=settings.audio.vad,
        started_at_s=int(time.time()),
    )


def _banner(info: EngineInfo, settings: Settings, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown_host = f"[{host}]" if ":" in host else host
    # an address to listen on everywhere is none to connect to
    shown_host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(shown_host, shown_host)  # noqa: S104
    address = f"http://{shown_host}:{port}"
    why = "" if settings.model else f" ({_reason(info)})"
    return (
        f"voxfleet {version('voxfleet')}\n"
        f"model    {info.model}{why}\n"
        f"address  {address}\n"
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
