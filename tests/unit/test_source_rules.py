"""Which references are understood, in which spelling, and that no other leads out of a folder."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.errors import ParameterError, StartError
from voxfleet.jobs.source_rules import SourceRules

RULES = SourceRules(
    ["/srv/in", "s3://b-1/in", "oss://b-2", "https://h.example/in", "http://h.example:8080/"]
)

UNDERSTOOD = {
    "/srv/in/a.wav": "/srv/in/a.wav",
    "//srv///in/./会议 1.wav/": "/srv/in/会议 1.wav",
    "/srv/in": "/srv/in",
    "s3://b-1/in/a b/[1]*.wav": "s3://b-1/in/a b/[1]*.wav",
    "s3://b-1/in/会议.wav": "s3://b-1/in/会议.wav",
    "oss://b-2/a.wav": "oss://b-2/a.wav",
    "https://h.example/in/a.wav": "https://h.example/in/a.wav",
    "HTTPS://H.Example:443/in/a.wav?sig=a%2Fb&x=..": "https://h.example/in/a.wav?sig=a%2Fb&x=..",
    "http://h.example:08080/a%20b.wav": "http://h.example:8080/a%20b.wav",
    "http://h.example:8080": "http://h.example:8080/",
    "https://h.example/in/a...wav": "https://h.example/in/a...wav",
}

ELSEWHERE = (
    "/srv/inside/a.wav",
    "/srv",
    "/etc/passwd",
    "/",
    "s3://b-1/inside/a.wav",
    "s3://b-1",
    "s3://b-2/a.wav",
    "oss://b-1/in/a.wav",
    "oss://b-22/a.wav",
    "http://h.example/in/a.wav",
    "https://h.example:8443/in/a.wav",
    "https://h.example/IN/a.wav",
    "https://h.example/inside",
    "https://h.example/?/in/a.wav",
    "https://h.example.evil.example/in/a.wav",
    "https://evil.example/in/a.wav",
)

MISSPELT = (
    "",
    "a.wav",
    "./a.wav",
    "~/a.wav",
    "file:///srv/in/a.wav",
    "/srv/in/../../etc/passwd",
    "/srv/in/a\0.wav",
    "/srv/in/a\n.wav",
    "/srv/in/\ud800.wav",
    "/srv/in/" + "a" * 4096,
    "S3://b-1/in/a.wav",
    "s3:/b-1/in/a.wav",
    "s3://",
    "s3:///in/a.wav",
    "s3://b-1/in/../a.wav",
    "s3://b-1/in/./a.wav",
    "s3://b-1/in//a.wav",
    "s3://b-1/in/a.wav?versionId=1",
    "s3://b-1/in/a.wav#1",
    "s3://b-1/in/zip::file:///etc/passwd",
    "s3://b-1/in\\..\\a.wav",
    "s3://user@b-1/in/a.wav",
    "zip://a.wav::s3://b-1/in/a.zip",
    "gs://b-1/in/a.wav",
    "https://h.example@evil.example/in/a.wav",
    "https://u:p@h.example/in/a.wav",
    "https://h.example\\@evil.example/in/a.wav",
    "https://h.example/in/../a.wav",
    "https://h.example/in/./a.wav",
    "https://h.example/in/..;x=1/a.wav",
    "https://h.example/in/%2e%2e/a.wav",
    "https://h.example/in/%2E./a.wav",
    "https://h.example/in/%252e%252e/a.wav",
    "https://h.example/in/..%2fa.wav",
    "https://h.example/in/..%5ca.wav",
    "https://h.example/in/a%00.wav",
    "https://h.example/in/a%zz.wav",
    "https://h.example/in\\..\\a.wav",
    "https://h.example/in/a.wav#part",
    "https://h.example/in/a b.wav",
    "https://h.example/in/会议.wav",
    "https://h.éxample/in/a.wav",
    "https://h.example:0/in/a.wav",
    "https://h.example:99999/in/a.wav",
    "https://h.example:/in/a.wav",
    "https:///in/a.wav",
    "https://h.example./in/a.wav",
)


@pytest.mark.parametrize(("reference", "place"), UNDERSTOOD.items())
def test_a_place_has_one_spelling(reference: str, place: str) -> None:
    assert RULES.understood(reference) == place
    assert RULES.understood(place) == place


@pytest.mark.parametrize("reference", [*ELSEWHERE, *MISSPELT])
def test_no_other_place_is_allowed(reference: str) -> None:
    with pytest.raises(ParameterError) as refused:
        RULES.understood(reference)
    assert refused.value.param == "sources"
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 1000


@pytest.mark.parametrize("reference", ELSEWHERE)
def test_the_setting_that_would_allow_it_is_named(reference: str) -> None:
    with pytest.raises(ParameterError, match=r"jobs\.sources"):
        RULES.understood(reference)


def test_without_the_setting_nothing_is_allowed() -> None:
    with pytest.raises(ParameterError, match=r"jobs\.sources is empty"):
        SourceRules([]).understood("/srv/in/a.wav")


def test_a_signature_is_not_told() -> None:
    with pytest.raises(ParameterError) as refused:
        RULES.understood("https://evil.example/a.wav?signature=hidden")
    assert "hidden" not in refused.value.message


def test_the_whole_machine_may_be_allowed() -> None:
    assert SourceRules(["/"]).understood("/etc/a.wav") == "/etc/a.wav"
    assert SourceRules(["/", "s3://b-1", "/srv/"]).folders == ("/", "/srv")


@pytest.mark.parametrize(
    "place", ["srv", "ftp://h/a", "https://h/a?b=c", "https://h:0/", "s3://b/../a", "/srv/../etc"]
)
def test_a_setting_that_is_no_place_ends_the_start(place: str) -> None:
    with pytest.raises(StartError, match=r"jobs\.sources"):
        SourceRules([place])


#: pieces that lead somewhere, in any order
PIECES = st.lists(
    st.sampled_from(
        [
            "/",
            "..",
            ".",
            "in",
            "a",
            "%2e",
            "%2F",
            "\\",
            ";",
            "//",
            "?",
            "#",
            "@",
            ":",
            "::",
            "%",
            " ",
        ]
    ),
    max_size=8,
).map("".join)


@given(
    st.sampled_from(["/srv/in", "s3://b-1/in", "https://h.example/in", "http://h.example:8080"]),
    PIECES,
)
def test_what_is_understood_is_inside_however_it_is_read(start: str, rest: str) -> None:
    try:
        place = RULES.understood(start + rest)
    except ParameterError:
        return
    assert RULES.understood(place) == place
    path = urlsplit(place).path if place.startswith("http") else place.removeprefix("s3://b-1")
    for read in (path, unquote(path), unquote(unquote(path)), path.replace("\\", "/")):
        top = "/srv/in" if start.startswith("/") else "/in"
        top = "/" if "8080" in start else top
        resolved = posixpath.normpath(read.partition(";")[0])
        assert posixpath.commonpath([resolved.replace("//", "/"), top]) == top


@given(st.text(max_size=200))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        place = RULES.understood(text)
    except ParameterError as refused:
        assert refused.param == "sources"  # noqa: PT017
    else:
        assert RULES.understood(place) == place
