"""What each part is told of the settings: the one place that knows both sides.

Looks for models that are on this machine; starts and opens nothing.
"""

from __future__ import annotations

import os
import ssl
import time
from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from voxfleet.config import SHORT_WAY, Settings, pools_of
from voxfleet.config_pool import PoolSection
from voxfleet.engines.catalog import EngineOptions, is_folder, require_engine
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.engines.memory_need import CUDA_CONTEXT_MB, memory_need_mb
from voxfleet.engines.text_catalog import TextEngineOptions
from voxfleet.errors import NotFoundError, SettingsError, StartError
from voxfleet.fleet.autoscale import ScaleRule
from voxfleet.fleet.credit import CreditRule
from voxfleet.fleet.local_pool import LocalPoolSettings
from voxfleet.fleet.plan import PoolPlanInput
from voxfleet.fleet.pool_order import PoolOrder
from voxfleet.fleet.supervisor import Reread
from voxfleet.fleet.worker_slot import RestartPolicy
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_settings import HttpSettings
from voxfleet.media.media_settings import MediaSettings
from voxfleet.models.local_models import find_paraformer_large
from voxfleet.transcribe.front_desk import QueueLimits
from voxfleet.transcribe.session_desk import SessionLimits

#: what `model = ""` means where no Paraformer-large is found
BUNDLED_MODEL = "pocketsphinx"
#: a heartbeat comes every second: fewer missed ones prove nothing
_LEAST_SILENCE_S = 5.0
#: punctuation of one long text on a busy machine
_TEXT_HUNG_AFTER_S = 60.0
#: a change of these reaches running workers by a reload; `autoscale` but for its interval
_RELOADED = frozenset({*SHORT_WAY, "pool", "fake", "autoscale"})


def default_model(settings: Settings) -> str:
    """The name of the first model, or the full path of its checkpoint's folder."""
    return pool_orders(settings)[0].model


def told_of_found_model(settings: Settings, fault: StartError) -> StartError:
    """Nobody named the model that cannot be started: say where it came from."""
    model = default_model(settings)
    if settings.model or settings.pool or model == BUNDLED_MODEL:
        return fault
    return StartError(
        f"{fault.message}; {model} was found on this machine, as no model was named: repair or"
        f" remove it, or name another one (--model {BUNDLED_MODEL} is the bundled English)"
    )


def pool_orders(settings: Settings) -> tuple[PoolOrder, ...]:
    """Every pool as the fleet is told of it; raises SettingsError or NotFoundError."""
    pools = pools_of(settings, "" if settings.pool or settings.model else _found_model(settings))
    orders = tuple(_order(pool, settings) for pool in pools)
    names = {order.model: Path(order.model).name for order in orders}
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        raise SettingsError(
            f"two models would both be called {twice[0]!r}; rename the folder of one of them"
        )
    return orders


def reread(old: Settings, new: Settings) -> Reread:
    """What a reload changes, and which settings need a new start of the server instead.

    Raises SettingsError for whatever is wrong with the new ones.
    """
    changed = [
        name
        for name in Settings.model_fields
        if name not in _RELOADED and _fixed(old, name) != _fixed(new, name)
    ]
    if old.autoscale.interval_s != new.autoscale.interval_s:
        changed.append("autoscale.interval_s")
    try:
        return Reread(pool_orders(new), tuple(changed))
    except (StartError, NotFoundError) as fault:
        raise SettingsError(fault.message, param=fault.param) from None


def _fixed(settings: Settings, name: str) -> object:
    """A section without what a reload brings to the workers."""
    if name == "queue":
        return settings.queue.model_copy(update={"batch_goal_s": 1.0})
    value: object = getattr(settings, name)
    return value


def _order(pool: PoolSection, settings: Settings) -> PoolOrder:
    model = _located(pool.model)
    require_engine(model)
    device = pool.all_devices[0]
    need_mb = memory_need_mb(model, device, pool.precision, settings.fake.memory_mb)
    real_card = device != "cpu" and model != "fake"
    growing = pool.autoscaled and pool.max_instances is not None
    scale = settings.autoscale
    return PoolOrder(
        plan=PoolPlanInput(
            name=pool.name,
            devices=pool.all_devices,
            instances=pool.instances,
            need_mb=pool.memory_mb or need_mb,
            context_mb=CUDA_CONTEXT_MB if real_card else 0,
            max_instances=pool.most_instances if growing else 0,
            cores=pool.core_numbers,
            weight=pool.weight,
        ),
        options=EngineOptions(
            model=model,
            fake=FakeOptions(**settings.fake.model_dump()),
            precision=pool.precision,
        ),
        env=dict(pool.env),
        credit=CreditRule(pool.batch_size_s, settings.queue.batch_goal_s),
        scale=ScaleRule(
            min_instances=pool.min_instances or 1,
            max_instances=pool.most_instances,
            up_delay_s=scale.up_delay_s,
            down_delay_s=scale.down_delay_s,
            target_wait_s=scale.target_wait_s,
        )
        if growing
        else None,
        hotwords=pool.hotwords,
        max_segment_s=pool.max_segment_s,
    )


def _located(model: str) -> str:
    # unlike Path.expanduser, leaves the ~ of a user who does not exist as it is
    named = os.path.expanduser(model)  # noqa: PTH111
    return str(Path(named).absolute()) if is_folder(named) else model


def _found_model(settings: Settings) -> str:
    present = find_paraformer_large(settings.data_dir, os.environ)
    return str(present) if present and _has_torch() else BUNDLED_MODEL


def _has_torch() -> bool:
    # found, not imported: this process never needs it
    return find_spec("torch") is not None


def local_pool_settings(settings: Settings, log_dir: Path) -> LocalPoolSettings:
    worker = settings.worker
    return LocalPoolSettings(
        log_dir=log_dir,
        start_timeout_s=worker.start_timeout_s,
        min_batch_timeout_s=worker.min_batch_timeout_s,
        silence_limit_s=max(_LEAST_SILENCE_S, worker.min_batch_timeout_s),
        restarts=RestartPolicy(restart_failed_after_s=settings.fleet.restart_failed_after_s),
    )


def text_engine_options(settings: Settings) -> TextEngineOptions:
    punctuation = settings.punctuation
    return TextEngineOptions(
        punctuation_dir=str(punctuation.dir or ""),
        device=punctuation.device,
        itn=settings.itn.enabled,
        itn_language=settings.itn.language,
    )


def text_hung_after_s(settings: Settings) -> float:
    return max(_TEXT_HUNG_AFTER_S, settings.worker.min_batch_timeout_s)


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


def session_limits(settings: Settings) -> SessionLimits:
    wanted = settings.realtime
    return SessionLimits(
        wanted.max_sessions,
        wanted.max_session_s,
        wanted.idle_timeout_s,
        wanted.max_ahead_s,
        wanted.window_s,
        wanted.reread_share,
    )


def queue_limits(settings: Settings) -> QueueLimits:
    queue = settings.queue
    return QueueLimits(queue.max_waiting, queue.max_wait_s, queue.max_requests)


def gateway_settings(settings: Settings, data_dir: Path, upload_dir: Path) -> GatewaySettings:
    return GatewaySettings(
        upload_dir=upload_dir,
        version=version("voxfleet"),
        data_dir=data_dir,
        max_upload_mb=settings.server.max_upload_mb,
        request_timeout_s=settings.server.request_timeout_s,
        default_vad=settings.audio.vad,
        started_at_s=int(time.time()),
        root_path=settings.server.root_path,
        cors_origins=settings.server.cors_origins,
        docs=settings.server.docs,
        max_sessions=settings.realtime.max_sessions,
        max_session_s=settings.realtime.max_session_s,
        idle_timeout_s=settings.realtime.idle_timeout_s,
        secret_lifetime_s=settings.realtime.secret_lifetime_s,
        itn=settings.itn.enabled,
    )


def http_settings(settings: Settings, tls: ssl.SSLContext | None) -> HttpSettings:
    server = settings.server
    return HttpSettings(
        shutdown_grace_s=server.shutdown_grace_s,
        drain_delay_s=server.drain_delay_s,
        trusted_proxies=server.trusted_proxies,
        tls=tls,
    )
