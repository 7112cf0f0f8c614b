"""Telnyx's end of a call: media streaming, and Call Control's webhooks signed with Ed25519 by PyNaCl, which Telnyx's own library checks with."""

import base64
import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from nacl.signing import SigningKey
from voisnap_domain.calls import CallPhase
from voisnap_providers.ports.carrier import TOKEN_PARAMETER, AnswerDocument, AudioCodec, AudioFormat, WebhookRequest
from voisnap_providers.vendors.telnyx.formats import SPOKEN_PARAMETER

from voisnap_testkit.carrier_end import DeskEnd, Frame, LineEnd, Untaken

STREAM = "32DE0DEA-53CB-4B21-89A4-9E1819C043BC"
CALL = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg"
SIGNING_KEY = SigningKey(bytes(range(32)))
PUBLIC_KEY = base64.b64encode(bytes(SIGNING_KEY.verify_key)).decode()
STRANGERS_KEY = base64.b64encode(bytes(SigningKey(b"x" * 32).verify_key)).decode()
OCCURRED = "2026-11-21T18:00:00.076316Z"
_AUTH_TOKEN = "x-telnyx-streaming-auth-token"  # noqa: S105 - a field's name
_SHORTEST_MS, _LONGEST_MS = 20, 30_000
_HANGUPS = {
    CallPhase.COMPLETED: ("normal_clearing", "200"),
    CallPhase.BUSY: ("user_busy", "486"),
    CallPhase.NO_ANSWER: ("timeout", "unspecified"),
    CallPhase.FAILED: ("not_found", "404"),
    CallPhase.CANCELED: ("originator_cancel", "487"),
}


class TelnyxLine(LineEnd):
    """A bidirectional stream in RTP mode: queues what we send, plays it in order, sends every mark back, reached or cleared."""

    def __init__(self, *, heard: AudioFormat, spoken: AudioFormat) -> None:
        self._heard, self._spoken = heard, spoken
        self._sequence, self._chunk = itertools.count(1), itertools.count(1)
        self._queue: list[bytes | str] = []
        self.played = b""

    def opening(self, parameters: Mapping[str, str]) -> tuple[Frame, ...]:
        rest = dict(parameters)
        token = rest.pop(TOKEN_PARAMETER, None)
        connected: dict[str, Any] = {"event": "connected", "version": "1.0.0"}
        if token is not None:
            connected[_AUTH_TOKEN] = token
        start = {
            "user_id": "3E6F995F-85F7-4705-9741-53B116D28237",
            "call_control_id": CALL,
            "call_session_id": "ff55a038-6f5d-11ef-9692-02420aeffb1f",
            "from": "+13122010094",
            "to": "+13122123456",
            "tags": ["TAG1", "TAG2"],
            "client_state": "aGF2ZSBhIG5pY2UgZGF5ID1d",
            "custom_parameters": rest | {SPOKEN_PARAMETER: f"{self._spoken.codec}/{self._spoken.rate}"},
            "media_format": {
                "encoding": self._heard.codec.upper(),
                "sample_rate": self._heard.rate,
                "channels": 1,
            },
        }
        return json.dumps(connected), self._told("start", start)

    def speech(self, payload: bytes) -> Frame:
        chunk = next(self._chunk)
        media = {
            "track": "inbound",
            "chunk": str(chunk),
            "timestamp": str(20 * (chunk - 1)),
            "payload": base64.b64encode(payload).decode(),
        }
        return self._told("media", media)

    def key(self, digit: str) -> Frame:
        return self._told("dtmf", {"digit": digit}, occurred_at=OCCURRED)

    def take(self, frames: Iterable[Frame]) -> tuple[Frame, ...]:
        said: list[Frame] = []
        for frame in frames:
            if not isinstance(frame, str):
                raise Untaken("media streaming takes texts")
            match json.loads(frame):
                case {"event": "media", "media": {"payload": str(payload), **more}, **rest} if (
                    not more and len(rest) == 0
                ):
                    self._queue.append(self._playable(payload))
                case {"event": "mark", "mark": {"name": str(name)}}:
                    # An empty queue has been played already.
                    if self._queue:
                        self._queue.append(name)
                    else:
                        said.append(self._told("mark", {"name": name}))
                case {"event": "clear", **rest} if not rest:
                    said.extend(self._told("mark", {"name": entry}) for entry in self._queue if isinstance(entry, str))
                    self._queue.clear()
                case _:
                    raise Untaken("no message of media streaming")
        return tuple(said)

    def play(self) -> tuple[Frame, ...]:
        queue, self._queue = self._queue, []
        self.played += b"".join(entry for entry in queue if isinstance(entry, bytes))
        return tuple(self._told("mark", {"name": entry}) for entry in queue if isinstance(entry, str))

    def closing(self) -> tuple[Frame, ...]:
        return (self._told("stop", {"user_id": "3E6F995F-85F7-4705-9741-53B116D28237", "call_control_id": CALL}),)

    def _playable(self, payload: str) -> bytes:
        data = base64.b64decode(payload, validate=True)
        size = 2 if self._spoken.codec is AudioCodec.L16 else 1
        if len(data) % size:
            raise Untaken("half a sample")
        milliseconds = len(data) / size * 1000 / self._spoken.rate
        if not _SHORTEST_MS <= milliseconds <= _LONGEST_MS:
            raise Untaken(f"{milliseconds} ms of audio in one frame")
        return data

    def _told(self, event: str, content: Mapping[str, object], **more: object) -> str:
        return json.dumps(
            {
                "event": event,
                "sequence_number": str(next(self._sequence)),
                "stream_id": STREAM,
                event: dict(content),
                **more,
            }
        )


class TelnyxDesk(DeskEnd):
    """Events in JSON, signed over their time and body."""

    def __init__(self, *, url: str) -> None:
        self._url = url
        self._ids = itertools.count(1)

    def posted(self, body: bytes, at: float) -> WebhookRequest:
        """A signed request."""
        stamp = str(int(at))
        signature = SIGNING_KEY.sign(stamp.encode() + b"|" + body).signature
        return WebhookRequest(
            method="POST",
            url=self._url,
            headers={
                "content-type": "application/json; charset=utf-8",
                "telnyx-timestamp": stamp,
                "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
            },
            body=body,
        )

    def event(self, kind: str, at: float, *, call_id: str = CALL, **payload: object) -> WebhookRequest:
        """An event of a call, with an id of its own."""
        data = {
            "record_type": "event",
            "event_type": kind,
            "id": f"0ccc7b54-4df3-4bca-a65a-{next(self._ids):012d}",
            "occurred_at": OCCURRED,
            "payload": {
                "call_control_id": call_id,
                "call_leg_id": "428c31b6-7af4-4bcb-b7f5-5013ef9657c1",
                "call_session_id": "428c31b6-abf3-3bc1-b7f4-5013ef9657c1",
                "connection_id": "7267xxxxxxxxxxxxxx",
                "client_state": None,
                "from": "+13122010094",
                "to": "+13122123456",
                **payload,
            },
        }
        meta = {"attempt": 1, "delivered_to": self._url}
        return self.posted(json.dumps({"data": data, "meta": meta}).encode(), at)

    def inbound(self, *, call_id: str, caller: str, callee: str, at: float) -> WebhookRequest:
        return self.event(
            "call.initiated",
            at,
            call_id=call_id,
            direction="incoming",
            state="parked",
            caller_id_name="Zoë & Söhne <GmbH>",
            offered_codecs="PCMU,G729",
            connection_codecs="PCMA,PCMU",
            shaken_stir_attestation="A",
            start_time=OCCURRED,
            **{"from": caller, "to": callee},
        )

    def progress(self, *, call_id: str, phase: CallPhase, at: float) -> WebhookRequest:
        match phase:
            case CallPhase.INITIATED:
                return self.event("call.initiated", at, call_id=call_id, direction="outgoing", state="bridging")
            case CallPhase.ANSWERED:
                return self.event("call.answered", at, call_id=call_id, state="answered", start_time=OCCURRED)
            case CallPhase.RINGING:
                raise ValueError("Telnyx tells nobody that a telephone rings")
        cause, sip = _HANGUPS[phase]
        return self.event(
            "call.hangup",
            at,
            call_id=call_id,
            state="hangup",
            hangup_cause=cause,
            hangup_source="unknown",
            sip_hangup_cause=sip,
            start_time=OCCURRED,
            call_quality_stats={"inbound": {"mos": "4.50", "packet_count": "100"}, "outbound": {"packet_count": "99"}},
        )

    def machine(self, *, call_id: str, at: float) -> WebhookRequest:
        return self.event("call.machine.detection.ended", at, call_id=call_id, result="machine")

    def unrelated(self, *, call_id: str, at: float) -> WebhookRequest:
        return self.event("call.speak.ended", at, call_id=call_id, status="completed")

    def recorded(self, recording_id: str, *, call_id: str, at: float) -> WebhookRequest:
        return self.event(
            "call.recording.saved",
            at,
            call_id=call_id,
            channels="single",
            recording_id=recording_id,
            recording_started_at="2026-11-21T18:00:00.000000Z",
            recording_ended_at="2026-11-21T18:00:12.000000Z",
            recording_urls={"mp3": "https://elsewhere.example/r.mp3"},
        )

    def nonsense(self, *, at: float) -> WebhookRequest:
        return self.posted(b'{"Hello": "World"}', at)

    def stream_of(self, document: AnswerDocument) -> None:
        _expect_empty(document)

    def said_of(self, document: AnswerDocument) -> None:
        _expect_empty(document)


def _expect_empty(document: AnswerDocument) -> None:
    if document.status != 200 or document.body:
        raise Untaken("Telnyx wants no answer but 200")
