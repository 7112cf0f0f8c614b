"""`Idempotency-Key`: a POST that is sent again gets the first answer, and nothing happens twice (decisions, "idempotency")."""

import asyncio
import gzip
import hashlib
import secrets
from collections.abc import Callable
from datetime import timedelta

import brotli
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from litestar import Request
from litestar.exceptions import HTTPException
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPReceiveMessage, Message, Receive, Scope, Send, WebSocketReceiveMessage
from voisnap_domain.errors import Conflict, FieldError, Invalid
from voisnap_kit import log, problem
from voisnap_kit.http import BODY_LIMIT
from voisnap_kit.postgres import Database, DatabaseError
from voisnap_kit.work import Caller, Clock, utc_now

from voisnap_api.auth.credentials import Identity

from . import store

_log = log.get(__name__)

LIFETIME = timedelta(hours=24)
ABANDONED = timedelta(seconds=60)
"""After this time a request that never ended (its process died) does not hold its key any more."""

MAX_KEY = 255
_KEPT_HEADERS = frozenset({"content-type", "location", "etag", "cache-control", "content-encoding"})
_DECODED: dict[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.decompress, "br": brotli.decompress}
_NONCE = 12


class Idempotency(ASGIMiddleware):
    """Keeps the answers of POSTs that carry a key, encrypted, because an answer may hold a secret."""

    def __init__(self, database: Database, secret: bytes, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._cipher = AESGCM(hashlib.sha256(b"idempotency:" + secret).digest())
        self._clock = clock

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Answer from memory, or let the request through and remember the answer."""
        identity = scope.get("user")
        if scope["type"] != "http" or scope["method"] != "POST" or not isinstance(identity, Identity):
            await next_app(scope, receive, send)
            return
        key = Request(scope).headers.get("idempotency-key")
        if key is None:
            await next_app(scope, receive, send)
            return
        if not 1 <= len(key) <= MAX_KEY:
            raise Invalid(
                (FieldError(pointer="?Idempotency-Key", code="bad-length", detail=f"1 to {MAX_KEY} characters"),)
            )
        body = await _read(receive)
        if body is None:
            raise HTTPException(status_code=413, detail=f"A body may have at most {BODY_LIMIT} bytes.")
        caller = identity.caller
        key = f"{scope['path']} {key}"  # a key belongs to one operation
        request_hash = hashlib.sha256(
            b"\0".join((_credential(identity), scope["raw_path"], scope["query_string"], body))
        ).digest()
        known = await self._claim(caller, key, request_hash)
        if known is not None:
            if known.request_hash == request_hash and known.response_status is None:
                await _refuse_for_now(scope, receive, send)
                return
            await self._replay(known, request_hash, key, send)
            return
        await self._run(caller, key, scope, _replayed(body, receive), send, next_app)

    async def _claim(self, caller: Caller, key: str, request_hash: bytes) -> store.KnownRequest | None:
        """None when the key is now ours."""
        now = self._clock()
        async with self._database.transaction(caller.tenant_id, caller.environment) as tx:
            if await store.claim(
                tx,
                caller.tenant_id,
                caller.environment,
                key,
                request_hash=request_hash,
                at=now,
                forgotten_before=now - LIFETIME,
                abandoned_before=now - ABANDONED,
            ):
                return None
            known = await store.find(tx, caller.tenant_id, caller.environment, key)
        return known or store.KnownRequest(
            request_hash=request_hash, response_status=None, response_headers=None, response_body=None
        )

    async def _replay(self, known: store.KnownRequest, request_hash: bytes, key: str, send: Send) -> None:
        if known.request_hash != request_hash:
            detail = "This key was used for another request."
            raise Invalid((FieldError(pointer="?Idempotency-Key", code="idempotency-key-reused", detail=detail),))
        kept = known.response_body or b""
        try:
            nonce, sealed = kept[:_NONCE], kept[_NONCE:]
            body = self._cipher.decrypt(nonce, sealed, key.encode())
        except (InvalidTag, ValueError):
            raise Conflict("The first answer can't be read any more.", code="idempotency-answer-lost") from None
        headers = [(name.encode(), value.encode()) for name, value in (known.response_headers or {}).items()]
        headers += [(b"content-length", str(len(body)).encode()), (b"idempotency-replayed", b"true")]
        await send({"type": "http.response.start", "status": known.response_status or 500, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _run(
        self, caller: Caller, key: str, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp
    ) -> None:
        status, headers, parts = 500, {}, bytearray()

        async def watched_send(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status = message["status"]
                pairs = (
                    (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in message["headers"]
                )
                headers = {name: value for name, value in pairs if name in _KEPT_HEADERS}
            elif message["type"] == "http.response.body":
                parts.extend(message["body"])
            await send(message)

        try:
            await next_app(scope, receive, watched_send)
        finally:
            await asyncio.shield(self._settle(caller, key, status, headers, bytes(parts)))

    async def _settle(self, caller: Caller, key: str, status: int, headers: dict[str, str], body: bytes) -> None:
        """Keep what will be the same the next time; free the key of what may turn out better."""
        try:
            async with self._database.transaction(caller.tenant_id, caller.environment) as tx:
                body = _DECODED[headers.pop("content-encoding", "")](body)  # the next client may not take the coding
                if status >= 500 or status in {401, 409, 429} or len(body) > BODY_LIMIT:
                    await store.release(tx, caller.tenant_id, caller.environment, key)
                    return
                nonce = secrets.token_bytes(_NONCE)
                sealed = nonce + self._cipher.encrypt(nonce, body, key.encode())
                await store.keep_answer(
                    tx, caller.tenant_id, caller.environment, key, status=status, headers=headers, body=sealed
                )
        except DatabaseError as error:
            _log.warning("idempotency.answer_not_kept", error=repr(error))


async def _refuse_for_now(scope: Scope, receive: Receive, send: Send) -> None:
    detail = "The first request with this key is still in work."
    document, headers = problem.of_domain_error(Conflict(detail, code="idempotency-in-flight"))
    await problem.plain(document, headers | {"Retry-After": "1"})(scope, receive, send)


def _credential(identity: Identity) -> bytes:
    """Who asks with which rights. An answer is given again before any right is checked, so only to the same credential."""
    rights = " ".join(sorted(identity.caller.scopes))
    return repr((identity.rate_key, identity.agent, identity.session_id, rights)).encode()


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None when it is too large to be taken or never came to its end."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body.extend(message.get("body", b""))
        if len(body) > BODY_LIMIT:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was read already."""
    given = False

    async def again() -> HTTPReceiveMessage | WebSocketReceiveMessage:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
