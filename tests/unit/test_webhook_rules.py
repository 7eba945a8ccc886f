"""Which URLs a webhook may have, what an answer means, and when a message is tried again."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.errors import ParameterError
from voxfleet.jobs.webhook_rules import (
    Verdict,
    asked_wait_s,
    checked_webhook,
    gives_up,
    host_of,
    next_attempt_s,
    verdict,
)

NOW_S = 1764550000.0


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Example.COM/Hook?a=B&c=%2F", "https://example.com/Hook?a=B&c=%2F"),
        ("http://example.com:8080/x", "http://example.com:8080/x"),
        ("http://example.com:00080/x", "http://example.com:80/x"),
        ("http://example.com./x", "http://example.com/x"),
        ("http://example.com?x=1", "http://example.com/?x=1"),
        ("http://my_service/hook", "http://my_service/hook"),
        ("https://xn--fiqs8s.xn--fiqs8s/", "https://xn--fiqs8s.xn--fiqs8s/"),
        ("https://1.1.1.1/hook", "https://1.1.1.1/hook"),
        ("https://[2606:4700:4700::1111]:8443/", "https://[2606:4700:4700::1111]:8443/"),
        ("https://a.b/" + "p" * 2036, "https://a.b/" + "p" * 2036),
    ],
)
def test_urls_are_taken_in_one_form(url: str, checked: str) -> None:
    assert checked_webhook(url) == checked
    assert checked_webhook(checked) == checked


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http:///hook",
        "http://?x",
        "http://user@example.com/",
        "http://user:word@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://example.com/#part",
        "http://example.com/a b",
        "http://example.com/\n",
        "http://example.com/\x00",
        "http://example.com/会议",
        "http://会议.example/",
        "http://exa%6dple.com/",
        "http://example..com/",
        "http://-example.com/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:x/",
        "http://" + "a" * 64 + ".com/",
        "http://" + "a." * 130 + "com/",
        "https://a.b/" + "p" * 2037,
        " http://example.com/",
    ],
)
def test_what_is_no_address_of_a_receiver_is_refused(url: str) -> None:
    with pytest.raises(ParameterError) as caught:
        checked_webhook(url)
    assert caught.value.param == "webhook"
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "100.64.0.1",
        "192.168.1.1",
        "0.0.0.0",  # noqa: S104
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ],
)
def test_an_address_that_is_not_public_is_refused_at_once(host: str) -> None:
    with pytest.raises(ParameterError, match=r"webhooks\.allowed_networks"):
        checked_webhook(f"http://{host}/hook")


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "1.2.3",
        "1.2.3.4.5",
        "[1::2::3]",
    ],
)
def test_other_ways_to_write_an_address_are_refused(host: str) -> None:
    with pytest.raises(ParameterError):
        checked_webhook(f"http://{host}/hook", ["0.0.0.0/0", "::/0"])


def test_an_address_in_an_allowed_network_is_taken() -> None:
    assert checked_webhook("http://10.1.2.3/hook", ["10.1.0.0/16"]) == "http://10.1.2.3/hook"
    assert checked_webhook("http://[::1]/", ["10.1.0.0/16", "::1/128"]) == "http://[::1]/"
    with pytest.raises(ParameterError):
        checked_webhook("http://10.2.2.3/hook", ["10.1.0.0/16"])


@given(st.text(max_size=60))
def test_every_reader_of_urls_finds_the_same_host(tail: str) -> None:
    try:
        url = checked_webhook(f"http://example.com{tail}")
    except ParameterError:
        return
    read = httpx.URL(url)
    assert read.host == host_of(url).strip("[]")
    assert not read.userinfo
    assert str(read).split("?")[0].split("/")[2] in url


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://example.com:8443/a?b", "example.com"),
        ("http://10.1.2.3/", "10.1.2.3"),
        ("http://[::1]:80/", "[::1]"),
    ],
)
def test_the_host_is_told_without_port_and_path(url: str, host: str) -> None:
    assert host_of(url) == host


def test_attempts_come_at_growing_distances() -> None:
    waits = [next_attempt_s(attempts, 0.5) for attempts in range(1, 10)]
    assert waits == pytest.approx([5, 30, 120, 600, 1800, 3600, 7200, 7200, 7200])


@given(st.integers(1, 1000), st.floats(0, 1, exclude_max=True))
def test_jitter_is_a_fifth_at_most(attempts: int, jitter: float) -> None:
    middle_s = next_attempt_s(attempts, 0.5)
    assert 0.8 * middle_s <= next_attempt_s(attempts, jitter) <= 1.2 * middle_s


def test_a_message_is_given_up_when_its_time_is_over() -> None:
    assert not gives_up(NOW_S, NOW_S + 72 * 3600 - 1, 72)
    assert gives_up(NOW_S, NOW_S + 72 * 3600, 72)


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (200, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (299, Verdict.DELIVERED),
        (301, Verdict.AGAIN),
        (307, Verdict.AGAIN),
        (400, Verdict.AGAIN),
        (404, Verdict.AGAIN),
        (410, Verdict.GIVEN_UP),
        (429, Verdict.AGAIN),
        (500, Verdict.AGAIN),
        (503, Verdict.AGAIN),
    ],
)
def test_what_an_answer_means(status: int, meaning: Verdict) -> None:
    assert verdict(status) is meaning


@pytest.mark.parametrize(
    ("status", "header", "wait_s"),
    [
        (429, "120", 120),
        (503, " 7 ", 7),
        (503, "Mon, 01 Dec 2025 00:50:00 GMT", 3000 - 1764550000 % 3600),
        (503, "Mon, 01 Dec 2025 00:50:00 -0000", 3000 - 1764550000 % 3600),
        (503, "999999999", 3600),
        (503, "Fri, 01 Jan 2100 00:00:00 GMT", 3600),
        (503, "Wed, 01 Jan 2020 00:00:00 GMT", 0),
        (503, "", 0),
        (503, "-5", 0),
        (503, "soon", 0),
        (503, "9" * 400, 0),
        (503, "\u0663", 0),
        (500, "120", 0),
        (200, "120", 0),
    ],
)
def test_a_receiver_may_ask_for_time(status: int, header: str, wait_s: float) -> None:
    assert asked_wait_s(status, header, NOW_S) == pytest.approx(wait_s)
