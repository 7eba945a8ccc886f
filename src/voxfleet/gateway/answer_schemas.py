"""What clients are answered, in OpenAPI's words: errors, texts, models, the progress of a request.

Knows the objects and their keys; knows no route (`openapi_document` does) and makes no answer.
"""

from __future__ import annotations

from voxfleet.gateway.schema_words import (
    Schema,
    listed,
    number,
    or_null,
    record,
    ref,
    text,
    whole,
)

ERROR_TYPES = (
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "rate_limit_error",
    "server_error",
)

_FAULT = {
    "message": text("The thing, the fault and the remedy, in one line."),
    "type": text("The family of the error.", *ERROR_TYPES),
    "param": or_null(text("The field or parameter at fault.")),
    "code": or_null(text("A stable name of the fault.")),
}

_WRONG = record("What is wrong.", _FAULT)

_WARNINGS = listed({"type": "string"}, "What was asked for and could not be done.")

_CHANNELS = listed(
    record(
        "The text of one channel.",
        {"channel": text("Which channel."), "text": text("What was said on it.")},
    ),
    "With channel=split.",
)

_LOGPROBS = listed(ref("TokenLogprob"), "With include[]=logprobs.")

_SEGMENT = record(
    "A piece of speech.",
    {
        "id": whole("Its number, from 0."),
        "seek": whole("Its start in frames of 10 ms."),
        "start": number("In seconds."),
        "end": number("In seconds."),
        "text": text("What was said."),
        "tokens": listed({"type": "integer"}, "The model's own tokens, where it tells them."),
        "temperature": number("As it was asked for."),
        "avg_logprob": number("Mean log probability of the tokens; 0 where the model has none."),
        "compression_ratio": number("High where a text repeats itself."),
        "no_speech_prob": number("Probability that nobody speaks; 0 where the model has none."),
    },
    {"channel": text("With channel=split.")},
)

_WORD = record(
    "A word and when it was said.",
    {"word": text("The word."), "start": number("In seconds."), "end": number("In seconds.")},
    {"confidence": number("0 to 1, where the model has one."), "channel": text("With split.")},
)

_TRANSCRIPTION = record(
    "The answer in json.",
    {"text": text("What was said; empty for silence."), "usage": ref("Usage")},
    {"channels": _CHANNELS, "logprobs": _LOGPROBS, "warnings": _WARNINGS},
)

_VERBOSE = record(
    "The answer in verbose_json.",
    {
        "task": text("What was done.", "transcribe"),
        "language": text("ISO-639-1 code, or `unknown`."),
        "duration": number("Of the sound, in seconds."),
        "text": text("What was said; empty for silence."),
        "usage": ref("Usage"),
    },
    {
        "segments": listed(ref("TranscriptSegment")),
        "words": listed(ref("TranscriptWord")),
        "channels": _CHANNELS,
        "warnings": _WARNINGS,
    },
)

_DELTA = record(
    "An event of a streamed answer: the next piece of the text.",
    {
        "type": text("Which event.", "transcript.text.delta"),
        "delta": text("What follows the pieces before it."),
    },
    {"logprobs": _LOGPROBS},
)

_DONE = record(
    "The last event of a streamed answer: the whole text, equal to all pieces joined.",
    {
        "type": text("Which event.", "transcript.text.done"),
        "text": text("The whole text."),
        "duration": number("Of the sound, in seconds."),
    },
    {"logprobs": _LOGPROBS, "warnings": _WARNINGS},
)

_ASR = record(
    "The answer of /asr.",
    {
        "text": text("What was said; empty for silence. One line for each channel."),
        "language": or_null(text("ISO-639-1 code.")),
        "status": text("Errors have another shape, and no status.", "success"),
        "duration": number("Of the sound, in seconds."),
        "model": text("Which model read it."),
    },
    {"channels": _CHANNELS, "warnings": _WARNINGS},
)

_FUNASR = record(
    "The answer of FunASR's upload form.",
    {
        "text": text("What was said; empty for silence."),
        "sentences": listed(
            record(
                "A piece of speech.",
                {
                    "text": text("What was said."),
                    "start": whole("In milliseconds."),
                    "end": whole("In milliseconds."),
                },
            )
        ),
        "code": whole("0: all is well."),
    },
)

_MODEL = record(
    "A model that requests may name.",
    {
        "id": text("Its name."),
        "object": text("What this is.", "model"),
        "created": whole("Unix seconds."),
        "owned_by": text("Who serves it."),
    },
)

_STATUS = record(
    "How far a request is.",
    {
        "id": text("The X-Request-Id it was sent with."),
        "state": text("Whether anything of it has been computed.", "queued", "running"),
        "queue_position": or_null(whole("About how many pieces of speech go before its next.")),
        "decoded_s": number("How much of its sound has been decoded, in seconds."),
    },
)

CLIENT_SCHEMAS: dict[str, Schema] = {
    "Error": record("Every error.", {"error": _WRONG}),
    "FunasrError": record(
        "An error as FunASR's clients know it, beside our own shape.",
        {
            "error": _WRONG,
            "code": whole("Never 0: 1 where the request is at fault, else -1.", at_least=None),
            "msg": text("The same as error.message."),
        },
    ),
    "Usage": record(
        "What the answer is counted by.",
        {"type": text("The unit.", "duration"), "seconds": number("Seconds of sound.")},
    ),
    "TokenLogprob": record(
        "A word and how sure the model is of it.",
        {
            "token": text("The word."),
            "logprob": number("Logarithm of its probability."),
            "bytes": or_null(listed({"type": "integer"}, "The word in UTF-8.")),
        },
    ),
    "TranscriptSegment": _SEGMENT,
    "TranscriptWord": _WORD,
    "Transcription": _TRANSCRIPTION,
    "VerboseTranscription": _VERBOSE,
    "TranscriptDelta": _DELTA,
    "TranscriptDone": _DONE,
    "AsrAnswer": _ASR,
    "FunasrAnswer": _FUNASR,
    "Model": _MODEL,
    "ModelList": record(
        "The models, the default first.",
        {"object": text("What this is.", "list"), "data": listed(ref("Model"))},
    ),
    "RequestStatus": _STATUS,
    "Index": record(
        "What this server is.",
        {
            "name": text("The product.", "voxfleet"),
            "version": text("Its version."),
            "description": text("What it does."),
            "routes": listed({"type": "string"}, "Methods and paths."),
        },
        {
            "openapi": text("Where this document is."),
            "docs": text("Where a page is that shows it."),
        },
    ),
}
