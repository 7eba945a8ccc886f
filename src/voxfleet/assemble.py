"""Puts the parts together: the only file that names concrete classes.

Knows the order of starting and stopping; does no work of its own.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from itertools import count
from pathlib import Path

import uvloop

from voxfleet.config import Settings
from voxfleet.core import EngineInfo
from voxfleet.errors import PlanError, StartError, VoxfleetError
from voxfleet.fleet.devices import DeviceProbe, NvmlProbe
from voxfleet.fleet.local_pool import LocalPool
from voxfleet.fleet.machine_reader import MachineReader
from voxfleet.fleet.roster import MakePool, Roster
from voxfleet.fleet.simulated_gpus import SimulatedProbe
from voxfleet.fleet.supervisor import FleetSupervisor
from voxfleet.fleet.text_pool import TextPool
from voxfleet.fleet.worker_spec import WorkerSpec
from voxfleet.gateway.http_app import create_app
from voxfleet.gateway.http_server import HttpServer, bind
from voxfleet.media.media_pool import MediaPool
from voxfleet.observe.data_dir import DataDir, open_data_dir, open_scratch_dir
from voxfleet.observe.descriptors import raise_descriptor_limit
from voxfleet.observe.heap import keep_freed_memory
from voxfleet.observe.logs import configure_logging
from voxfleet.part_settings import (
    BUNDLED_MODEL,
    default_model,
    gateway_settings,
    local_pool_settings,
    media_settings,
    pool_orders,
    queue_limits,
    reread,
    text_engine_options,
    text_hung_after_s,
)
from voxfleet.transcribe.model_host import ServedModels
from voxfleet.transcribe.transcription_service import TranscriptionService

_log = logging.getLogger(__name__)

ReadSettings = Callable[[], Settings]


def run_server(settings: Settings, announce: Callable[[str], None], read: ReadSettings) -> None:
    """Serve until a stop signal; raises StartError in one line. `announce` gets the banner.

    `read` gives the settings as they are now, for a reload.
    """
    configure_logging(settings.log.level, settings.log.format)
    keep_freed_memory()
    raise_descriptor_limit()
    pool_orders(settings)
    with open_data_dir(settings.data_dir) as folder:
        # the port before the model: a busy port is known at once, a model takes its time
        listener = bind(settings.server.host, settings.server.port)
        # asyncio's loop written in C: sockets and callbacks cost much less
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, folder, listener, announce, read))


def _told_of_found_model(settings: Settings, fault: StartError) -> StartError:
    """Nobody named the model that cannot be started: say where it came from."""
    model = default_model(settings)
    if settings.model or settings.pool or model == BUNDLED_MODEL:
        return fault
    return StartError(
        f"{fault.message}; {model} was found on this machine, as no model was named: repair or"
        f" remove it, or name another one (--model {BUNDLED_MODEL} is the bundled English)"
    )


async def _serve(
    settings: Settings,
    folder: DataDir,
    listener: socket.socket,
    announce: Callable[[str], None],
    read: ReadSettings,
) -> None:
    service = _make_service(settings, folder, read)
    app = create_app(service, gateway_settings(settings, folder.root, folder.uploads))
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.create_task(_reload(service), name="reload by signal")
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    server = HttpServer(app, listener, settings.server.shutdown_grace_s, reload)
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
            announce(_banner(service.models(), settings, listener))
        await serving
    finally:
        # stopping, in order: accept nothing new and let requests finish, then decoding and models
        server.stop()
        await asyncio.gather(serving, return_exceptions=True)
        starting.cancel()
        await asyncio.gather(starting, *reloads, return_exceptions=True)
        await service.stop()


async def _reload(service: TranscriptionService) -> None:
    """What nobody waits for is told in the log."""
    try:
        await service.fleet.reload()
    except VoxfleetError as fault:
        _log.error("reload: %s; nothing was changed", fault.message)


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[tuple[TranscriptionService, Path]]:
    """A service without a server, in scratch folders of its own; also gives a folder to use."""
    configure_logging("error", settings.log.format)
    pool_orders(settings)
    with open_scratch_dir() as folder:
        service = _make_service(settings, folder, read=None)
        try:
            await service.start()
        except StartError as fault:
            raise _told_of_found_model(settings, fault) from None
        try:
            yield service, folder.uploads
        finally:
            await service.stop()


def _make_service(
    settings: Settings, folder: DataDir, read: ReadSettings | None
) -> TranscriptionService:
    """`read` None makes a service whose workers nobody operates."""
    machine = MachineReader(_make_probe(settings), settings.fleet.reserve_mb)
    try:
        roster = Roster(pool_orders(settings), machine, _pool_maker(settings, folder))
    except PlanError as fault:
        # here it is no order that was wrong: the server cannot start
        raise StartError(fault.message, param=fault.param) from None
    served = ServedModels(settings.realtime.latency_goal_s)
    for model, pool in roster.pools.items():
        served.prepare(pool, [o for o in roster.orders.values() if o.model == model])
    media = MediaPool(
        media_settings(settings),
        socket_path=folder.run / "media",
        spool_dir=folder.spool,
        log_path=folder.logs / "media.log",
    )
    supervisor = read and FleetSupervisor(
        roster,
        machine,
        served,
        lambda: reread(settings, read()),
        autoscale_interval_s=settings.autoscale.interval_s,
        start_timeout_s=settings.worker.start_timeout_s,
    )
    return TranscriptionService(
        media,
        served.models,
        queue_limits(settings),
        _make_text_pool(settings, folder),
        supervisor,
    )


def _make_probe(settings: Settings) -> DeviceProbe:
    simulated = settings.fleet.simulated_gpus
    return SimulatedProbe(simulated) if simulated else NvmlProbe()


def _pool_maker(settings: Settings, folder: DataDir) -> MakePool:
    numbers = count()

    def make(
        model: str, specs: Sequence[WorkerSpec], on_device_fault: Callable[[str, str], None]
    ) -> LocalPool:
        socket_path = folder.run / f"workers-{next(numbers)}"
        shared = local_pool_settings(settings, folder.logs)
        # until it is loaded, a model is called by the last part of its folder's path
        return LocalPool(Path(model).name, specs, socket_path, shared, on_device_fault)

    return make


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
        hung_after_s=text_hung_after_s(settings),
    )


def _banner(infos: Sequence[EngineInfo], settings: Settings, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown_host = f"[{host}]" if ":" in host else host
    # an address to listen on everywhere is none to connect to
    shown_host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(shown_host, shown_host)  # noqa: S104
    address = f"http://{shown_host}:{port}"
    why = "" if settings.model or settings.pool else f" ({_reason(infos[0])})"
    models = ", ".join(info.model for info in infos)
    return (
        f"voxfleet {version('voxfleet')}\n"
        f"model    {models}{why}\n"
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
