"""Vonage's Messages API (v1) for SMS and MMS, under the token of an application or the account's key and secret.

https://developer.vonage.com/en/api/messages. Vonage takes a message first and rejects it afterwards, by a callback.
"""

import hmac
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import jwt
from litestar import Request, Response, get, post
from litestar.types import ControllerRouterHandler
from voisnap_domain.sessions import Channel

from voisnap_simulator.answers import Refused, json_answer, read_json
from voisnap_simulator.voice.hooks import Answered
from voisnap_simulator.world import Application, OwnedNumber, World

from .network import Media, Network, Person, Text, basic_of, network_of

PROVIDER = "vonage"
MAX_TEXT = 3200
TOKEN_SECONDS = 24 * 3600
_ALWAYS = {
    *("channel", "message_type", "to", "from", "client_ref", "webhook_url", "webhook_version", "ttl"),
    "trusted_recipient",
}
_PARTS = {"text": {"text", "sms"}, "image": {"image"}, "audio": {"audio"}, "video": {"video"}, "vcard": {"vcard"}}
_RECEIVED = {"voice": "audio", "document": "file"}
"""What Vonage calls what comes, where that differs."""
_CHANNELS = {"sms": {"text"}, "mms": {"image", "audio", "video", "vcard", "text"}}


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """The Messages API."""
    network = network_of(world)

    @post("/vonage/v1/messages")
    async def send(request: Request[Any, Any, Any]) -> Response[bytes]:
        _authenticated(world, request)
        body = await read_json(request)
        text = _taken(world, network, body)
        person = network.person(Channel.SMS, text.person)
        if network.spend(person, "limit"):
            answer = {"type": f"{_ERRORS}#1000", "title": "Throttled", "detail": "You have exceeded the rate limit."}
            raise Refused(429, answer, {"retry-after": str(person.knobs.retry_after)})
        if person.knobs.refuse:
            raise refused(422, person.knobs.refuse, "Invalid params", "The value of one or more parameters is invalid.")
        network.add(text)
        network.spawn(_delivered(network, text, person))
        if network.spend(person, "lose_answers"):
            raise refused(500, "1030", "Internal error", "There was an error processing your request.")
        return json_answer({"message_uuid": text.id}, 202)

    @get("/vonage/v3/media/{media:str}")
    async def stored(request: Request[Any, Any, Any], media: str) -> Response[bytes]:
        _authenticated(world, request)
        found = network.media.get(media)
        if found is None:
            raise Refused(404, {})
        return Response(found.content, media_type=found.content_type)

    return send, stored


async def written(
    network: Network, person: Person, ours: str, text: str, media: Media | None, reply_to: str, edit_of: str
) -> tuple[Text, Answered]:
    """Somebody writes to a number of ours: its application is told."""
    del reply_to, edit_of
    world = network.world
    url = _application(world, ours).messages_url
    if not url:
        raise Refused(409, {"error": f"the application of {ours} has no inbound_url for messages"})
    said = network.add(
        Text(
            sequence=network.next_sequence(),
            id=str(uuid.uuid4()),
            provider=PROVIDER,
            direction="in",
            person=person.address,
            ours=ours,
            text=text,
            at=world.clock(),
            media=media.id if media else "",
        )
    )
    event: dict[str, Any] = {
        "channel": "mms" if media else "sms",
        "message_uuid": said.id,
        "to": ours.removeprefix("+"),
        "from": person.address.removeprefix("+"),
        "timestamp": _stamp(said.at),
    }
    if media is None:
        keyword = (text.split() or [""])[0].upper()
        event |= {
            "message_type": "text",
            "text": text,
            "sms": {"num_messages": str(said.segments), "keyword": keyword},
            "usage": {"price": "0.0055", "currency": "EUR"},
            "origin": {"network_code": "310004"},
        }
    else:
        kind = _RECEIVED.get(media.kind, media.kind)
        part: dict[str, Any] = {"url": f"{world.url}/vonage/v3/media/{media.id}", "name": media.name or media.id}
        event |= {"message_type": kind, kind: part | ({"caption": text} if text else {})}
    return said, await network.hooks.vonage(network.about(person), url, event)


async def _delivered(network: Network, text: Text, person: Person) -> None:
    is_rejected = bool(person.knobs.fail) or text.ours in person.opted_out
    states = ("rejected",) if is_rejected else ("submitted", "delivered")
    code = person.knobs.fail or "1240"
    application = _application(network.world, text.ours)
    url = text.status_url or application.status_url

    async def told(state: str) -> None:
        if not url:
            return
        event: dict[str, Any] = {
            "message_uuid": text.id,
            "to": text.person.removeprefix("+"),
            "from": text.ours.removeprefix("+"),
            "timestamp": _stamp(network.world.clock()),
            "status": state,
            "channel": "mms" if text.media else "sms",
            "destination": {"network_code": "310004"},
        }
        if text.reference:
            event["client_ref"] = text.reference
        if state == "rejected":
            event["error"] = {
                "type": f"{_ERRORS}#{code}",
                "title": code,
                "detail": "The message was not delivered.",
                "instance": text.id,
            }
        else:
            event["usage"] = {"currency": "EUR", "price": f"{0.0333 * text.segments:.4f}"}
            event["sms"] = {"count_total": str(text.segments)}
        await network.hooks.vonage(network.about(person), url, event)

    await network.course(text, person, states, told)


def _taken(world: World, network: Network, body: dict[str, Any] | None) -> Text:
    """The message that a request sends. Raises Refused."""
    if body is None:
        raise refused(422, "1040", "Invalid message", "The body is no JSON object.")
    kind, channel = body.get("message_type"), body.get("channel")
    if channel not in _CHANNELS or kind not in _CHANNELS[channel]:
        raise _invalid("channel", "message_type and channel do not go together")
    if odd := set(body) - _ALWAYS - _PARTS[kind]:
        raise _invalid(min(odd), "Is not a known parameter")
    to, sender = body.get("to"), body.get("from")
    for name, number in (("to", to), ("from", sender)):
        if not isinstance(number, str) or not number.isascii() or not number.isdigit() or not 7 <= len(number) <= 15:
            raise _invalid(name, "Must be a number in E.164 without a plus")
    text, media = "", ""
    if kind == "text":
        text = body.get("text")
        if not isinstance(text, str) or not text or len(text) > MAX_TEXT:
            raise _invalid("text", f"Must be 1 to {MAX_TEXT} characters")
    else:
        part = body.get(kind)
        media = part.get("url", "") if isinstance(part, dict) else ""
        if not str(media).startswith(("http://", "https://")):
            raise _invalid(f"{kind}.url", "Must be a URL")
        text = str(part.get("caption", "")) if isinstance(part, dict) else ""
    reference = body.get("client_ref", "")
    if not isinstance(reference, str) or len(reference) > 100:
        raise _invalid("client_ref", "Must be at most 100 characters")
    _owned(world, f"+{sender}")
    return Text(
        sequence=network.next_sequence(),
        id=str(uuid.uuid4()),
        provider=PROVIDER,
        direction="out",
        person=f"+{to}",
        ours=f"+{sender}",
        text=text,
        at=world.clock(),
        media=str(media),
        reference=reference,
        status_url=str(body.get("webhook_url") or ""),
    )


_ERRORS = "https://developer.vonage.com/api-errors/messages"


def refused(status: int, code: str, title: str, detail: str, **more: Any) -> Refused:
    """An error as Vonage writes it."""
    answer = {"type": f"{_ERRORS}#{code}", "title": title, "detail": detail, "instance": uuid.uuid4().hex, **more}
    return Refused(status, answer)


def _invalid(name: str, reason: str) -> Refused:
    parameters = [{"name": name, "reason": reason}]
    return refused(
        422, "1020", "Invalid params", "The value of one or more parameters is invalid.", invalid_parameters=parameters
    )


def _authenticated(world: World, request: Request[Any, Any, Any]) -> None:
    account = world.account(PROVIDER)
    header = request.headers.get("authorization", "")
    user, password = basic_of(header)
    is_known = user == account.option("api_key") and hmac.compare_digest(
        password.encode(), account.secret("api_secret").encode()
    )
    if not is_known and not _is_ours(world, header.removeprefix("Bearer ")):
        raise Refused(
            401,
            {
                "type": "https://developer.vonage.com/api-errors#unauthorized",
                "title": "Unauthorized",
                "detail": "You did not provide correct credentials.",
                "instance": uuid.uuid4().hex,
            },
        )


def _is_ours(world: World, token: str) -> bool:
    """Whether the application's key signed a token that is good now."""
    account = world.account(PROVIDER)
    try:
        claims = jwt.decode(
            token,
            _public_key(account.secret("private_key")),
            algorithms=["RS256"],
            options={"require": ["iat", "jti"], "verify_exp": False, "verify_iat": False},
        )
    except jwt.PyJWTError:
        return False
    now = world.clock()
    return (
        claims.get("application_id") == account.option("application_id")
        and now - TOKEN_SECONDS <= claims["iat"] <= now + 60
        and now < claims.get("exp", now + 1)
    )


@lru_cache(maxsize=4)
def _public_key(private_key: str) -> Any:
    # 10 MB with its library: not before the first message.
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    return load_pem_private_key(private_key.encode(), password=None).public_key()


def _owned(world: World, number: str) -> OwnedNumber:
    found = world.number(PROVIDER, number)
    if found is None:
        raise refused(
            422, "1120", "Illegal Sender Address", "Rejected: the from number does not belong to the account."
        )
    return found


def _application(world: World, ours: str) -> Application:
    """Whose number it is; that of the account where it is linked to none."""
    number = world.number(PROVIDER, ours)
    if number is None:
        raise Refused(404, {"error": f"nobody has {ours} at Vonage"})
    named = number.application or world.account(PROVIDER).option("application_id")
    application = world.applications.get((PROVIDER, named), Application(provider=PROVIDER, id=""))
    if number.messages_url:
        return Application(
            provider=PROVIDER, id=application.id, messages_url=number.messages_url, status_url=application.status_url
        )
    return application


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
