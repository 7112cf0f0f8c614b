"""Telnyx's messages: JSON under a key, events signed with Ed25519, keywords answered by the carrier.

https://developers.telnyx.com/api-reference/messages/send-a-message
"""

import hmac
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, get, post
from litestar.types import ControllerRouterHandler
from voisnap_domain.sessions import Channel
from voisnap_domain.texting import sms_length

from voisnap_simulator.answers import Refused, json_answer, read_json
from voisnap_simulator.voice.hooks import Answered
from voisnap_simulator.world import OwnedNumber, World

from .network import START_WORDS, STOP_WORDS, Media, Network, Person, Text, network_of

PROVIDER = "telnyx"
MAX_PARTS = 10
_TAKEN = {
    *("from", "to", "text", "media_urls", "messaging_profile_id", "webhook_url", "webhook_failover_url"),
    *("use_profile_webhooks", "type", "subject", "auto_detect", "encoding", "send_at"),
}
_OPT_OUT = "You have been unsubscribed and will receive no further messages. Reply START to resubscribe."
_OPT_IN = "You have been re-subscribed. Reply STOP to opt out."
_HELP = "Reply STOP to unsubscribe."


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """The Messages API."""
    network = network_of(world)

    @post("/telnyx/v2/messages")
    async def send(request: Request[Any, Any, Any]) -> Response[bytes]:
        _authenticated(world, request)
        key = request.headers.get("idempotency-key", "")
        if key and (again := network.repeated.get(f"telnyx:{key}")):
            return json_answer(again)
        body = await read_json(request)
        text = _taken(world, network, body)
        person = network.person(Channel.SMS, text.person)
        if network.spend(person, "limit"):
            answer = _errors("10011", "Too many requests", "You have exceeded the maximum number of allowed requests.")
            raise Refused(429, answer, {"retry-after": str(person.knobs.retry_after)})
        if person.knobs.refuse:
            raise refused(400, person.knobs.refuse, "Refused", "The message is not sent.")
        if text.ours in person.opted_out:
            detail = f"Messages cannot be sent from '{text.ours}' to '{text.person}' due to an existing block rule."
            raise refused(400, "40300", "Blocked due to STOP message", detail)
        network.add(text)
        network.moved(text, "queued")
        answer = {"data": _resource(world, text, "queued")}
        if key:
            network.remember(f"telnyx:{key}", answer)
        network.spawn(_delivered(network, text, person))
        if network.spend(person, "lose_answers"):
            raise refused(500, "10007", "Unexpected error", "An unexpected error occured.")
        return json_answer(answer)

    @get("/telnyx/v2/messages/{message:str}")
    async def read(request: Request[Any, Any, Any], message: str) -> Response[bytes]:
        _authenticated(world, request)
        found = network.text(message)
        if found is None or found.provider != PROVIDER:
            raise refused(404, "10005", "Resource not found", "The requested resource or URL could not be found.")
        return json_answer({"data": _resource(world, found, found.states[-1][0] if found.states else "received")})

    @get("/telnyx/media/{media:str}")
    async def stored(media: str) -> Response[bytes]:
        found = network.media.get(media)
        if found is None:
            raise Refused(404, {})
        return Response(found.content, media_type=found.content_type)

    return send, read, stored


async def written(
    network: Network, person: Person, ours: str, text: str, media: Media | None, reply_to: str, edit_of: str
) -> tuple[Text, Answered]:
    """Somebody writes to a number of ours: its messaging profile is told."""
    del reply_to, edit_of
    world = network.world
    url = _profile_url(world, _owned(world, ours))
    if not url:
        raise Refused(409, {"error": f"{ours} has no messaging profile with a webhook_url"})
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
    attached = (
        []
        if media is None
        else [
            {
                "url": f"{world.url}/telnyx/media/{media.id}",
                "content_type": media.content_type,
                "size": len(media.content),
                "hash_sha256": None,
            }
        ]
    )
    payload = {
        **_resource(world, said, "webhook_delivered"),
        "direction": "inbound",
        "from": {"phone_number": person.address, "carrier": "T-Mobile USA", "line_type": "Wireless"},
        "to": [{"phone_number": ours, "status": "webhook_delivered", "carrier": "Telnyx", "line_type": "Wireless"}],
        "media": attached,
        "type": "MMS" if media else "SMS",
        "received_at": _stamp(said.at),
        "cost": {"amount": "0.0040", "currency": "USD"},
    }
    if keyword := _consented(network, person, ours, text):
        payload["autoresponse_type"] = keyword
    return said, await network.hooks.telnyx(network.about(person), url, _event(world, "message.received", payload))


def _consented(network: Network, person: Person, ours: str, text: str) -> str:
    """Telnyx answers the keywords itself, and says so."""
    word = " ".join(text.upper().split())
    if word in STOP_WORDS:
        keyword, answer = "STOP", _OPT_OUT
        person.opted_out.add(ours)
    elif word in START_WORDS:
        keyword, answer = "START", _OPT_IN
        person.opted_out.discard(ours)
    elif word in ("HELP", "INFO"):
        keyword, answer = "HELP", _HELP
    else:
        return ""
    network.add(
        Text(
            sequence=network.next_sequence(),
            id=str(uuid.uuid4()),
            provider=PROVIDER,
            direction="out",
            person=person.address,
            ours=ours,
            text=answer,
            at=network.world.clock(),
            automatic=True,
        )
    )
    return keyword


async def _delivered(network: Network, text: Text, person: Person) -> None:
    world = network.world
    url = text.status_url or _profile_url(world, _owned(world, text.ours))
    states = ("sent", "delivery_failed" if person.knobs.fail else "delivered")

    async def told(state: str) -> None:
        if not url:
            return
        payload = _resource(world, text, state)
        if state == "delivery_failed":
            payload["errors"] = [{"code": person.knobs.fail, "title": "Not delivered", "detail": "Not delivered"}]
        kind = "message.sent" if state == "sent" else "message.finalized"
        await network.hooks.telnyx(network.about(person), url, _event(world, kind, payload))

    await network.course(text, person, states, told)


def _taken(world: World, network: Network, body: dict[str, Any] | None) -> Text:
    """The message that a request sends. Raises Refused."""
    if body is None:
        raise refused(400, "10015", "Bad Request", "The body is no JSON object.")
    if odd := set(body) - _TAKEN:
        raise refused(422, "10015", "Invalid parameter", f"{min(odd)} is not known.")
    to, sender, text = body.get("to"), body.get("from"), body.get("text", "")
    media = body.get("media_urls") or []
    if not _is_number(to):
        raise refused(400, "40310", "Invalid 'to' address", "The 'to' address should be in E.164 format.")
    if not isinstance(text, str) or (not text and not media):
        raise refused(400, "40316", "No content provided", "Either text or media_urls must be given.")
    if sms_length(text).segments > MAX_PARTS:
        raise refused(400, "40302", "Message too large", f"A message has {MAX_PARTS} parts at most.")
    if not isinstance(media, list) or not all(isinstance(url, str) and url.startswith("http") for url in media):
        raise refused(400, "40317", "Invalid MMS content", "media_urls must be URLs.")
    number = world.number(PROVIDER, sender) if isinstance(sender, str) else None
    if number is None:
        raise refused(400, "40305", "Invalid 'from' address", "The 'from' address is not associated with the account.")
    profile = body.get("messaging_profile_id")
    if profile and profile != number.messaging_profile:
        raise refused(400, "40312", "Invalid messaging profile", "The number is assigned to another messaging profile.")
    if not number.messaging_profile:
        raise refused(400, "40313", "Missing messaging profile", "The 'from' address has no messaging profile.")
    return Text(
        sequence=network.next_sequence(),
        id=str(uuid.uuid4()),
        provider=PROVIDER,
        direction="out",
        person=str(to),
        ours=number.number,
        text=text,
        at=world.clock(),
        media=" ".join(media),
        status_url=str(body.get("webhook_url") or ""),
    )


def _resource(world: World, text: Text, status: str) -> dict[str, Any]:
    is_gsm = sms_length(text.text).is_gsm
    final = status not in ("queued", "sent", "webhook_delivered")
    number = world.number(PROVIDER, text.ours)
    return {
        "record_type": "message",
        "direction": "outbound",
        "id": text.id,
        "type": "MMS" if text.media else "SMS",
        "messaging_profile_id": number.messaging_profile if number else None,
        "from": {"phone_number": text.ours, "carrier": "Telnyx", "line_type": "Wireless"},
        "to": [{"phone_number": text.person, "status": status, "carrier": "T-Mobile USA", "line_type": "Wireless"}],
        "cc": [],
        "text": text.text,
        "subject": None,
        "media": [{"url": url, "content_type": None, "sha256": None, "size": None} for url in text.media.split()],
        "webhook_url": text.status_url or None,
        "webhook_failover_url": None,
        "encoding": "GSM-7" if is_gsm else "UCS-2",
        "parts": text.segments,
        "tags": [],
        "cost": {"amount": f"{0.004 * text.segments:.4f}", "currency": "USD"},
        "received_at": _stamp(text.at),
        "sent_at": None if status == "queued" else _stamp(world.clock()),
        "completed_at": _stamp(world.clock()) if final else None,
        "valid_until": None,
        "errors": [],
    }


def _event(world: World, kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "event_type": kind,
        "id": str(uuid.uuid4()),
        "occurred_at": _stamp(world.clock()),
        "payload": payload,
        "record_type": "event",
    }


def refused(status: int, code: str, title: str, detail: str) -> Refused:
    """An error as Telnyx writes it."""
    return Refused(status, _errors(code, title, detail))


def _errors(code: str, title: str, detail: str) -> dict[str, Any]:
    return {"errors": [{"code": code, "title": title, "detail": detail, "meta": {}}]}


def _authenticated(world: World, request: Request[Any, Any, Any]) -> None:
    expected = f"Bearer {world.account(PROVIDER).secret()}"
    if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected.encode()):
        raise refused(401, "10009", "Authentication failed", "Could not understand the provided credentials.")


def _owned(world: World, number: str) -> OwnedNumber:
    found = world.number(PROVIDER, number)
    if found is None:
        raise Refused(404, {"error": f"nobody has {number} at Telnyx"})
    return found


def _profile_url(world: World, number: OwnedNumber) -> str:
    profile = world.applications.get((PROVIDER, number.messaging_profile))
    return profile.messages_url if profile is not None else ""


def _is_number(text: object) -> bool:
    return (
        isinstance(text, str) and text.startswith("+") and text[1:].isascii() and text[1:].isdigit() and len(text) < 17
    )


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
