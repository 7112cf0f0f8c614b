"""All calls of the simulated network, and the telephones that can be rung."""

import asyncio
import time
from collections import OrderedDict
from typing import Any

from voisnap_simulator.faults import NONE, Faults
from voisnap_simulator.persona.behaviour import Behaviour, behaviour_of
from voisnap_simulator.persona.hearing import Ears, LocalEars
from voisnap_simulator.persona.minds import Minds
from voisnap_simulator.persona.voice import LocalVoice, Voice
from voisnap_simulator.world import World

from .calls import Call, Room, Telephone
from .hooks import Hooks

MAX_CALLS = 500
"""Calls at one time; a real account is bounded too."""
MAX_ENDED = 500
"""Ended calls that can still be asked about."""
MAX_TELEPHONES = 10_000
MAX_HEARD = 10
"""Calls whose audio is kept."""


class Busy(Exception):
    """There is no line for one more call."""


class Exchange:
    """One for a world (`exchange_of`)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.hooks = Hooks(world)
        self.voice: Voice = LocalVoice()
        self.ears: Ears = LocalEars(world.models)
        self.minds = Minds(world.models, world.providers)
        self.calls: OrderedDict[str, Call] = OrderedDict()
        self.rooms: dict[str, Room] = {}
        self.behaviours: OrderedDict[str, tuple[Behaviour, Faults, bool]] = OrderedDict()
        """How telephones behave that somebody described, by number; with the faults of their lines, and whether their sound is kept."""
        self.commands: OrderedDict[str, Any] = OrderedDict()
        """What was answered to commands that bear an id of their own."""

    def describe(self, number: str, behaviour: Behaviour, faults: Faults = NONE, *, keeps_audio: bool = False) -> None:
        """Say how a telephone behaves from now on."""
        self.behaviours[number] = (behaviour, faults, keeps_audio)
        self.behaviours.move_to_end(number)
        while len(self.behaviours) > MAX_TELEPHONES:
            self.behaviours.popitem(last=False)

    def call_to(self, provider: str, id: str, *, caller: str, callee: str) -> Call:
        """A call to a telephone. Raises Busy."""
        behaviour, faults, keeps_audio = self.behaviours.get(callee) or (behaviour_of(callee), NONE, False)
        return self._call(provider, id, caller, callee, "outbound", behaviour, faults, keeps_audio)

    def call_from(
        self,
        provider: str,
        id: str,
        *,
        caller: str,
        callee: str,
        behaviour: Behaviour,
        faults: Faults = NONE,
        keeps_audio: bool = False,
    ) -> Call:
        """A call that somebody makes to one of the platform's numbers. Raises Busy."""
        return self._call(provider, id, caller, callee, "inbound", behaviour, faults, keeps_audio)

    def find(self, id: str) -> Call | None:
        """A call by its id at the carrier."""
        return self.calls.get(id)

    def live(self) -> list[Call]:
        """Calls that go on."""
        return [call for call in self.calls.values() if not call.ended.is_set()]

    async def aclose(self) -> None:
        """End all calls."""
        await asyncio.gather(*(call.aclose() for call in self.calls.values()))
        await self.hooks.aclose()
        await self.minds.aclose()
        if isinstance(self.ears, LocalEars):
            await self.ears.aclose()

    def _call(
        self,
        provider: str,
        id: str,
        caller: str,
        callee: str,
        direction: str,
        behaviour: Behaviour,
        faults: Faults,
        keeps_audio: bool,
    ) -> Call:
        if len(self.live()) >= MAX_CALLS:
            raise Busy(f"{MAX_CALLS} calls at a time")
        # Sound is loaded with the first call: a simulator that nobody uses does without.
        from voisnap_simulator.persona.person import Senses, telephone_of  # noqa: PLC0415

        made: list[Call] = []
        early: list[tuple[str, dict[str, Any]]] = []

        def note(kind: str, **detail: Any) -> None:
            if made:
                made[0].note(kind, **detail)
            else:
                early.append((kind, detail))

        person = caller if direction == "inbound" else callee
        senses = Senses(
            voice=self.voice, ears=self.ears, mind=lambda behaviour: self.minds.mind(behaviour, person, note)
        )
        telephone: Telephone = telephone_of(behaviour, senses, note, lambda: made[0].drop_line())
        call = Call(
            provider=provider,
            id=id,
            caller=caller,
            callee=callee,
            direction=direction,
            telephone=telephone,
            faults=faults,
            keeps_audio=keeps_audio,
        )
        made.append(call)
        call.note("began", provider=provider, direction=direction)
        for kind, detail in early:
            call.note(kind, **detail)
        if (live := getattr(telephone, "live", None)) is not None and behaviour.listens:
            call.spawn(live(call.ended), outlives=True)
        self.calls[id] = call
        heard = [one for one in self.calls.values() if one.audio is not None]
        for one in heard[:-MAX_HEARD]:
            one.audio = None
        while len(self.calls) > MAX_CALLS + MAX_ENDED:
            gone = next((one for one in self.calls.values() if one.ended.is_set()), None)
            if gone is None:
                break
            del self.calls[gone.id]
        return call

    def remembered(self, command: str, answer: Any = None) -> Any:
        """What was answered to a command before; else keeps `answer`."""
        known = self.commands.get(command)
        if known is None and answer is not None:
            self.commands[command] = known = answer
            while len(self.commands) > MAX_CALLS:
                self.commands.popitem(last=False)
        return known


def exchange_of(world: World) -> Exchange:
    """The world's."""
    return world.part(Exchange, lambda: Exchange(world))


def rfc2822(at: float | None) -> str | None:
    """A moment as Twilio writes it."""
    return None if at is None else time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(at))


def iso(at: float | None = None, digits: int = 3) -> str:
    """A moment as Vonage (3) and Telnyx (6 digits) write it."""
    at = time.time() if at is None else at
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
    return f"{whole}.{int(at % 1 * 10**digits):0{digits}d}Z"
