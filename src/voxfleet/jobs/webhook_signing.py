"""Signs webhook messages as Standard Webhooks say, so that receivers can check whose they are.

Pure; knows no database and no connection. The secret is of the settings and never leaves here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from voxfleet.errors import SettingsError

_PREFIX = "whsec_"
#: what Standard Webhooks allow
_MIN_KEY_BYTES, _MAX_KEY_BYTES = 24, 64


def signing_key(secret: str) -> bytes:
    """The key behind `whsec_` and base64; raises SettingsError without showing it."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not _MIN_KEY_BYTES <= len(key) <= _MAX_KEY_BYTES:
        raise SettingsError(
            "webhooks.secret: is not `whsec_` and 24 to 64 bytes in base64; make one with"
            ' echo "whsec_$(openssl rand -base64 32)"',
            param="webhooks.secret",
        )
    return key


def signed_headers(key: bytes, message_id: str, sent_s: float, body: bytes) -> dict[str, str]:
    """`message_id` stays the same at every attempt, by which a receiver knows what it has."""
    timestamp = str(int(sent_s))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }
