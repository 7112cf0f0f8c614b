"""Twilio's messages: the Messages resource, webhooks of what comes in and what becomes of what goes out, and media.

https://www.twilio.com/docs/messaging/api/message-resource. Fields that Twilio does not know are refused, where it would overlook them.
"""

import hmac
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any

from litestar import Request, Response, get, post
from litestar.types import ControllerRouterHandler
from voisnap_domain.sessions import Channel
from voisnap_domain.texting import sms_length

from voisnap_simulator.answers import Refused, json_answer, read_form
from voisnap_simulator.voice.hooks import Answered
from voisnap_simulator.world import OwnedNumber, World

from .network import START_WORDS, STOP_WORDS, Media, Network, Person, Text, basic_of, network_of, new_hex

PROVIDER = "twilio"
_ACCOUNTS = "/twilio/2010-04-01/Accounts/{account:str}"
_TAKEN = {
    *("To", "From", "Body", "MediaUrl", "StatusCallback", "MessagingServiceSid", "ValidityPeriod"),
    *("SmartEncoded", "MaxPrice", "Attempt", "ForceDelivery", "ShortenUrls"),
}
MAX_BODY = 1600
MAX_MEDIA = 10


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """Twilio's REST API for messages."""
    network = network_of(world)

    @post(f"{_ACCOUNTS}/Messages.json")
    async def create(request: Request[Any, Any, Any], account: str) -> Response[bytes]:
        _authenticated(world, request, account)
        form = await read_form(request)
        if odd := set(form) - _TAKEN:
            raise refused(400, 20001, f"Unknown parameters: {', '.join(sorted(odd))}")
        body, to, sender = (form.get(name, [""])[-1] for name in ("Body", "To", "From"))
        media = form.get("MediaUrl", [])
        ours = _sendable(world, to, sender, body, media)
        person = network.person(Channel.SMS, to)
        if network.spend(person, "limit"):
            raise Refused(
                429,
                {"code": 20429, "message": "Too Many Requests", "status": 429},
                {"retry-after": str(person.knobs.retry_after)},
            )
        if person.knobs.refuse or ours.number in person.opted_out:
            raise refused(400, int(person.knobs.refuse or 21610), "The message is not sent to this recipient")
        text = network.add(
            Text(
                sequence=network.next_sequence(),
                id=f"{'MM' if media else 'SM'}{new_hex()}",
                provider=PROVIDER,
                direction="out",
                person=to,
                ours=sender,
                text=body,
                at=world.clock(),
                media=" ".join(media),
                status_url=form.get("StatusCallback", [""])[-1],
            )
        )
        network.moved(text, "queued")
        network.spawn(_delivered(network, text, person))
        if network.spend(person, "lose_answers"):
            raise Refused(503, {"message": "Service unavailable", "status": 503})
        return json_answer(_resource(world, account, text), 201)

    @get(f"{_ACCOUNTS}/Messages/{{message:str}}")
    async def read(request: Request[Any, Any, Any], account: str, message: str) -> Response[bytes]:
        _authenticated(world, request, account)
        found = network.text(message.removesuffix(".json"))
        if found is None or found.provider != PROVIDER:
            raise refused(404, 20404, f"The requested resource {request.url.path} was not found")
        return json_answer(_resource(world, account, found))

    @get(f"{_ACCOUNTS}/Messages/{{message:str}}/Media/{{media:str}}")
    async def media(request: Request[Any, Any, Any], account: str, message: str, media: str) -> Response[None]:
        """Sends on to the store, as Twilio does, where no credentials are wanted."""
        del message
        _authenticated(world, request, account)
        if media not in network.media:
            raise refused(404, 20404, "The requested resource was not found")
        return Response(None, status_code=307, headers={"location": f"{world.url}/twilio/media/{media}"})

    @get("/twilio/media/{media:str}")
    async def stored(media: str) -> Response[bytes]:
        found = network.media.get(media)
        if found is None:
            raise Refused(404, {})
        return Response(found.content, media_type=found.content_type)

    return create, read, media, stored


async def written(
    network: Network, person: Person, ours: str, text: str, media: Media | None, reply_to: str, edit_of: str
) -> tuple[Text, Answered]:
    """Somebody writes to a number of ours."""
    del reply_to, edit_of
    number = _owned(network.world, ours)
    if not number.messages_url:
        raise Refused(409, {"error": f"{ours} has no SmsUrl: nobody is told of what is written to it"})
    account = network.world.account(PROVIDER).option("account_sid")
    sid = f"{'MM' if media else 'SM'}{new_hex()}"
    said = network.add(
        Text(
            sequence=network.next_sequence(),
            id=sid,
            provider=PROVIDER,
            direction="in",
            person=person.address,
            ours=ours,
            text=text,
            at=network.world.clock(),
            media=media.id if media else "",
        )
    )
    form = {
        "ToCountry": number.country,
        "ToState": "",
        "SmsMessageSid": sid,
        "NumMedia": "1" if media else "0",
        "ToCity": "",
        "FromZip": "",
        "SmsSid": sid,
        "FromState": "CA",
        "SmsStatus": "received",
        "FromCity": "SAN FRANCISCO",
        "Body": text,
        "FromCountry": "US" if person.address.startswith("+1") else "",
        "To": ours,
        "ToZip": "",
        "NumSegments": str(said.segments),
        "MessageSid": sid,
        "AccountSid": account,
        "From": person.address,
        "ApiVersion": "2010-04-01",
    }
    if media is not None:
        form["MediaContentType0"] = media.content_type
        form["MediaUrl0"] = f"{network.world.url}/twilio/2010-04-01/Accounts/{account}/Messages/{sid}/Media/{media.id}"
    _consented(network, person, ours, text)
    answered = await network.hooks.twilio(
        network.about(person), number.messages_url, form, method=number.messages_method, tries=1
    )
    return said, answered


def _consented(network: Network, person: Person, ours: str, text: str) -> None:
    """Twilio answers the English keywords itself, and sends nothing more after a STOP."""
    word = " ".join(text.upper().split())
    if word in STOP_WORDS and ours not in person.opted_out:
        person.opted_out.add(ours)
        answer = "You have successfully been unsubscribed. You will not receive any more messages from this number. Reply START to resubscribe."
    elif word in START_WORDS and ours in person.opted_out:
        person.opted_out.discard(ours)
        answer = "You have successfully been re-subscribed to messages from this number. Reply HELP for help. Reply STOP to unsubscribe."
    else:
        return
    network.add(
        Text(
            sequence=network.next_sequence(),
            id=f"SM{new_hex()}",
            provider=PROVIDER,
            direction="out",
            person=person.address,
            ours=ours,
            text=answer,
            at=network.world.clock(),
            automatic=True,
        )
    )


async def _delivered(network: Network, text: Text, person: Person) -> None:
    states = ("sent", "undelivered" if person.knobs.fail else "delivered")
    account = network.world.account(PROVIDER).option("account_sid")

    async def told(state: str) -> None:
        if not text.status_url:
            return
        form = {
            "SmsSid": text.id,
            "SmsStatus": state,
            "MessageStatus": state,
            "To": text.person,
            "MessageSid": text.id,
            "AccountSid": account,
            "From": text.ours,
            "ApiVersion": "2010-04-01",
        }
        if state == "undelivered":
            form["ErrorCode"] = person.knobs.fail
        await network.hooks.twilio(network.about(person), text.status_url, form)

    await network.course(text, person, states, told)


def _sendable(world: World, to: str, sender: str, body: str, media: Sequence[str]) -> OwnedNumber:
    """Our number, if Twilio would take the message. Raises Refused."""
    if not body and not media:
        raise refused(400, 21602, "Message body is required.")
    if len(body) > MAX_BODY:
        raise refused(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
    if len(media) > MAX_MEDIA or not all(url.startswith(("http://", "https://")) for url in media):
        raise refused(400, 21620, "Invalid media URL(s)")
    if not _is_number(to):
        raise refused(400, 21211, f"Invalid 'To' Phone Number: {to}")
    if not _is_number(sender):
        raise refused(400, 21212, f"Invalid From Number (caller ID): {sender}")
    if to == sender:
        raise refused(400, 21266, "'To' and 'From' number cannot be the same")
    ours = world.number(PROVIDER, sender)
    if ours is None:
        raise refused(400, 21660, f"Mismatch between the 'From' number {sender} and the account")
    if "sms" not in ours.features:
        raise refused(400, 21606, f"The 'From' phone number {sender} is not a valid message-capable Twilio number")
    return ours


def _resource(world: World, account: str, text: Text) -> dict[str, Any]:
    del world
    when = formatdate(text.at)
    return {
        "account_sid": account,
        "api_version": "2010-04-01",
        "body": text.text,
        "date_created": when,
        "date_sent": None,
        "date_updated": when,
        "direction": "outbound-api" if text.direction == "out" else "inbound",
        "error_code": None,
        "error_message": None,
        "from": text.ours,
        "messaging_service_sid": None,
        "num_media": str(len(text.media.split())),
        "num_segments": str(sms_length(text.text).segments),
        "price": None,
        "price_unit": "USD",
        "sid": text.id,
        "status": text.states[-1][0] if text.states else "received",
        "subresource_uris": {"media": f"/2010-04-01/Accounts/{account}/Messages/{text.id}/Media.json"},
        "to": text.person,
        "uri": f"/2010-04-01/Accounts/{account}/Messages/{text.id}.json",
    }


def refused(status: int, code: int, message: str) -> Refused:
    """An error as Twilio writes it."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    return Refused(status, {"code": code, "message": message, "more_info": more, "status": status})


def _authenticated(world: World, request: Request[Any, Any, Any], account: str) -> None:
    ours = world.account(PROVIDER)
    user, password = basic_of(request.headers.get("authorization", ""))
    secret = ours.secrets.get("api_key_secret", "") if user.startswith("SK") else ours.secret("auth_token")
    known = {ours.option("account_sid"), ours.option("api_key_sid")} - {""}
    if user not in known or not secret or not hmac.compare_digest(password.encode(), secret.encode()):
        raise refused(401, 20003, "Authenticate")
    if account != ours.option("account_sid"):
        raise refused(404, 20404, f"The requested resource {request.url.path} was not found")


def _owned(world: World, number: str) -> OwnedNumber:
    found = world.number(PROVIDER, number)
    if found is None:
        raise Refused(404, {"error": f"nobody has {number} at Twilio"})
    return found


def _is_number(text: str) -> bool:
    return text.startswith("+") and text[1:].isascii() and text[1:].isdigit() and 7 <= len(text) <= 16
