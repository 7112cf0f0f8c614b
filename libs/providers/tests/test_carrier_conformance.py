"""Every telephony carrier behind the port, against an end of it that speaks the carrier's own protocol and takes nothing else.

A carrier joins with one line in CASES; what differs between carriers is in its line and in its end, never in a test.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voisnap_domain.calls import AnsweredBy, CallPhase
from voisnap_media import g711
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample
from voisnap_providers.carriers import is_signed
from voisnap_providers.ports.carrier import (
    TOKEN_PARAMETER,
    AudioCodec,
    AudioFormat,
    AudioHeard,
    BadSignature,
    BadWebhook,
    CallProgress,
    CarrierWebhooks,
    InboundCall,
    KeyPressed,
    MachineDetected,
    MalformedMedia,
    MarkReached,
    MediaEvent,
    MediaStarted,
    MediaStopped,
    MediaWire,
    StreamTarget,
    WebhookRequest,
)
from voisnap_providers.vendors.telnyx.media import TelnyxMedia
from voisnap_providers.vendors.telnyx.webhooks import TelnyxWebhooks
from voisnap_providers.vendors.twilio.media import TwilioMedia
from voisnap_providers.vendors.twilio.webhooks import TwilioWebhooks
from voisnap_providers.vendors.vonage.media import VonageMedia
from voisnap_providers.vendors.vonage.webhooks import VonageWebhooks
from voisnap_testkit import telnyx_carrier, twilio_carrier, vonage_carrier
from voisnap_testkit.carrier_end import DeskEnd, Frame, LineEnd
from voisnap_testkit.telnyx_carrier import TelnyxDesk, TelnyxLine
from voisnap_testkit.twilio_carrier import TwilioDesk, TwilioLine
from voisnap_testkit.vonage_carrier import VonageDesk, VonageLine

pytestmark = pytest.mark.conformance

MULAW = AudioFormat(codec=AudioCodec.PCMU, rate=8000)
ALAW = AudioFormat(codec=AudioCodec.PCMA, rate=8000)
LINEAR = {rate: AudioFormat(codec=AudioCodec.L16, rate=rate) for rate in (8000, 16000, 24000)}
NOW = 1795286400.0
URL = "https://voice.example.com/carriers/hooks?number=pn_1"
CALLER, CALLEE = "+14155550100", "+4930901820"
HOSTILE = """<Stream url="x"/>&amp; 'quoted' \\ "two\nlines" ünï 🎧"""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A carrier: our adapter, its own end, and what its protocol can."""

    name: str
    media: Callable[[], MediaWire]
    line: type[LineEnd]
    formats: tuple[tuple[AudioFormat, AudioFormat], ...]
    """What may be heard and spoken on one stream."""
    webhooks: CarrierWebhooks
    strangers: CarrierWebhooks
    """The same with the secrets of somebody else."""
    desk: DeskEnd
    call_id: str
    signed_by: tuple[str, ...]
    """The headers without any one of which nothing is signed."""
    signs_address: bool = False
    keeps_time: bool = False
    phases: frozenset[CallPhase] = frozenset(CallPhase)
    pads_ms: int = 0
    """A stretch of speech is filled up to whole frames of this length."""


CASES = (
    Case(
        name="twilio",
        media=TwilioMedia,
        line=TwilioLine,
        formats=tuple((form, form) for form in (MULAW, ALAW, *LINEAR.values())),
        webhooks=TwilioWebhooks(auth_tokens=(twilio_carrier.AUTH_TOKEN,)),
        strangers=TwilioWebhooks(auth_tokens=("54321",)),
        desk=TwilioDesk(url=URL),
        call_id=twilio_carrier.CALL,
        signed_by=("x-twilio-signature",),
        signs_address=True,
    ),
    Case(
        name="vonage",
        media=VonageMedia,
        line=VonageLine,
        formats=tuple((form, form) for form in LINEAR.values()),
        webhooks=VonageWebhooks(signature_secrets=(vonage_carrier.SIGNATURE_SECRET,)),
        strangers=VonageWebhooks(signature_secrets=("another account's secret, as long as ours",)),
        desk=VonageDesk(url=URL),
        call_id=vonage_carrier.CALL,
        signed_by=("authorization",),
        keeps_time=True,
        pads_ms=20,
    ),
    Case(
        name="telnyx",
        media=TelnyxMedia,
        line=TelnyxLine,
        formats=((ALAW, MULAW), (MULAW, MULAW), (MULAW, LINEAR[16000]), *((form, form) for form in LINEAR.values())),
        webhooks=TelnyxWebhooks(telnyx_carrier.PUBLIC_KEY),
        strangers=TelnyxWebhooks(telnyx_carrier.STRANGERS_KEY),
        desk=TelnyxDesk(url=URL),
        call_id=telnyx_carrier.CALL,
        signed_by=("telnyx-timestamp", "telnyx-signature-ed25519"),
        keeps_time=True,
        phases=frozenset(CallPhase) - {CallPhase.RINGING},
        pads_ms=20,
    ),
)


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


# The media socket ---------------------------------------------------------------------------------------------------


class Call:
    """One media socket with both its ends."""

    def __init__(self, case: Case, formats: tuple[AudioFormat, AudioFormat] | None = None) -> None:
        self.heard, self.spoken = formats or case.formats[0]
        self.wire = case.media()
        self.line = case.line(heard=self.heard, spoken=self.spoken)

    def begin(self, parameters: Mapping[str, str] | None = None) -> "Call":
        self.started = self.told(self.line.opening(parameters or {}))
        return self

    def told(self, frames: Iterable[Frame]) -> list[MediaEvent]:
        return [event for frame in frames for event in self.wire.read(frame)]

    def sent(self, frames: Iterable[Frame]) -> list[MediaEvent]:
        """What comes of frames of ours before anything is played."""
        return self.told(self.line.take(frames))

    def played(self) -> list[MediaEvent]:
        return self.told(self.line.play())


def tones(rate: int, seconds: float, level: int = 9000) -> Pcm:
    """Something that is heard at every rate and fits no frame."""
    at = np.arange(round(rate * seconds)) / rate
    return Pcm((level * (np.sin(2 * np.pi * 311 * at) + np.sin(2 * np.pi * 1234.5 * at)) / 2).astype(np.int16), rate)


def encoded(sound: Pcm, form: AudioFormat) -> bytes:
    match form.codec:
        case AudioCodec.PCMU:
            return g711.mulaw_encode(sound)
        case AudioCodec.PCMA:
            return g711.alaw_encode(sound)
        case AudioCodec.L16:
            return sound.samples.astype("<i2").tobytes()


def heard_as(data: bytes, form: AudioFormat) -> Pcm:
    match form.codec:
        case AudioCodec.PCMU:
            return g711.mulaw_decode(data)
        case AudioCodec.PCMA:
            return g711.alaw_decode(data)
        case AudioCodec.L16:
            return Pcm(np.frombuffer(data, "<i2").astype(np.int16), form.rate)


def noise_db(sound: Pcm, meant: Pcm) -> float:
    """How far below the meant sound the difference lies."""
    assert sound.rate == meant.rate
    count = min(len(sound), len(meant))
    wanted = meant.samples[:count].astype(float)
    wrong = sound.samples[:count] - wanted
    return float(10 * np.log10((wrong @ wrong + 1e-9) / (wanted @ wanted)))


def pieces(sound: Pcm, samples: int) -> list[Pcm]:
    return [Pcm(sound.samples[at : at + samples], sound.rate) for at in range(0, len(sound), samples)]


def test_a_stream_says_its_format_its_call_and_its_parameters(case: Case) -> None:
    for formats in case.formats:
        call = Call(case, formats).begin({TOKEN_PARAMETER: "t0k3n", "agent": HOSTILE})
        (started,) = call.started
        assert isinstance(started, MediaStarted)
        assert (started.heard, started.spoken) == formats
        assert started.call_id
        assert started.stream_id
        assert started.parameters[TOKEN_PARAMETER] == "t0k3n"
        assert started.parameters["agent"] == HOSTILE


def test_the_caller_is_heard_as_he_spoke_at_the_streams_own_rate(case: Case) -> None:
    for formats in case.formats:
        call = Call(case, formats).begin()
        spoken = tones(call.heard.rate, 0.4)
        frames = [encoded(piece, call.heard) for piece in pieces(spoken, call.heard.rate // 50)]
        heard = [event for frame in frames for event in call.told([call.line.speech(frame)])]
        sounds = [event.audio for event in heard if isinstance(event, AudioHeard)]
        assert len(sounds) == len(heard) > 0
        # Carriers whose frames overtake each other may be waited for.
        whole = Pcm.concat(sounds, call.heard.rate)
        assert len(whole) == len(spoken)
        assert noise_db(whole, spoken) < (-30 if call.heard.codec is not AudioCodec.L16 else -90)


@pytest.mark.parametrize(("rate", "samples"), [(24000, 480), (24000, 173), (16000, 320), (8000, 2400), (22050, 441)])
def test_the_agent_is_heard_as_he_spoke_at_any_rate_and_in_any_pieces(case: Case, rate: int, samples: int) -> None:
    for formats in case.formats:
        call = Call(case, formats).begin()
        speech = tones(rate, 0.5)
        for piece in pieces(speech, samples):
            assert call.sent(call.wire.audio(piece)) == []
        call.sent(call.wire.mark("said"))
        call.played()
        played = heard_as(call.line.played, call.spoken)
        meant = resample(speech, call.spoken.rate)
        longest = len(meant) + (call.spoken.rate * case.pads_ms // 1000 or 1)
        assert len(meant) <= len(played) < longest
        # The last 10 ms are left out: filters differ in how they end.
        inner = len(meant) - call.spoken.rate // 100
        assert noise_db(Pcm(played.samples[:inner], played.rate), Pcm(meant.samples[:inner], meant.rate)) < -28


def test_speech_whose_rate_changes_loses_nothing(case: Case) -> None:
    for formats in case.formats:
        call = Call(case, formats).begin()
        for rate in (24000, 16000, 24000, 8000):
            call.sent(call.wire.audio(tones(rate, 0.2)))
        call.sent(call.wire.mark("said"))
        call.played()
        seconds = heard_as(call.line.played, call.spoken).seconds
        assert 0.8 <= seconds < 0.8 + (case.pads_ms or 0.1) / 1000


@pytest.mark.parametrize("case", [case for case in CASES if not case.pads_ms], ids=lambda case: case.name)
def test_a_mark_within_a_sentence_is_not_heard(case: Case) -> None:
    for formats in case.formats:
        call = Call(case, formats).begin()
        speech = tones(24000, 0.5)
        for piece in pieces(speech, 2400):
            call.sent([*call.wire.audio(piece), *call.wire.mark("word")])
        call.played()
        meant = resample(speech, call.spoken.rate)
        played = heard_as(call.line.played, call.spoken)
        assert abs(len(played) - len(meant)) <= 1
        assert noise_db(played, meant) < -28


def test_speech_goes_out_while_it_is_spoken(case: Case) -> None:
    call = Call(case).begin()
    for piece in pieces(tones(24000, 1.0), 480):
        call.sent(call.wire.audio(piece))
    call.played()
    assert heard_as(call.line.played, call.spoken).seconds > 0.95


def test_no_frame_holds_more_than_a_clear_could_wait_for(case: Case) -> None:
    call = Call(case).begin()
    frames = call.wire.audio(tones(24000, 30.0))
    assert len(frames) >= 150
    assert max(map(len, frames)) < 20_000
    call.sent(frames)


def test_every_key_is_told(case: Case) -> None:
    call = Call(case).begin()
    keys = "0123456789*#"
    assert call.told([call.line.key(key) for key in keys]) == [KeyPressed(digit=key) for key in keys]


def test_a_mark_is_reached_when_all_before_it_has_been_played_and_not_before(case: Case) -> None:
    call = Call(case).begin()
    names = ["greeting", HOSTILE, "greeting", ""]
    told: list[MediaEvent] = []
    for name in names:
        told += call.sent(call.wire.audio(tones(24000, 0.1)))
        told += call.sent(call.wire.mark(name))
    assert told == []
    assert call.played() == [MarkReached(name=name) for name in names]
    assert call.played() == []


def test_a_mark_after_all_has_been_played_is_reached_at_once(case: Case) -> None:
    call = Call(case).begin()
    assert call.sent(call.wire.mark("now")) + call.played() == [MarkReached(name="now")]


def test_a_mark_that_is_told_twice_is_reached_once(case: Case) -> None:
    call = Call(case).begin()
    call.sent([*call.wire.audio(tones(24000, 0.1)), *call.wire.mark("once")])
    frames = call.line.play()
    assert call.told(frames) == [MarkReached(name="once")]
    assert call.told(frames) == []


def test_a_clear_drops_speech_and_marks_whatever_the_carrier_says_of_them(case: Case) -> None:
    call = Call(case).begin()
    call.sent([*call.wire.audio(tones(24000, 1.0)), *call.wire.mark("answer")])
    late = call.line.play()
    call.line.played = b""
    call.sent([*call.wire.audio(tones(24000, 1.0)), *call.wire.mark("answer"), *call.wire.audio(tones(24000, 0.015))])
    assert call.sent(call.wire.clear()) == []
    assert call.told(late) == []
    assert call.played() == []
    assert call.line.played == b""
    call.sent([*call.wire.audio(tones(24000, 0.1)), *call.wire.mark("answer")])
    assert call.played() == [MarkReached(name="answer")]
    # Nothing that waited for a whole frame before the clear is said after it.
    assert heard_as(call.line.played, call.spoken).seconds == pytest.approx(0.1, abs=0.001 + case.pads_ms / 1000)


def test_a_clear_is_sent_even_when_all_of_ours_has_gone(case: Case) -> None:
    call = Call(case).begin()
    assert len(call.wire.clear()) >= 1
    assert len(call.wire.clear()) >= 1


def test_marks_that_no_carrier_ever_answers_do_not_pile_up(case: Case) -> None:
    call = Call(case).begin()
    for number in range(5000):
        call.sent(
            call.wire.mark(str(number)) if number else [*call.wire.audio(tones(24000, 0.1)), *call.wire.mark("0")]
        )
    told = call.played()
    assert len(told) < 5000
    assert told[-1] == MarkReached(name="4999")


def test_the_end_is_told_where_the_carrier_says_it(case: Case) -> None:
    call = Call(case).begin()
    if frames := call.line.closing():
        assert [type(event) for event in call.told(frames)] == [MediaStopped]
        with pytest.raises(MalformedMedia):
            call.told([call.line.speech(encoded(tones(call.heard.rate, 0.02), call.heard))])


def test_nothing_is_heard_or_said_before_the_start(case: Case) -> None:
    call = Call(case)
    with pytest.raises(MalformedMedia):
        call.told([call.line.speech(encoded(tones(call.heard.rate, 0.02), call.heard))])
    with pytest.raises(MalformedMedia):
        call.told([call.line.key("5")])
    with pytest.raises(MalformedMedia):
        call.wire.audio(tones(24000, 0.02))


def test_a_stream_starts_once(case: Case) -> None:
    call = Call(case).begin()
    with pytest.raises(MalformedMedia):
        call.told(case.line(heard=call.heard, spoken=call.spoken).opening({}))
    # The call goes on as it was.
    assert call.told([call.line.key("5")]) == [KeyPressed(digit="5")]


def test_frames_that_are_too_long_or_nothing_known_are_refused(case: Case) -> None:
    call = Call(case).begin()
    for frame in ("", "null", "[]", "{}", '{"event":"unheard-of"}', "[" * 30000, "\ud800", "9" * 70000, b"x" * 70000):
        with pytest.raises(MalformedMedia):
            call.wire.read(frame)
    assert call.told([call.line.key("5")]) == [KeyPressed(digit="5")]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_of_garbage_only_that_it_is_malformed_escapes(data: st.DataObject) -> None:
    for case in CASES:
        call = Call(case).begin() if data.draw(st.booleans()) else Call(case)
        frame = data.draw(st.one_of(st.text(), st.binary(), damaged_frames(case)))
        with suppress(MalformedMedia):
            call.wire.read(frame)


def damaged_frames(case: Case) -> st.SearchStrategy[Frame]:
    """Frames of the carrier's with a stretch replaced."""
    call = Call(case)
    frames = [
        *call.line.opening({"a": "b"}),
        call.line.speech(encoded(tones(call.heard.rate, 0.02), call.heard)),
        call.line.key("5"),
        *call.line.closing(),
    ]

    def damage(frame: Frame, at: float, length: int, filling: str) -> Frame:
        start = int(at * len(frame))
        if isinstance(frame, str):
            return frame[:start] + filling + frame[start + length :]
        return frame[:start] + filling.encode() + frame[start + length :]

    fillings = st.sampled_from(['"', "{", "}", "null", "-1", "1e999", "\\ud800", "", "0", "\x00", "ä"])
    return st.builds(damage, st.sampled_from(frames), st.floats(0, 1), st.integers(0, 30), fillings)


# Webhooks -----------------------------------------------------------------------------------------------------------


def changed(request: WebhookRequest, **changes: Any) -> WebhookRequest:
    return msgspec.structs.replace(request, **changes)


def ringing(case: Case, caller: str = CALLER) -> WebhookRequest:
    return case.desk.inbound(call_id=case.call_id, caller=caller, callee=CALLEE, at=NOW)


def every_request(case: Case) -> list[WebhookRequest]:
    return [
        ringing(case),
        case.desk.progress(call_id=case.call_id, phase=CallPhase.COMPLETED, at=NOW),
        case.desk.machine(call_id=case.call_id, at=NOW),
        case.desk.unrelated(call_id=case.call_id, at=NOW),
    ]


def test_requests_of_the_carrier_are_believed(case: Case) -> None:
    for request in every_request(case):
        case.webhooks.verify(request, now=NOW + 2)
        assert is_signed(case.name, request)


def test_requests_that_nobody_or_somebody_else_signed_are_refused(case: Case) -> None:
    for request in every_request(case):
        for header in case.signed_by:
            bare = {name: value for name, value in request.headers.items() if name != header}
            assert len(bare) < len(request.headers)
            for headers in (bare, bare | {header: ""}, bare | {header: "ünsigned"}, bare | {header: "Bearer a.b.c"}):
                with pytest.raises(BadSignature):
                    case.webhooks.verify(changed(request, headers=headers), now=NOW)
        assert not is_signed(case.name, changed(request, headers={}))
        with pytest.raises(BadSignature):
            case.strangers.verify(request, now=NOW)


def test_a_changed_body_is_refused(case: Case) -> None:
    request = ringing(case)
    other = case.desk.inbound(call_id=case.call_id, caller="+14155550199", callee=CALLEE, at=NOW)
    for body in (other.body, b"", request.body + b"&x=1", request.body[:-1], request.body + b"\n", b"\xff" * 100):
        assert body != request.body
        with pytest.raises(BadSignature):
            case.webhooks.verify(changed(request, body=body), now=NOW)


def test_a_changed_address_is_refused_where_it_is_signed(case: Case) -> None:
    request = ringing(case)
    for url in (URL.replace("pn_1", "pn_2"), URL.replace("voice.", "evil."), URL + "&x=1", URL.partition("?")[0]):
        if case.signs_address:
            with pytest.raises(BadSignature):
                case.webhooks.verify(changed(request, url=url), now=NOW)
        else:
            case.webhooks.verify(changed(request, url=url), now=NOW)


def test_an_old_request_is_refused_where_it_says_its_time(case: Case) -> None:
    request = ringing(case)
    for now in (NOW + 3600, NOW - 3600):
        if case.keeps_time:
            with pytest.raises(BadSignature):
                case.webhooks.verify(request, now=now)
        else:
            case.webhooks.verify(request, now=now)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_request_is_believed_or_read_by_accident(data: st.DataObject) -> None:
    for case in CASES:
        request = ringing(case)
        body = data.draw(st.one_of(st.binary(), st.sampled_from([b"[]", b"null", b"{}", b"[" * 30000, b'"\\ud800"'])))
        headers = {name: data.draw(st.one_of(st.just(value), st.text())) for name, value in request.headers.items()}
        odd = changed(request, body=body, headers=headers)
        with pytest.raises(BadSignature):
            case.webhooks.verify(odd, now=NOW)
        with suppress(BadWebhook):
            case.webhooks.read(odd)


def test_a_call_to_a_number_of_ours_is_read(case: Case) -> None:
    (event,) = case.webhooks.read(ringing(case))
    assert isinstance(event, InboundCall)
    assert (event.call_id, event.caller, event.callee) == (case.call_id, CALLER, CALLEE)
    assert event.country in (None, "US")


def test_a_caller_who_withholds_his_number_has_none(case: Case) -> None:
    (event,) = case.webhooks.read(ringing(case, caller="anonymous"))
    assert isinstance(event, InboundCall)
    assert event.caller is None


def test_what_becomes_of_a_call_is_read(case: Case) -> None:
    for phase in case.phases:
        (event,) = case.webhooks.read(case.desk.progress(call_id=case.call_id, phase=phase, at=NOW))
        assert isinstance(event, CallProgress)
        assert (event.call_id, event.phase) == (case.call_id, phase)
        assert event.seconds is None or event.seconds >= 0


def test_a_repeated_event_is_told_by_its_id_and_another_one_has_another(case: Case) -> None:
    names: set[str] = set()
    requests = [ringing(case), case.desk.machine(call_id=case.call_id, at=NOW)]
    requests += [
        case.desk.progress(call_id=case.call_id, phase=phase, at=NOW) for phase in case.phases - {CallPhase.RINGING}
    ]
    for request in requests:
        (first,), (again,) = case.webhooks.read(request), case.webhooks.read(request)
        assert first == again
        assert first.event_id
        names.add(first.event_id)
    assert len(names) == len(requests)


def test_an_answering_machine_is_told(case: Case) -> None:
    (event,) = case.webhooks.read(case.desk.machine(call_id=case.call_id, at=NOW))
    assert isinstance(event, MachineDetected)
    assert (event.call_id, event.answered_by) == (case.call_id, AnsweredBy.MACHINE)


def test_what_matters_to_nobody_here_says_nothing(case: Case) -> None:
    assert case.webhooks.read(case.desk.unrelated(call_id=case.call_id, at=NOW)) == ()


def test_a_signed_request_that_says_nothing_documented_is_an_error(case: Case) -> None:
    request = case.desk.nonsense(at=NOW)
    case.webhooks.verify(request, now=NOW)
    with pytest.raises(BadWebhook):
        case.webhooks.read(request)


def test_an_answer_names_the_stream_its_token_and_its_parameters(case: Case) -> None:
    target = StreamTarget(
        url="wss://voice.example.com/media",
        token="t0k3n",
        parameters={"agent": HOSTILE},
        resume_url="https://voice.example.com/resume?call=c_1&again=<yes>",
    )
    document = case.webhooks.connect(target)
    read = case.desk.stream_of(document)
    if read is None:
        assert document.body == b""
    else:
        assert (read.url, read.token, read.parameters) == (target.url, target.token, target.parameters)
        assert read.resume_url in (None, target.resume_url)


def test_a_call_that_is_refused_hears_why_whatever_the_text_holds(case: Case) -> None:
    for text in ("Sorry, nobody is here.", HOSTILE, "a\x00b\x1bc\ud800d\ufffe"):
        for language in ("en", "de-DE", "xx", ""):
            document = case.webhooks.refuse(text, language)
            said = case.desk.said_of(document)
            if said is None:
                assert document.body == b""
            else:
                allowed = "".join(sign for sign in text if sign not in "\x00\x1b\ud800\ufffe")
                assert said.replace("\n", " ") in (allowed.replace("\n", " "), text.replace("\n", " "))
