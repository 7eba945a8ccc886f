"""A multipart/form-data body, parsed as it arrives: small fields kept, the file's bytes handed on.

A push parser without sockets and files: `feed` takes any piece of the body, `take_file_bytes`
gives what came of the file, `finish` the form. Every limit holds while the body arrives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from voxfleet.errors import AudioTooLargeError, ParameterError, RequestError
from voxfleet.gateway.http_errors import shown

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

#: all text fields together: hotwords may be many, but no upload is 1 MB of text
MAX_FIELD_BYTES = 1_000_000
#: a part for each of 1,000 hotwords, and the other fields
MAX_PARTS = 1100
#: long enough that a file's name of 10,000 characters is shortened and not refused
_MAX_HEADER_BYTES = 32_000

_REMEDY = "send the file as multipart/form-data, for example: curl -F file=@talk.wav"


@dataclass(frozen=True, slots=True)
class Form:
    """The text fields in their order, and the one file: its name fit for messages, its size."""

    fields: tuple[tuple[str, str], ...]
    file_name: str
    file_bytes: int


def boundary_of(content_type: str | None) -> bytes:
    """The boundary named by the Content-Type header; raises for every body that is no form."""
    if not content_type:
        raise RequestError(f"the request has no Content-Type header; {_REMEDY}")
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise RequestError(f"cannot take a body of type '{shown(content_type)}'; {_REMEDY}")
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 70:
        raise RequestError(
            "the Content-Type header names no usable boundary (1 to 70 characters); let the HTTP "
            "library write this header itself"
        )
    return boundary


def shown_name(raw: str) -> str:
    """A file's name for messages: without folders, in one line, short. Never used as a path."""
    return shown(raw.replace("\\", "/").rsplit("/", 1)[-1]) or "upload"


class FormParser:
    """Reads one form with exactly one file, which must come in one of `file_fields`."""

    def __init__(self, boundary: bytes, file_fields: tuple[str, ...], max_file_mb: int) -> None:
        self._file_fields = file_fields
        self._max_file_mb = max_file_mb
        self._fields: list[tuple[str, str]] = []
        self._field_bytes = 0
        self._file_name: str | None = None
        self._file_bytes = 0
        #: views of what was fed, as a megabyte is not copied for nothing
        self._pending: list[memoryview] = []
        self._pending_bytes = 0
        self._parts = 0
        self._complete = False
        self._reset_part()
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }
        self._parser = MultipartParser(boundary, callbacks, max_header_size=_MAX_HEADER_BYTES)

    @property
    def pending_bytes(self) -> int:
        """How much of the file waits to be taken."""
        return self._pending_bytes

    @property
    def pending_pieces(self) -> int:
        """In how many pieces: small ones hold far more memory than they are long."""
        return len(self._pending)

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise RequestError(f"the multipart body is malformed ({error}); {_REMEDY}") from error

    def take_file_bytes(self) -> list[memoryview]:
        taken, self._pending, self._pending_bytes = self._pending, [], 0
        return taken

    def finish(self) -> Form:
        """The form, once the whole body has been fed; raises where it is not whole."""
        if not self._complete:
            raise RequestError(
                "the multipart body is cut off before its closing boundary; send it again"
            )
        if self._file_name is None:
            raise ParameterError(
                f"no file was sent; {self._remedy_for_file()}", param=self._file_fields[0]
            )
        return Form(tuple(self._fields), self._file_name, self._file_bytes)

    def _remedy_for_file(self) -> str:
        names = " or ".join(repr(name) for name in self._file_fields)
        return f"put one file into the field {names}: curl -F {self._file_fields[0]}=@talk.wav"

    def _reset_part(self) -> None:
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._part_name = ""
        self._is_file = False
        self._value = bytearray()

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise RequestError(f"the form has more than {MAX_PARTS} parts; send fewer")
        self._reset_part()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name, self._header_value = b"", b""

    def _on_headers_finished(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or not options.get(b"name"):
            raise RequestError(
                "a part of the form has no name (Content-Disposition: form-data; name=…); "
                f"{_REMEDY}"
            )
        self._part_name = options[b"name"].decode("utf-8", errors="replace")
        file_name = options.get(b"filename")
        if file_name is not None:
            self._open_file(file_name.decode("utf-8", errors="replace"))

    def _open_file(self, file_name: str) -> None:
        if self._part_name not in self._file_fields:
            raise ParameterError(
                f"the field '{shown(self._part_name)}' takes no file; {self._remedy_for_file()}",
                param=shown(self._part_name),
            )
        if self._file_name is not None:
            raise ParameterError(
                "more than one file was sent; send one file per request", param=self._part_name
            )
        if not file_name:
            raise ParameterError(
                f"the file has no name, as when none was chosen; {self._remedy_for_file()}",
                param=self._part_name,
            )
        self._file_name = shown_name(file_name)
        self._is_file = True

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._file_bytes += end - start
            if self._file_bytes > self._max_file_mb * 1_000_000:
                raise too_large(self._file_name or "the file", self._max_file_mb)
            self._pending.append(memoryview(data)[start:end])
            self._pending_bytes += end - start
            return
        self._field_bytes += end - start
        if self._field_bytes > MAX_FIELD_BYTES:
            raise ParameterError(
                f"the text fields of the form hold more than {MAX_FIELD_BYTES} bytes; a file is "
                f"sent with a file name, -F {self._file_fields[0]}=@talk.wav",
                param=shown(self._part_name),
            )
        self._value += memoryview(data)[start:end]

    def _on_part_end(self) -> None:
        if self._is_file:
            return
        name = shown(self._part_name)
        if self._part_name in self._file_fields:
            raise ParameterError(
                f"{name!r} came as text and not as a file; {self._remedy_for_file()}", param=name
            )
        try:
            self._fields.append((self._part_name, self._value.decode("utf-8")))
        except UnicodeDecodeError as error:
            raise ParameterError(f"{name!r} is not UTF-8 text; send UTF-8", param=name) from error

    def _on_end(self) -> None:
        self._complete = True


def too_large(name: str, max_file_mb: int) -> AudioTooLargeError:
    return AudioTooLargeError(
        f"{name}: more than the {max_file_mb} MB this server takes (server.max_upload_mb); "
        "send it compressed (opus, mp3, flac) or in parts",
        param="file",
    )
