"""Routes under `/simulator/messages`, by which a developer or a test writes as somebody, reads his telephone and lets things go wrong."""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from litestar import Request, Response, get, post, put
from litestar.types import ControllerRouterHandler
from voisnap_domain.sessions import Channel

from voisnap_simulator.answers import Refused, json_answer
from voisnap_simulator.control import PREFIX, check_bearer
from voisnap_simulator.voice.hooks import Answered
from voisnap_simulator.world import World

from . import telegram, telnyx, twilio, voice_note, vonage, whatsapp
from .network import MAX_MEDIA_BYTES, Knobs, Media, Network, Person, Text, network_of, new_hex

MAX_WAIT = 30.0
_WRITERS: Mapping[str, Callable[..., Awaitable[tuple[Text, Answered]]]] = {
    "twilio": twilio.written,
    "vonage": vonage.written,
    "telnyx": telnyx.written,
    "whatsapp": whatsapp.written,
    "telegram": telegram.written,
}
_CHANNELS = {"whatsapp": Channel.WHATSAPP, "telegram": Channel.TELEGRAM}
_STYLES: Mapping[str, Callable[[], str]] = {
    "twilio": lambda: f"ME{new_hex()}",
    "whatsapp": lambda: str(int(new_hex(12), 16) + 10**14),
}


class Attachment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that comes with a message; `content` in base64."""

    content: str
    content_type: str
    kind: str = "image"
    name: str = ""
    seconds: float = 0.0


class Write(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What somebody writes. `provider` is twilio, vonage, telnyx, whatsapp or telegram; `to` is ours (a number, or nothing where there is
    only one). `voice_note` is spoken by the local voice. `reply_to` and `edit_of` are ids of messages."""

    provider: str
    sender: str = msgspec.field(name="from")
    to: str = ""
    text: str = ""
    voice_note: str = ""
    attachment: Attachment | None = None
    reply_to: str = ""
    edit_of: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Who somebody is, what goes wrong with him, and what he does without a word: he blocks us (`ours`, or the
    account's own address), or has a new number."""

    name: str | None = None
    handle: str | None = None
    language: str | None = None
    knobs: Knobs | None = None
    is_blocked: bool | None = None
    ours: str = ""
    new_number: str | None = None


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """The control routes of messages."""
    network = network_of(world)

    @post(f"{PREFIX}/messages")
    async def write(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Somebody writes; the answer says how our webhook took it."""
        check_bearer(world, request)
        asked = await _body(request, Write)
        if asked.provider not in _WRITERS:
            raise Refused(400, {"error": f"provider is one of {', '.join(_WRITERS)}"})
        person = network.person(_channel(asked.provider), _address(asked.provider, asked.sender))
        ours = asked.to or _only_address(world, asked.provider)
        media = await _media(world, network, asked)
        said, answered = await _WRITERS[asked.provider](
            network, person, ours, asked.text, media, asked.reply_to, asked.edit_of
        )
        return json_answer({"message": _shown(said), "webhook": {"status": answered.status}}, 201)

    @get(f"{PREFIX}/messages")
    async def read(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Messages both ways, of one person where asked, after `after` in their order; waits `wait` seconds for the first."""
        check_bearer(world, request)
        asked = request.query_params
        after, wait = _count(asked.get("after")), _seconds(asked.get("wait"))
        loop = asyncio.get_running_loop()
        ends = loop.time() + wait
        while True:
            changed = network.changed
            found = [
                text
                for text in network.texts
                if text.sequence > after
                and (not asked.get("provider") or text.provider == asked["provider"])
                and (not asked.get("person") or text.person == asked["person"])
                and (not asked.get("direction") or text.direction == asked["direction"])
            ]
            if found or loop.time() >= ends:
                return json_answer({"messages": [_shown(text) for text in found[:500]]})
            try:
                await asyncio.wait_for(changed.wait(), max(0.0, ends - loop.time()))
            except TimeoutError:
                continue

    @get(f"{PREFIX}/people/{{provider:str}}/{{address:str}}")
    async def person(request: Request[Any, Any, Any], provider: str, address: str) -> Response[bytes]:
        """Somebody, and what he sees beside texts."""
        check_bearer(world, request)
        return json_answer(_person(network.person(_channel(provider), _address(provider, address))))

    @put(f"{PREFIX}/people/{{provider:str}}/{{address:str}}")
    async def change(request: Request[Any, Any, Any], provider: str, address: str) -> Response[bytes]:
        """Somebody is called otherwise, does something, or nothing reaches him."""
        check_bearer(world, request)
        asked = await _body(request, Change)
        found = network.person(_channel(provider), _address(provider, address))
        for name in ("name", "handle", "language", "knobs"):
            if (value := getattr(asked, name)) is not None:
                setattr(found, name, value)
        if asked.is_blocked is not None:
            await _block(network, provider, found, asked)
        if asked.new_number is not None:
            if provider != "whatsapp":
                raise Refused(400, {"error": "only WhatsApp tells of a new number"})
            new = _address(provider, asked.new_number)
            await whatsapp.moved(network, found, asked.ours or _only_address(world, provider), new)
        return json_answer(_person(found))

    return write, read, person, change


async def _block(network: Network, provider: str, person: Person, asked: Change) -> None:
    if provider != "telegram":
        raise Refused(400, {"error": "only Telegram tells who blocks a bot"})
    ours = asked.ours or telegram.bot_id(network.world)
    await telegram.blocked(network, person, ours, is_blocked=bool(asked.is_blocked))


async def _media(world: World, network: Network, asked: Write) -> Media | None:
    style = _STYLES.get(asked.provider, lambda: new_hex(40))
    if asked.voice_note:
        return network.keep(msgspec.structs.replace(await voice_note.spoken(world, asked.voice_note), id=style()))
    if asked.attachment is None:
        return None
    given = asked.attachment
    try:
        content = base64.b64decode(given.content, validate=True)
    except binascii.Error:
        raise Refused(400, {"error": "attachment.content is base64"}) from None
    if len(content) > MAX_MEDIA_BYTES:
        raise Refused(400, {"error": f"an attachment has {MAX_MEDIA_BYTES} bytes at most"})
    return network.keep(
        Media(
            id=style(),
            content_type=given.content_type,
            content=content,
            kind=given.kind,
            seconds=given.seconds,
            name=given.name,
        )
    )


def _channel(provider: str) -> Channel:
    return _CHANNELS.get(provider, Channel.SMS)


def _address(provider: str, address: str) -> str:
    """A number in E.164 with `+`, or a chat's id. Raises Refused."""
    digits = address.strip().lstrip("+")
    if not digits.isascii() or not digits.isdigit() or not 5 <= len(digits) <= 16:
        raise Refused(400, {"error": "an address is a number in E.164, or a chat's id"})
    return digits if provider == "telegram" else f"+{digits}"


def _only_address(world: World, provider: str) -> str:
    """Ours, where a network has one address an account. Raises Refused."""
    if provider == "whatsapp":
        return world.account(provider).option("phone_number_id")
    if provider == "telegram":
        return telegram.bot_id(world)
    owned = [number.number for number in world.numbers.values() if number.provider == provider]
    if len(owned) != 1:
        raise Refused(400, {"error": f"to whom? The account has {len(owned)} numbers at {provider}"})
    return owned[0]


def _shown(text: Text) -> dict[str, Any]:
    shown = msgspec.to_builtins(text)
    shown["states"] = [{"state": state, "at": at} for state, at in text.states]
    return {**shown, "segments": text.segments}


def _person(person: Person) -> dict[str, Any]:
    shown = msgspec.to_builtins(person)
    return {**shown, "optedOut": sorted(person.opted_out)}


async def _body(request: Request[Any, Any, Any], kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise Refused(400, {"error": str(error)[:300]}) from None


def _count(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text or 0)
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), MAX_WAIT) if seconds == seconds else 0.0
