"""Telegram's Bot API for bots that share one key, and the people who write to them.

https://core.telegram.org/bots/api. Parameters come as JSON or as forms whose values are JSON, as in Telegram's own libraries.
"""

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from litestar import Request, Response, get, route
from litestar.types import ControllerRouterHandler
from voisnap_domain.sessions import Channel

from voisnap_simulator.answers import Refused, json_answer
from voisnap_simulator.voice.hooks import Answered
from voisnap_simulator.world import World

from .network import Media, Network, Person, Text, network_of

PROVIDER = "telegram"
MAX_TEXT = 4096
MAX_CAPTION = 1024
USERNAME = "voisnap_sandbox_bot"
_BOT = re.compile(r"[0-9]{5,20}", re.ASCII)
_SECRET = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_PORTS = frozenset({443, 80, 88, 8443})
_ACTIONS = {
    *("typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice"),
    *("upload_document", "choose_sticker", "find_location", "record_video_note", "upload_video_note"),
}
_SENDS = {
    "sendPhoto": "photo",
    "sendAudio": "audio",
    "sendVoice": "voice",
    "sendVideo": "video",
    "sendDocument": "document",
}
_MESSAGE_KEYS = {
    *("chat_id", "text", "parse_mode", "entities", "link_preview_options", "disable_notification", "protect_content"),
    *("reply_parameters", "reply_markup", "message_thread_id", "caption", "duration", "business_connection_id"),
}
_WEBHOOK_KEYS = {
    *("url", "secret_token", "max_connections", "allowed_updates", "drop_pending_updates", "ip_address", "certificate"),
}
Method = Callable[[Network, str, dict[str, Any]], Awaitable[Any]]


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """The Bot API."""
    network = network_of(world)

    @route("/telegram/{bot:str}/{method:str}", http_method=["GET", "POST"])
    async def call(request: Request[Any, Any, Any], bot: str, method: str) -> Response[bytes]:
        ours = _authenticated(world, bot)
        found = _METHODS.get(method)
        if found is None:
            raise refused(404, "Not Found: method not found")
        return json_answer({"ok": True, "result": await found(network, ours, await _parameters(request))})

    @get("/telegram/file/{bot:str}/{folder:str}/{name:str}")
    async def stored(bot: str, folder: str, name: str) -> Response[bytes]:
        _authenticated(world, bot)
        del folder
        found = network.media.get(name.partition(".")[0])
        if found is None:
            raise refused(404, "Not Found")
        return Response(found.content, media_type="application/octet-stream")

    return call, stored


async def written(
    network: Network, person: Person, ours: str, text: str, media: Media | None, reply_to: str, edit_of: str
) -> tuple[Text, Answered]:
    """Somebody writes to the bot, or changes what he wrote."""
    hook = network.telegram
    if not _BOT.fullmatch(ours):
        raise Refused(404, {"error": f"there is no bot {ours}"})
    edited = network.text(edit_of) if edit_of else None
    if edit_of and edited is None:
        raise Refused(404, {"error": f"there is no message {edit_of}"})
    if edited is None:
        hook.last_message += 1
    number = int(edited.id.partition(":")[2]) if edited else hook.last_message
    now = int(network.world.clock())
    message: dict[str, Any] = {
        "message_id": number,
        "from": _user(person),
        "chat": _chat(person),
        "date": int(edited.at) if edited else now,
    }
    if edited:
        message["edit_date"] = now
    if media is None:
        message["text"] = text
        if text.startswith("/"):
            message["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text.split()[0])}]
    else:
        message |= _attached(media)
        if text:
            message["caption"] = text
    if reply_to:
        message["reply_to_message"] = {
            "message_id": int(reply_to.partition(":")[2]),
            "date": now,
            "chat": _chat(person),
        }
    said = edited or Text(
        sequence=network.next_sequence(),
        id=f"{person.address}:{number}",
        provider=PROVIDER,
        direction="in",
        person=person.address,
        ours=ours,
        text=text,
        at=network.world.clock(),
        media=media.id if media else "",
        reply_to=reply_to,
    )
    said.text = text
    person.last_wrote[ours] = network.world.clock()
    if edited is None:
        network.add(said)
    return said, await _updated(network, person, ours, {"edited_message" if edited else "message": message})


async def blocked(network: Network, person: Person, ours: str, *, is_blocked: bool) -> Answered:
    """Somebody blocks the bot, or lets it write again."""
    (person.opted_out.add if is_blocked else person.opted_out.discard)(ours)
    bot = _bot(ours)
    statuses = ("member", "kicked") if is_blocked else ("kicked", "member")
    old, new = ({"status": status, "user": bot} for status in statuses)
    (new if is_blocked else old)["until_date"] = 0
    change = {
        "chat": _chat(person),
        "from": _user(person),
        "date": int(network.world.clock()),
        "old_chat_member": old,
        "new_chat_member": new,
    }
    return await _updated(network, person, ours, {"my_chat_member": change})


def bot_id(world: World) -> str:
    """The number that the bot's token begins with."""
    return world.account(PROVIDER).secret("bot_token").partition(":")[0]


async def _updated(network: Network, person: Person, ours: str, what: Mapping[str, Any]) -> Answered:
    """Post an update, or keep it for when somebody takes updates."""
    hook, kept = network.telegram, network.hook(PROVIDER, ours)
    hook.last_update += 1
    update = {"update_id": hook.last_update, **what}
    allowed = kept.more.get("allowed_updates")
    if allowed and next(iter(what)) not in allowed:
        return Answered(status=0)
    if not kept.messages_url:
        hook.waiting(ours).append(update)
        return Answered(status=0)
    answered = await _posted(network, person, ours, update)
    if not answered.is_taken:
        hook.waiting(ours).append(update)
    return answered


async def _posted(network: Network, person: Person, ours: str, update: Mapping[str, Any]) -> Answered:
    kept = network.hook(PROVIDER, ours)
    headers = {"content-type": "application/json"}
    if secret := kept.more.get("secret_token"):
        headers["x-telegram-bot-api-secret-token"] = secret
    body = msgspec.json.encode(update)
    answered = await network.hooks.posted(network.about(person), kept.messages_url, body, headers)
    if not answered.is_taken:
        error = f"Wrong response from the webhook: {answered.status or 'Connection refused'}"
        network.telegram.errors[ours] = (error, int(network.world.clock()))
    return answered


async def _get_me(network: Network, ours: str, asked: dict[str, Any]) -> dict[str, Any]:
    del network
    _known(asked, set())
    return {
        **_bot(ours),
        "can_join_groups": False,
        "can_read_all_group_messages": False,
        "supports_inline_queries": False,
    }


async def _set_webhook(network: Network, ours: str, asked: dict[str, Any]) -> bool:
    _known(asked, _WEBHOOK_KEYS)
    url = str(asked.get("url", ""))
    parts = urlsplit(url)
    if url and parts.hostname not in _LOOPBACK:
        if parts.scheme != "https":
            raise refused(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
        if (parts.port or 443) not in _PORTS:
            raise refused(400, "Bad Request: bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
    secret = str(asked.get("secret_token", ""))
    if len(secret) > 256 or not _SECRET.fullmatch(secret):
        raise refused(400, "Bad Request: secret token contains unallowed characters")
    kept = network.hook(PROVIDER, ours)
    kept.messages_url = url
    kept.more = {
        "secret_token": secret,
        "allowed_updates": list(asked.get("allowed_updates") or []),
        "max_connections": int(asked.get("max_connections") or 40),
    }
    network.world.changed()
    if asked.get("drop_pending_updates"):
        network.telegram.waiting(ours).clear()
    if url and network.telegram.waiting(ours):
        network.spawn(_caught_up(network, ours))
    return True


async def _caught_up(network: Network, ours: str) -> None:
    """Post what waited, in order."""
    waiting = network.telegram.waiting(ours)
    somebody = Person(channel=Channel.TELEGRAM, address="")
    while waiting and network.hook(PROVIDER, ours).messages_url:
        if not (await _posted(network, somebody, ours, waiting[0])).is_taken:
            return
        waiting.popleft()


async def _delete_webhook(network: Network, ours: str, asked: dict[str, Any]) -> bool:
    _known(asked, {"drop_pending_updates"})
    network.hook(PROVIDER, ours).messages_url = ""
    network.world.changed()
    if asked.get("drop_pending_updates"):
        network.telegram.waiting(ours).clear()
    return True


async def _webhook_info(network: Network, ours: str, asked: dict[str, Any]) -> dict[str, Any]:
    _known(asked, set())
    kept = network.hook(PROVIDER, ours)
    info: dict[str, Any] = {
        "url": kept.messages_url,
        "has_custom_certificate": False,
        "pending_update_count": len(network.telegram.waiting(ours)),
        "max_connections": kept.more.get("max_connections", 40),
        "allowed_updates": kept.more.get("allowed_updates", []),
    }
    if (failed := network.telegram.errors.get(ours)) is not None:
        info |= {"last_error_message": failed[0], "last_error_date": failed[1]}
    return info


async def _send_message(network: Network, ours: str, asked: dict[str, Any]) -> dict[str, Any]:
    _known(asked, _MESSAGE_KEYS)
    text = asked.get("text")
    if not isinstance(text, str) or not text.strip():
        raise refused(400, "Bad Request: message text is empty")
    if len(text.encode("utf-16-le")) // 2 > MAX_TEXT:
        raise refused(400, "Bad Request: message is too long")
    return _sent(network, ours, asked, text=text, media="", kind="text")


def _sending(method: str, field: str) -> Method:
    async def send(network: Network, ours: str, asked: dict[str, Any]) -> dict[str, Any]:
        _known(asked, _MESSAGE_KEYS | {field})
        url, caption = asked.get(field), asked.get("caption", "")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise refused(400, f"Bad Request: there is no {field} in the request")
        if len(caption) > MAX_CAPTION:
            raise refused(400, "Bad Request: message caption is too long")
        return _sent(network, ours, asked, text=caption, media=url, kind=field)

    send.__name__ = method
    return send


def _sent(network: Network, ours: str, asked: Mapping[str, Any], *, text: str, media: str, kind: str) -> dict[str, Any]:
    person = _recipient(network, ours, asked)
    if network.spend(person, "limit"):
        wait = person.knobs.retry_after
        raise Refused(
            429,
            {
                "ok": False,
                "error_code": 429,
                "description": f"Too Many Requests: retry after {wait}",
                "parameters": {"retry_after": wait},
            },
        )
    if person.knobs.refuse:
        raise refused(400, f"Bad Request: {person.knobs.refuse}")
    replied = asked.get("reply_parameters") or {}
    network.telegram.last_message += 1
    number = network.telegram.last_message
    said = network.add(
        Text(
            sequence=network.next_sequence(),
            id=f"{person.address}:{number}",
            provider=PROVIDER,
            direction="out",
            person=person.address,
            ours=ours,
            text=text,
            at=network.world.clock(),
            kind=kind,
            media=media,
            reply_to=f"{person.address}:{replied['message_id']}" if "message_id" in replied else "",
        )
    )
    network.moved(said, "sent")
    if network.spend(person, "lose_answers"):
        raise refused(500, "Internal Server Error")
    message: dict[str, Any] = {
        "message_id": number,
        "from": _bot(ours),
        "chat": _chat(person),
        "date": int(said.at),
    }
    if not media:
        return {**message, "text": text}
    file = {"file_id": "sent", "file_unique_id": "sent", "file_size": 1000, "duration": 1, "width": 10, "height": 10}
    message[kind] = [file] if kind == "photo" else file
    return {**message, "caption": text} if text else message


async def _chat_action(network: Network, ours: str, asked: dict[str, Any]) -> bool:
    _known(asked, {"chat_id", "action", "message_thread_id", "business_connection_id"})
    if asked.get("action") not in _ACTIONS:
        raise refused(400, "Bad Request: wrong parameter action in request")
    person = _recipient(network, ours, asked)
    person.shows = [*person.shows[-99:], str(asked["action"])]
    return True


async def _get_file(network: Network, ours: str, asked: dict[str, Any]) -> dict[str, Any]:
    del ours
    _known(asked, {"file_id"})
    found = network.media.get(str(asked.get("file_id", "")))
    if found is None:
        raise refused(400, "Bad Request: invalid file_id")
    if len(found.content) > 20_000_000:
        raise refused(400, "Bad Request: file is too big")
    ending = {"voice": "oga", "image": "jpg"}.get(found.kind, "bin")
    return {
        "file_id": found.id,
        "file_unique_id": found.id[:12],
        "file_size": len(found.content),
        "file_path": f"{found.kind}/{found.id}.{ending}",
    }


_METHODS: Mapping[str, Method] = {
    "getMe": _get_me,
    "setWebhook": _set_webhook,
    "deleteWebhook": _delete_webhook,
    "getWebhookInfo": _webhook_info,
    "sendMessage": _send_message,
    "sendChatAction": _chat_action,
    "getFile": _get_file,
    **{method: _sending(method, field) for method, field in _SENDS.items()},
}


def _recipient(network: Network, ours: str, asked: Mapping[str, Any]) -> Person:
    """Whose chat it is: only of somebody who wrote to the bot first. Raises Refused."""
    address = str(asked.get("chat_id", ""))
    person = network.people.get((Channel.TELEGRAM, address))
    if person is None or ours not in person.last_wrote:
        raise refused(400, "Bad Request: chat not found")
    if ours in person.opted_out:
        raise refused(403, "Forbidden: bot was blocked by the user")
    return person


def _attached(media: Media) -> dict[str, Any]:
    file: dict[str, Any] = {
        "file_id": media.id,
        "file_unique_id": media.id[:12],
        "file_size": len(media.content),
    }
    if media.kind == "image":
        return {"photo": [{**file, "width": 90, "height": 60}, {**file, "width": 900, "height": 600}]}
    file["mime_type"] = media.content_type
    if media.kind in ("voice", "audio", "video"):
        file["duration"] = max(1, round(media.seconds))
    if media.kind == "video":
        file |= {"width": 640, "height": 360}
    if media.kind == "document":
        file["file_name"] = media.name or "document"
    return {media.kind: file}


def _user(person: Person) -> dict[str, Any]:
    first, _, last = person.name.partition(" ")
    user: dict[str, Any] = {"id": int(person.user_id), "is_bot": False, "first_name": first}
    if last:
        user["last_name"] = last
    return {**user, "username": person.handle, "language_code": person.language}


def _chat(person: Person) -> dict[str, Any]:
    first, _, last = person.name.partition(" ")
    return {"id": int(person.address), "type": "private", "first_name": first, "last_name": last}


async def _parameters(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """What a request gives: of the address, and of a JSON body or a form. Raises Refused."""
    given: dict[str, Any] = {name: _value(name, value) for name, value in request.query_params.items()}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind == "application/json" and body:
        try:
            return given | msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise refused(400, "Bad Request: can't parse JSON object") from None
    if kind == "multipart/form-data":
        return given | {
            name: _value(name, value) for name, value in (await request.form()).items() if isinstance(value, str)
        }
    return given | {name: _value(name, value) for name, value in parse_qsl(body.decode("utf-8", "replace"))}


def _value(name: str, text: str) -> Any:
    """A form's value: lists, objects and truths are JSON, all else is a text."""
    if name in ("text", "caption"):
        return text
    if text[:1] in "[{" or text in ("true", "false"):
        try:
            return msgspec.json.decode(text)
        except msgspec.MsgspecError:
            return text
    return text


def refused(code: int, description: str) -> Refused:
    """An error as Telegram writes it."""
    return Refused(code, {"ok": False, "error_code": code, "description": description})


def _known(asked: Mapping[str, Any], names: set[str]) -> None:
    if odd := set(asked) - names:
        raise refused(400, f"Bad Request: unknown parameter {min(odd)}")


def _bot(ours: str) -> dict[str, Any]:
    return {"id": int(ours), "is_bot": True, "first_name": "Voisnap sandbox", "username": USERNAME}


def _authenticated(world: World, bot: str) -> str:
    """Whose token it is. Every bot with the account's key is ours: a tenant of the sandbox has one of its own. Raises Refused."""
    named, _, key = bot.removeprefix("bot").partition(":")
    expected = world.account(PROVIDER).secret("bot_token").partition(":")[2]
    if (
        not bot.startswith("bot")
        or not _BOT.fullmatch(named)
        or not hmac.compare_digest(key.encode(), expected.encode())
    ):
        raise refused(401, "Unauthorized")
    return named
