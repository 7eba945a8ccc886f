"""Requests as nobody should send them, each made from its number alone. Pure; knows no socket.

What is wrong with one is chosen by chance: its framing, head, fields, sound, length, or its end.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

_BOUNDARY = b"stranger-7d1c"
_CRLF = b"\r\n"

UPLOADS = ("/v1/audio/transcriptions", "/asr", "/recognition", "/v1/audio/translations")
_PATHS = (
    *UPLOADS,
    *("/", "/health", "/readyz", "/livez", "/metrics", "/openapi.json", "/docs", "/v1/models"),
    *("/v1/models/fake", "/v1/models/%2e%2e/%2e%2e/etc/passwd", "/v1/instances", "/v1/system"),
    *("/v1/instances/..%2f..%2f/restart", "/v1/fleet/scale", "/v1/requests/%00", "/v1/hotwords"),
    *("/v1/hotwords/products", "/v1/hotwords/%E4%BC%9A", "/v1/hotwords/..%2fx", "/v1/jobs"),
    *("//", "/%", "/%zz", "/v1//audio", "/v1/audio/transcriptions/", "*", "http://else.where/asr"),
)
_METHODS = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "QUERY",
    "get",
    "X",
)
_FIELDS = (
    *("model", "language", "languages[]", "temperature", "hotwords", "keywords[]", "vad"),
    *("channel", "input_format", "sample_rate", "channels", "punctuate", "itn", "prompt"),
    *("response_format", "timestamp_granularities[]", "stream", "chunking_strategy", "include[]"),
    *("chunking_strategy[type]", "known_speaker_names[]", "hotwords[a][b]", "hotword", "file"),
    *("audio", "", "x" * 300, "na\x00me", "名字", "[]", "model[0]", "model[]"),
)
_VALUES = (
    *("", " ", "fake", "en", "auto", "true", "false", "json", "verbose_json", "srt", "vtt", "word"),
    *("segment", "0", "1", "-1", "1e999", "nan", "inf", "pcm_s16le", "pcm_f64le", "16000", "8"),
    *("split", "left", "off", "energy", "null", "[]", "{}", '["a", 1]', '{"a": {"b": 1}}', "@none"),
    *("@@x", "a,b,c", "阿里巴巴 达摩院", "\u202e\u0000", "../../etc/passwd", "http://[::1]/x"),
    *(
        "x" * 5_000,
        ",".join(map(str, range(1_200))),
        "${jndi:x}",
        "%s%n",
        "'; --",
        "\ud7ff\U0010ffff",
    ),
)
_HEADERS = (
    b"X-Request-Id: " + b"a" * 200,
    b"X-Request-Id: ../../x\x7f",
    b"X-Request-Timeout: nan",
    b"X-Request-Timeout: -1",
    b"X-Request-Timeout: 1e-9",
    b"Authorization: Bearer \xff\xfe",
    b"Authorization: Basic Zm9vOmJhcg==",
    b"api-key: " + b"k" * 3_000,
    b"Expect: 100-continue",
    b"Expect: 42-maybe",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings",
    b"Upgrade: websocket\r\nConnection: Upgrade",
    b"Connection: close",
    b"Content-Length: 3",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999999",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Content-Encoding: gzip",
    b"Host: twice",
    b"Origin: http://evil.example",
    b"X-Forwarded-For: 1.2.3.4, \xff",
    b"traceparent: 00-zz-01",
    b"Accept: \x01",
    b"Cookie: " + b"c=d; " * 900,
    b"No-Colon",
    b": no name",
    b"Folded: a\r\n b",
    b"Long: " + b"l" * 70_000,
)
_JSON = (
    b"",
    b"{",
    b"null",
    b"[]",
    b'{"instances": 0}',
    b'{"instances": 1}',
    b'{"instances": 1e400}',
    b'{"instances": "2", "pool": null}',
    b'{"instances": 257}',
    b'{"words": ["a", "b"]}',
    b'{"words": "a, b"}',
    b'{"words": {"a": 20}}',
    b'{"words": [1, null]}',
    b'{"words": ["' + b"w" * 9_000 + b'"]}',
    b"[" * 5_000,
    b"\xff\xfe",
)


class Ending(StrEnum):
    """What the client does when it has sent its pieces."""

    WAIT = "wait"  # for the answer
    HALF = "half"  # closes its side of the connection, then waits
    LEAVE = "leave"  # closes the connection
    RESET = "reset"  # the same with a reset


@dataclass(frozen=True, slots=True)
class FuzzedRequest:
    """The bytes in the pieces in which they are sent, and the end."""

    number: int
    kind: str
    pieces: tuple[bytes, ...]
    ending: Ending


def fuzzed_request(seed: int, number: int, sounds: Sequence[bytes]) -> FuzzedRequest:
    """Always the same for the same arguments; `sounds` are whole files of several formats."""
    chance = random.Random(f"{seed}:{number}")  # noqa: S311  (no secret)
    kind = chance.choice(tuple(KINDS))
    data, ending = KINDS[kind](chance, sounds)
    return FuzzedRequest(number, kind, _in_pieces(chance, data), ending)


# -- the parts of a request -----------------------------------------------------------------------


def _head(method: str, path: str, headers: Sequence[bytes]) -> bytes:
    line = f"{method} {path} HTTP/1.1".encode()
    return _CRLF.join([line, b"Host: stranger", *headers, b"", b""])


def _part(name: str, value: bytes, file_name: str | None = None) -> bytes:
    file = f'; filename="{file_name}"' if file_name is not None else ""
    head = f'--{_BOUNDARY.decode()}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + value + _CRLF


def _form(chance: random.Random, sound: bytes, fields: int) -> bytes:
    parts = [_part(chance.choice(_FIELDS), chance.choice(_VALUES).encode()) for _ in range(fields)]
    file = _part(chance.choice(("file", "audio")), sound, "talk.wav")
    parts.insert(chance.randint(0, len(parts)), file)
    return b"".join(parts) + b"--" + _BOUNDARY + b"--" + _CRLF


def _upload(path: str, body: bytes, length: object = None, *headers: bytes) -> bytes:
    size = len(body) if length is None else length
    kind = b"Content-Type: multipart/form-data; boundary=" + _BOUNDARY
    return _head("POST", path, [kind, f"Content-Length: {size}".encode(), *headers]) + body


def _mutated(chance: random.Random, data: bytes, times: int) -> bytes:
    """Bytes changed, cut out, doubled or put in, here and there."""
    changed = bytearray(data)
    for _ in range(times):
        at = chance.randrange(len(changed) + 1)
        until = at + chance.choice((0, 1, 1, 2, 8, 100))
        swap = chance.choice((b"", b"\x00", b"\r\n", b"--", b"\xff", bytes(changed[at:until]) * 2))
        changed[at:until] = swap
    return bytes(changed)


def _in_pieces(chance: random.Random, data: bytes) -> tuple[bytes, ...]:
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.choice((0, 0, 0, 1, 3))))
    edges = [0, *cuts, len(data)]
    return tuple(data[a:b] for a, b in pairwise(edges) if a < b)


def _sound(chance: random.Random, sounds: Sequence[bytes]) -> bytes:
    whole = chance.choice(sounds)
    return chance.choice(
        (
            whole,
            whole[: chance.randrange(len(whole))],
            _mutated(chance, whole, 8),
            whole[: chance.randrange(64)] + chance.randbytes(500),
            chance.randbytes(chance.randrange(2_000)),
            b"",
        )
    )


# -- what may be wrong ----------------------------------------------------------------------------

Made = tuple[bytes, Ending]


def _of_sound(chance: random.Random, sounds: Sequence[bytes]) -> Made:
    body = _form(chance, _sound(chance, sounds), 0)
    return _upload(chance.choice(UPLOADS), body), Ending.WAIT


def _of_fields(chance: random.Random, sounds: Sequence[bytes]) -> Made:
    body = _form(chance, chance.choice(sounds), chance.randint(1, 6))
    return _upload(chance.choice(UPLOADS), body), Ending.WAIT


def _of_framing(chance: random.Random, sounds: Sequence[bytes]) -> Made:
    body = _mutated(chance, _form(chance, b"RIFF and so on", 2), chance.randint(1, 5))
    return _upload(chance.choice(UPLOADS), body), Ending.WAIT


def _of_head(chance: random.Random, sounds: Sequence[bytes]) -> Made:
    extra = chance.sample(_HEADERS, chance.randint(1, 3))
    if chance.random() < 0.5:
        return _head(chance.choice(_METHODS), chance.choice(_PATHS), extra), Ending.HALF
    return _upload(UPLOADS[0], _form(chance, chance.choice(sounds), 0), None, *extra), Ending.HALF


def _of_bytes(chance: random.Random, sounds: Sequence[bytes]) -> Made:
    whole = _upload(chance.choice(UPLOADS), _form(chance, b"RIFF", 1))
    return _mutated(chance, whole, chance.randint(1, 12)), Ending.HALF


def _of_length(chance: random.Random, sounds: Sequence[bytes]) -> Made:
    body = _form(chance, chance.choice(sounds), 0)
    length = chance.choice((0, 1, len(body) - 1, len(body) + 1, 10**12, -1, "x", "0x10", ""))
    return _upload(chance.choice(UPLOADS), body, length), Ending.HALF


def _of_chunks(chance: random.Random, sounds: Sequence[bytes]) -> Made:
    body, chunks = _form(chance, chance.choice(sounds), 1), b""
    while body:
        size = chance.randint(1, 5_000)
        chunks += f"{len(body[:size]):x}".encode() + _CRLF + body[:size] + _CRLF
        body = body[size:]
    chunks += b"0" + _CRLF + chance.choice((b"", b"Trailer: x\r\n")) + _CRLF
    kind = b"Content-Type: multipart/form-data; boundary=" + _BOUNDARY
    head = _head("POST", chance.choice(UPLOADS), [kind, b"Transfer-Encoding: chunked"])
    times = chance.choice((0, 0, 1, 3))
    return head + _mutated(chance, chunks, times), Ending.HALF if times else Ending.WAIT


def _of_many(chance: random.Random, sounds: Sequence[bytes]) -> Made:
    requests = [
        _upload(UPLOADS[0], _form(chance, chance.choice(sounds), 0))
        if chance.random() < 0.3
        else _head("GET", chance.choice(_PATHS[:12]), [])
        for _ in range(chance.randint(2, 20))
    ]
    return b"".join(requests), Ending.HALF


def _of_end(chance: random.Random, sounds: Sequence[bytes]) -> Made:
    whole = _upload(chance.choice(UPLOADS), _form(chance, chance.choice(sounds), 2))
    return whole[: chance.randrange(len(whole))], chance.choice((Ending.LEAVE, Ending.RESET))


def _of_leaving(chance: random.Random, sounds: Sequence[bytes]) -> Made:
    whole = _upload(chance.choice(UPLOADS), _form(chance, chance.choice(sounds), 0))
    return whole, chance.choice((Ending.LEAVE, Ending.RESET))


def _of_route(chance: random.Random, sounds: Sequence[bytes]) -> Made:
    path = chance.choice(_PATHS) + chance.choice(("", "?a=b", "?" + "q" * 2_000, "#x", "?%00=%ff"))
    body = chance.choice(_JSON)
    kind = chance.choice((b"application/json", b"text/plain", b"application/x-www-form-urlencoded"))
    headers = [b"Content-Type: " + kind, f"Content-Length: {len(body)}".encode()]
    return _head(chance.choice(_METHODS), path, headers) + body, Ending.HALF


KINDS: dict[str, Callable[[random.Random, Sequence[bytes]], Made]] = {
    "sound": _of_sound,
    "fields": _of_fields,
    "framing": _of_framing,
    "head": _of_head,
    "bytes": _of_bytes,
    "length": _of_length,
    "chunks": _of_chunks,
    "many": _of_many,
    "end": _of_end,
    "leaving": _of_leaving,
    "route": _of_route,
}
