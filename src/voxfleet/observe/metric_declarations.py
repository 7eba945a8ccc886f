"""Every metric of this server, declared once: its name, its labels, and what it counts.

Knows neither who counts nor how it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MetricKind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class MetricDeclaration:
    """`buckets` are the upper limits of a histogram's, in seconds."""

    name: str
    kind: MetricKind
    about: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


#: from a probe's answer to the longest that a request may take
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
#: not `instance`, which is what Prometheus calls the server
_WORKER = ("pool", "worker")

_DECLARED: list[MetricDeclaration] = []


def _declare(declaration: MetricDeclaration) -> MetricDeclaration:
    _DECLARED.append(declaration)
    return declaration


def _counter(name: str, about: str, *labels: str) -> MetricDeclaration:
    return _declare(MetricDeclaration(name, MetricKind.COUNTER, about, labels))


def _gauge(name: str, about: str, *labels: str) -> MetricDeclaration:
    return _declare(MetricDeclaration(name, MetricKind.GAUGE, about, labels))


def _histogram(name: str, about: str, *labels: str) -> MetricDeclaration:
    kind = MetricKind.HISTOGRAM
    return _declare(MetricDeclaration(name, kind, about, labels, _BUCKETS_S))


# -- requests -------------------------------------------------------------------------------------

REQUESTS = _counter(
    "voxfleet_requests_total",
    "Requests answered. `route` is its template, `other` where there is none; `status` 499 is a"
    " client that went away.",
    "route",
    "method",
    "status",
)
REQUEST_SECONDS = _histogram(
    "voxfleet_request_duration_seconds",
    "From a request's first byte to the last of its answer. `outcome` is `success`,"
    " `client_error`, `server_error` or `cancelled`.",
    "route",
    "outcome",
)
REQUESTS_IN_PROGRESS = _gauge(
    "voxfleet_requests_in_progress", "Requests of any route that are being answered."
)
REQUEST_ERRORS = _counter(
    "voxfleet_request_errors_total",
    "Errors answered, by the `code` of the error body; `other` for those that have none of ours.",
    "code",
)
UPLOAD_BYTES = _counter("voxfleet_upload_bytes_total", "Bytes of request bodies received.")
CLIENT_RETRIES = _counter(
    "voxfleet_client_retries_total",
    "Requests that the client said it was sending again (`X-Stainless-Retry-Count`).",
)
STAGE_SECONDS = _histogram(
    "voxfleet_stage_duration_seconds",
    "Time in each `stage`: `upload`, `decode`, `stitch` and `text` of a request, `wait` (in the"
    " queue) and `compute` (with a worker) of a segment.",
    "stage",
)
AUDIO_SECONDS = _counter(
    "voxfleet_audio_seconds_total", "Sound of the requests answered with text.", "model"
)

# -- realtime -------------------------------------------------------------------------------------

SESSIONS_OPEN = _gauge("voxfleet_realtime_sessions_open", "Realtime sessions that are open.")
SESSIONS = _counter(
    "voxfleet_realtime_sessions_total",
    "Realtime sessions by `outcome`: `ended` by the client, ended by this server because of its"
    " `limits`, `failed`, or `refused` as there was no place.",
    "outcome",
)
READINGS = _counter(
    "voxfleet_realtime_readings_total",
    "Readings of live speech: `final` ones, and `partial` ones of utterances that go on.",
    "kind",
)
UTTERANCE_SECONDS = _histogram(
    "voxfleet_realtime_final_seconds",
    "From the end of an utterance to its final text.",
)

# -- queues ---------------------------------------------------------------------------------------

READY = _gauge("voxfleet_ready", "1 while requests can be answered, as `/readyz` says.")
REQUESTS_ADMITTED = _gauge(
    "voxfleet_requests_admitted", "Requests that hold a place: they are received or answered."
)
QUEUE_SEGMENTS = _gauge("voxfleet_queue_segments", "Segments that wait for a worker.", "model")
QUEUE_SECONDS = _gauge("voxfleet_queue_audio_seconds", "Sound that waits for a worker.", "model")
QUEUE_WAIT_SECONDS = _gauge(
    "voxfleet_queue_wait_seconds",
    "How long what waits now will take at the measured speed; absent until one is measured.",
    "model",
)
SEGMENT_RETRIES = _counter(
    "voxfleet_segment_retries_total",
    "Segments computed again because their worker was lost: `batch_suspected` where the batch may"
    " have been the cause, else `worker_lost`.",
    "model",
    "reason",
)
REALTIME_FACTOR = _gauge(
    "voxfleet_model_realtime_factor",
    "Measured speed of all ready workers together, in seconds of sound per second.",
    "model",
)
DEGRADED = _gauge(
    "voxfleet_model_degraded", "1 while fewer workers serve the model than should.", "model"
)

# -- workers --------------------------------------------------------------------------------------

WORKER_INFO = _gauge(
    "voxfleet_worker_info", "1 for each worker: what it runs, and where.", *_WORKER, "model",
    "device",
)  # fmt: skip
WORKER_STATE = _gauge(
    "voxfleet_worker_state",
    "1 for the state a worker is in (`starting`, `ready`, `draining`, `restarting`, `failed`), 0"
    " for the others.",
    *_WORKER,
    "state",
)
WORKER_BUSY = _gauge("voxfleet_worker_busy", "1 while it computes.", *_WORKER)
WORKER_CREDIT = _gauge(
    "voxfleet_worker_credit_seconds", "Padded sound that it is sent at once, at most.", *_WORKER
)
WORKER_MEMORY = _gauge(
    "voxfleet_worker_resident_memory_bytes", "Memory of its process, not of its GPU.", *_WORKER
)
WORKER_RESTARTS = _counter(
    "voxfleet_worker_restarts_total",
    "Processes that followed another one, by the `cause` of that one's end; `ordered` is an"
    " operator's restart.",
    *_WORKER,
    "cause",
)
OUT_OF_MEMORY = _counter(
    "voxfleet_worker_out_of_memory_total",
    "Times a batch did not fit into the device's memory and was computed in parts.",
    *_WORKER,
)
BATCHES = _counter("voxfleet_batches_total", "Batches computed.", *_WORKER)
BATCH_SEGMENTS = _counter("voxfleet_batch_segments_total", "Segments in them.", *_WORKER)
BATCH_AUDIO = _counter("voxfleet_batch_audio_seconds_total", "Sound in them.", *_WORKER)
BATCH_PADDED = _counter(
    "voxfleet_batch_padded_seconds_total",
    "The same with each segment as long as the longest of its batch: sound ÷ this is how little"
    " padding there is.",
    *_WORKER,
)
BATCH_OFFERED = _counter(
    "voxfleet_batch_offered_seconds_total",
    "What the worker would have taken: padded sound ÷ this is how full batches are.",
    *_WORKER,
)
BATCH_COMPUTE = _counter(
    "voxfleet_batch_compute_seconds_total",
    "Time spent on them: sound ÷ this is the × real time of one worker.",
    *_WORKER,
)

# -- the machine ----------------------------------------------------------------------------------

GPU_MEMORY_TOTAL = _gauge("voxfleet_gpu_memory_total_bytes", "Memory of a card.", "gpu", "card")
GPU_MEMORY_USED = _gauge(
    "voxfleet_gpu_memory_used_bytes", "What of it is in use, by anybody.", "gpu", "card"
)
GPU_LOAD = _gauge(
    "voxfleet_gpu_load_ratio", "Share of time in which it computed lately.", "gpu", "card"
)
GPU_TEMPERATURE = _gauge("voxfleet_gpu_temperature_celsius", "Its temperature.", "gpu", "card")
DISK_FREE = _gauge("voxfleet_data_dir_free_bytes", "Room on the data directory's disk.")
BUILD_INFO = _gauge("voxfleet_build_info", "1; the version of this server.", "version")

#: in the order of the document
DECLARATIONS: tuple[MetricDeclaration, ...] = tuple(_DECLARED)
