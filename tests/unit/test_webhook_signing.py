"""Webhooks are signed so that any receiver of Standard Webhooks can check them."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from voxfleet.errors import SettingsError
from voxfleet.jobs.webhook_signing import signed_headers, signing_key

BODY = '{"type":"job.finished","data":{"id":"job_1","name":"会议"}}'.encode()
#: of the specification's example
PUBLISHED = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """What a receiver does, written from the specification."""
    key = base64.b64decode(secret[len("whsec_") :])
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(
        hmac.compare_digest(given, f"v1,{expected}")
        for given in headers["webhook-signature"].split(" ")
    )


def test_the_example_of_the_specification_is_signed_as_it_says() -> None:
    body = b'{"test": 2432232314}'
    headers = signed_headers(
        signing_key(PUBLISHED), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330.0, body
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_receiver_accepts_what_was_signed() -> None:
    headers = signed_headers(signing_key(SECRET), "msg_1", 1764550000.9, BODY)
    assert headers["webhook-timestamp"] == "1764550000"
    assert verified(SECRET, headers, BODY)


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "body", "secret"])
def test_a_receiver_refuses_what_was_changed(changed: str) -> None:
    headers = signed_headers(signing_key(SECRET), "msg_1", 1764550000.0, BODY)
    body, secret = BODY, SECRET
    if changed == "body":
        body += b" "
    elif changed == "secret":
        secret = "whsec_" + base64.b64encode(bytes(32)).decode()
    else:
        headers[changed] += "0"
    assert not verified(secret, headers, body)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        base64.b64encode(bytes(32)).decode(),
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whsec_" + base64.b64encode(bytes(32)).decode().rstrip("="),
        "whsec_" + "é" * 40,
        "whsec_" + "hunter2hunter2hunter2hunter2hunter2!",
    ],
)
def test_a_secret_of_another_form_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(SettingsError, match=r"webhooks\.secret") as caught:
        signing_key(secret)
    tail = secret.removeprefix("whsec_")
    assert not tail or tail not in caught.value.message


@pytest.mark.parametrize("length", [24, 32, 64])
def test_keys_of_the_specified_lengths_are_taken(length: int) -> None:
    key = bytes(range(length))
    assert signing_key("whsec_" + base64.b64encode(key).decode()) == key
