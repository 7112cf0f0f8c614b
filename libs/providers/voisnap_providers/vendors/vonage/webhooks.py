"""Webhooks of the Vonage Voice API, and the call control objects (NCCO) that answer them.

https://developer.vonage.com/en/voice/voice-api/webhook-reference says what is posted, …/ncco-reference what may be answered, and
https://developer.vonage.com/en/getting-started/concepts/webhooks how both are signed.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import msgspec
from voisnap_domain.calls import AnsweredBy, CallPhase

from voisnap_providers.ports.carrier import (
    AnswerDocument,
    BadSignature,
    BadWebhook,
    CallProgress,
    CarrierEvent,
    InboundCall,
    MachineDetected,
    MediaLost,
    RecordingSaved,
    StreamTarget,
    WebhookRequest,
)
from voisnap_providers.vendors.phone_numbers import e164
from voisnap_providers.vendors.vonage import CALL_HEADER, RATES, ncco

STALE_SECONDS = 300.0
AHEAD_SECONDS = 60.0
"""How far a signature's time may lie behind and before ours."""
MAX_BODY = 65536

_PHASES = {
    "started": CallPhase.INITIATED,
    "ringing": CallPhase.RINGING,
    "answered": CallPhase.ANSWERED,
    "completed": CallPhase.COMPLETED,
    "busy": CallPhase.BUSY,
    "unanswered": CallPhase.NO_ANSWER,
    "timeout": CallPhase.NO_ANSWER,
    "cancelled": CallPhase.CANCELED,
    "failed": CallPhase.FAILED,
    "rejected": CallPhase.FAILED,
}
_LOST = frozenset(("disconnected", "failed", "unanswered", "timeout", "rejected", "busy"))
"""What becomes of a media socket's leg when no audio flows, and none did we end ourselves."""
_OTHER_EVENTS = frozenset(
    (
        "recording_url",
        "dtmf",
        "speech",
        "conversation_uuid_from",
        "conversation_uuid_to",
        "payload",
        "reason",
        "transcription_url",
    )
)
"""A field of each event without a status: recordings, input, transfers, notifications, errors."""


_FILE = re.compile(r"/v[0-9]/files/([0-9A-Za-z][0-9A-Za-z-]{0,63})\Z", re.ASCII)
_jws = jwt.PyJWS(algorithms=["HS256"])
_claims = msgspec.json.Decoder(dict[str, Any]).decode
_fields = msgspec.json.Decoder(dict[str, Any]).decode


class VonageWebhooks:
    """`CarrierWebhooks` of one Vonage account.

    `signature_secrets` are the account's (a new one and the old, while it changes); `api_key` and `application_id`, where given, must be the ones that signed. `rate` is what the media
    socket is asked for, in Hz.
    """

    def __init__(
        self,
        *,
        signature_secrets: tuple[str, ...],
        api_key: str | None = None,
        application_id: str | None = None,
        rate: int = 16000,
    ) -> None:
        if not signature_secrets or not all(signature_secrets):
            raise ValueError("an empty signature secret would sign anything")
        if rate not in RATES:
            raise ValueError(f"Vonage has audio at {RATES} Hz, not {rate}")
        # HMAC fills short keys with zeros itself (RFC 2104 §2); filled here, PyJWT warns of none.
        self._secrets = tuple(secret.encode().ljust(32, b"\0") for secret in signature_secrets)
        self._signers = {"api_key": api_key, "application_id": application_id}
        self._rate = rate

    def verify(self, request: WebhookRequest, *, now: float) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise BadSignature("no signed token")
        claims = self._claims_of(token.strip())
        if claims.get("iss") != "Vonage":
            raise BadSignature("the token was issued by somebody else")
        for claim, expected in self._signers.items():
            if expected is not None and claims.get(claim) != expected:
                raise BadSignature(f"the token is for another {claim}")
        _check_times(claims, now)
        digest = claims.get("payload_hash")
        expected = hashlib.sha256(_signed_payload(request)).hexdigest()
        if not isinstance(digest, str) or not hmac.compare_digest(
            digest.lower().encode(errors="replace"), expected.encode()
        ):
            raise BadSignature("the token signs another payload")

    def _claims_of(self, token: str) -> dict[str, Any]:
        for secret in self._secrets:
            try:
                return _claims(_jws.decode(token, secret, algorithms=["HS256"]))
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, msgspec.MsgspecError, ValueError, RecursionError):
                raise BadSignature("the token cannot be read") from None
        raise BadSignature("the token is not signed with the account's secret")

    def read(self, request: WebhookRequest) -> tuple[CarrierEvent, ...]:
        fields = _read_fields(request)
        status = _text(fields, "status")
        if status is None:
            return _recorded(fields) if "recording_url" in fields else _inbound(fields)
        sub_state = _text(fields, "sub_state")
        call_id = _text(fields, "call_uuid") or _text(fields, "uuid")
        if call_id is None:
            raise BadWebhook("an event without the call's uuid")
        event_id = ":".join(filter(None, (call_id, status, sub_state, _text(fields, "timestamp"))))
        cause = _text(fields, "detail") or ""
        to = _text(fields, "to") or ""
        if status == "disconnected" or to.startswith(("ws://", "wss://")):
            if status not in _LOST:
                return ()
            headers = fields.get("headers")
            whose = _text(headers, CALL_HEADER) if isinstance(headers, dict) else None
            return (MediaLost(call_id=whose or call_id, event_id=event_id, cause=cause or status),)
        if status in ("human", "machine"):
            answerer = (
                AnsweredBy.MACHINE_BEEP if (status, sub_state) == ("machine", "beep_start") else AnsweredBy(status)
            )
            return (MachineDetected(call_id=call_id, answered_by=answerer, event_id=event_id),)
        phase = _PHASES.get(status)
        if phase is None:
            raise BadWebhook("an event of an unknown status")
        return (
            CallProgress(
                call_id=call_id,
                phase=phase,
                event_id=event_id,
                seconds=_seconds(fields),
                cause=cause or _odd(status, phase),
            ),
        )

    def connect(self, target: StreamTarget) -> AnswerDocument:
        """Raises ValueError for more parameters than Vonage carries, and for a name that the socket needs for itself."""
        return _document(ncco.to_stream(target, self._rate))

    def refuse(self, text: str, language: str) -> AnswerDocument:
        return _document(ncco.talk(text, language))

    def over(self) -> AnswerDocument:
        """Empty: the call goes on with what it was told after its stream, which is nothing; new actions would take it from whom it was
        handed to."""
        return AnswerDocument(body=b"", content_type="text/plain")


def is_signed(request: WebhookRequest) -> bool:
    """Whether a request has a token, right or wrong."""
    return bool(request.headers.get("authorization"))


def may_be_unsigned(request: WebhookRequest) -> bool:
    """Whether Vonage makes such requests and fails to sign them, on errors of its own (its documentation of signed webhooks): it asks again
    when it is answered 5xx. Nothing that they say may be believed."""
    return "authorization" not in request.headers


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    issued, ends = _time(claims.get("iat")), _time(claims.get("exp", now + 1))
    if not now - STALE_SECONDS <= issued <= now + AHEAD_SECONDS or ends <= now:
        raise BadSignature("the token is too old, or not valid yet")


def _time(claim: object) -> float:
    if isinstance(claim, bool) or not isinstance(claim, int | float):
        raise BadSignature("the token has no time")
    return claim


def _signed_payload(request: WebhookRequest) -> bytes:
    """What the hash is of: the body, or for GET the query as a JSON object without white space, in its order."""
    if request.method.upper() != "GET":
        return request.body
    return json.dumps(_query(request), separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


def _query(request: WebhookRequest) -> dict[str, str]:
    try:
        return dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True, max_num_fields=200))
    except ValueError:
        return {}


def _read_fields(request: WebhookRequest) -> dict[str, Any]:
    if request.method.upper() == "GET":
        return _query(request)
    if len(request.body) > MAX_BODY:
        raise BadWebhook(f"a body of {len(request.body)} bytes")
    try:
        return _fields(request.body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise BadWebhook("the body is no JSON object") from None


def _inbound(fields: Mapping[str, Any]) -> tuple[CarrierEvent, ...]:
    """The answer webhook has no status; neither have a few events that matter to nobody here. A fallback URL is told a `reason` too, beside
    all that the answer URL was."""
    call_id, callee = _text(fields, "uuid"), e164(_text(fields, "to"))
    if call_id is not None and callee is not None and not (_OTHER_EVENTS - {"reason"}) & fields.keys():
        # Vonage repeats the request when it had no answer in time, and has no number for it.
        return (
            InboundCall(
                call_id=call_id, caller=e164(_text(fields, "from")), callee=callee, event_id=f"{call_id}:answer"
            ),
        )
    if _OTHER_EVENTS & fields.keys():
        return ()
    raise BadWebhook("neither a call to a number nor a known event")


def _recorded(fields: Mapping[str, Any]) -> tuple[CarrierEvent, ...]:
    """A recording that can be fetched. No call is named, only the conversation; where it lies is in the address alone."""
    address = urlsplit(_text(fields, "recording_url") or "")
    found = _FILE.search(address.path)
    if found is None:
        return ()
    host = address.hostname or ""
    is_regional = host.endswith((".nexmo.com", ".vonage.com")) and host != "api.nexmo.com"
    recording = f"{host}/{found[1]}" if is_regional else found[1]
    begun, ended = (_instant(_text(fields, name)) for name in ("start_time", "end_time"))
    seconds = (ended - begun).total_seconds() if begun and ended and ended >= begun else None
    return (RecordingSaved(recording_id=recording, seconds=seconds, event_id=f"recording:{recording}"),)


def _instant(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    """A field as text; numbers too are accepted. None when it is missing, empty or neither."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value) or None


def _seconds(fields: Mapping[str, Any]) -> float | None:
    try:
        seconds = float(_text(fields, "duration") or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _odd(status: str, phase: CallPhase) -> str:
    """Vonage's own word where ours says less."""
    return status if status in ("rejected", "timeout") and phase.value != status else ""


def _document(action: ncco.Action) -> AnswerDocument:
    return AnswerDocument(body=msgspec.json.encode([action]), content_type="application/json")
