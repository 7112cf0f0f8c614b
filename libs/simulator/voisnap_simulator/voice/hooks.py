"""Webhooks of the simulated carriers: signed as each signs them, repeated as each repeats them."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import httpx
import jwt
import msgspec

from voisnap_simulator.faults import Faults
from voisnap_simulator.world import World

WAITS = (0.2, 1.0, 3.0)
"""Seconds before each repetition of a webhook that was not taken (5xx, 429, no answer)."""
ANSWER_SECONDS = 15.0
CONNECT_SECONDS = 5.0
MAX_ANSWER = 256 * 1024


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook was answered with; status 0 where nobody did."""

    status: int
    body: bytes = b""
    content_type: str = ""

    @property
    def is_taken(self) -> bool:
        return 200 <= self.status < 300


class Noted(Protocol):
    """What a webhook is about: it takes down what became of it, and says what shall go wrong."""

    @property
    def faults(self) -> Faults: ...

    def note(self, kind: str, /, **facts: Any) -> Any: ...


class Hooks:
    """Posts webhooks. One for a world (`World.part`)."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._client: httpx.AsyncClient | None = None
        self._telnyx: Any = None

    async def aclose(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.aclose()

    async def twilio(
        self, call: Noted, url: str, fields: Mapping[str, str], *, method: str = "POST", tries: int = 3
    ) -> Answered:
        """A form, or a query for GET; signed over the address and every field."""
        token = self._world.account("twilio").secret("auth_token")
        headers = {
            "i-twilio-idempotency-token": str(uuid.uuid4()),
            "user-agent": "TwilioProxy/1.1",
            "accept": "*/*",
        }
        if method.upper() == "GET":
            url = f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(fields)}"
            body, signed = b"", {}
        else:
            body, signed = urlencode(fields).encode(), fields
            headers["content-type"] = "application/x-www-form-urlencoded; charset=UTF-8"
        headers["x-twilio-signature"] = twilio_signature(token, url, signed)
        return await self._asked(call, method, url, body, lambda: headers, tries)

    async def vonage(
        self, call: Noted, url: str, fields: Mapping[str, Any], *, method: str = "POST", tries: int = 2
    ) -> Answered:
        """JSON, or a query for GET; under a token that holds the payload's hash."""
        if method.upper() == "GET":
            texts = {name: str(value) for name, value in fields.items()}
            url = f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(texts)}"
            body = b""
            payload = json.dumps(texts, separators=(",", ":"), ensure_ascii=False).encode()
        else:
            payload = body = msgspec.json.encode(fields)
        account = self._world.account("vonage")

        def headers() -> dict[str, str]:
            claims = {
                "iat": int(self._world.clock()),
                "jti": str(uuid.uuid4()),
                "iss": "Vonage",
                "payload_hash": hashlib.sha256(payload).hexdigest(),
                "api_key": account.option("api_key"),
                "application_id": account.option("application_id"),
            }
            key = account.secret("signature_secret").encode().ljust(32, b"\0")
            token = jwt.encode(claims, key, algorithm="HS256")
            typed = {} if method.upper() == "GET" else {"content-type": "application/json"}
            return {"authorization": f"Bearer {token}", "user-agent": "Vonage", **typed}

        return await self._asked(call, method, url, body, headers, tries)

    async def telnyx(self, call: Noted, url: str, event: Mapping[str, Any], *, tries: int = 3) -> Answered:
        """An event, signed with Ed25519 over its time and body. Every repetition counts itself in `meta.attempt`."""
        attempt = 0

        def body() -> bytes:
            nonlocal attempt
            attempt += 1
            return msgspec.json.encode({"data": event, "meta": {"attempt": attempt, "delivered_to": url}})

        answered = Answered(status=0)
        for number in range(tries):
            if number:
                await asyncio.sleep(WAITS[min(number, len(WAITS)) - 1])
            sent = body()
            answered = await self._asked(call, "POST", url, sent, lambda sent=sent: self._telnyx_headers(sent), 1)
            if not _is_worth_repeating(answered.status):
                break
        return answered

    async def posted(
        self, call: Noted, url: str, body: bytes, headers: Mapping[str, str], *, method: str = "POST", tries: int = 3
    ) -> Answered:
        """A request that is signed already."""
        return await self._asked(call, method, url, body, lambda: headers, tries)

    async def fetched(self, url: str, *, most: int) -> bytes | None:
        """What lies at an address, such as a sound to play; None where it can't be had, or is larger."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._http().stream("GET", url) as response:
                content = bytearray()
                async for piece in response.aiter_bytes():
                    content += piece
                    if len(content) > most:
                        return None
                return bytes(content) if response.status_code == 200 else None
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            return None

    def _telnyx_headers(self, body: bytes) -> dict[str, str]:
        if self._telnyx is None:
            # 8 MB with its library: not before the first event.
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

            self._telnyx = Ed25519PrivateKey.from_private_bytes(self._world.telnyx_key)
        stamp = str(int(self._world.clock()))
        signature = self._telnyx.sign(stamp.encode() + b"|" + body)
        return {
            "content-type": "application/json; charset=utf-8",
            "telnyx-timestamp": stamp,
            "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
            "user-agent": "telnyx-webhooks",
        }

    async def _asked(self, call: Noted, method: str, url: str, body: bytes, headers: Any, tries: int) -> Answered:
        if call.faults.webhook_delay:
            await asyncio.sleep(call.faults.webhook_delay)
        answered = Answered(status=0)
        for number in range(tries):
            if number:
                await asyncio.sleep(WAITS[min(number, len(WAITS)) - 1])
            for _ in range(call.faults.webhook_copies):
                answered = await self._once(call, method, url, body, headers())
            if not _is_worth_repeating(answered.status):
                break
        return answered

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
            self._client = httpx.AsyncClient(timeout=timeout, trust_env=False, follow_redirects=False)
        return self._client

    async def _once(self, call: Noted, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        began = time.perf_counter()
        try:
            response = await self._http().request(method, url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            call.note("webhook", url=_shown(url), status=0, error=type(error).__name__)
            return Answered(status=0)
        milliseconds = round((time.perf_counter() - began) * 1000, 1)
        call.note("webhook", url=_shown(url), status=response.status_code, ms=milliseconds)
        return Answered(
            status=response.status_code,
            body=response.content[:MAX_ANSWER],
            content_type=response.headers.get("content-type", ""),
        )


def twilio_signature(token: str, url: str, fields: Mapping[str, str | Sequence[str]]) -> str:
    """https://www.twilio.com/docs/usage/webhooks/webhooks-security"""
    signed = url
    for name in sorted(fields):
        given = fields[name]
        values = [given] if isinstance(given, str) else sorted(set(given))
        signed += "".join(f"{name}{value}" for value in values)
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()


def _is_worth_repeating(status: int) -> bool:
    return status == 0 or status == 429 or status >= 500


def _shown(url: str) -> str:
    """An address without its query, which may hold what is nobody's business."""
    return url.partition("?")[0]
