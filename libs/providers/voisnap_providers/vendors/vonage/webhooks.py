"""Webhooks of the Vonage Voice API, and the call control objects (NCCO) that answer them.

https://developer.vonage.com/en/voice/voice-api/webhook-reference says what is posted, …/ncco-reference what may be answered, and
https://developer.vonage.com/en/getting-started/concepts/webhooks how both are signed.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import msgspec

from voisnap_providers.ports.carrier import (
    TOKEN_PARAMETER,
    AnswerDocument,
    AnsweredBy,
    BadSignature,
    BadWebhook,
    CallPhase,
    CallProgress,
    CarrierEvent,
    InboundCall,
    MachineDetected,
    MediaLost,
    StreamTarget,
    WebhookRequest,
)
from voisnap_providers.vendors.phone_numbers import e164
from voisnap_providers.vendors.vonage import CALL_HEADER, RATES

STALE_SECONDS = 300.0
AHEAD_SECONDS = 60.0
"""How far a signature's time may lie behind and before ours."""
MAX_HEADER_BYTES = 512
"""Vonage's bound of a websocket endpoint's `headers`."""
MAX_TALK = 1500
"""Characters of one `talk`."""
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
# fmt: off
_SPOKEN = (
    "ar", "ca-ES", "cmn-CN", "cmn-TW", "cs-CZ", "cy-GB", "da-DK", "de-DE", "el-GR", "en-US", "en-AU", "en-GB",
    "en-GB-WLS", "en-IN", "en-ZA", "es-ES", "es-MX", "es-US", "eu-ES", "fi-FI", "fil-PH", "fr-FR", "fr-CA", "he-IL",
    "hi-IN", "hu-HU", "id-ID", "is-IS", "it-IT", "ja-JP", "ko-KR", "nb-NO", "nl-NL", "no-NO", "pl-PL", "pt-PT",
    "pt-BR", "ro-RO", "ru-RU", "sk-SK", "sv-SE", "th-TH", "tr-TR", "uk-UA", "vi-VN", "yue-CN",
)
# fmt: on
"""Languages that `talk` speaks, the first of each being what the bare language means."""
_MACROLANGUAGES = {"zh": "cmn", "iw": "he", "nn": "nb", "tl": "fil"}

_MARKUP = re.compile(r"<(?=\s*/?\s*speak)", re.IGNORECASE)

_jws = jwt.PyJWS(algorithms=["HS256"])
_claims = msgspec.json.Decoder(dict[str, Any]).decode
_fields = msgspec.json.Decoder(dict[str, Any]).decode


class VonageWebhooks:
    """`CarrierWebhooks` of one Vonage account.

    `signature_secret` is the account's; `api_key` and `application_id`, where given, must be the ones that signed. `rate` is what the media
    socket is asked for, in Hz.
    """

    def __init__(
        self,
        *,
        signature_secret: str,
        api_key: str | None = None,
        application_id: str | None = None,
        rate: int = 16000,
    ) -> None:
        if not signature_secret:
            raise ValueError("an empty signature secret would sign anything")
        if rate not in RATES:
            raise ValueError(f"Vonage has audio at {RATES} Hz, not {rate}")
        # HMAC fills short keys with zeros itself (RFC 2104 §2); filled here, PyJWT warns of none.
        self._secret = signature_secret.encode().ljust(32, b"\0")
        self._signers = {"api_key": api_key, "application_id": application_id}
        self._content_type = f"audio/l16;rate={rate}"

    def verify(self, request: WebhookRequest, *, now: float) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise BadSignature("no signed token")
        try:
            claims = _claims(_jws.decode(token.strip(), self._secret, algorithms=["HS256"]))
        except (jwt.PyJWTError, msgspec.MsgspecError, ValueError, RecursionError):
            raise BadSignature("the token is not signed with the account's secret") from None
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

    def read(self, request: WebhookRequest) -> tuple[CarrierEvent, ...]:
        fields = _read_fields(request)
        status = _text(fields, "status")
        if status is None:
            return _inbound(fields)
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
        headers = {**target.parameters, TOKEN_PARAMETER: target.token}
        if target.call_id:
            headers[CALL_HEADER] = target.call_id
        if (
            taken := {"event", "content-type"} & headers.keys()
            or {TOKEN_PARAMETER, CALL_HEADER} & target.parameters.keys()
        ):
            raise ValueError(f"no stream parameter may be called {', '.join(sorted(taken))}")
        size = len(msgspec.json.encode(headers))
        if size > MAX_HEADER_BYTES:
            raise ValueError(f"the stream's parameters take {size} bytes, and Vonage carries {MAX_HEADER_BYTES}")
        endpoint = {"type": "websocket", "uri": target.url, "content-type": self._content_type, "headers": headers}
        action: dict[str, object] = {"action": "connect", "endpoint": [endpoint]}
        if target.resume_url is not None:
            # Only a synchronous event's answer may be a new document: Vonage asks for one when the socket breaks or never opens.
            action |= {"eventType": "synchronous", "eventUrl": [target.resume_url], "eventMethod": "POST"}
        return _document(action)

    def refuse(self, text: str, language: str) -> AnswerDocument:
        return _document({"action": "talk", "text": _speakable(text), "language": spoken_language(language)})


def spoken_language(tag: str) -> str:
    """The nearest language that Vonage's `talk` speaks; US English when there is none."""
    asked = tag.replace("_", "-").lower()
    primary, _, rest = asked.partition("-")
    primary = _MACROLANGUAGES.get(primary, primary)
    near = [code for code in _SPOKEN if code.lower().split("-")[0] == primary]
    asked = f"{primary}-{rest}" if rest else primary
    return next((code for code in near if code.lower() == asked), near[0] if near else "en-US")


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


def _speakable(text: str) -> str:
    """Words as they are, and nothing that isn't one: text within `<speak>` would be taken for speech markup. The joiners of Indic and Persian
    script are kept."""
    plain = "".join(
        " " if mark.isspace() else mark
        for mark in text
        if mark.isprintable() or mark.isspace() or mark in "\u200c\u200d"
    )
    return _MARKUP.sub("", plain).strip()[:MAX_TALK]


def _document(action: Mapping[str, object]) -> AnswerDocument:
    return AnswerDocument(body=msgspec.json.encode([action]), content_type="application/json")
