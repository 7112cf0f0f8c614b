"""Vonage's end of a call: its media socket, webhooks signed as its own library checks them, call control objects as its library models them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import jwt
from voisnap_domain.calls import CallPhase
from voisnap_providers.ports.carrier import (
    TOKEN_PARAMETER,
    AnswerDocument,
    AudioCodec,
    AudioFormat,
    StreamTarget,
    WebhookRequest,
)
from vonage_voice.models import Connect, Talk
from vonage_voice.models.connect_endpoints import WebsocketEndpoint
from vonage_voice.models.enums import TtsLanguageCode

from voisnap_testkit.carrier_end import DeskEnd, Frame, LineEnd, Untaken

CALL = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
CONVERSATION = "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
API_KEY = "abcd1234"
APPLICATION = "78d335fa-323d-0114-9c3d-d6f0d48968cf"
SIGNATURE_SECRET = "T0pSecretOfTheAccountThatSignsItsWebhooks0123456789"  # noqa: S105 - of this end alone
BUFFERED = 3072
"""Frames that Vonage keeps, about a minute; it says nothing of those it drops beyond."""
_STATUSES = {
    CallPhase.INITIATED: "started",
    CallPhase.RINGING: "ringing",
    CallPhase.ANSWERED: "answered",
    CallPhase.COMPLETED: "completed",
    CallPhase.BUSY: "busy",
    CallPhase.NO_ANSWER: "unanswered",
    CallPhase.FAILED: "failed",
    CallPhase.CANCELED: "cancelled",
}


class VonageLine(LineEnd):
    """A media socket: plays frames of exactly 20 ms and says when it comes to a `notify`; a `clear` drops both, and of those dropped it says
    nothing."""

    def __init__(self, *, heard: AudioFormat, spoken: AudioFormat) -> None:
        assert heard == spoken
        assert heard.codec is AudioCodec.L16
        self._rate = heard.rate
        self._frame_bytes = heard.rate // 50 * 2
        self._queue: list[bytes | str] = []
        self.played = b""

    def opening(self, parameters: Mapping[str, str]) -> tuple[Frame, ...]:
        about = {"event": "websocket:connected", "content-type": f"audio/l16;rate={self._rate}", "call_id": CALL}
        return (json.dumps(about | dict(parameters)),)

    def speech(self, payload: bytes) -> Frame:
        assert len(payload) == self._frame_bytes
        return payload

    def key(self, digit: str) -> Frame:
        return json.dumps({"event": "websocket:dtmf", "digit": digit, "duration": 260})

    def take(self, frames: Iterable[Frame]) -> tuple[Frame, ...]:
        said: list[Frame] = []
        for frame in frames:
            if isinstance(frame, bytes):
                if len(frame) != self._frame_bytes:
                    raise Untaken(f"{len(frame)} bytes are no 20 ms at {self._rate} Hz")
                self._queue.append(frame)
                if sum(isinstance(entry, bytes) for entry in self._queue) > BUFFERED:
                    raise Untaken("more audio than is kept")
                continue
            match json.loads(frame):
                case {"action": "notify", "payload": {} as payload}:
                    notified = json.dumps({"event": "websocket:notify", "payload": payload})
                    # What has been played already is told at once.
                    (self._queue if self._queue else said).append(notified)
                case {"action": "clear"}:
                    self._queue.clear()
                    said.append(json.dumps({"event": "websocket:cleared"}))
                case _:
                    raise Untaken("no command of a media socket")
        return tuple(said)

    def play(self) -> tuple[Frame, ...]:
        queue, self._queue = self._queue, []
        self.played += b"".join(entry for entry in queue if isinstance(entry, bytes))
        return tuple(entry for entry in queue if isinstance(entry, str))

    def closing(self) -> tuple[Frame, ...]:
        return ()


class VonageDesk(DeskEnd):
    """JSON bodies, each with a token of the account over its hash."""

    def __init__(self, *, url: str) -> None:
        self._url = url

    def posted(self, fields: Mapping[str, object], *, at: float, **claims: object) -> WebhookRequest:
        """A signed body; `claims` replace those of the token."""
        body = json.dumps(fields, separators=(",", ":")).encode()
        return WebhookRequest(
            method="POST",
            url=self._url,
            headers={"content-type": "application/json", "authorization": f"Bearer {signed(body, at=at, **claims)}"},
            body=body,
        )

    def inbound(self, *, call_id: str, caller: str, callee: str, at: float) -> WebhookRequest:
        return self.posted(
            {
                "to": callee.removeprefix("+"),
                "from": caller.removeprefix("+"),
                "endpoint_type": "phone",
                "uuid": call_id,
                "conversation_uuid": CONVERSATION,
                "region_url": "https://api-eu-1.vonage.com",
                "SipHeader_X-UserId": "Zoë & Söhne <GmbH>",
            },
            at=at,
        )

    def progress(self, *, call_id: str, phase: CallPhase, at: float) -> WebhookRequest:
        ended: dict[str, object] = {
            "start_time": stamp(at - 42),
            "end_time": stamp(at),
            "duration": "42",
            "rate": "0.00450000",
            "price": "0.00315000",
            "network": "GB-FIXED",
        }
        more = {CallPhase.COMPLETED: ended, CallPhase.FAILED: {"detail": "cannot_route"}}
        return self.posted(self.event(call_id, _STATUSES[phase], at) | more.get(phase, {}), at=at)

    def machine(self, *, call_id: str, at: float) -> WebhookRequest:
        event = self.event(call_id, "machine", at)
        return self.posted({"call_uuid": event.pop("uuid"), **event}, at=at)

    def unrelated(self, *, call_id: str, at: float) -> WebhookRequest:
        dtmf = {"digits": "42", "timed_out": True}
        fields = {"from": "447700900000", "to": "442079460000", "uuid": call_id, "conversation_uuid": CONVERSATION}
        return self.posted({**fields, "dtmf": dtmf, "timestamp": stamp(at)}, at=at)

    def recorded(self, recording_id: str, *, call_id: str, at: float) -> WebhookRequest:
        del call_id  # it is in the address alone
        return self.posted(
            {
                "start_time": stamp(at - 12),
                "recording_url": f"https://api.nexmo.com/v1/files/{recording_id}",
                "size": 12222,
                "recording_uuid": "cccccccc-aaaa-cccc-dddd-0123456789ab",
                "end_time": stamp(at),
                "conversation_uuid": CONVERSATION,
                "timestamp": stamp(at),
            },
            at=at,
        )

    def nonsense(self, *, at: float) -> WebhookRequest:
        return self.posted({"hello": "world"}, at=at)

    def event(self, call_id: str, status: str, at: float) -> dict[str, object]:
        """The fields that all events of a call share."""
        return {
            "from": "14155550100",
            "to": "4930901820",
            "uuid": call_id,
            "conversation_uuid": CONVERSATION,
            "status": status,
            "direction": "outbound",
            "timestamp": stamp(at),
        }

    def stream_of(self, document: AnswerDocument) -> StreamTarget:
        action = _action(document, "connect")
        # The library wants a number even where the API does not, for a media socket.
        connect = Connect.model_validate({**action, "from_": "14155550100"})
        (given,), (endpoint,) = action["endpoint"], connect.endpoint
        if not isinstance(endpoint, WebsocketEndpoint) or not endpoint.uri.startswith(("ws://", "wss://")):
            raise Untaken("no media socket")
        WebsocketEndpoint.model_validate({**given, "contentType": given["content-type"]})
        headers = dict(endpoint.headers or {})
        if len(json.dumps(headers, separators=(",", ":"))) > 512:
            raise Untaken("more than 512 bytes of headers")
        if (connect.eventUrl is None) is (connect.eventType == "synchronous"):
            raise Untaken("an event's answer counts where the event is synchronous")
        return StreamTarget(
            url=endpoint.uri,
            token=headers.pop(TOKEN_PARAMETER),
            call_id=headers.pop("call_id", ""),
            parameters=headers,
            resume_url=connect.eventUrl[0] if connect.eventUrl else None,
        )

    def said_of(self, document: AnswerDocument) -> str:
        talk = Talk.model_validate(_action(document, "talk"))
        if talk.language is None or TtsLanguageCode(talk.language) is None or "<speak" in talk.text.lower():
            raise Untaken("a language nobody speaks, or markup")
        return talk.text


def signed(payload: bytes, *, at: float, **claims: object) -> str:
    """A token as Vonage issues it for a payload, which its own library takes."""
    all_claims = {
        "iat": int(at),
        "jti": f"c5ba8f24-1a14-4c10-bfdf-{int(at) % 10**12:012d}",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(payload).hexdigest(),
        "api_key": API_KEY,
        "application_id": APPLICATION,
    } | claims
    return jwt.encode(
        {name: claim for name, claim in all_claims.items() if claim is not None}, SIGNATURE_SECRET, algorithm="HS256"
    )


def stamp(at: float) -> str:
    """A moment as Vonage writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _action(document: AnswerDocument, name: str) -> dict[str, Any]:
    if document.status != 200 or document.content_type.split(";")[0] != "application/json":
        raise Untaken(f"{document.status} {document.content_type}")
    match json.loads(document.body):
        case [{"action": str(given)} as action] if given == name:
            return action
        case _:
            raise Untaken(f"one {name} expected")
