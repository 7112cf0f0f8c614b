"""Amazon Polly's HTTP interface: SynthesizeSpeech and DescribeVoices. What botocore's model of the service does not know is refused."""

import functools
import json
import string
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import botocore.session
import msgspec
from botocore.validate import ParamValidator

from .emulated_faults import CutAfter, Faults, NoSound, Refused
from .emulated_voice import EmulatedVoice, Encoding, encoded
from .local_server import HttpRequest, answer

MAX_CHARACTERS = 3000
CHUNK_BYTES = 3001
"""Odd on purpose: a sample may lie in two chunks."""
RATES = {"pcm": ("8000", "16000"), "mulaw": ("8000",), "alaw": ("8000",)}
MARKED_ENGINES = ("standard", "neural")

NEURAL, GENERATIVE, LONG_FORM = "neural", "generative", "long-form"
VOICES: dict[str, tuple[str, tuple[str, ...]]] = {
    "Joanna": ("en-US", (GENERATIVE, NEURAL, "standard")),
    "Matthew": ("en-US", (GENERATIVE, NEURAL, "standard")),
    "Ruth": ("en-US", (GENERATIVE, LONG_FORM, NEURAL)),
    "Joey": ("en-US", (NEURAL, "standard")),
    "Amy": ("en-GB", (GENERATIVE, NEURAL, "standard")),
    "Vicki": ("de-DE", (GENERATIVE, NEURAL, "standard")),
    "Hans": ("de-DE", ("standard",)),
    "Lea": ("fr-FR", (GENERATIVE, NEURAL, "standard")),
    "Lucia": ("es-ES", (GENERATIVE, NEURAL, "standard")),
    "Tiffany": ("en-US", (GENERATIVE,)),
}
OTHER = ("en-US", (NEURAL, "standard"))
"""What is told of the voices that botocore knows and this table does not."""
_STATUS_CODES = {
    429: "ThrottlingException",
    403: "AccessDeniedException",
    500: "ServiceFailureException",
    503: "ServiceUnavailableException",
}
_NO_CONTENT = string.punctuation + "“”‘’…—–"


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """A request for speech or for its marks, as it was taken."""

    body: dict[str, Any]
    headers: dict[str, str]


class PollyFault(Exception):
    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class PollyEmulator:
    """Answers requests whose signature is good."""

    def __init__(self, voice: EmulatedVoice, faults: Faults) -> None:
        self._voice = voice
        self._faults = faults
        self.requests: list[Spoken] = []

    async def serve(self, scope: Any, send: Any, request: HttpRequest) -> None:
        """One request."""
        try:
            match request.method, request.path:
                case "POST", "/v1/speech":
                    await self._speech(scope, send, request)
                case "GET", "/v1/voices":
                    await _json(scope, send, 200, _voices(dict(request.query)))
                case _:
                    raise PollyFault("UnknownOperationException", "", 404)
        except PollyFault as fault:
            await refuse(scope, send, fault)

    async def _speech(self, scope: Any, send: Any, request: HttpRequest) -> None:
        body = _parsed(request)
        _judge_voice(body)
        text, speed = _text_and_speed(body)
        if len(text) > MAX_CHARACTERS:
            raise PollyFault("TextLengthExceededException", "Maximum text length has been exceeded")
        self.requests.append(Spoken(body=body, headers=request.headers))
        wants_marks = body["OutputFormat"] == "json"
        fault = None if wants_marks else await self._faults.next()
        if isinstance(fault, Refused):
            code = fault.code or _STATUS_CODES.get(fault.status, "ValidationException")
            status = 400 if fault.status == 429 else fault.status  # this service throttles with 400
            raise PollyFault(code, fault.message or "Rate exceeded", status)
        speech = await self._voice.say(text, speed=speed)
        headers = [
            (b"content-type", b"application/x-json-stream" if wants_marks else _content_type(body)),
            (b"x-amzn-requestcharacters", str(len(text)).encode()),
            (b"x-amzn-requestid", b"6f2d4c1e-0000-4000-8000-000000000000"),
            (b"transfer-encoding", b"chunked"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if wants_marks:
            payload = _marks(body["Text"], speech.words, is_ssml=body.get("TextType") == "ssml")
        else:
            rate = int(body.get("SampleRate", "16000" if body["OutputFormat"] == "pcm" else "8000"))
            encoding: Encoding = "pcm_s16le" if body["OutputFormat"] == "pcm" else body["OutputFormat"]
            payload = b"" if isinstance(fault, NoSound) else encoded(speech.audio, encoding, rate)
            if isinstance(fault, CutAfter):
                payload = payload[: int(fault.seconds * rate * 2)]
        for at in range(0, len(payload), CHUNK_BYTES):
            await send({"type": "http.response.body", "body": payload[at : at + CHUNK_BYTES], "more_body": True})
        if not isinstance(fault, CutAfter):  # a handler that returns without an end breaks the connection
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def refuse(scope: Any, send: Any, fault: PollyFault) -> None:
    """An error as this service words it."""
    await _json(scope, send, fault.status, {"message": fault.message}, {"x-amzn-ErrorType": fault.code})


async def _json(scope: Any, send: Any, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
    fields = {"content-type": "application/json", "x-amzn-requestid": "test", **(headers or {})}
    await answer(scope, send, status, json.dumps(body).encode(), fields)


def _parsed(request: HttpRequest) -> dict[str, Any]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise PollyFault("UnsupportedMediaTypeException", "Use application/json.", 415)
    try:
        body = json.loads(request.body)
    except ValueError:
        raise PollyFault("SerializationException", "Unexpected token") from None
    shape = _input_shape()
    report = ParamValidator().validate(body, shape)
    if report.has_errors():
        raise PollyFault("ValidationException", report.generate_report())
    for name, value in body.items():
        allowed = getattr(shape.members[name], "enum", None)
        if allowed and value not in allowed:
            member = f"{name[0].lower()}{name[1:]}"
            text = f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must satisfy enum value set: {allowed}"
            raise PollyFault("ValidationException", text)
    if unknown := set(body) - set(shape.members):
        raise PollyFault("ValidationException", f"Unknown: {sorted(unknown)}")
    rates = RATES.get(body["OutputFormat"])
    if rates and body.get("SampleRate", rates[0]) not in rates:
        raise PollyFault("InvalidSampleRateException", "Unsupported sample rate")
    if bool(body.get("SpeechMarkTypes")) != (body["OutputFormat"] == "json"):
        raise PollyFault("MarksNotSupportedForFormatException", "Speech marks are given as json only")
    if body["OutputFormat"] not in {*RATES, "json"}:
        raise PollyFault("ServiceFailureException", f"{body['OutputFormat']} is not emulated", 500)
    return body


def _judge_voice(body: dict[str, Any]) -> None:
    _, engines = VOICES.get(body["VoiceId"], OTHER)
    engine = body.get("Engine", "standard")
    if engine not in engines:
        text = f"This voice does not support the selected engine: {engine}"
        raise PollyFault("ValidationException", text)
    if body["OutputFormat"] == "json" and engine not in MARKED_ENGINES:
        raise PollyFault("ValidationException", f"Speech marks are not supported for the engine: {engine}")


def _text_and_speed(body: dict[str, Any]) -> tuple[str, float]:
    if body.get("TextType", "text") == "text":
        return body["Text"], 1.0
    try:
        root = ElementTree.fromstring(body["Text"])  # noqa: S314 - from the adapter under test
    except ElementTree.ParseError as error:
        raise PollyFault("InvalidSsmlException", f"Invalid SSML request: {error}") from None
    if root.tag != "speak":
        raise PollyFault("InvalidSsmlException", "Invalid SSML request")
    speed = 1.0
    for node in root.iter():
        if node.tag not in {"speak", "prosody", "break", "s", "p"}:
            raise PollyFault("InvalidSsmlException", f"Unsupported element {node.tag}")
        if "pitch" in node.attrib and body.get("Engine") != "standard":
            raise PollyFault("InvalidSsmlException", f"Unsupported {body.get('Engine')} feature")
        if rate := node.get("rate"):
            speed = float(rate.removesuffix("%")) / 100
            if not rate.endswith("%") or not 0.2 <= speed <= 2.0:
                raise PollyFault("InvalidSsmlException", f"Invalid rate {rate}")
    return "".join(root.itertext()), speed


def _marks(text: str, words: Sequence[Any], *, is_ssml: bool) -> bytes:
    """Lines of JSON; places are bytes of the text as sent, words are without their punctuation."""
    data, at, lines = text.encode(), 0, []
    for word in words:
        value = word.word.strip(_NO_CONTENT) or word.word
        coded = (escape(value) if is_ssml else value).encode()
        start = data.index(coded, at)
        at = start + len(coded)
        mark = {"time": round(word.start * 1000), "type": "word", "start": start, "end": at, "value": value}
        lines.append(json.dumps(mark).encode())
    return b"".join(line + b"\n" for line in lines)


def _content_type(body: dict[str, Any]) -> bytes:
    return {"pcm": b"audio/pcm", "mulaw": b"audio/mulaw", "alaw": b"audio/alaw"}[body["OutputFormat"]]


def _voices(query: dict[str, str]) -> dict[str, Any]:
    """All voices that fit, in pages of four."""
    fitting = [
        {
            "Id": name,
            "Name": name,
            "Gender": "Female",
            "LanguageCode": language,
            "LanguageName": language,
            "SupportedEngines": list(engines),
        }
        for name, (language, engines) in VOICES.items()
        if query.get("Engine", engines[0]) in engines and query.get("LanguageCode", language) == language
    ]
    first = int(query.get("NextToken", "0"))
    page = {"Voices": fitting[first : first + 4]}
    return page | ({"NextToken": str(first + 4)} if first + 4 < len(fitting) else {})


@functools.cache
def _input_shape() -> Any:
    return botocore.session.get_session().get_service_model("polly").operation_model("SynthesizeSpeech").input_shape
