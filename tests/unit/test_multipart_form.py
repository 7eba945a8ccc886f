"""The form parser: the same form however the body is cut; every broken form refused in words."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.errors import AudioTooLargeError, RequestError
from voxfleet.gateway.multipart_form import Form, FormParser, boundary_of

BOUNDARY = b"b0und"

Part = tuple[str, bytes]


def body_of(*parts: Part, boundary: bytes = BOUNDARY) -> bytes:
    """Each part is what follows `form-data; ` in its header, and its content."""
    heads = (
        b"--" + boundary + b"\r\nContent-Disposition: form-data; " + disposition.encode() + b"\r\n"
        b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n"
        for disposition, content in parts
    )
    return b"".join(heads) + b"--" + boundary + b"--\r\n"


def parse(pieces: Sequence[bytes], max_file_mb: int = 1) -> tuple[Form, bytes]:
    parser = FormParser(BOUNDARY, ("file",), max_file_mb)
    found = bytearray()
    for piece in pieces:
        parser.feed(piece)
        found += b"".join(parser.take_file_bytes())
    return parser.finish(), bytes(found)


FILE = ('name="file"; filename="a.wav"', b"sound")

#: content that looks like boundaries and line ends more often than chance would have it
tricky = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"--", b"\r\n--", b"\r\n--b0und", b"b0un", b"x"])
    | st.binary(max_size=20),
    max_size=30,
).map(b"".join)
safe = tricky.filter(
    lambda content: b"\r\n--b0und" not in b"\r\n" + content + b"\r\n" and content != b""
)
names = st.text(st.characters(codec="utf-8", exclude_characters='"\\\r\n'), min_size=1)
texts = st.text(st.characters(codec="utf-8")).filter(lambda text: "\r\n--" not in "\r\n" + text)


@given(
    sound=safe,
    before=st.lists(st.tuples(names, texts), max_size=4),
    after=st.lists(st.tuples(names, texts), max_size=4),
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
)
def test_the_same_form_however_the_body_is_cut(
    sound: bytes,
    before: list[tuple[str, str]],
    after: list[tuple[str, str]],
    cuts: list[int],
) -> None:
    texts_of = [
        [(f'name="f{name}"', text.encode()) for name, text in part] for part in (before, after)
    ]
    body = body_of(*texts_of[0], ('name="file"; filename="a.wav"', sound), *texts_of[1])
    borders = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[start:end] for start, end in itertools.pairwise(borders)]
    form, found = parse(pieces)
    assert found == sound
    assert form.fields == tuple((f"f{name}", text) for name, text in before + after)
    assert (form.file_name, form.file_bytes) == ("a.wav", len(sound))


def test_byte_by_byte() -> None:
    body = body_of(('name="language"', b"en"), FILE)
    form, found = parse([body[n : n + 1] for n in range(len(body))])
    assert (form.fields, found) == ((("language", "en"),), b"sound")


@given(body=tricky, cut=st.integers(0, 500))
def test_garbage_is_refused_and_nothing_else_happens(body: bytes, cut: int) -> None:
    with pytest.raises(RequestError):
        parse([body[:cut], body[cut:]])


@given(cut=st.integers(0, len(body_of(('name="language"', b"en"), FILE)) - 5))
def test_a_body_cut_off_is_never_a_form(cut: int) -> None:
    with pytest.raises(RequestError):
        parse([body_of(('name="language"', b"en"), FILE)[:cut]])


@pytest.mark.parametrize(
    ("parts", "said", "param"),
    [
        ([('name="model"', b"m")], "no file was sent", "file"),
        ([FILE, FILE], "one file per request", "file"),
        ([('name="file"; filename=""', b"")], "no name", "file"),
        ([('name="file"; filename=""', b"sound")], "no name", "file"),
        ([('name="file"', b"sound")], "text and not as a file", "file"),
        ([('name="sound"; filename="a.wav"', b"x")], "'sound' takes no file", "sound"),
        ([('name="model"', b"\xff\xfe"), FILE], "not UTF-8", "model"),
        ([('name="hotwords"', b"x" * 1_000_001), FILE], "1000000 bytes", "hotwords"),
        ([('filename="a.wav"', b"x")], "has no name", None),
    ],
)
def test_a_wrong_form_is_refused_with_the_remedy(
    parts: list[Part], said: str, param: str | None
) -> None:
    with pytest.raises(RequestError, match=said) as refused:
        parse([body_of(*parts)])
    assert refused.value.param == param
    assert refused.value.message.isprintable()


def test_too_many_parts() -> None:
    with pytest.raises(RequestError, match="more than 1100 parts"):
        parse([body_of(*[('name="a[]"', b"1")] * 1101)])


def test_a_file_over_the_limit_is_refused_while_it_arrives() -> None:
    start = body_of(('name="file"; filename="a.wav"', b"x" * 1_000_001))[:-12]
    with pytest.raises(AudioTooLargeError, match=r"a\.wav: more than the 1 MB"):
        FormParser(BOUNDARY, ("file",), 1).feed(start)


def test_a_file_of_exactly_the_limit_is_taken() -> None:
    form, _ = parse([body_of(('name="file"; filename="a.wav"', bytes(1_000_000)))])
    assert form.file_bytes == 1_000_000


@pytest.mark.parametrize("length", [5_000, 10_000])
def test_a_very_long_file_name_is_only_shortened(length: int) -> None:
    form, _ = parse([body_of((f'name="file"; filename="{"n" * length}"', b"x"))])
    assert form.file_name == "n" * 99 + "…"


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b"', b"a b"),
    ],
)
def test_boundary(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    ("content_type", "said"),
    [
        (None, "no Content-Type"),
        ("", "no Content-Type"),
        ("application/json", "application/json.*multipart/form-data"),
        ("audio/wav", "audio/wav.*curl -F file=@talk.wav"),
        ("application/x-www-form-urlencoded", "multipart/form-data"),
        ("multipart/form-data", "no usable boundary"),
        ("multipart/form-data; boundary=", "no usable boundary"),
        ("multipart/form-data; boundary=" + "x" * 71, "no usable boundary"),
        ("a\nb" * 5000, "cannot take"),
    ],
)
def test_a_body_that_is_no_form_is_refused_with_the_remedy(
    content_type: str | None, said: str
) -> None:
    with pytest.raises(RequestError, match=said) as refused:
        boundary_of(content_type)
    assert refused.value.message.isprintable()
