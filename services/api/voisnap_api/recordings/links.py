"""Links to recordings that need no credential: signed, for one key, good for an hour."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta

from voisnap_domain.errors import NotFound

LIFETIME = timedelta(hours=1)
PATH = "/api/v1/recordings"

_EXPIRY = re.compile(r"[0-9]{1,12}")
_KEY = re.compile(r"^recordings/[A-Za-z0-9_./-]+$")


class RecordingLinks:
    """Makes and checks links. A link is `expiry.signature`, HMAC-SHA-256 over the key and the expiry."""

    def __init__(self, public_url: str, signing_key: bytes) -> None:
        self._base = public_url.rstrip("/") + PATH
        self._signing_key = signing_key

    def link(self, key: str, *, at: datetime) -> tuple[str, datetime]:
        """A link to one recording and when it ends."""
        expires = int((at + LIFETIME).timestamp())
        token = f"{expires}.{self._signature(key, expires)}"
        address = key.removeprefix("recordings/")
        return f"{self._base}/{address}?token={token}", datetime.fromtimestamp(expires, tz=at.tzinfo)

    def key_of(self, address: str, token: str, *, at: datetime) -> str:
        """The key behind a link's path and token. Raises NotFound for a wrong, foreign or expired token, without saying which."""
        key = "recordings/" + address.lstrip("/")
        expires_text, _, signature = token.partition(".")
        refused = NotFound("recording", address, detail="This link is not valid or has expired.", code="link-expired")
        if not _EXPIRY.fullmatch(expires_text) or ".." in key or not _KEY.match(key):
            raise refused
        expires = int(expires_text)
        if not hmac.compare_digest(signature.encode(), self._signature(key, expires).encode()):
            raise refused
        if at.timestamp() >= expires:
            raise refused
        return key

    def _signature(self, key: str, expires: int) -> str:
        digest = hmac.new(self._signing_key, f"recording:{key}:{expires}".encode(), hashlib.sha256).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()


def signing_key_of(text: str) -> bytes:
    """The bytes of a configured key: base64, or the text itself."""
    try:
        decoded = urlsafe_b64decode(text.replace("+", "-").replace("/", "_") + "=" * (-len(text) % 4))
    except ValueError:
        return text.encode()
    return decoded if len(decoded) >= 16 else text.encode()
