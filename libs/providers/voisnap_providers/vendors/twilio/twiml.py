"""The documents that tell Twilio what to do with a call.

https://www.twilio.com/docs/voice/twiml
"""

import re
from urllib.parse import urlsplit
from xml.etree import ElementTree

from voisnap_providers.ports.carrier import TOKEN_PARAMETER, HandOverCourse, RecordingOrder, StreamTarget

MAX_PARAMETER = 500
"""Characters of a `<Parameter>`'s name and value together."""
MAX_SAID = 4096
"""Characters of a `<Say>`."""
_SAY_LANGUAGES = (
    *(
        "da-DK",
        "de-DE",
        "en-US",
        "en-GB",
        "en-AU",
        "en-CA",
        "en-IN",
        "ca-ES",
        "es-ES",
        "es-MX",
        "fi-FI",
        "fr-FR",
        "fr-CA",
    ),
    *(
        "it-IT",
        "ja-JP",
        "ko-KR",
        "nb-NO",
        "nl-NL",
        "pl-PL",
        "pt-PT",
        "pt-BR",
        "ru-RU",
        "sv-SE",
        "zh-CN",
        "zh-HK",
        "zh-TW",
    ),
)
"""What `<Say>` speaks without a voice by name; the first of a language stands for all of it."""
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML 1.0 document may hold, escaped or not."""


def connect(target: StreamTarget) -> ElementTree.Element:
    """`<Connect><Stream>`, after whose end Twilio asks `resume_url` what comes next. Raises ValueError for an address with a query, which
    Twilio drops, and for a parameter of more than 500 characters."""
    if urlsplit(target.url).query:
        raise ValueError("Twilio passes no query to a stream")
    response = ElementTree.Element("Response")
    connecting = ElementTree.SubElement(response, "Connect")
    if target.resume_url:
        connecting.set("action", _xml(target.resume_url))
        connecting.set("method", "POST")
    stream = ElementTree.SubElement(connecting, "Stream", url=_xml(target.url))
    for name, value in {**target.parameters, TOKEN_PARAMETER: target.token}.items():
        if len(name) + len(value) > MAX_PARAMETER:
            raise ValueError(f"{name[:40]!r} and its value have more than {MAX_PARAMETER} characters")
        ElementTree.SubElement(stream, "Parameter", name=_xml(name), value=_xml(value))
    return response


def say_and_hang_up(text: str, language: str) -> ElementTree.Element:
    """A reason, said in the nearest language that Twilio has; in the account's own where it has none."""
    response = ElementTree.Element("Response")
    say = ElementTree.SubElement(response, "Say")
    if spoken := _say_language(language):
        say.set("language", spoken)
    say.text = _xml(text)[:MAX_SAID]
    ElementTree.SubElement(response, "Hangup")
    return response


def hang_up() -> ElementTree.Element:
    """Ends the call."""
    response = ElementTree.Element("Response")
    ElementTree.SubElement(response, "Hangup")
    return response


def dial(
    callee: str,
    *,
    caller: str,
    ring_seconds: int,
    course: HandOverCourse | None = None,
    recording: RecordingOrder | None = None,
) -> ElementTree.Element:
    """Puts the call through to a number or a SIP address, and ends it afterwards or asks `course.after_url` what comes next."""
    response = ElementTree.Element("Response")
    dialling = ElementTree.SubElement(response, "Dial", callerId=_xml(caller), timeout=str(ring_seconds))
    kind = "Sip" if callee.lower().startswith(("sip:", "sips:")) else "Number"
    target = ElementTree.SubElement(dialling, kind)
    target.text = _xml(callee)
    if course is not None:
        dialling.set("action", _xml(course.after_url))
        dialling.set("method", "POST")
        target.set("statusCallback", _xml(course.events_url))
        target.set("statusCallbackMethod", "POST")
        target.set("statusCallbackEvent", "initiated ringing answered completed")
    if recording is not None:
        _record(dialling, f"record-from-answer{'-dual' if recording.is_stereo else ''}", recording)
    ElementTree.SubElement(response, "Hangup")
    return response


def join(name: str, *, recording: RecordingOrder | None = None) -> ElementTree.Element:
    """Puts the call into a conference of two, without beeps and music, which is over when one of them leaves."""
    response = ElementTree.Element("Response")
    dialling = ElementTree.SubElement(response, "Dial")
    conference = ElementTree.SubElement(
        dialling,
        "Conference",
        beep="false",
        startConferenceOnEnter="true",
        endConferenceOnExit="true",
        waitUrl="",
        maxParticipants="2",
    )
    if recording is not None:
        _record(conference, "record-from-start", recording)
    conference.text = _xml(name)
    ElementTree.SubElement(response, "Hangup")
    return response


def _record(element: ElementTree.Element, how: str, recording: RecordingOrder) -> None:
    """`trim` is on where nothing is said of it: what the recording says of when would be wrong."""
    element.set("record", how)
    element.set("trim", "do-not-trim")
    element.set("recordingStatusCallback", _xml(recording.events_url))
    element.set("recordingStatusCallbackMethod", "POST")
    element.set("recordingStatusCallbackEvent", "completed absent")


def text(document: ElementTree.Element) -> str:
    """A document as Twilio reads it."""
    return ElementTree.tostring(document, encoding="unicode")


def _say_language(language: str) -> str | None:
    wanted = language.replace("_", "-").lower()
    for known in _SAY_LANGUAGES:
        if known.lower() == wanted:
            return known
    return next((known for known in _SAY_LANGUAGES if known[:3] == f"{wanted.partition('-')[0]}-"), None)


def _xml(text: str) -> str:
    return _NOT_XML.sub("", text)
