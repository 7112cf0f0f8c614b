"""Call control objects: what Vonage is told to do with a call, as the answer to a webhook or over REST.

https://developer.vonage.com/en/voice/voice-api/ncco-reference
"""

import re

import msgspec

from voisnap_providers.ports.carrier import TOKEN_PARAMETER, HandOverCourse, RecordingOrder, StreamTarget
from voisnap_providers.vendors.phone_numbers import e164
from voisnap_providers.vendors.vonage import CALL_HEADER

MAX_HEADER_BYTES = 512
"""Vonage's bound of a websocket endpoint's `headers`."""
MAX_TALK = 1500
"""Characters of one `talk`."""

Action = dict[str, object]

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


def to_stream(target: StreamTarget, rate: int) -> Action:
    """Connects a call to a media socket of `rate` samples a second. Raises ValueError for more parameters than Vonage carries, and for a
    name that the socket needs for itself."""
    headers = {**target.parameters, TOKEN_PARAMETER: target.token}
    if target.call_id:
        headers[CALL_HEADER] = target.call_id
    if taken := {"event", "content-type"} & headers.keys() or {TOKEN_PARAMETER, CALL_HEADER} & target.parameters.keys():
        raise ValueError(f"no stream parameter may be called {', '.join(sorted(taken))}")
    size = len(msgspec.json.encode(headers))
    if size > MAX_HEADER_BYTES:
        raise ValueError(f"the stream's parameters take {size} bytes, and Vonage carries {MAX_HEADER_BYTES}")
    endpoint = {"type": "websocket", "uri": target.url, "content-type": f"audio/l16;rate={rate}", "headers": headers}
    action: Action = {"action": "connect", "endpoint": [endpoint]}
    if target.resume_url is not None:
        # Only a synchronous event's answer may be a new document: Vonage asks for one when the socket breaks or never opens.
        action |= {"eventType": "synchronous", "eventUrl": [target.resume_url], "eventMethod": "POST"}
    return action


def to_somebody(callee: str, *, caller: str, ring_seconds: int, course: HandOverCourse | None = None) -> Action:
    """Connects a call to a number in E.164 or a SIP address. Raises ValueError for anything else."""
    action: Action = {
        "action": "connect",
        "from": digits_of(caller),
        "timeout": ring_seconds,
        "endpoint": [endpoint_of(callee)],
    }
    if course is not None:
        # One address for both: only the answer to a synchronous event may be a new document, and its events are the leg's own.
        action |= {"eventType": "synchronous", "eventUrl": [course.after_url], "eventMethod": "POST"}
    return action


def to_conversation(name: str) -> Action:
    """Puts a call into a conversation, which is over when it leaves."""
    return {"action": "conversation", "name": name, "startOnEnter": True, "endOnExit": True}


def record(order: RecordingOrder) -> Action:
    """Records what comes after it in the document, until the call ends: without an end of its own the document goes on at once."""
    action: Action = {
        "action": "record",
        "format": order.format.value,
        "eventUrl": [order.events_url],
        "eventMethod": "POST",
    }
    return action | {"split": "conversation", "channels": 2} if order.is_stereo else action


def talk(text: str, language: str) -> Action:
    """Says a text aloud."""
    return {"action": "talk", "text": _speakable(text), "language": spoken_language(language)}


def endpoint_of(callee: str) -> dict[str, str]:
    """A telephone number or a SIP address as Vonage dials it. Raises ValueError for anything else."""
    if callee.lower().startswith(("sip:", "sips:")):
        return {"type": "sip", "uri": callee}
    return {"type": "phone", "number": digits_of(callee)}


def digits_of(number: str) -> str:
    """A telephone number as Vonage writes it, without `+`. Raises ValueError, which does not repeat it, for what is none."""
    found = e164(number)
    if found is None:
        raise ValueError("this is no telephone number in E.164")
    return found.removeprefix("+")


def spoken_language(tag: str) -> str:
    """The nearest language that Vonage's `talk` speaks; US English when there is none."""
    asked = tag.replace("_", "-").lower()
    primary, _, rest = asked.partition("-")
    primary = _MACROLANGUAGES.get(primary, primary)
    near = [code for code in _SPOKEN if code.lower().split("-")[0] == primary]
    asked = f"{primary}-{rest}" if rest else primary
    return next((code for code in near if code.lower() == asked), near[0] if near else "en-US")


def _speakable(text: str) -> str:
    """Words as they are, and nothing that isn't one: text within `<speak>` would be taken for speech markup. The joiners of Indic and Persian
    script are kept."""
    plain = "".join(
        " " if mark.isspace() else mark
        for mark in text
        if mark.isprintable() or mark.isspace() or mark in "\u200c\u200d"
    )
    return _MARKUP.sub("", plain).strip()[:MAX_TALK]
