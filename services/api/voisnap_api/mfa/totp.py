"""Time-based one-time passwords (RFC 6238) as authenticator apps know them: SHA-1, six digits, thirty seconds."""

import base64
import hmac
import struct
from datetime import datetime
from urllib.parse import quote, urlencode

STEP_SECONDS = 30
DIGITS = 6
SECRET_BYTES = 20
DRIFT = 1
"""Steps by which the clock of a phone may differ, either way (RFC 6238 §5.2)."""


def step_at(moment: datetime) -> int:
    """The number of the time step."""
    return int(moment.timestamp()) // STEP_SECONDS


def code_at(secret: bytes, step: int) -> str:
    """The code of one step (RFC 4226 §5.3)."""
    digest = hmac.digest(secret, struct.pack(">Q", step), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def matching_step(secret: bytes, code: str, *, now: datetime, after: int) -> int | None:
    """The step whose code this is, later than `after`: a code is good once, and so is every earlier one then. None if there is none."""
    current = step_at(now)
    found = None
    for step in range(current - DRIFT, current + DRIFT + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()) and step > after:
            found = step if found is None else found
    return found


def text_of(secret: bytes) -> str:
    """The secret as it is typed into an app: base 32 without padding."""
    return base64.b32encode(secret).decode().rstrip("=")


def uri_of(secret: bytes, *, account: str, issuer: str = "Voisnap") -> str:
    """The `otpauth:` address that apps read from a QR code (Key Uri Format of Google Authenticator)."""
    label = quote(f"{issuer}:{account}", safe="")
    query = urlencode({"secret": text_of(secret), "issuer": issuer, "digits": DIGITS, "period": STEP_SECONDS})
    return f"otpauth://totp/{label}?{query}"
