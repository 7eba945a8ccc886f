"""Puts the parts together: the only file that names concrete classes.

Knows the order of starting and stopping; does no work of its own.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from voxfleet.banner import banner
from voxfleet.config import Settings
from voxfleet.errors import PlanError, StartError
from voxfleet.fleet.devices import DeviceProbe, NvmlProbe
from voxfleet.fleet.local_pool import LocalPool
from voxfleet.fleet.machine_reader import MachineReader
from voxfleet.fleet.roster import MakePool, Roster
from voxfleet.fleet.simulated_gpus import SimulatedProbe
from voxfleet.fleet.supervisor import FleetSupervisor
from voxfleet.fleet.text_pool import TextPool
from voxfleet.fleet.worker_spec import WorkerSpec
from voxfleet.gateway.client_secrets import ClientSecrets
from voxfleet.gateway.exposure import exposure_warning
from voxfleet.gateway.hotword_lists import HotwordShelf
from voxfleet.gateway.http_app import GatewayParts, create_app
from voxfleet.gateway.http_server import HttpServer, bind
from voxfleet.gateway.http_settings import SignalHooks
from voxfleet.gateway.readiness import Readiness
from voxfleet.gateway.tls_files import TlsFiles
from voxfleet.media.live_host import LiveHost
from voxfleet.media.live_settings import LiveHostSettings
from voxfleet.media.media_pool import MediaPool
from voxfleet.observe.background_stream import BackgroundStream
from voxfleet.observe.data_dir import DataDir, open_data_dir, open_scratch_dir
from voxfleet.observe.descriptors import raise_descriptor_limit
from voxfleet.observe.disk_watch import DiskWatch
from voxfleet.observe.heap import collect_rarely, keep_freed_memory
from voxfleet.observe.logs import configure_logging
from voxfleet.observe.metrics import Metrics
from voxfleet.observe.request_watch import RequestWatch
from voxfleet.observe.session_watch import SessionWatch
from voxfleet.observe.stages import UNOBSERVED, Stages
from voxfleet.observe.traces import open_traces
from voxfleet.part_settings import (
    gateway_settings,
    http_settings,
    local_pool_settings,
    media_settings,
    pool_orders,
    queue_limits,
    reread,
    session_limits,
    text_engine_options,
    text_hung_after_s,
    told_of_found_model,
)
from voxfleet.server_life import Reloads, live
from voxfleet.transcribe.model_host import ServedModels
from voxfleet.transcribe.served_model import ModelList
from voxfleet.transcribe.session_desk import SessionDesk
from voxfleet.transcribe.text_stage import TextStage
from voxfleet.transcribe.transcription_service import TranscriptionService

if TYPE_CHECKING:
    from voxfleet.store.database import Database
    from voxfleet.store.key_ring import KeyRing

_log = logging.getLogger(__name__)

#: what is left of traces may take so long at the end
_TRACES_LIMIT_S = 3.0
#: who speaks when the server stops is told what was said, for so long at most
_LAST_WORDS_S = 5.0

ReadSettings = Callable[[], Settings]


def run_server(settings: Settings, announce: Callable[[str], None], read: ReadSettings) -> None:
    """Serve until a stop signal; raises StartError in one line. `announce` gets the banner.

    `read` gives the settings as they are now, for a reload.
    """
    with closing(BackgroundStream(sys.stderr)) as stream:
        configure_logging(settings.log.level, settings.log.format, stream)
        _run_server(settings, announce, read)


def _run_server(settings: Settings, announce: Callable[[str], None], read: ReadSettings) -> None:
    keep_freed_memory()
    raise_descriptor_limit()
    pool_orders(settings)
    tls = _tls_files(settings)
    # SQLAlchemy takes a third of a second to load, and `voxfleet transcribe` needs none of it
    from voxfleet.store.database import open_database

    with (
        open_data_dir(settings.data_dir) as folder,
        closing(open_database(folder.root)) as database,
    ):
        # the port before the model: a busy port is known at once, a model takes its time
        host, side_port = settings.server.host, settings.realtime.funasr_port
        listener = bind(host, settings.server.port)
        side_door = None if side_port is None else bind(host, side_port)
        # asyncio's loop written in C: sockets and callbacks cost much less
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            ground = _Ground(folder, database, listener, tls, side_door)
            runner.run(_serve(settings, ground, announce, read))


def _tls_files(settings: Settings) -> TlsFiles | None:
    certificate, key = settings.server.tls_cert, settings.server.tls_key
    return TlsFiles(certificate, key) if certificate and key else None


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a server stands on: opened before it starts, closed when it has ended."""

    folder: DataDir
    database: Database
    listener: socket.socket
    tls: TlsFiles | None
    side_door: socket.socket | None = None


async def _serve(
    settings: Settings, ground: _Ground, announce: Callable[[str], None], read: ReadSettings
) -> None:
    from voxfleet.store.hotword_store import HotwordStore
    from voxfleet.store.key_ring import KeyRing
    from voxfleet.store.key_store import KeyStore

    folder, tls, traces = ground.folder, ground.tls, settings.traces
    # where they cannot be sent, nothing is started
    tracer = open_traces(traces.endpoint, traces.sample_ratio, version("voxfleet"))
    metrics = Metrics()
    watch = SessionWatch(metrics, settings.log.transcripts)
    service = _make_service(settings, folder, read, Stages(metrics), watch)
    disk = DiskWatch(folder.root)
    readiness = Readiness(service, disk, settings.server.min_free_disk_mb)
    keys = KeyRing(KeyStore(ground.database))
    warnings = partial(_warnings, settings.server.host, keys, readiness)
    lists = HotwordShelf(HotwordStore(ground.database))
    app = create_app(
        service,
        gateway_settings(settings, folder.root, folder.uploads),
        GatewayParts(readiness, keys, lists, warnings, metrics, tracer, ClientSecrets(keys.by_id)),
    )
    reloads = Reloads(service)
    hooks = SignalHooks(
        on_stop=readiness.drain,
        on_hangup=reloads.begin,
        before_close=partial(service.end_sessions, _LAST_WORDS_S),
    )
    http = http_settings(settings, tls.context if tls else None)
    server = HttpServer(app, ground.listener, http, hooks, ground.side_door)
    watches = [watch for watch in (disk, keys, reloads, tls) if watch]

    def on_ready() -> None:
        # what has been made by now stays as long as the server
        collect_rarely()
        told = warnings()
        for warning in told:
            _log.warning("%s", warning)
        announce(banner(service.models(), settings, ground.listener, told))

    try:
        await live(server, service, watches, on_ready)
    except StartError as fault:
        raise told_of_found_model(settings, fault) from None
    finally:
        if tracer:
            await asyncio.to_thread(tracer.shutdown, _TRACES_LIMIT_S)


def _warnings(host: str, keys: KeyRing, readiness: Readiness) -> list[str]:
    stale = f"keys stay as they were known: {keys.fault}" if keys.fault else ""
    found = (exposure_warning(host, keys.any_ever), readiness.disk_fault(), stale)
    return [warning for warning in found if warning]


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
            raise told_of_found_model(settings, fault) from None
        try:
            yield service, folder.uploads
        finally:
            await service.stop()


def _make_service(
    settings: Settings,
    folder: DataDir,
    read: ReadSettings | None,
    stages: Stages = UNOBSERVED,
    watch: SessionWatch | None = None,
) -> TranscriptionService:
    """`read` None: nobody operates the workers. `watch` None: nobody speaks."""
    texts = _make_text_pool(settings, folder)
    machine = MachineReader(_make_probe(settings), settings.fleet.reserve_mb)
    try:
        roster = Roster(pool_orders(settings), machine, _pool_maker(settings, folder))
    except PlanError as fault:
        # here it is no order that was wrong: the server cannot start
        raise StartError(fault.message, param=fault.param) from None
    served = ServedModels(settings.realtime.latency_goal_s, stages)
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
        texts,
        supervisor,
        RequestWatch(stages, settings.log.transcripts),
        _make_sessions(settings, folder, served.models, texts, watch) if watch else None,
    )


def _make_sessions(
    settings: Settings,
    folder: DataDir,
    models: ModelList,
    texts: TextPool | None,
    watch: SessionWatch,
) -> SessionDesk:
    host = LiveHost(
        LiveHostSettings(settings.audio.fsmn_dir),
        socket_path=folder.run / "live",
        spool_dir=folder.spool / "live",
        log_path=folder.logs / "live.log",
    )
    return SessionDesk(models, host, TextStage(texts), session_limits(settings), watch)


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
