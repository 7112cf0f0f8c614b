"""What the simulated messaging networks share: people with telephones, their texts both ways, and the course of a delivery."""

import asyncio
import base64
import binascii
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec
from voisnap_domain.sessions import Channel
from voisnap_domain.texting import sms_length

from voisnap_simulator.faults import Faults
from voisnap_simulator.voice.hooks import Hooks
from voisnap_simulator.world import Application, World

MAX_PEOPLE = 10_000
MAX_TEXTS = 20_000
MAX_MEDIA = 200
MAX_MEDIA_BYTES = 8_000_000
WINDOW_SECONDS = 24 * 3600.0
STOP_WORDS = frozenset({"STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"})
START_WORDS = frozenset({"START", "UNSTOP"})


class Knobs(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What goes wrong between us and one person, on purpose.

    `fail` is the network's own code with which every message to him fails on its way, `refuse` the one with which it is not even taken.
    `limit` messages are turned away as too many, to come again after `retry_after` seconds; `lose_answers` messages are taken and their
    answer is lost. `copies` is how often each webhook is posted, `reversed_states` posts what became of a message in reverse order, each
    `delay` seconds after the other; with `silent` none is posted, without `reads` nobody reads. `hides_number`: WhatsApp tells the id of a
    user and no number. `long_ago`: he wrote more than a day ago, whatever he wrote since.
    """

    fail: str = ""
    refuse: str = ""
    limit: int = 0
    retry_after: int = 1
    lose_answers: int = 0
    copies: int = 1
    reversed_states: bool = False
    delay: float = 0.05
    silent: bool = False
    reads: bool = True
    hides_number: bool = False
    long_ago: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.copies <= 100 or not 0 <= self.delay <= 30 or not 1 <= self.retry_after <= 3600:
            raise ValueError("1 to 100 copies, at most 30 s of delay, 1 to 3600 s until the next try")


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """Something that came with a message; `id` is the network's."""

    id: str
    content_type: str
    content: bytes
    kind: str = "image"
    seconds: float = 0.0
    name: str = ""


class Text(msgspec.Struct, kw_only=True, rename="camel"):
    """One message. `sequence` orders all there are, `states` is what became of it, in the network's own words, with its times."""

    sequence: int
    id: str
    provider: str
    direction: str
    person: str
    ours: str
    text: str
    at: float
    kind: str = "text"
    media: str = ""
    reference: str = ""
    reply_to: str = ""
    status_url: str = ""
    automatic: bool = False
    states: list[tuple[str, float]] = []

    @property
    def segments(self) -> int:
        return max(1, sms_length(self.text).segments)


class Person(msgspec.Struct, kw_only=True, rename="camel"):
    """Somebody with a telephone, or an account with a network. `address` is a number in E.164 with `+`, or a chat's id."""

    channel: Channel
    address: str
    name: str = "Sam Taylor"
    handle: str = ""
    language: str = "en"
    user_id: str = ""
    knobs: Knobs = msgspec.field(default_factory=Knobs)
    opted_out: set[str] = msgspec.field(default_factory=set)
    last_wrote: dict[str, float] = msgspec.field(default_factory=dict)
    shows: list[str] = msgspec.field(default_factory=list)
    """What he sees beside texts: that somebody types, that somebody read."""


class Network:
    """All messaging networks of a world. One for it (`World.part`)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.hooks: Hooks = world.part(Hooks, lambda: Hooks(world))
        self.people: OrderedDict[tuple[Channel, str], Person] = OrderedDict()
        self.texts: deque[Text] = deque(maxlen=MAX_TEXTS)
        self.media: OrderedDict[str, Media] = OrderedDict()
        self.changed = asyncio.Event()
        self.repeated: OrderedDict[str, Any] = OrderedDict()
        """Answers that are given again to a repeated request (Telnyx's idempotency keys)."""
        # Telegram counts on whatever happens: what a platform has seen of an earlier run is never told again.
        now = world.clock()
        self.telegram = TelegramHook(last_update=int(now * 10) % 2_000_000_000, last_message=int(now) % 1_000_000_000)
        self._sequence = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def hook(self, provider: str, ours: str) -> Application:
        """Where what is written to an address of ours is posted, at a network without rented numbers; it is kept from run to run."""
        found = self.world.applications.get((provider, ours))
        return found or self.world.add(Application(provider=provider, id=ours, kind="messages", name="Webhook"))

    async def aclose(self) -> None:
        """End what is on its way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def settled(self) -> None:
        """Until everything on its way has arrived."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def person(self, channel: Channel, address: str) -> Person:
        """Somebody, made up when he is first heard of."""
        found = self.people.get((channel, address))
        if found is None:
            if len(self.people) >= MAX_PEOPLE:
                self.people.popitem(last=False)
            digits = "".join(filter(str.isdigit, address))
            user = f"US.{digits}7" if channel is Channel.WHATSAPP else address
            found = Person(channel=channel, address=address, user_id=user, handle=f"sam{digits[-6:]}")
            self.people[channel, address] = found
        return found

    def add(self, text: Text) -> Text:
        """Keep a message and wake those who wait for one."""
        self.texts.append(text)
        self._wake()
        return text

    def next_sequence(self) -> int:
        """The next number in the order of messages."""
        self._sequence += 1
        return self._sequence

    def text(self, id: str) -> Text | None:
        """A message by the network's id."""
        return next((text for text in reversed(self.texts) if text.id == id), None)

    def moved(self, text: Text, state: str) -> None:
        """Note what became of a message."""
        text.states = [*text.states, (state, self.world.clock())]
        self._wake()

    def keep(self, media: Media) -> Media:
        """Keep something to be fetched; the oldest goes."""
        self.media[media.id] = media
        while len(self.media) > MAX_MEDIA:
            self.media.popitem(last=False)
        return media

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something happen by itself."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def remember(self, key: str, answer: Any) -> None:
        """Keep an answer for whoever asks again."""
        self.repeated[key] = answer
        while len(self.repeated) > 1000:
            self.repeated.popitem(last=False)

    def spend(self, person: Person, name: str) -> bool:
        """Whether a counted fault (`limit`, `lose_answers`) strikes now; each strikes so often."""
        left: int = getattr(person.knobs, name)
        if not left:
            return False
        person.knobs = msgspec.structs.replace(person.knobs, **{name: left - 1})
        return True

    async def course(
        self, text: Text, person: Person, states: tuple[str, ...], post: Callable[[str], Coroutine[Any, Any, None]]
    ) -> None:
        """Post what becomes of a message, one state after the other."""
        for state in states:
            self.moved(text, state)
        if person.knobs.silent:
            return
        for state in reversed(states) if person.knobs.reversed_states else states:
            await asyncio.sleep(person.knobs.delay)
            await post(state)

    def about(self, person: Person) -> "About":
        """What webhooks to do with a person are posted about."""
        return About(person)

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class TelegramHook(msgspec.Struct, kw_only=True):
    """Updates of all bots: how they are numbered, and of each bot those that nobody took and what went wrong last (and when)."""

    pending: dict[str, deque[dict[str, Any]]] = msgspec.field(default_factory=dict)
    errors: dict[str, tuple[str, int]] = msgspec.field(default_factory=dict)
    last_update: int
    last_message: int

    def waiting(self, bot: str) -> deque[dict[str, Any]]:
        """What nobody took of a bot's."""
        return self.pending.setdefault(bot, deque(maxlen=1000))


class About:
    """A person as a webhook sees him: what goes wrong there, and what came of each."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self.posted: list[Mapping[str, Any]] = []

    @property
    def faults(self) -> Faults:
        return Faults(webhook_copies=self._person.knobs.copies)

    def note(self, kind: str, /, **facts: Any) -> None:
        """Take down what a webhook was answered with."""
        self.posted.append({"kind": kind, **facts})


def network_of(world: World) -> Network:
    """The messaging networks of a world."""
    return world.part(Network, lambda: Network(world))


def new_hex(digits: int = 32) -> str:
    """A random id as carriers make them."""
    return secrets.token_hex((digits + 1) // 2)[:digits]


def basic_of(header: str) -> tuple[str, str]:
    """User and password of an Authorization header; empty ones for anything else."""
    scheme, _, coded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return "", ""
    return user, password
