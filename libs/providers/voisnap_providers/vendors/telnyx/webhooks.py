"""Telnyx's webhooks: JSON events of Call Control (API version 2), signed with Ed25519.

https://developers.telnyx.com/docs/voice/programmable-voice/receiving-webhooks
"""

import re
from base64 import b64decode
from binascii import Error as BadBase64
from datetime import UTC, datetime

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from voisnap_domain.calls import AnsweredBy, CallPhase

from voisnap_providers.ports.carrier import (
    AnswerDocument,
    BadSignature,
    BadWebhook,
    CallProgress,
    CarrierEvent,
    CarrierWebhooks,
    HandOverRef,
    InboundCall,
    MachineDetected,
    MediaLost,
    RecordingFailed,
    RecordingSaved,
    StreamTarget,
    WebhookRequest,
)
from voisnap_providers.vendors.phone_numbers import e164

from . import state

SIGNATURE = "telnyx-signature-ed25519"
TIMESTAMP = "telnyx-timestamp"
TOLERANCE_SECONDS = 300
"""How far a request's time may be from ours, both ways: what Telnyx's own libraries allow."""
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNATURE_BYTES = 64
_RECORDING = re.compile(r"[0-9a-zA-Z][0-9a-zA-Z_-]{0,63}", re.ASCII)
LEG = "leg:"
"""How our name of a recording begins whose event says no more than its call's leg: that is what Telnyx finds it by."""

_ENDS = {
    "normal_clearing": CallPhase.COMPLETED,
    "time_limit": CallPhase.COMPLETED,
    "originator_cancel": CallPhase.CANCELED,
    "timeout": CallPhase.NO_ANSWER,
    "no_answer": CallPhase.NO_ANSWER,
    "user_busy": CallPhase.BUSY,
    "call_rejected": CallPhase.BUSY,
}
"""Causes of a hang-up; every other one is a failure. Whoever rejects a call is there and does not want it now, as somebody busy."""
_UNREACHED = (CallPhase.BUSY, CallPhase.NO_ANSWER, CallPhase.FAILED)
COST = "call.cost"
"""Comes after the end, where the application asks for it (`call_cost_in_webhooks`), and alone says how long the call was."""
TRANSFER_FAILED = "transfer: "
"""How the cause of a `MediaLost` begins that tells of a call which was to be handed over and whose new partner did not answer."""
_REFUSED_BY_NETWORK = frozenset({"401", "402", "403", "407"})
"""SIP answers that make a rejection the network's and not the callee's."""
_DETECTED = {
    "human": AnsweredBy.HUMAN,
    "human_residence": AnsweredBy.HUMAN,
    "human_business": AnsweredBy.HUMAN,
    "machine": AnsweredBy.MACHINE,
    "fax_detected": AnsweredBy.FAX,
}
_GREETING = {
    "beep_detected": AnsweredBy.MACHINE_BEEP,
    "no_beep_detected": AnsweredBy.MACHINE_BEEP,
    "ended": AnsweredBy.MACHINE_BEEP,
}
"""How a machine's greeting ended. `prompt_ended` is a call screener's: somebody may still pick up."""


class _Payload(msgspec.Struct):
    call_control_id: str | None = None
    direction: str | None = None
    caller: str | None = msgspec.field(default=None, name="from")
    callee: str | None = msgspec.field(default=None, name="to")
    hangup_cause: str | None = None
    sip_hangup_cause: str | int | None = None
    result: str | None = None
    failure_reason: str | None = None
    billed_duration_secs: float | None = None
    client_state: str | None = None
    call_leg_id: str | None = None
    recording_id: str | None = None
    recording_urls: dict[str, str | None] | None = None
    recording_started_at: str | None = None
    recording_ended_at: str | None = None
    reason: str | None = None


class _Data(msgspec.Struct):
    event_type: str
    id: str | None = None
    payload: msgspec.Raw = msgspec.Raw(b"{}")


class _Event(msgspec.Struct):
    data: _Data


_EVENTS = msgspec.json.Decoder(_Event)
_PAYLOADS = msgspec.json.Decoder(_Payload)
_EMPTY = AnswerDocument(body=b"", content_type="text/plain")


def is_signed(request: WebhookRequest) -> bool:
    """Whether a request has a signature, right or wrong."""
    return bool(request.headers.get(SIGNATURE))


class TelnyxWebhooks(CarrierWebhooks):
    """What one account's Call Control application posts. Answers are empty: Telnyx is told over REST what to do with a call
    (`TelnyxCalls.connect`, `TelnyxCalls.refuse`)."""

    def __init__(self, public_key: str) -> None:
        """`public_key` is the account's, in base64 as Telnyx shows it. Raises ValueError for anything else."""
        try:
            raw = b64decode(public_key, validate=True)
        except (BadBase64, ValueError):
            raise ValueError("Telnyx's public key is base64") from None
        if len(raw) != 32:
            raise ValueError(f"Telnyx's public key has 32 bytes, not {len(raw)}")
        self._key = Ed25519PublicKey.from_public_bytes(raw)

    def verify(self, request: WebhookRequest, *, now: float) -> None:
        """Raises BadSignature unless Telnyx signed this body less than `TOLERANCE_SECONDS` ago."""
        stamp, signed = request.headers.get(TIMESTAMP), request.headers.get(SIGNATURE)
        if not stamp or not signed:
            raise BadSignature("the request is not signed")
        if not _SECONDS.fullmatch(stamp):
            raise BadSignature("the signature's time is no number of seconds")
        try:
            signature = b64decode(signed, validate=True)
        except (BadBase64, ValueError):
            raise BadSignature("the signature is not base64") from None
        if len(signature) != _SIGNATURE_BYTES:
            raise BadSignature("the signature has the wrong length")
        try:
            self._key.verify(signature, b"%b|%b" % (stamp.encode("ascii"), request.body))
        except InvalidSignature:
            raise BadSignature("the signature is not Telnyx's") from None
        if abs(now - int(stamp)) > TOLERANCE_SECONDS:
            raise BadSignature(f"signed {now - int(stamp):.0f} s ago")

    def read(self, request: WebhookRequest) -> tuple[CarrierEvent, ...]:
        """What a verified event says; nothing for those of messages and whatever else does not matter to a call's course.
        Keys are not told here: the media socket tells them too, and earlier."""
        try:
            event = _EVENTS.decode(request.body).data
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise BadWebhook("no event of Telnyx") from None
        if event.event_type == COST:
            return _charged(event)
        if event.event_type in _RECORDED:
            return _recorded(event)
        if event.event_type not in _MATTER:
            return ()
        try:
            payload = _PAYLOADS.decode(event.payload)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise BadWebhook(f"a {event.event_type} whose payload is none") from None
        if not payload.call_control_id:
            raise BadWebhook(f"a {event.event_type} that names no call")
        said = _meaning(event.event_type, payload, payload.call_control_id, event.id)
        if isinstance(said, CallProgress) and (whose := _hand_over(payload)) is not None:
            said = msgspec.structs.replace(said, hand_over=whose)
        if isinstance(said, CallProgress) and said.phase in _UNREACHED and (waiting := _transferred(payload)):
            cause = f"{TRANSFER_FAILED}{said.phase}"
            return said, MediaLost(call_id=waiting, event_id=event.id, cause=cause, stranded=True, not_reached=True)
        return () if said is None else (said,)

    def connect(self, target: StreamTarget) -> AnswerDocument:
        """Empty."""
        return _EMPTY

    def refuse(self, text: str, language: str) -> AnswerDocument:
        """Empty."""
        return _EMPTY

    def over(self) -> AnswerDocument:
        """Empty."""
        return _EMPTY


_RECORDED = frozenset({"call.recording.saved", "call.recording.error"})
_MATTER = frozenset(
    {
        "call.initiated",
        "call.answered",
        "call.hangup",
        "call.machine.detection.ended",
        "call.machine.premium.detection.ended",
        "call.machine.greeting.ended",
        "call.machine.premium.greeting.ended",
        "streaming.failed",
        "streaming.stopped",
        "call.speak.ended",
    }
)


def _meaning(kind: str, said: _Payload, call_id: str, event_id: str | None) -> CarrierEvent | None:
    match kind:
        case "call.initiated":
            return _initiated(said, call_id, event_id)
        case "call.answered":
            return CallProgress(call_id=call_id, phase=CallPhase.ANSWERED, event_id=event_id)
        case "call.hangup":
            return CallProgress(call_id=call_id, phase=_end(said), event_id=event_id, cause=said.hangup_cause or "")
        case "streaming.failed" | "streaming.stopped":
            return MediaLost(
                call_id=call_id,
                event_id=event_id,
                cause=said.failure_reason or kind,
                may_be_wanted=kind == "streaming.stopped",
            )
        case "call.speak.ended":
            refused = state.read(said.client_state).is_refused
            spoken = MediaLost(call_id=call_id, event_id=event_id, cause="refusal spoken", stranded=True)
            return spoken if refused else None
        case "call.machine.detection.ended" | "call.machine.premium.detection.ended":
            answered_by = _DETECTED.get(said.result or "", AnsweredBy.UNKNOWN)
            return MachineDetected(call_id=call_id, answered_by=answered_by, event_id=event_id)
        case _:
            if said.result == "prompt_ended":
                return None
            answered_by = _GREETING.get(said.result or "", AnsweredBy.UNKNOWN)
            return MachineDetected(call_id=call_id, answered_by=answered_by, event_id=event_id)


def _charged(event: _Data) -> tuple[CarrierEvent, ...]:
    """How long a call was that is over, by Telnyx's bill; nothing of a bill that failed."""
    try:
        said = _PAYLOADS.decode(event.payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ()
    seconds = said.billed_duration_secs
    if not said.call_control_id or seconds is None or not 0 <= seconds < float("inf"):
        return ()
    return (
        CallProgress(
            call_id=said.call_control_id,
            phase=CallPhase.COMPLETED,
            event_id=event.id,
            seconds=seconds,
            hand_over=_hand_over(said),
        ),
    )


def _recorded(event: _Data) -> tuple[CarrierEvent, ...]:
    """A recording that can be fetched, or came to nothing; nothing of one that cannot be found again."""
    try:
        said = _PAYLOADS.decode(event.payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ()
    call = said.call_control_id or ""
    if event.event_type == "call.recording.error":
        return (RecordingFailed(call_id=call, cause=(said.reason or "")[:80], event_id=event.id),) if call else ()
    if said.recording_id and _RECORDING.fullmatch(said.recording_id):
        recording = said.recording_id
    elif said.recording_urls and said.call_leg_id and _RECORDING.fullmatch(said.call_leg_id):
        recording = f"{LEG}{said.call_leg_id}"
    else:
        return ()
    begun, ended = _instant(said.recording_started_at), _instant(said.recording_ended_at)
    seconds = (ended - begun).total_seconds() if begun and ended and ended >= begun else None
    return (
        RecordingSaved(
            recording_id=recording, call_id=call, seconds=seconds, event_id=event.id, hand_over=_hand_over(said)
        ),
    )


def _hand_over(said: _Payload) -> HandOverRef | None:
    kept = state.read(said.client_state)
    return HandOverRef(call_id=kept.transfer_of, attempt_id=kept.attempt_id) if kept.transfer_of else None


def _instant(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _transferred(said: _Payload) -> str | None:
    return state.read(said.client_state).transfer_of


def _initiated(said: _Payload, call_id: str, event_id: str | None) -> CarrierEvent:
    if said.direction == "outgoing":
        return CallProgress(call_id=call_id, phase=CallPhase.INITIATED, event_id=event_id)
    if said.direction != "incoming" or not said.callee:
        raise BadWebhook("a call.initiated without its direction or the number called")
    # A SIP address without a number stays as it is: no number of ours is equal to it.
    return InboundCall(
        call_id=call_id, caller=e164(said.caller), callee=e164(said.callee) or said.callee, event_id=event_id
    )


def _end(said: _Payload) -> CallPhase:
    if said.hangup_cause == "call_rejected" and str(said.sip_hangup_cause) in _REFUSED_BY_NETWORK:
        return CallPhase.FAILED
    return _ENDS.get(said.hangup_cause or "", CallPhase.FAILED)
