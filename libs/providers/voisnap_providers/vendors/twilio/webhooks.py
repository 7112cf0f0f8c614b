"""Twilio's voice webhooks: signed forms in, TwiML out.

https://www.twilio.com/docs/usage/webhooks/webhooks-security, https://www.twilio.com/docs/voice/twiml
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qs, parse_qsl, urlsplit
from xml.etree import ElementTree

from voisnap_domain.calls import AnsweredBy, CallPhase

from voisnap_providers.ports.carrier import (
    AnswerDocument,
    BadSignature,
    BadWebhook,
    CallProgress,
    CarrierEvent,
    CarrierWebhooks,
    HandOverEnded,
    InboundCall,
    MachineDetected,
    RecordingFailed,
    RecordingSaved,
    StreamTarget,
    WebhookRequest,
)
from voisnap_providers.vendors.phone_numbers import e164

from . import twiml

SIGNATURE = "x-twilio-signature"
SETTINGS = "x-twilio-webhooks-signature-settings"
MAX_BODY = 65536
MAX_FIELDS = 256
_HASHES = {"HMAC_SHA1": hashlib.sha1, "HMAC_SHA256": hashlib.sha256}
_PORTS = {"https": "443", "wss": "443", "http": "80", "ws": "80"}
_FORM = "application/x-www-form-urlencoded"
_CALL = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_PHASES = {
    "queued": CallPhase.INITIATED,
    "initiated": CallPhase.INITIATED,
    "ringing": CallPhase.RINGING,
    "in-progress": CallPhase.ANSWERED,
    "answered": CallPhase.ANSWERED,
    "completed": CallPhase.COMPLETED,
    "busy": CallPhase.BUSY,
    "no-answer": CallPhase.NO_ANSWER,
    "failed": CallPhase.FAILED,
    "canceled": CallPhase.CANCELED,
}
_ANSWERERS = {
    "human": AnsweredBy.HUMAN,
    "machine_start": AnsweredBy.MACHINE,
    "machine_end_beep": AnsweredBy.MACHINE_BEEP,
    # With `DetectMessageEnd` a greeting may end without a beep: the message may be left just as well.
    "machine_end_silence": AnsweredBy.MACHINE_BEEP,
    "machine_end_other": AnsweredBy.MACHINE_BEEP,
    "fax": AnsweredBy.FAX,
    "unknown": AnsweredBy.UNKNOWN,
}
_ELSEWHERE = frozenset({"StreamEvent", "TranscriptionEvent", "ConferenceSid", "QueueSid"})
"""Fields of callbacks about a call's streams and rooms, which tell nothing of the call itself."""
_RECORDING = re.compile(r"RE[0-9a-fA-F]{32}", re.ASCII)


class TwilioWebhooks(CarrierWebhooks):
    """Webhooks of one account. `auth_tokens` are its Auth Token and, while it is being replaced, the secondary one; `shared_keys` the
    secrets of its SharedKeys by their ids. Which of Twilio's two schemes signed a request is in the request."""

    def __init__(self, *, auth_tokens: tuple[str, ...], shared_keys: Mapping[str, str] | None = None) -> None:
        if not all(auth_tokens) or not all((shared_keys or {}).values()):
            raise ValueError("an empty secret signs nothing")
        self._tokens = tuple(token.encode() for token in auth_tokens)
        self._shared = {key: secret.encode() for key, secret in (shared_keys or {}).items()}

    def verify(self, request: WebhookRequest, *, now: float) -> None:
        """Also of a Media Stream's handshake: a GET of its `wss` address. The scheme knows no time, so nothing is too old; repeats are told
        by their `event_id`."""
        del now
        given = request.headers.get(SIGNATURE, "").encode("utf-8", "replace")
        if not given:
            raise BadSignature("not signed")
        algorithm, secrets = self._signed_with(request.headers.get(SETTINGS, ""))
        fields = self._signed_fields(request)
        candidates = [
            base64.b64encode(hmac.digest(secret, (address + fields).encode("utf-8", "surrogatepass"), algorithm))
            for secret in secrets
            for address in _spellings(request.url)
        ]
        if not any(hmac.compare_digest(candidate, given) for candidate in candidates):
            raise BadSignature("the signature is not the one of this request")

    def read(self, request: WebhookRequest) -> tuple[CarrierEvent, ...]:
        fields = dict(fields_of(request))
        call = fields.get("CallSid", "")
        if "RecordingStatus" in fields:
            return _recorded(call, fields)
        if not _CALL.fullmatch(call):
            raise BadWebhook("no CallSid")
        if not _ELSEWHERE.isdisjoint(fields):
            return ()
        if "DialCallStatus" in fields:
            return _handed_over(call, fields)
        # Named by signed fields alone: the idempotency header is not signed, and whoever repeats a request could change it.
        status = fields.get("CallStatus")
        detected = _detected(call, fields.get("AnsweredBy"))
        if status is None:
            if detected:
                return detected
            raise BadWebhook("neither CallStatus nor AnsweredBy")
        phase = _PHASES.get(status)
        if phase is None:
            raise BadWebhook("a CallStatus that is not documented")
        # Numbered by the callbacks, and not where Twilio asks for a document: both may come of one status, and the callback says more.
        number = fields.get("SequenceNumber", "")
        event = f"{call}:{status}:{number}" if _NUMBER.fullmatch(number) else f"{call}:{status}"
        asking = "CallbackSource" not in fields and fields.get("Direction") == "inbound"
        if asking and phase is CallPhase.RINGING:
            return (_inbound(call, event, fields),)
        return (
            CallProgress(
                call_id=call,
                phase=phase,
                event_id=event,
                seconds=_seconds(fields.get("CallDuration")),
                cause=_cause(fields),
            ),
            # The end of a call repeats who answered it.
            *(detected if phase is CallPhase.ANSWERED else ()),
        )

    def connect(self, target: StreamTarget) -> AnswerDocument:
        return _answer(twiml.connect(target))

    def refuse(self, text: str, language: str) -> AnswerDocument:
        return _answer(twiml.say_and_hang_up(text, language))

    def over(self) -> AnswerDocument:
        return _answer(twiml.hang_up())

    def _signed_with(self, settings: str) -> tuple[str, tuple[bytes, ...]]:
        """The name of the hash and the secrets that may have signed."""
        said = {name.strip(): value.strip() for name, _, value in (part.partition("=") for part in settings.split(","))}
        made = _HASHES.get(said.get("algorithm", "").upper() or "HMAC_SHA1")
        if made is None:
            raise BadSignature("signed by an algorithm that is not known here")
        name = made().name
        if not (key := said.get("key")):
            return name, self._tokens
        if key not in self._shared:
            raise BadSignature("signed with a shared key that is not known here")
        return name, (self._shared[key],)

    def _signed_fields(self, request: WebhookRequest) -> str:
        """What of the body is signed, after the address: every field of a form. Another body is signed by its hash in the address."""
        if len(request.body) > MAX_BODY:
            raise BadSignature(f"a body of more than {MAX_BODY} bytes")
        hashes = parse_qs(urlsplit(request.url).query).get("bodySHA256", ())
        if hashes:
            if not hmac.compare_digest(hashlib.sha256(request.body).hexdigest().encode(), hashes[0].encode()):
                raise BadSignature("the body is not the one of bodySHA256")
            return ""
        if not request.body:
            return ""
        if not _is_form(request):
            raise BadSignature("a body that is no form and has no bodySHA256")
        try:
            return "".join(f"{name}{value}" for name, value in sorted(set(_form(request))))
        except BadWebhook as error:
            raise BadSignature(str(error)) from error


def is_signed(request: WebhookRequest) -> bool:
    """Whether a request has a signature, right or wrong."""
    return bool(request.headers.get(SIGNATURE))


def _spellings(url: str) -> tuple[str, ...]:
    """The address as it is, with and without its scheme's port: Twilio signs now one, now another."""
    scheme, mark, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    user, at, name = host.rpartition("@")
    bare, colon, port = name.rpartition(":")
    standard = _PORTS.get(scheme.lower())
    head, tail = f"{scheme}{mark}{user}{at}", f"{slash}{path}"
    if colon and port.isdecimal():
        return url, f"{head}{bare}{tail}"
    return (url, f"{head}{name}:{standard}{tail}") if standard else (url,)


def _is_form(request: WebhookRequest) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM


def _form(request: WebhookRequest) -> list[tuple[str, str]]:
    try:
        return _pairs(request.body.decode("ascii"))
    except UnicodeDecodeError as error:
        raise BadWebhook("a form is written in ASCII") from error


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise BadWebhook(f"not {MAX_FIELDS} fields in UTF-8 at most") from error


def fields_of(request: WebhookRequest) -> list[tuple[str, str]]:
    """A request's fields: of the query for a GET, of the form for a POST. A query of ours is no field of Twilio's."""
    if request.method.upper() == "GET":
        return _pairs(urlsplit(request.url).query)
    if not _is_form(request):
        raise BadWebhook("no form")
    return _form(request)


def _inbound(call: str, event: str, fields: Mapping[str, str]) -> InboundCall:
    callee = fields.get("To") or fields.get("Called")
    if not callee:
        raise BadWebhook("a call to no number")
    country = fields.get("FromCountry", "")
    return InboundCall(
        call_id=call,
        caller=e164(fields.get("From")),
        # A SIP domain of ours is called by its own name.
        callee=e164(callee) or callee[:256],
        country=country if _COUNTRY.fullmatch(country) else None,
        event_id=event,
    )


def _recorded(call: str, fields: Mapping[str, str]) -> tuple[CarrierEvent, ...]:
    """What became of a recording. Of a conference's no call is named; a status that is no end (`in-progress`) matters to nobody."""
    recording, status = fields.get("RecordingSid", ""), fields["RecordingStatus"]
    if not _RECORDING.fullmatch(recording):
        return ()
    call, event = call if _CALL.fullmatch(call) else "", f"{recording}:{status}"
    if status == "completed":
        seconds = _seconds(fields.get("RecordingDuration"))
        return (RecordingSaved(recording_id=recording, call_id=call, seconds=seconds, event_id=event),)
    if status in ("absent", "failed"):
        return (RecordingFailed(recording_id=recording, call_id=call, cause=status, event_id=event),)
    return ()


def _handed_over(call: str, fields: Mapping[str, str]) -> tuple[CarrierEvent, ...]:
    """`<Dial>` is over, and its `action` is asked. The child's own callbacks say the same of it, and may come before or never."""
    phase = _PHASES.get("completed" if fields["DialCallStatus"] == "answered" else fields["DialCallStatus"])
    if phase is None:
        raise BadWebhook("a DialCallStatus that is not documented")
    ended = HandOverEnded(call_id=call, phase=phase, event_id=f"{call}:dial:{phase}")
    other = fields.get("DialCallSid", "")
    if not _CALL.fullmatch(other):
        return (ended,)
    seconds = _seconds(fields.get("DialCallDuration"))
    return (CallProgress(call_id=other, phase=phase, event_id=f"{other}:dial:{phase}", seconds=seconds), ended)


def _detected(call: str, answerer: str | None) -> tuple[MachineDetected, ...]:
    if not answerer:
        return ()
    by = _ANSWERERS.get(answerer, AnsweredBy.UNKNOWN)
    return (MachineDetected(call_id=call, answered_by=by, event_id=f"{call}:answered-by:{by}"),)


def _seconds(text: str | None) -> float | None:
    return float(text) if text and _NUMBER.fullmatch(text) else None


def _cause(fields: Mapping[str, str]) -> str:
    """Why it ended: the error of Twilio's, or the SIP answer of the other side."""
    for name, words in (("ErrorCode", "error"), ("SipResponseCode", "SIP")):
        code = fields.get(name, "")
        if _NUMBER.fullmatch(code):
            return f"{words} {code}"
    return ""


def _answer(document: ElementTree.Element) -> AnswerDocument:
    body = ElementTree.tostring(document, encoding="utf-8", xml_declaration=True)
    return AnswerDocument(body=body, content_type="text/xml")
