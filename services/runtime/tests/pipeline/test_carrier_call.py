"""A conversation over a carrier that plays what it gets a while later: what was heard is what the carrier has played. In virtual time."""

import asyncio
import base64
import json
from collections import deque
from typing import Any

import msgspec
import pytest
from voisnap_domain.agents import FirstMessageMode, Sensitivity
from voisnap_domain.conversations import Speaker
from voisnap_domain.ids import SessionId
from voisnap_media.pcm import Pcm
from voisnap_providers.carriers import media_wire
from voisnap_providers.errors import DigitsUnsent
from voisnap_runtime.carriers.line import CarrierLine
from voisnap_runtime.carriers.rates import Rates
from voisnap_runtime.pipeline.events import AudioCleared, KeyReceived
from voisnap_testkit.twilio_carrier import STREAM

pytestmark = [pytest.mark.media, pytest.mark.virtual_time]

UP, DOWN, BUFFER = 0.08, 0.06, 0.06
"""Seconds: our way to the carrier and back, and what it keeps before it plays."""
STORY = "Once upon a time there was a baker who baked bread every single day of his long and quiet life in the village."


class PlayingCarrier:
    """Twilio's end with a clock: plays 20 ms each 20 ms, from `BUFFER` after the first sound on. The line's pipe."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: deque[bytes | str] = deque()
        self._plays_from: float | None = None
        self.line: CarrierLine | None = None
        self.rates = Rates()
        self._since = self._loop.time()
        self.began = 0.0
        """When the first sound was played, in seconds of the call."""
        self.played = 0.0
        """Seconds of sound that were played."""
        self.cleared: list[float] = []
        self.dropped = 0.0
        self.closed: int | None = None

    def write(self, frame: str | bytes) -> bool:
        self._loop.call_later(UP, self._take, json.loads(frame))
        return True

    def close(self, code: int) -> None:
        self.closed = code

    def abort(self) -> None:
        self.closed = 1006

    def tell(self, event: str, **content: Any) -> None:
        message = json.dumps({"event": event, "streamSid": STREAM, "sequenceNumber": "9", **content})
        assert self.line is not None
        self._loop.call_later(DOWN, self.line.take, message)

    def tick(self) -> None:
        now = self._loop.time()
        if self._plays_from is None or now < self._plays_from - 1e-6:
            return
        room = 160
        self.began = self.began or now - self._since
        while self._queue and (room or isinstance(self._queue[0], str)):
            entry = self._queue.popleft()
            if isinstance(entry, str):
                self.tell("mark", mark={"name": entry})
                continue
            piece, rest = entry[:room], entry[room:]
            room -= len(piece)
            self.played += len(piece) / 8000
            if rest:
                self._queue.appendleft(rest)
        if not self._queue:
            self._plays_from = None

    def _take(self, message: dict[str, Any]) -> None:
        match message["event"]:
            case "media":
                self._queue.append(base64.b64decode(message["media"]["payload"]))
                if self._plays_from is None:
                    self._plays_from = self._loop.time() + BUFFER
            case "mark":
                if self._queue:
                    self._queue.append(message["mark"]["name"])
                else:
                    self.tell("mark", mark=message["mark"])
            case "clear":
                self.cleared.append(self._loop.time())
                self.dropped += sum(len(entry) for entry in self._queue if isinstance(entry, bytes)) / 8000
                for entry in self._queue:
                    if isinstance(entry, str):
                        self.tell("mark", mark={"name": entry})
                self._queue.clear()
                self._plays_from = None


class Frames(list):
    """What left the mouth goes to the carrier as well."""

    def __init__(self, carrier: PlayingCarrier) -> None:
        super().__init__()
        self._carrier = carrier

    def append(self, frame: Pcm | None) -> None:
        super().append(frame)
        assert self._carrier.line is not None
        self._carrier.line.send(frame)
        self._carrier.rates.spoken.run()
        self._carrier.tick()


class Session:
    """The session as a line knows it."""

    def __init__(self, call: Any) -> None:
        self.feed, self.dtmf, self.end = call.feed, call.dtmf, call.end
        self.states: list[str] = []

    def heard_from(self, at: float) -> None: ...

    def holds(self, line: CarrierLine) -> bool:
        return True

    def media_changed(self, line: CarrierLine, state: str) -> None:
        self.states.append(state)


@pytest.fixture
async def phoned(lines, agent):
    """`await phoned(…)`: (line, carrier) of an agent that answers over a carrier."""

    async def connect(**changes: Any) -> tuple[Any, PlayingCarrier]:
        line = await lines(agent(**changes), connected=False)
        carrier = PlayingCarrier()
        wire = media_wire("twilio")
        start = {
            "streamSid": STREAM,
            "callSid": "CA1",
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }
        (started,) = wire.read(json.dumps({"event": "start", "streamSid": STREAM, "start": start}))

        async def hang_up() -> None: ...

        carrier.line = CarrierLine(
            wire,
            started,
            carrier,
            Session(line.call),
            provider="twilio",
            session_id=SessionId("call_1"),
            call_id="CA1",
            clock=asyncio.get_running_loop().time,
            hang_up=hang_up,
            hangs_up_by_closing=False,
            rates=carrier.rates,
        )
        line.frames = Frames(carrier)
        line.call.play_through(carrier.line)
        await line.connect()
        return line, carrier

    return connect


def greeting(text: str) -> dict[str, Any]:
    return {"first_message": text, "first_message_mode": FirstMessageMode.ASSISTANT_SPEAKS_FIRST}


async def test_the_playout_delay_is_learned_from_marks(phoned):
    line, carrier = await phoned(**greeting(STORY))
    await line.until(lambda: carrier.played > 2)
    # This carrier plays a frame whole at its beginning.
    assert carrier.line.delay() == pytest.approx(UP + BUFFER + DOWN - 0.02, abs=0.03)


async def test_an_utterance_is_over_when_the_carrier_has_played_it(phoned):
    line, carrier = await phoned(**greeting("Hello, how can I help you today?"))
    await line.until_turns(1)
    sounded = sum(len(frame) for frame in line.frames if frame is not None) / 24000
    assert carrier.played >= sounded - 0.02
    assert line.turns[0].text == "Hello, how can I help you today?"
    assert not line.turns[0].interrupted


async def test_an_interrupted_agent_is_on_record_with_what_the_carrier_played(phoned, agent):
    interruption = msgspec.structs.replace(agent().interruption, sensitivity=Sensitivity.HIGH)
    line, carrier = await phoned(**greeting(STORY), interruption=interruption)
    await line.until(lambda: carrier.played > 2.5)
    line.says("wait a moment please stop talking")
    await line.until_turns(2)

    turn = next(turn for turn in line.turns if turn.speaker is Speaker.AGENT)
    assert turn.interrupted
    assert STORY.startswith(turn.text)
    assert line.of(AudioCleared)
    heard = sum(word.end_time - word.start_time for word in turn.words)
    assert carrier.played - 0.75 < heard <= carrier.played + 0.05
    assert turn.start_time == pytest.approx(carrier.began + DOWN, abs=0.05)


async def test_what_was_under_way_when_the_agent_was_cut_was_not_heard(phoned):
    line, carrier = await phoned(**greeting("a b c d e f g h i j k l m n o p q r s t u v w x y z " * 2))
    await line.until(lambda: carrier.played > 3)
    await line.hang_up()
    played = carrier.played
    paced = sum(len(frame) for frame in line.frames if frame is not None) / 24000
    (turn,) = line.turns

    assert paced - played > UP
    assert played - 0.25 < turn.words[-1].end_time - turn.start_time <= played + 0.02
    assert turn.text.split() == [word.word for word in turn.words]
    await line.wait(1)
    assert carrier.cleared
    assert carrier.dropped > 0
    assert carrier.played < paced


async def test_the_carrier_is_cleared_though_all_had_left_already(phoned, agent):
    interruption = msgspec.structs.replace(agent().interruption, sensitivity=Sensitivity.HIGH)
    line, carrier = await phoned(**greeting(STORY), interruption=interruption)
    total = len(STORY) * 0.06
    await line.until(lambda: carrier.played > total - 1.2)
    line.says("no no no please stop it now and listen to me")
    await line.until_turns(2)
    assert carrier.cleared


async def test_marks_of_what_was_cleared_say_nothing(phoned, agent):
    interruption = msgspec.structs.replace(agent().interruption, sensitivity=Sensitivity.HIGH)
    line, carrier = await phoned(**greeting(STORY), interruption=interruption)
    await line.until(lambda: carrier.played > 2.5)
    before = carrier.line.delay()
    line.says("wait a moment please stop talking")
    await line.until(lambda: carrier.cleared)
    await line.wait(0.2)
    assert carrier.line.delay() == pytest.approx(before, abs=0.01)


async def test_a_carrier_that_stops_to_play_holds_back_what_counts_as_heard(phoned):
    line, carrier = await phoned(**greeting(STORY))
    await line.until(lambda: carrier.played > 2)
    carrier.tick = lambda: None
    await line.wait(1.0)
    assert 0.5 < carrier.line.delay() < 1.2


async def test_keys_pressed_by_tones_wait_for_the_agent_to_finish(phoned):
    line, carrier = await phoned(**greeting("Hello."))

    class Control:
        async def send_digits(self, call_id: str, digits: str) -> None:
            raise DigitsUnsent("not while a stream runs", provider="twilio")

    await carrier.line.press("12#", Control())
    with pytest.raises(ValueError, match="no key"):
        await carrier.line.press("x", Control())
    await line.until_turns(1)
    spoken = carrier.played
    await line.wait(1.0)
    assert carrier.played - spoken == pytest.approx(3 * 0.2, abs=0.2)


async def test_a_key_of_the_caller_comes_once_by_event_and_tone(phoned):
    line, carrier = await phoned(**greeting("Hello."))
    await line.until_turns(1)
    carrier.tell("dtmf", dtmf={"track": "inbound_track", "digit": "5"})
    await line.until(lambda: bool(line.of(KeyReceived)))
    assert [event.digit for event in line.of(KeyReceived)] == ["5"]


async def test_a_carrier_that_says_nothing_is_asked_and_given_up_in_the_end(phoned):
    line, carrier = await phoned(**greeting("Hello."))
    await line.until_turns(1)
    await line.wait(20)
    assert carrier.closed is None, "it answers marks"
    carrier.tell = lambda event, **content: None
    gone = await line.until(lambda: carrier.closed is not None, within=15)
    assert carrier.closed == 1006
    assert gone


async def test_a_carrier_that_takes_nothing_is_dropped_and_not_buffered_for(phoned):
    line, carrier = await phoned(**greeting(STORY))
    await line.until(lambda: carrier.played > 1)
    refused: list[str | bytes] = []
    carrier.write = lambda frame: bool(refused.append(frame))
    started = line.now
    stopped = await line.until(lambda: carrier.closed is not None)
    assert 1.9 < stopped - started < 2.5
