"""Twilio's end of a call: Media Streams, webhooks signed by its own library, TwiML as it reads it."""

import base64
import json
from collections.abc import Iterable, Mapping
from urllib.parse import urlencode
from xml.etree import ElementTree

from twilio.request_validator import RequestValidator
from voisnap_domain.calls import CallPhase
from voisnap_providers.ports.carrier import (
    TOKEN_PARAMETER,
    AnswerDocument,
    AudioCodec,
    AudioFormat,
    StreamTarget,
    WebhookRequest,
)

from voisnap_testkit.carrier_end import DeskEnd, Frame, LineEnd, Untaken

STREAM = "MZ18ad3ab5a668481ce02b83e7395059f0"
CALL = "CAd7e5b8a4c5f64bb3a1b6c1f8a2d3e4f5"
ACCOUNT = "AC0123456789abcdef0123456789abcdef"
AUTH_TOKEN = "12345"  # noqa: S105 - the one of Twilio's examples
_ENCODINGS = {AudioCodec.PCMU: "audio/x-mulaw", AudioCodec.PCMA: "audio/x-alaw", AudioCodec.L16: "audio/l16"}
_STATUSES = {
    CallPhase.INITIATED: "initiated",
    CallPhase.RINGING: "ringing",
    CallPhase.ANSWERED: "in-progress",
    CallPhase.COMPLETED: "completed",
    CallPhase.BUSY: "busy",
    CallPhase.NO_ANSWER: "no-answer",
    CallPhase.FAILED: "failed",
    CallPhase.CANCELED: "canceled",
}


class TwilioLine(LineEnd):
    """A Media Stream: queues what we send, plays it in order, and sends every mark back, whether it was reached or cleared."""

    def __init__(self, *, heard: AudioFormat, spoken: AudioFormat) -> None:
        assert heard == spoken
        self._form = heard
        self._sequence = self._chunk = 0
        self._queue: list[bytes | str] = []
        self.played = b""

    def opening(self, parameters: Mapping[str, str]) -> tuple[Frame, ...]:
        start = {
            "streamSid": STREAM,
            "accountSid": ACCOUNT,
            "callSid": CALL,
            "tracks": ["inbound"],
            "customParameters": dict(parameters),
            "mediaFormat": {
                "encoding": _ENCODINGS[self._form.codec],
                "sampleRate": self._form.rate,
                "channels": 1,
            },
        }
        connected = json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        return connected, self._told("start", start)

    def speech(self, payload: bytes) -> Frame:
        self._chunk += 1
        media = {
            "track": "inbound",
            "chunk": str(self._chunk),
            "timestamp": str(20 * (self._chunk - 1)),
            "payload": base64.b64encode(payload).decode(),
        }
        return self._told("media", media)

    def key(self, digit: str) -> Frame:
        return self._told("dtmf", {"track": "inbound_track", "digit": digit})

    def take(self, frames: Iterable[Frame]) -> tuple[Frame, ...]:
        said: list[Frame] = []
        for frame in frames:
            if not isinstance(frame, str):
                raise Untaken("Media Streams takes texts")
            match json.loads(frame):
                case {"event": "media", "streamSid": str(stream), "media": {"payload": str(payload)}}:
                    self._queue.append(base64.b64decode(payload, validate=True))
                case {"event": "mark", "streamSid": str(stream), "mark": {"name": str(name)}}:
                    # An empty queue has been played already.
                    if self._queue:
                        self._queue.append(name)
                    else:
                        said.append(self._told("mark", {"name": name}))
                case {"event": "clear", "streamSid": str(stream)}:
                    said.extend(self._told("mark", {"name": entry}) for entry in self._queue if isinstance(entry, str))
                    self._queue.clear()
                case _:
                    raise Untaken("no message of Media Streams")
            if stream != STREAM:
                raise Untaken("another stream's message")
        return tuple(said)

    def play(self) -> tuple[Frame, ...]:
        queue, self._queue = self._queue, []
        self.played += b"".join(entry for entry in queue if isinstance(entry, bytes))
        return tuple(self._told("mark", {"name": entry}) for entry in queue if isinstance(entry, str))

    def closing(self) -> tuple[Frame, ...]:
        return (self._told("stop", {"accountSid": ACCOUNT, "callSid": CALL}),)

    def _told(self, event: str, content: Mapping[str, object]) -> str:
        self._sequence += 1
        return json.dumps(
            {"event": event, "sequenceNumber": str(self._sequence), "streamSid": STREAM, event: dict(content)}
        )


class TwilioDesk(DeskEnd):
    """Forms, signed with the account's token over the address and every field."""

    def __init__(self, *, url: str) -> None:
        self._url = url

    def posted(self, fields: Mapping[str, str]) -> WebhookRequest:
        """A signed form."""
        return WebhookRequest(
            method="POST",
            url=self._url,
            headers={
                "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
                "i-twilio-idempotency-token": "6d2f0d3a-5a0e-4d6b-9ad1-1f4c8a3f3a9e",
                "x-twilio-signature": RequestValidator(AUTH_TOKEN).compute_signature(self._url, fields),
            },
            body=urlencode(fields).encode(),
        )

    def inbound(self, *, call_id: str, caller: str, callee: str, at: float) -> WebhookRequest:
        return self.posted(
            self._common(call_id)
            | {
                "From": "+266696687" if caller == "anonymous" else caller,
                "Caller": caller,
                "To": callee,
                "Called": callee,
                "CallStatus": "ringing",
                "Direction": "inbound",
                "FromCountry": "US",
                "FromCity": "SAN FRANCISCO",
                "StirVerstat": "",
                "CallerName": "Zoë & Söhne <GmbH>",
            }
        )

    def progress(self, *, call_id: str, phase: CallPhase, at: float) -> WebhookRequest:
        ended = phase not in (CallPhase.INITIATED, CallPhase.RINGING, CallPhase.ANSWERED)
        return self.posted(
            self._common(call_id)
            | {
                "From": "+14155550100",
                "To": "+4930901820",
                "CallStatus": _STATUSES[phase],
                "Direction": "outbound-api",
                "CallbackSource": "call-progress-events",
                "Timestamp": "Sat, 21 Nov 2026 18:00:00 +0000",
                "SequenceNumber": "3" if ended else "1",
            }
            | ({"CallDuration": "42", "Duration": "1"} if phase is CallPhase.COMPLETED else {})
        )

    def machine(self, *, call_id: str, at: float) -> WebhookRequest:
        return self.posted(
            {
                "CallSid": call_id,
                "AccountSid": ACCOUNT,
                "AnsweredBy": "machine_start",
                "MachineDetectionDuration": "3500",
            }
        )

    def unrelated(self, *, call_id: str, at: float) -> WebhookRequest:
        return self.posted(
            {
                "CallSid": call_id,
                "AccountSid": ACCOUNT,
                "StreamSid": STREAM,
                "StreamName": "call",
                "StreamEvent": "stream-started",
                "Timestamp": "2026-11-21T18:00:00.000Z",
            }
        )

    def recorded(self, recording_id: str, *, call_id: str, at: float) -> WebhookRequest:
        return self.posted(
            {
                "CallSid": call_id,
                "AccountSid": ACCOUNT,
                "RecordingSid": recording_id,
                "RecordingUrl": f"https://elsewhere.example/2010-04-01/Accounts/{ACCOUNT}/Recordings/{recording_id}",
                "RecordingStatus": "completed",
                "RecordingDuration": "12",
                "RecordingChannels": "1",
                "RecordingSource": "DialVerb",
                "RecordingTrack": "both",
                "RecordingStartTime": "Sat, 21 Nov 2026 18:00:00 +0000",
                "ErrorCode": "0",
            }
        )

    def nonsense(self, *, at: float) -> WebhookRequest:
        return self.posted({"Hello": "World"})

    def stream_of(self, document: AnswerDocument) -> StreamTarget:
        connect = _response(document)[0]
        if connect.tag != "Connect" or connect.get("method", "POST") not in ("GET", "POST"):
            raise Untaken(f"<{connect.tag}> connects nothing")
        stream = connect[0]
        if stream.tag != "Stream" or len(connect) != 1:
            raise Untaken("<Connect> wants one <Stream>")
        parameters = {entry.get("name", ""): entry.get("value", "") for entry in stream}
        if any(len(name) + len(value) > 500 for name, value in parameters.items()):
            raise Untaken("a parameter of more than 500 characters")
        url = stream.get("url", "")
        if not url.startswith("wss://") or "?" in url:
            raise Untaken("a stream's address is wss without a query")
        return StreamTarget(
            url=url,
            token=parameters.pop(TOKEN_PARAMETER),
            parameters=parameters,
            resume_url=connect.get("action"),
        )

    def said_of(self, document: AnswerDocument) -> str:
        say, hangup = _response(document)
        if say.tag != "Say" or hangup.tag != "Hangup":
            raise Untaken("<Say> and <Hangup> expected")
        return say.text or ""

    def _common(self, call_id: str) -> dict[str, str]:
        return {"CallSid": call_id, "AccountSid": ACCOUNT, "ApiVersion": "2010-04-01"}


def _response(document: AnswerDocument) -> ElementTree.Element:
    if document.status != 200 or document.content_type.split(";")[0] not in ("text/xml", "application/xml"):
        raise Untaken(f"{document.status} {document.content_type}")
    root = ElementTree.fromstring(document.body)  # noqa: S314 - our own
    if root.tag != "Response":
        raise Untaken(f"<{root.tag}> is no TwiML")
    return root
