"""WhatsApp's Cloud API for one business number: sends, marks, media, where its webhooks go, and the people who write to it.

https://developers.facebook.com/docs/whatsapp/cloud-api. A message outside of the 24-hour window is taken and fails afterwards (131047).
"""

import hmac
import json
import re
import secrets
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response, get, post, route
from litestar.types import ControllerRouterHandler
from voisnap_domain.sessions import Channel
from voisnap_providers.carriers import SIMULATOR

from voisnap_simulator.answers import Refused, json_answer, read_json
from voisnap_simulator.voice.hooks import Answered
from voisnap_simulator.world import World

from .network import WINDOW_SECONDS, Media, Network, Person, Text, network_of

PROVIDER = "whatsapp"
BUSINESS = "104996122399160"
DISPLAY_NUMBER = "15550051310"
MAX_TEXT = 4096
_VERSION = re.compile(r"v[0-9]{1,2}\.[0-9]")
_NUMBER_ID = re.compile(r"[0-9]{10,20}", re.ASCII)
_NUMBER = re.compile(r"\+?[0-9]{7,15}", re.ASCII)
_TAKEN = {
    *("messaging_product", "recipient_type", "to", "recipient", "type", "context", "biz_opaque_callback_data"),
    *("text", "template", "image", "audio", "video", "document", "recipient_identity_key_hash"),
}
_MARKS = {"messaging_product", "status", "message_id", "typing_indicator"}
_EMPTY = {
    *("conversational_automation", "quality_score", "name_status", "new_name_status", "is_on_biz_app"),
    *("is_official_business_account", "is_pin_enabled", "is_preverified_number", "search_visibility", "throughput"),
    *("eligibility_for_api_business_global_search", "health_status", "certificate", "new_certificate", "username"),
    *("last_onboarded_time", "country_code", "country_dial_code", "whatsapp_business_manager_messaging_limit"),
}
"""Fields of a number that ours has nothing in: the Graph API leaves them out."""
_LINKED = {"image", "audio", "video", "document"}


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """The Graph API, as far as a business number needs it."""
    network = network_of(world)

    @post("/whatsapp/{version:str}/{number:str}/messages")
    async def messages(request: Request[Any, Any, Any], version: str, number: str) -> Response[bytes]:
        _authenticated(world, request, version)
        _ours(number)
        body = await read_json(request)
        if body is None or body.get("messaging_product") != "whatsapp":
            raise refused(400, 100, "(#100) The parameter messaging_product is required.")
        if "status" in body:
            _marked(network, body)
            return json_answer({"success": True})
        text, person = _taken(world, network, number, body)
        if network.spend(person, "limit"):
            raise refused(429, 130429, "(#130429) Rate limit hit", "Message failed to send: too many messages.")
        if person.knobs.refuse:
            code = int(person.knobs.refuse)
            raise refused(400, code, f"(#{code}) Refused", "The message is not sent.")
        network.add(text)
        network.spawn(_delivered(network, text, person, is_template=body["type"] == "template"))
        if network.spend(person, "lose_answers"):
            raise refused(500, 131000, "(#131000) Something went wrong", "Message failed to send.")
        contact = {"input": body.get("to") or body.get("recipient")}
        contact |= {"wa_id": person.address.removeprefix("+")} if body.get("to") else {"user_id": person.user_id}
        answer = {"messaging_product": "whatsapp", "contacts": [contact], "messages": [{"id": text.id}]}
        return json_answer(answer)

    @get("/whatsapp/{version:str}/{node:str}")
    async def read(request: Request[Any, Any, Any], version: str, node: str) -> Response[bytes]:
        _authenticated(world, request, version)
        media = network.media.get(node)
        if media is not None:
            return json_answer(
                {
                    "url": f"{world.url}/whatsapp/media/{node}?ext={int(world.clock()) + 300}",
                    "mime_type": media.content_type,
                    "sha256": "",
                    "file_size": len(media.content),
                    "id": node,
                    "messaging_product": "whatsapp",
                }
            )
        _ours(node)
        asked = (request.query_params.get("fields") or "verified_name,display_phone_number").split(",")
        known: dict[str, Any] = {
            "verified_name": "Voisnap sandbox",
            "display_phone_number": f"+{DISPLAY_NUMBER}",
            "quality_rating": "GREEN",
            "code_verification_status": "VERIFIED",
            "status": "CONNECTED",
            "account_mode": "LIVE",
            "platform_type": "CLOUD_API",
            "webhook_configuration": _configuration(network, node),
        }
        if odd := set(asked) - set(known) - _EMPTY - {"id"}:
            raise refused(400, 100, f"(#100) Tried accessing nonexisting field ({min(odd)})")
        return json_answer({**{name: known[name] for name in asked if name in known}, "id": node})

    @post("/whatsapp/{version:str}/{number:str}")
    async def change(request: Request[Any, Any, Any], version: str, number: str) -> Response[bytes]:
        _authenticated(world, request, version)
        _ours(number)
        body = await read_json(request)
        wanted = body.get("webhook_configuration") if body else None
        if not isinstance(wanted, dict) or "override_callback_uri" not in wanted:
            raise refused(400, 100, "(#100) The parameter webhook_configuration is required.")
        url = str(wanted["override_callback_uri"])
        if url:
            await _shaken(network, url, str(wanted.get("verify_token", "")))
        network.hook(PROVIDER, number).messages_url = url
        world.changed()
        return json_answer({"success": True})

    @route("/whatsapp/{version:str}/{business:str}/subscribed_apps", http_method=["GET", "POST", "DELETE"])
    async def subscriptions(request: Request[Any, Any, Any], version: str, business: str) -> Response[bytes]:
        """Whether the app hears of the business account's numbers; it does at first."""
        _authenticated(world, request, version)
        _ours(business)
        kept = network.hook(PROVIDER, business).more
        if request.method == "GET":
            app = {"link": "https://voisnap.example", "name": "Voisnap", "id": "670843887433847"}
            found = [] if kept.get("unsubscribed") else [{"whatsapp_business_api_data": app}]
            return json_answer({"data": found})
        kept["unsubscribed"] = request.method == "DELETE"
        world.changed()
        return json_answer({"success": True})

    @get("/whatsapp/media/{media:str}")
    async def stored(request: Request[Any, Any, Any], media: str) -> Response[bytes]:
        _authenticated(world, request, "v1.0")
        found = network.media.get(media)
        if found is None:
            raise Refused(404, {})
        return Response(found.content, media_type=found.content_type)

    return messages, read, change, subscriptions, stored


async def written(
    network: Network, person: Person, ours: str, text: str, media: Media | None, reply_to: str, edit_of: str
) -> tuple[Text, Answered]:
    """Somebody writes to our number: it opens the window for a day."""
    world = network.world
    _ours(ours)
    said = network.add(
        Text(
            sequence=network.next_sequence(),
            id=f"wamid.{secrets.token_urlsafe(24)}",
            provider=PROVIDER,
            direction="in",
            person=person.address,
            ours=ours,
            text=text,
            at=world.clock(),
            media=media.id if media else "",
            reply_to=reply_to,
            kind="edit" if edit_of else "text",
        )
    )
    person.last_wrote[ours] = said.at
    message: dict[str, Any] = {"id": said.id, "timestamp": str(int(said.at))}
    if person.knobs.hides_number:
        message["from_user_id"] = person.user_id
    else:
        message["from"] = person.address.removeprefix("+")
    shown = _shown(text, media)
    if reply_to:
        shown["context"] = {"from": DISPLAY_NUMBER, "id": reply_to}
    if edit_of:
        message |= {"type": "edit", "edit": {"original_message_id": edit_of, "message": shown}}
    else:
        message |= shown
    return said, await _posted(network, person, ours, {"contacts": [_contact(person)], "messages": [message]})


async def moved(network: Network, person: Person, ours: str, number: str) -> Answered:
    """Somebody has another number now."""
    message = {
        "from": person.address.removeprefix("+"),
        "id": f"wamid.{secrets.token_urlsafe(24)}",
        "timestamp": str(int(network.world.clock())),
        "type": "system",
        "system": {
            "body": f"User {person.name} changed from {person.address} to {number}",
            "wa_id": number.removeprefix("+"),
            "type": "user_changed_number",
            "user_id": person.user_id,
        },
    }
    answered = await _posted(network, person, ours, {"contacts": [_contact(person)], "messages": [message]})
    del network.people[Channel.WHATSAPP, person.address]
    person.address = number
    network.people[Channel.WHATSAPP, number] = person
    return answered


def _shown(text: str, media: Media | None) -> dict[str, Any]:
    """The part of a message that is written, or comes with it."""
    if media is None:
        return {"type": "text", "text": {"body": text}}
    kind = "audio" if media.kind == "voice" else media.kind
    part: dict[str, Any] = {"id": media.id, "mime_type": media.content_type, "sha256": ""}
    if kind == "audio":
        part["voice"] = media.kind == "voice"
    elif text:
        part["caption"] = text
    if kind == "document":
        part["filename"] = media.name or "document"
    return {"type": kind, kind: part}


async def _delivered(network: Network, text: Text, person: Person, *, is_template: bool) -> None:
    last = 0.0 if person.knobs.long_ago else person.last_wrote.get(text.ours, 0.0)
    is_outside = network.world.clock() - last > WINDOW_SECONDS and not is_template
    code = person.knobs.fail or ("131047" if is_outside else "")
    states = ("failed",) if code else ("sent", "delivered", "read") if person.knobs.reads else ("sent", "delivered")

    async def told(state: str) -> None:
        status: dict[str, Any] = {
            "id": text.id,
            "status": state,
            "timestamp": str(int(network.world.clock())),
            "recipient_id": person.address.removeprefix("+"),
        }
        if text.reference:
            status["biz_opaque_callback_data"] = text.reference
        if state == "failed":
            title = "Re-engagement message" if code == "131047" else "Message undeliverable"
            status["errors"] = [
                {"code": int(code), "title": title, "message": title, "error_data": {"details": f"{title}."}}
            ]
        elif state != "read":
            status["conversation"] = {"id": uuid.uuid4().hex, "origin": {"type": "service"}}
            status["pricing"] = {
                "billable": is_template,
                "pricing_model": "PMP",
                "type": "regular" if is_template else "free_customer_service",
                "category": "utility" if is_template else "service",
            }
        await _posted(network, person, text.ours, {"contacts": [_contact(person)], "statuses": [status]})

    await network.course(text, person, states, told)


async def _posted(network: Network, person: Person, ours: str, value: Mapping[str, Any]) -> Answered:
    world = network.world
    whole = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": DISPLAY_NUMBER, "phone_number_id": ours},
        **value,
    }
    envelope = {
        "object": "whatsapp_business_account",
        "entry": [{"id": BUSINESS, "changes": [{"value": whole, "field": "messages"}]}],
    }
    body = as_meta_writes(envelope)
    headers = {"content-type": "application/json", "x-hub-signature-256": signature(world, body)}
    return await network.hooks.posted(network.about(person), _url(network, ours), body, headers)


def as_meta_writes(document: Mapping[str, Any]) -> bytes:
    """JSON as Meta's servers escape it: no character beyond ASCII, and every slash behind a backslash."""
    return json.dumps(document, separators=(",", ":")).replace("/", "\\/").encode()


def signature(world: World, body: bytes) -> str:
    """https://developers.facebook.com/docs/graph-api/webhooks/getting-started#validate-payloads"""
    secret = world.account(PROVIDER).secret("app_secret").encode()
    return f"sha256={hmac.digest(secret, body, 'sha256').hex()}"


async def _shaken(network: Network, url: str, token: str) -> None:
    """Asks an address whether it is ours. Raises Refused."""
    challenge = str(secrets.randbelow(10**10))
    query = urlencode({"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": token})
    about = network.about(Person(channel=Channel.WHATSAPP, address=""))
    asked = f"{url}{'&' if '?' in url else '?'}{query}"
    answered = await network.hooks.posted(about, asked, b"", {}, method="GET", tries=1)
    if answered.status != 200 or answered.body != challenge.encode():
        raise refused(
            400,
            2200,
            f"(#2200) Callback verification failed with the following errors: HTTP Status Code = {answered.status}",
        )


def _taken(world: World, network: Network, ours: str, body: dict[str, Any]) -> tuple[Text, Person]:
    """The message that a request sends, and to whom. Raises Refused."""
    if odd := set(body) - _TAKEN:
        raise refused(400, 100, f'(#100) Unexpected key "{min(odd)}" on param')
    kind = body.get("type", "text")
    part = body.get(kind)
    if not isinstance(part, dict):
        raise refused(400, 131008, "(#131008) Required parameter is missing", f"Parameter {kind} is missing.")
    person = _recipient(network, body)
    if kind == "text":
        text = part.get("body")
        if not isinstance(text, str) or not text or len(text) > MAX_TEXT:
            raise refused(400, 100, "(#100) Param text['body'] must be at most 4096 characters long.")
    elif kind == "template":
        name = str(part.get("name", ""))
        language = part.get("language")
        if not isinstance(language, dict) or not language.get("code"):
            raise refused(400, 131008, "(#131008) Required parameter is missing", "template.language.code is missing.")
        if not re.fullmatch(r"[a-z0-9_]{1,512}", name) or name.startswith("missing"):
            raise refused(404, 132001, "(#132001) Template name does not exist in the translation")
        text = _template_text(name, part.get("components", []))
    else:
        link = str(part.get("link", ""))
        if kind not in _LINKED or not (link.startswith(("http://", "https://")) or part.get("id")):
            raise refused(400, 131009, "(#131009) Parameter value is not valid", f"{kind}.link is not a URL.")
        text = str(part.get("caption", ""))
    context = body.get("context")
    return Text(
        sequence=network.next_sequence(),
        id=f"wamid.{secrets.token_urlsafe(24)}",
        provider=PROVIDER,
        direction="out",
        person=person.address,
        ours=ours,
        text=text,
        at=world.clock(),
        kind=kind,
        media=str(part.get("link", "")),
        reference=str(body.get("biz_opaque_callback_data") or ""),
        reply_to=str(context.get("message_id", "")) if isinstance(context, dict) else "",
    ), person


def _recipient(network: Network, body: Mapping[str, Any]) -> Person:
    if body.get("recipient_type", "individual") != "individual":
        raise refused(400, 100, "(#100) Param recipient_type must be one of {INDIVIDUAL}.")
    to, recipient = body.get("to"), body.get("recipient")
    if to:
        if not isinstance(to, str) or not _NUMBER.fullmatch(to):
            raise refused(400, 131009, "(#131009) Parameter value is not valid", "to is not a phone number.")
        return network.person(Channel.WHATSAPP, f"+{to.removeprefix('+')}")
    known = next((one for one in network.people.values() if recipient and one.user_id == recipient), None)
    if known is None:
        raise refused(400, 131009, "(#131009) Parameter value is not valid", "Neither to nor a known recipient.")
    return known


def _template_text(name: str, components: object) -> str:
    values = [
        str(parameter.get("text", ""))
        for component in (components if isinstance(components, list) else [])
        if isinstance(component, dict)
        for parameter in component.get("parameters", [])
        if isinstance(parameter, dict)
    ]
    return f"[{name}] {' '.join(values)}".strip()


def _marked(network: Network, body: Mapping[str, Any]) -> None:
    """A message was read, and perhaps somebody types. Raises Refused."""
    if set(body) - _MARKS or body.get("status") != "read":
        raise refused(400, 100, "(#100) Invalid parameter")
    found = network.text(str(body.get("message_id", "")))
    if found is None or found.provider != PROVIDER or found.direction != "in":
        raise refused(400, 131009, "(#131009) Parameter value is not valid", "message_id is not known.")
    person = network.person(Channel.WHATSAPP, found.person)
    network.moved(found, "read")
    person.shows = [*person.shows[-99:], "read"]
    indicator = body.get("typing_indicator")
    if indicator is not None:
        if indicator != {"type": "text"}:
            raise refused(400, 100, "(#100) typing_indicator.type must be text")
        person.shows = [*person.shows[-99:], "typing"]


def refused(status: int, code: int, message: str, details: str = "") -> Refused:
    """An error as the Graph API writes it."""
    error: dict[str, Any] = {
        "message": message,
        "type": "OAuthException",
        "code": code,
        "fbtrace_id": secrets.token_urlsafe(8),
    }
    if details:
        error["error_data"] = {"messaging_product": "whatsapp", "details": details}
    return Refused(status, {"error": error})


def _authenticated(world: World, request: Request[Any, Any, Any], version: str) -> None:
    expected = f"Bearer {world.account(PROVIDER).secret('access_token')}"
    if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected.encode()):
        raise refused(401, 190, "Invalid OAuth access token - Cannot parse access token")
    if not _VERSION.fullmatch(version):
        raise refused(400, 2500, "Unknown path components")


def _ours(number: str) -> None:
    """Every number of the business is ours: a tenant of the sandbox has one of its own."""
    if not _NUMBER_ID.fullmatch(number):
        raise refused(400, 100, f"Unsupported request. Object with ID '{number}' does not exist or cannot be loaded")


def _contact(person: Person) -> dict[str, Any]:
    contact: dict[str, Any] = {"profile": {"name": person.name}, "user_id": person.user_id}
    if person.knobs.hides_number:
        contact["profile"]["username"] = person.handle
    else:
        contact["wa_id"] = person.address.removeprefix("+")
    return contact


def _url(network: Network, ours: str) -> str:
    """The number's own address, else the app's."""
    return network.hook(PROVIDER, ours).messages_url or network.world.urls.messages(PROVIDER, SIMULATOR)


def _configuration(network: Network, ours: str) -> dict[str, str]:
    own = network.hook(PROVIDER, ours).messages_url
    app = {"application": network.world.urls.messages(PROVIDER, SIMULATOR)}
    return {**app, "phone_number": own} if own else app
