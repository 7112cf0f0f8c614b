"""Whoever is called to take a call over, in virtual time: what he hears, and what his words and keys come to."""

import asyncio
from typing import Any

import pytest
from voisnap_domain.calls import TransferAcceptance
from voisnap_domain.costs import Usage
from voisnap_domain.ids import NodeId, SessionId
from voisnap_domain.sessions import Channel, EndReason, Session, SessionState
from voisnap_kit.bus import NoResponders
from voisnap_media.pcm import Pcm
from voisnap_providers.ports.carrier import AudioCodec, AudioFormat, MediaStarted
from voisnap_runtime.pipeline.call import Call
from voisnap_runtime.transfers.offering import LegHeard, LegSays, LegWord, Offers, Unwanted
from voisnap_runtime.transfers.store import Offer
from voisnap_testkit.fakes_speech import FakeStt, FakeTts

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

PCMU = AudioFormat(codec=AudioCodec.PCMU, rate=8000)
ASK = "Press 1 or say yes to take the call. Press 2 to decline."
OPENING = f"Hello, this is Aria, the automated assistant. I have a caller on the line for you. {ASK}"


def offer_of(**changes: Any) -> Offer:
    values: dict[str, Any] = {
        "session_id": SessionId("call_1"),
        "transfer_id": "xfer_1",
        "owner": NodeId("node_1"),
        "provider": "twilio",
        "acceptance": TransferAcceptance.CONFIRM,
        "opening": OPENING,
        "ask": ASK,
        "again": "A caller is waiting to speak to you.",
        "thanks": "All right. Goodbye.",
    }
    return Offer(**(values | changes))


class Office:
    """The process that holds the caller, and all that the other side's process needs."""

    def __init__(self, plan: Any, offer: Offer) -> None:
        self.plan = plan
        self.kept: dict[str, Offer] = {"tok": offer}
        self.state = SessionState.ACTIVE
        self.said: list[LegWord] = []
        self.usage: Usage | None = None
        self.is_known = True
        self.is_gone = False
        self.hung_up: list[str] = []
        self.asked_at: list[str] = []

    async def take_offer(self, token: str) -> Offer | None:
        return self.kept.pop(token, None)

    async def get(self, session_id: SessionId) -> Session | None:
        return Session(plan=self.plan, state=self.state, revision=1, deadline=self.plan.created_at)

    async def hear(self, says: LegSays) -> LegHeard:
        self.said.append(says.word)
        self.usage = says.usage or self.usage
        return LegHeard(is_known=self.is_known)

    async def request(self, subject: str, message: LegSays, kind: type, *, timeout: float = 2.0) -> LegHeard:
        self.asked_at.append(subject)
        if self.is_gone:
            raise NoResponders("nobody")
        return await self.hear(message)

    async def hang_up(self, plan: Any, call_id: str) -> None:
        self.hung_up.append(call_id)

    def add(self, source: Any, transport: Any, *, on_fault: Any = None) -> None: ...
    def remove(self, source: Any) -> None: ...


class Leg:
    """His line."""

    state = "connected"
    call_id = "other"

    def send(self, audio: Any) -> None: ...


class Answered:
    """What the rig takes for a call: his media go in and out, and running it makes the offer."""

    def __init__(self, offered: Any, call: Call) -> None:
        self.offered, self._call = offered, call

    def feed(self, audio: Pcm, arrived_at: float) -> None:
        self.offered.feed(audio, arrived_at)

    def pull(self) -> Pcm | None:
        return self._call.pull()

    async def run(self) -> None:
        await self.offered.run(Leg())


def started(token: str = "tok", provider: str = "twilio") -> MediaStarted:  # noqa: S107
    return MediaStarted(
        call_id="other", stream_id="s", heard=PCMU, spoken=PCMU, parameters={"token": token, "role": "human"}
    )


@pytest.fixture
async def ring(lines, agent, make_plan) -> Any:
    """`line, office = await ring(offer)`: somebody has answered."""

    async def made(offer: Offer | None = None, *, office: Office | None = None, node: str = "node_1") -> Any:
        line = await lines(agent(), connected=False)
        office = office or Office(make_plan(channel=Channel.PHONE), offer or offer_of())
        calls: list[Call] = []

        def make_call(plan: Any, brain: Any, notify: Any) -> Call:
            def told(event: Any) -> None:
                line._note(event)
                notify(event)

            stt, tts = FakeStt(delay_ms=30), FakeTts(delay_ms=40)
            calls.append(Call(plan, stt=stt, tts=tts, llm=brain, vad=line.vad, recorder=None, notify=told))
            return calls[-1]

        offers = Offers(
            node_id=NodeId(node),
            offers=office,  # type: ignore[arg-type]
            sessions=office,  # type: ignore[arg-type]
            bus=office,
            pacer=office,
            make_call=make_call,
            hang_up=office.hang_up,
            hear=office.hear,
        )
        offered = await offers.admit("twilio", started())
        line.call = Answered(offered, calls[-1])
        await line.connect()
        return line, office

    return made


def spoken(line: Any) -> str:
    return " ".join(turn.text for turn in line.turns if turn.speaker.value == "agent")


async def decided(line: Any, office: Office, word: LegWord) -> None:
    await line.until(lambda: word in office.said, within=100.0)
    assert office.said == [LegWord.ANSWERED, word]
    assert office.usage is not None


async def test_somebody_hears_what_it_is_about_and_takes_the_call_by_saying_so(ring) -> None:
    line, office = await ring()
    line.says("hello")
    await line.until(lambda: ASK in spoken(line))
    assert spoken(line) == OPENING
    line.says("yes please put him through")
    await decided(line, office, LegWord.ACCEPTED)
    await line.wait(10)
    assert spoken(line) == OPENING
    assert office.hung_up == []
    line.call.offered.media_changed(None, "disconnected")
    await line.wait(1)
    assert office.hung_up == []


async def test_a_key_counts_at_once_though_the_offer_is_still_being_made(ring) -> None:
    for digit, word in (("1", LegWord.ACCEPTED), ("2", LegWord.REFUSED)):
        line, office = await ring()
        line.says("hello")
        await line.until_state("speaking")
        line.call.offered.dtmf("7")
        pressed = line.now
        line.call.offered.dtmf(digit)
        await decided(line, office, word)
        assert line.now - pressed < 0.1


async def test_somebody_who_says_no_is_thanked(ring) -> None:
    line, office = await ring()
    line.says("hello")
    await line.until(lambda: ASK in spoken(line))
    line.says("no I can't right now")
    await decided(line, office, LegWord.REFUSED)
    assert "All right" in spoken(line)


async def test_a_yes_that_answers_the_telephone_takes_no_call(ring) -> None:
    for said in ("hello", "yes"):
        line, office = await ring()
        line.says(said)
        await line.until_state("speaking")
        await line.wait(0.3)
        line.says("yes this is Tom speaking")
        await line.until(lambda line=line: spoken(line).count(ASK) == 1)
        assert office.said == [LegWord.ANSWERED]


async def test_whoever_asks_back_is_asked_again_and_whoever_is_silent_too(ring) -> None:
    line, office = await ring()
    line.says("hello")
    await line.until(lambda: ASK in spoken(line))
    line.says("who is there")
    await line.until(lambda: spoken(line).count(ASK) == 2)
    assert "A caller is waiting to speak to you." in spoken(line)
    await line.until(lambda: spoken(line).count(ASK) == 3)
    await decided(line, office, LegWord.UNDECIDED)


async def test_somebody_takes_the_call_by_staying_where_that_is_wished(ring) -> None:
    line, office = await ring(offer_of(acceptance=TransferAcceptance.STAY))
    line.says("hello")
    await decided(line, office, LegWord.ACCEPTED)
    assert spoken(line) == OPENING


async def test_a_machine_is_offered_nothing(ring) -> None:
    line, office = await ring()
    line.says("hello you have reached the voicemail of the sales department please leave a message after the tone")
    await decided(line, office, LegWord.MACHINE)
    assert ASK not in spoken(line)


async def test_somebody_who_hangs_up_is_gone(ring) -> None:
    line, office = await ring()
    line.says("hello")
    await line.until_state("speaking")
    line.call.offered.end(EndReason.USER_ENDED)
    await decided(line, office, LegWord.GONE)


async def test_a_call_whose_transfer_is_over_is_hung_up(ring, lines, agent) -> None:
    line, office = await ring()
    line.says("hello")
    await line.until(lambda: ASK in spoken(line))
    office.is_known = False
    line.says("yes")
    await line.until(lambda: office.hung_up == ["other"])


async def test_somebody_who_waits_in_vain_for_the_caller_is_hung_up(ring) -> None:
    line, office = await ring()
    line.call.offered.dtmf("1")
    line.says("hello")
    await line.until_state("speaking")
    line.call.offered.dtmf("1")
    await line.until(lambda: office.hung_up == ["other"])
    assert line.now > 45


async def test_the_process_that_holds_the_caller_is_told_wherever_it_is(ring) -> None:
    line, office = await ring(node="node_2")
    line.says("hello")
    await line.until(lambda: ASK in spoken(line))
    line.says("yes")
    await decided(line, office, LegWord.ACCEPTED)
    assert set(office.asked_at) == {"node.node_1.transfer_leg.v1"}


async def test_a_process_that_died_with_the_caller_leaves_nobody_on_the_line(ring) -> None:
    line, office = await ring(node="node_2")
    line.says("hello")
    await line.until(lambda: ASK in spoken(line))
    office.is_gone = True
    line.says("yes")
    await line.until(lambda: office.hung_up == ["other"])


async def test_only_the_token_of_an_offer_lets_somebody_in_and_once(make_plan) -> None:
    office = Office(make_plan(channel=Channel.PHONE), offer_of(provider="vonage"))
    offers = Offers(
        node_id=NodeId("node_1"),
        offers=office,  # type: ignore[arg-type]
        sessions=office,  # type: ignore[arg-type]
        bus=office,
        pacer=office,
        make_call=lambda *_: pytest.fail("nobody is to be talked to"),
        hang_up=office.hang_up,
        hear=office.hear,
    )
    for token in ("", "other", "x" * 300, "tok", "tok"):
        with pytest.raises(Unwanted):
            await offers.admit("twilio", started(token))
    office.kept["tok"] = offer_of()
    office.state = SessionState.ENDED
    with pytest.raises(Unwanted, match="gone"):
        await offers.admit("twilio", started())
    await asyncio.sleep(0)
    assert office.said == []
