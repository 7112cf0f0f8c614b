"""One call's media socket as the transport of its session (`Transport`): a carrier's frames to the ear, the mouth's to the carrier.

Everything is synchronous: a frame goes from the socket to the ear, and from the mouth into the socket's buffer, without a task or a queue.
What the other side has heard is known from marks, since a carrier plays what it gets a while later and can be told to drop it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from voisnap_domain.ids import SessionId
from voisnap_domain.sessions import EndReason
from voisnap_kit import log
from voisnap_media.key_tones import key_tones
from voisnap_media.pcm import Pcm
from voisnap_media.polyphase import Polyphase, is_simple
from voisnap_media.resample import Resampler
from voisnap_media.vad import NARROW_RATE
from voisnap_providers.errors import DigitsUnsent
from voisnap_providers.ports.carrier import (
    AudioHeard,
    CallControl,
    KeyPressed,
    MalformedMedia,
    MarkReached,
    MediaEvent,
    MediaFault,
    MediaStarted,
    MediaStopped,
    MediaWire,
)

from voisnap_runtime import metrics
from voisnap_runtime.transports.port import SINK_RATE, SOURCE_RATE, AudioSink, LinkQuality, TransportState

from .playout import Marks
from .rates import Rates

MAX_AHEAD_SECONDS = 2.0
"""Audio that may come earlier than in real time: what a network held back comes at once. More is dropped."""
MAX_MALFORMED = 50
"""Frames that make no sense, beyond one in `GOOD_FRAMES`; then it is not the carrier that speaks."""
GOOD_FRAMES = 10
PROBE_SECONDS = 2.0
"""Silence of a carrier, which sends fifty frames a second or pauses with the network: then it is asked for a mark."""
LOST_SECONDS = 8.0
"""Silence of a carrier, marks included, after which the socket is half open."""
STUCK_SECONDS = 2.0
"""How long a carrier may take nothing of what we send; it should take fifty frames a second."""
PLAY_OUT_SECONDS = 3.0
"""How long the last words may take to be heard before the call is ended."""

NORMAL, POLICY, RESTART = 1000, 1008, 1012

_PROBE = "probe"
_FRAME = SOURCE_RATE // 50

_log = log.get(__name__)


class Pipe(Protocol):
    """The socket below."""

    def write(self, frame: str | bytes) -> bool:
        """Send a frame now; False where there is no room, or no socket any more."""
        ...

    def close(self, code: int) -> None:
        """Say goodbye; the socket is gone soon."""
        ...

    def abort(self) -> None:
        """Drop the socket at once."""
        ...


class Caller(AudioSink, Protocol):
    """The session that is called."""

    def heard_from(self, at: float, /) -> None: ...
    def holds(self, line: "CarrierLine", /) -> bool: ...
    def end(self, reason: EndReason, /) -> None: ...
    def media_changed(self, line: "CarrierLine", state: str, /) -> None: ...


class HangUp(Protocol):
    """Ends the call at the carrier, whatever its socket does. Does not raise."""

    async def __call__(self) -> None: ...


class CarrierLine:
    """One call's audio. `clock` is the event loop's; `hangs_up_by_closing`: the carrier has no other word for the end of a call. With `rates`
    sound changes its rate together with that of other calls, on the process's next beat; without, at once and by itself."""

    def __init__(
        self,
        wire: MediaWire,
        started: MediaStarted,
        pipe: Pipe,
        caller: Caller,
        *,
        provider: str,
        session_id: SessionId,
        call_id: str,
        clock: Callable[[], float],
        hang_up: HangUp,
        hangs_up_by_closing: bool,
        rates: Rates | None = None,
    ) -> None:
        self.call_id = call_id
        """The carrier's."""
        self.provider = provider
        self.is_parted = False
        """The call goes somewhere else by our own wish: its stream stops, and nobody has hung up."""
        self._wire = wire
        self._pipe = pipe
        self._caller = caller
        self._session_id = session_id
        self._clock = clock
        self._hang_up = hang_up
        self._hangs_up_by_closing = hangs_up_by_closing
        self._state = TransportState.CONNECTED
        self._rate = started.heard.rate
        self._rates = rates
        self._to_ear = _converter(self._rate, SINK_RATE)
        # What is said is given to the wire at its own rate, frame for frame; rates of no simple ratio are left to it.
        spoken = started.spoken.rate
        self._to_carrier = Polyphase(SOURCE_RATE, spoken) if _is_worth_it(spoken) else None
        self._marks = Marks()
        self._tones: deque[Pcm] = deque()
        self._frame_at = self._probed_at = self._arrived = clock()
        self._ahead = 0.0
        self._faults = 0.0
        self._stuck_since: float | None = None
        self._clear_is_due = False
        self._is_over = False
        self._played_out = asyncio.Event()
        self._frames_in = self._frames_out = 0
        self.dropped = 0
        """Frames that came too fast."""
        self._ending: asyncio.Future[None] | None = None
        self._count_delay = metrics.CARRIER_PLAYOUT_DELAY.labels(provider).observe
        self._count_malformed = metrics.CARRIER_MALFORMED.labels(provider).inc
        self._count_dropped_in = metrics.CARRIER_DROPPED.labels(provider, "in").inc
        self._count_dropped_out = metrics.CARRIER_DROPPED.labels(provider, "out").inc

    # From the carrier

    def take(self, frame: str | bytes) -> None:
        """A frame of the carrier. One that makes no sense is counted; many of them end the socket, and the call where nothing was heard."""
        try:
            events = self._wire.read(frame)
        except MalformedMedia as fault:
            self._malformed(fault)
            return
        self._frame_at = now = self._clock()
        for event in events:
            if type(event) is AudioHeard:
                self._hear(event.audio, now)
            else:
                self._happen(event, now)

    def gone(self, *, said_goodbye: bool) -> None:
        """The socket is closed, by a goodbye of the carrier or without one."""
        if self._state is not TransportState.CONNECTED:
            return
        if said_goodbye and self._hangs_up_by_closing:
            self._hung_up()
        else:
            self._become(TransportState.DISCONNECTED)

    def _hear(self, audio: Pcm, now: float) -> None:
        # How far the audio is ahead of the clock; silence in between brings it back to zero, never below.
        ahead = max(0.0, self._ahead - (now - self._arrived)) + len(audio.samples) / self._rate
        if ahead > MAX_AHEAD_SECONDS:
            self.dropped += 1
            self._count_dropped_in()
            return
        self._ahead, self._arrived = ahead, now
        self._frames_in += 1
        if self._faults:
            self._faults = max(0.0, self._faults - 1 / GOOD_FRAMES)
        if self._state is not TransportState.CONNECTED:
            return
        to_ear = self._to_ear
        if to_ear is None:
            self._caller.feed(audio, now)
        elif self._rates is None or type(to_ear) is not Polyphase:
            self._caller.feed(to_ear.process(audio), now)
        else:
            self._rates.heard.add(to_ear, audio, now, self._feed, self._broke)

    def _feed(self, audio: Pcm, at: float) -> None:
        if self._state is TransportState.CONNECTED:
            self._caller.feed(audio, at)

    def _broke(self) -> None:
        """A bug: the caller must not stay with somebody who hears or says nothing."""
        self._caller.end(EndReason.ERROR)

    def _happen(self, event: MediaEvent, now: float) -> None:
        match event:
            case MarkReached(name=name):
                self._caller.heard_from(now)
                delay = self._marks.reached(name, now)
                if delay is not None:
                    self._count_delay(delay)
                if not self._marks.awaits:
                    self._played_out.set()
            case KeyPressed(digit=digit):
                self._caller.dtmf(digit)
            case MediaStopped():
                self._hung_up()
            case MediaFault(code=code, detail=detail):
                metrics.CARRIER_FAULTS.labels(self.provider).inc()
                _log.warning("carrier.complained", session_id=self._session_id, code=code, detail=detail[:200])
            case _:
                pass  # a start is told once, and audio was taken already

    def _hung_up(self) -> None:
        """The carrier says that the stream is over: the caller has hung up, unless the call was sent elsewhere."""
        if self._state is not TransportState.CONNECTED:
            return
        current = self._caller.holds(self)
        self._become(TransportState.DISCONNECTED if self.is_parted else TransportState.CLOSED)
        self._is_over = True
        self._pipe.close(NORMAL)
        if current and not self.is_parted:
            self._caller.end(EndReason.USER_ENDED)

    def _malformed(self, fault: MalformedMedia) -> None:
        self._count_malformed()
        if self._state is not TransportState.CONNECTED:
            return
        if not self._faults:
            _log.info("carrier.malformed", session_id=self._session_id, provider=self.provider, fault=str(fault))
        self._faults += 1
        if self._faults > MAX_MALFORMED:
            _log.warning("carrier.flooded", session_id=self._session_id, provider=self.provider)
            if not self._frames_in:  # its next socket would bring the same, and the one after that
                self._caller.end(EndReason.ERROR)
            self._pipe.close(POLICY)
            self._become(TransportState.DISCONNECTED)

    # The transport

    @property
    def state(self) -> TransportState:
        return self._state

    @property
    def is_narrow(self) -> bool:
        """Whether the carrier's sound is a telephone's, with nothing above 4 kHz."""
        return self._rate == NARROW_RATE

    def send(self, audio: Pcm | None) -> None:
        """The agent's next 20 ms, as the shared pacer beats: in real time, so that little is ever under way."""
        if self._state is not TransportState.CONNECTED:
            return
        now = self._clock()
        if now - self._frame_at > PROBE_SECONDS:
            self._probe(now)
        if self._clear_is_due:
            self._clear_is_due = not self._write_all(self._wire.clear())
        if audio is None:
            if not self._tones:
                if self._marks.sounds:
                    self._pause(now)
                return
            audio = self._tones.popleft()
        self._frames_out += 1
        if self._to_carrier is None:
            self._say(audio, now)
        elif self._rates is None:
            self._say(self._to_carrier.process(audio), now)
        else:
            self._rates.spoken.add(self._to_carrier, audio, now, self._say, self._broke)

    def _say(self, audio: Pcm, at: float) -> None:
        """What was pulled at `at`, at the carrier's rate if that is one of the simple ones."""
        for frame in self._wire.audio(audio):
            self._write(frame)
        name = self._marks.paced(at)
        if name is not None:
            self._mark(name)

    def delay(self) -> float:
        """Seconds until what leaves now is heard (`mouth.Playout`)."""
        return self._marks.delay(self._clock())

    def clear(self) -> None:
        """Drop what is under way: the caller interrupts (`mouth.Playout`). Also when nothing should be: the carrier knows better."""
        self._marks.cleared()
        self._tones.clear()
        if self._to_carrier is not None:
            self._to_carrier.drop()
            if self._rates is not None:
                self._rates.spoken.drop(self._to_carrier)
        if self._state is TransportState.CONNECTED:
            metrics.CARRIER_CLEARS.labels(self.provider).inc()
            self._clear_is_due = not self._write_all(self._wire.clear())

    def quality(self) -> LinkQuality:
        """Frames that came and went; what the carrier lost before is its own knowledge."""
        return LinkQuality(packets_received=self._frames_in, packets_sent=self._frames_out)

    async def press(self, digits: str, control: CallControl) -> None:
        """Press keys of the telephone, as events where the carrier can, else by their tones, between the agent's words. Raises
        ProviderError, and ValueError for what is no key."""
        tones = key_tones(digits, SOURCE_RATE)
        try:
            await control.send_digits(self.call_id, digits)
        except DigitsUnsent:
            samples = tones.samples
            self._tones.extend(Pcm(samples[at : at + _FRAME], SOURCE_RATE) for at in range(0, len(samples), _FRAME))

    async def hang_up(self, *, within: float) -> None:
        """Let the last words be heard, then end the call at the carrier. What takes longer than `within` seconds goes on without us.
        Nothing happens to a call that the other side has ended."""
        if self._state is TransportState.CLOSED:
            return
        self._ending = asyncio.ensure_future(self._play_out_and_end(within))
        await asyncio.wait({self._ending}, timeout=within)

    async def close(self) -> None:
        """Close the socket and nothing else: a call that was not ended goes on by the carrier's resume path."""
        if self._state is not TransportState.CLOSED:
            self._become(TransportState.CLOSED)
        self._pipe.close(NORMAL if self._is_over else RESTART)

    async def _play_out_and_end(self, within: float) -> None:
        if self._state is TransportState.CONNECTED:
            if self._marks.sounds:
                self._pause(self._clock())
            if self._marks.awaits:
                self._played_out.clear()
                try:
                    async with asyncio.timeout(min(PLAY_OUT_SECONDS, within / 2)):
                        await self._played_out.wait()
                except TimeoutError:
                    _log.info("carrier.not_played_out", session_id=self._session_id)
        if self._state is not TransportState.CLOSED:  # meanwhile the caller may have hung up
            await self._hang_up()
        self._is_over = True

    # Inside

    def _pause(self, now: float) -> None:
        """The agent has said all for now."""
        if self._to_carrier is not None:
            self._write_all(self._wire.audio(self._to_carrier.finish()))
        self._mark(self._marks.paused(now))

    def _mark(self, name: str) -> None:
        self._write_all(self._wire.mark(name))

    def _write_all(self, frames: tuple[str | bytes, ...]) -> bool:
        return all(self._write(frame) for frame in frames)

    def _write(self, frame: str | bytes) -> bool:
        if self._pipe.write(frame):
            self._stuck_since = None
            return True
        self._count_dropped_out()
        now = self._clock()
        if self._stuck_since is None:
            self._stuck_since = now
        elif now - self._stuck_since > STUCK_SECONDS and self._state is TransportState.CONNECTED:
            self._give_up("takes_nothing")
        return False

    def _probe(self, now: float) -> None:
        """A carrier that says nothing may have nothing to say: a mark with nothing before it comes back at once."""
        if now - self._frame_at > LOST_SECONDS:
            self._give_up("says_nothing")
        elif now - self._probed_at > PROBE_SECONDS:
            self._probed_at = now
            self._mark(_PROBE)

    def _give_up(self, why: str) -> None:
        _log.warning("carrier.half_open", session_id=self._session_id, provider=self.provider, why=why)
        self._pipe.abort()
        self._become(TransportState.DISCONNECTED)

    def _become(self, state: TransportState) -> None:
        self._state = state
        self._tones.clear()
        self._played_out.set()
        self._caller.media_changed(self, state)


def _is_worth_it(rate: int) -> bool:
    return rate != SOURCE_RATE and is_simple(SOURCE_RATE, rate)


def _converter(from_rate: int, to_rate: int) -> Polyphase | Resampler | None:
    """What changes the rate of sound that comes in; None where it is right already."""
    if from_rate == to_rate:
        return None
    kind = Polyphase if is_simple(from_rate, to_rate) else Resampler
    return kind(from_rate, to_rate)
