"""What probes and operators are answered, in OpenAPI's words: health, workers, pools, the machine.

Knows the objects and their keys; knows no route (`openapi_document` does) and makes no answer.
"""

from __future__ import annotations

from voxfleet.gateway.schema_words import (
    Schema,
    flag,
    listed,
    mapping,
    number,
    or_null,
    record,
    ref,
    text,
    whole,
)
from voxfleet.pool_contract import WorkerState

_COUNTS = record(
    "Workers.", {"ready": whole("Those that compute."), "total": whole("All there should be.")}
)

_HEALTH = record(
    "For people and simple monitors.",
    {
        "status": text("How the server is.", "ok", "starting", "degraded", "draining"),
        "version": text("Of the server."),
        "uptime_s": number("How long the server runs."),
        "model": or_null(text("The default model.")),
        "models": listed({"type": "string"}, "All models, the default first."),
        "instances": _COUNTS,
        "queue": record(
            "What is under way.",
            {
                "requests": whole("Being received or answered."),
                "waiting": whole("Pieces of speech that wait for a worker."),
                "waiting_s": number("Their sound in seconds."),
            },
        ),
    },
    {"reason": text("What is missing."), "text_instances": _COUNTS},
)

_INSTANCE = record(
    "A worker.",
    {
        "id": text("Its name, the same in all its lives."),
        "pool": text("What it belongs to."),
        "model": text("What it computes."),
        "device": text("What it computes on."),
        "pid": or_null(whole("Its process.")),
        "state": text("What it does.", *WorkerState),
        "since": or_null(number("Unix seconds since when it has been in this state.")),
        "reason": or_null(text("Why it is in this state.")),
        "restarts": whole("How often it was started again."),
        "last_error": or_null(text("What went wrong last.")),
        "busy": flag("Whether it computes."),
        "in_flight": whole("Pieces of speech it has in hand."),
        "queue": whole("Pieces that wait for its model."),
        "credit_s": number("Padded seconds of sound it takes at once."),
        "batches": whole("Computed in all its lives."),
        "audio_s": number("Seconds of sound computed in all its lives."),
        "x_realtime": or_null(number("Seconds of sound in a second of computing.")),
        "out_of_memory": whole("How often its device had no memory for a batch."),
    },
)

_DECISION = record(
    "What the autoscaler decided.",
    {
        "at": number("Unix seconds."),
        "from": whole("Instances before."),
        "to": whole("Instances after."),
        "reason": text("Why."),
    },
)

_POOL = record(
    "A pool of workers.",
    {
        "pool": text("Its name."),
        "model": text("Its model; several pools may serve one."),
        "ready": whole("Workers that compute."),
        "all": whole("All its workers."),
        "rate": or_null(number("Of the model: seconds of sound per second, as measured.")),
        "waiting": whole("Pieces of speech that wait for the model."),
        "waiting_s": number("Their sound in seconds."),
        "degraded": or_null(text("Why fewer workers serve the model than should.")),
        "decisions": listed(ref("ScaleDecision"), "The last ten, the newest first."),
    },
)

_GPU = record(
    "A card.",
    {
        "index": whole("Its number."),
        "uuid": text("Its identity."),
        "name": text("What it is."),
        "driver": or_null(text("Version of its driver.")),
        "capability": or_null(text("Compute capability.")),
        "memory_total_mb": whole("In MB (10^6 bytes)."),
        "memory_free_mb": whole("In MB (10^6 bytes)."),
        "load_percent": or_null(whole("How busy it is.")),
        "temperature_c": or_null(whole("In degrees Celsius.")),
    },
)

_SYSTEM = record(
    "The machine.",
    {
        "versions": mapping({"type": "string"}, "voxfleet, Python and its libraries."),
        "system": text("The operating system."),
        "uptime_s": number("How long this server runs."),
        "cpu": record(
            "Its cores.",
            {
                "cores": whole("Of the machine."),
                "usable_cores": number("That this server may use."),
                "load_average": listed({"type": "number"}, "Of 1, 5 and 15 minutes."),
                "load_percent": or_null(number("Of all cores since somebody asked last.")),
            },
        ),
        "memory": record(
            "In MB (10^6 bytes).",
            {
                "total_mb": or_null(whole("Of the machine, or of what this server may use.")),
                "available_mb": or_null(whole("Of it, free.")),
                "limited": flag("Whether a control group allows less than the machine has."),
                "gateway_mb": or_null(whole("What the server's main process takes.")),
            },
        ),
        "disk": or_null(
            record(
                "Where the data directory lies.",
                {
                    "total_mb": whole("In MB (10^6 bytes)."),
                    "free_mb": whole("In MB (10^6 bytes)."),
                },
            )
        ),
        "gpus": listed(ref("Gpu")),
        "warnings": listed({"type": "string"}, "What an operator should look at."),
    },
)

OPERATOR_SCHEMAS: dict[str, Schema] = {
    "Ok": record("Yes.", {"status": text("All is well.", "ok")}),
    "Health": _HEALTH,
    "Instance": _INSTANCE,
    "ScaleDecision": _DECISION,
    "Pool": _POOL,
    "Instances": record(
        "Every worker and every pool.",
        {"data": listed(ref("Instance")), "pools": listed(ref("Pool"))},
    ),
    "Scaling": record(
        "The order has been taken.",
        {
            "status": text("What is done.", "scaling"),
            "pool": text("Which pool."),
            "instances": whole("How many there will be.", 1),
        },
    ),
    "Reloading": record(
        "The order has been taken.",
        {"status": text("What is done.", "reloading"), "message": text("What changes.")},
    ),
    "Gpu": _GPU,
    "System": _SYSTEM,
}
