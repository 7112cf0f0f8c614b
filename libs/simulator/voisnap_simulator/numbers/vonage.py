"""Vonage's Numbers and Applications APIs.

https://developer.vonage.com/en/api/numbers, https://developer.vonage.com/en/api/application.v2. A purchase that can't be made is answered
with 420, as Vonage does it.
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Request, Response, get, post, put
from litestar.types import ControllerRouterHandler

from voisnap_simulator.answers import Refused, json_answer, read_form, read_json
from voisnap_simulator.world import Application, OwnedNumber, World

from . import pool

PROVIDER = "vonage"
_KINDS = {pool.LOCAL: "landline", pool.MOBILE: "mobile-lvn", pool.TOLL_FREE: "landline-toll-free"}
_EUR_IN_USD = 1.15
_HOOKS = {
    "voice": {"answer_url": ("GET", "POST"), "fallback_answer_url": ("GET", "POST"), "event_url": ("GET", "POST")},
    "messages": {"inbound_url": ("POST",), "status_url": ("POST",)},
}
_VOICE = {"webhooks", "signed_callbacks", "conversations_ttl", "leg_persistence_time", "region", "payment_enabled"}


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """Vonage's REST APIs for numbers and applications."""

    @get("/vonage/number/search")
    async def search(request: Request[Any, Any, Any]) -> Response[bytes]:
        _authenticated(world, request)
        asked = _known(
            request.query_params,
            {"country", "type", "features", "pattern", "search_pattern", "size", "index"},
        )
        country = asked.get("country", "")
        if len(country) != 2:
            raise Refused(420, _answer(420, "method failed"))
        features = frozenset(name.lower() for name in asked.get("features", "").split(",") if name)
        if not features <= {"voice", "sms"}:
            raise Refused(420, _answer(420, "features must be SMS, VOICE or SMS,VOICE"))
        kinds = [kind for kind, name in _KINDS.items() if asked.get("type", name) == name]
        size, offers = _size(asked), []
        for kind in kinds:
            area, contains = _pattern(asked, country)
            more = pool.offers(
                world,
                PROVIDER,
                country=country,
                kind=kind,
                area=area,
                contains=contains,
                features=features,
                count=size - len(offers),
            )
            offers += more
        numbers = [
            {
                "country": offer.country,
                "msisdn": offer.number.removeprefix("+"),
                "cost": f"{offer.monthly_usd / _EUR_IN_USD:.2f}",
                "type": _KINDS[offer.kind],
                "features": [name.upper() for name in offer.features],
            }
            for offer in offers
        ]
        return json_answer({"count": len(numbers), "numbers": numbers} if numbers else {})

    @get("/vonage/account/numbers")
    async def owned(request: Request[Any, Any, Any]) -> Response[bytes]:
        _authenticated(world, request)
        asked = _known(
            request.query_params,
            {"application_id", "has_application", "country", "pattern", "search_pattern", "size", "index"},
        )
        pattern, where = asked.get("pattern", ""), asked.get("search_pattern", "0")
        found = [
            number
            for number in world.numbers.values()
            if number.provider == PROVIDER
            and asked.get("country", number.country) == number.country
            and asked.get("application_id", number.application) == number.application
            and _matches(number.number.removeprefix("+"), pattern, where)
        ]
        size, index = _size(asked), max(1, int(asked.get("index", "1")))
        page = found[(index - 1) * size : index * size]
        return json_answer({"count": len(found), "numbers": [_number(one) for one in page]} if found else {})

    @post("/vonage/number/buy", status_code=200)
    async def buy(request: Request[Any, Any, Any]) -> Response[bytes]:
        _authenticated(world, request)
        form = _form(await read_form(request), {"country", "msisdn", "target_api_key"})
        number = f"+{form.get('msisdn', '')}"
        offer = pool.for_sale(world, PROVIDER, number)
        if offer is None or offer.country != form.get("country") or offer.kind not in _KINDS:
            raise Refused(420, _answer(420, "method failed"))
        world.own(
            OwnedNumber(
                provider=PROVIDER,
                number=number,
                id=number.removeprefix("+"),
                country=offer.country,
                kind=offer.kind,
                features=offer.features,
            )
        )
        return json_answer(_answer(200, "success"))

    @post("/vonage/number/cancel", status_code=200)
    async def cancel(request: Request[Any, Any, Any]) -> Response[bytes]:
        _authenticated(world, request)
        form = _form(await read_form(request), {"country", "msisdn", "target_api_key"})
        found = _owned(world, form)
        world.release(PROVIDER, found.number)
        return json_answer(_answer(200, "success"))

    @post("/vonage/number/update", status_code=200)
    async def update(request: Request[Any, Any, Any]) -> Response[bytes]:
        _authenticated(world, request)
        names = {"country", "msisdn", "app_id", "moHttpUrl", "moSmppSysType"}
        callbacks = {"voiceCallbackType", "voiceCallbackValue", "voiceStatusCallback"}
        form = _form(await read_form(request), names | callbacks)
        found = _owned(world, form)
        application = form.get("app_id", "")
        if application and (PROVIDER, application) not in world.applications:
            raise Refused(420, _answer(420, "Application not found"))
        if form.get("voiceCallbackType", "tel") not in ("sip", "tel", "app"):
            raise Refused(420, _answer(420, "voiceCallbackType must be sip, tel or app"))
        # What an update does not name is taken off the number.
        found.application = application
        found.messages_url = form.get("moHttpUrl", "")
        found.more = {name: form[name] for name in sorted(callbacks & set(form))}
        world.changed()
        return json_answer(_answer(200, "success"))

    @get("/vonage/v2/applications/{application:str}")
    async def read(request: Request[Any, Any, Any], application: str) -> Response[bytes]:
        _authenticated(world, request)
        return json_answer(_application(_found(world, application)))

    @put("/vonage/v2/applications/{application:str}")
    async def replace(request: Request[Any, Any, Any], application: str) -> Response[bytes]:
        _authenticated(world, request)
        found = _found(world, application)
        body = await read_json(request)
        if body is None or not isinstance(body.get("name"), str):
            raise _invalid("name", "Is required")
        if odd := set(body) - {"name", "capabilities", "keys", "privacy"}:
            raise _invalid(sorted(odd)[0], "Is unknown")
        _take(found, body)
        world.changed()
        return json_answer(_application(found))

    return search, owned, buy, cancel, update, read, replace


def _authenticated(world: World, request: Request[Any, Any, Any]) -> None:
    account = world.account(PROVIDER)
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    expected = base64.b64encode(f"{account.option('api_key')}:{account.secret('api_secret')}".encode()).decode()
    if scheme.lower() != "basic" or not hmac.compare_digest(given.encode(), expected.encode()):
        raise Refused(401, _answer(401, "authentication failed"))


def _take(found: Application, body: Mapping[str, Any]) -> None:
    """An application as a PUT has it: what is not named is gone."""
    capabilities = body.get("capabilities") or {}
    for capability, hooks in _HOOKS.items():
        part = capabilities.get(capability) or {}
        if odd := set(part) - (
            _VOICE if capability == "voice" else {"webhooks", "version", "authenticate_inbound_media"}
        ):
            raise _invalid(f"capabilities.{capability}.{sorted(odd)[0]}", "Is unknown")
        for name, hook in (part.get("webhooks") or {}).items():
            methods = hooks.get(name)
            if methods is None or hook.get("http_method", methods[-1]) not in methods:
                raise _invalid(f"capabilities.{capability}.webhooks.{name}", "Is not a webhook of it")
            if not str(hook.get("address", "")).startswith(("http://", "https://")):
                raise _invalid(f"capabilities.{capability}.webhooks.{name}.address", "Must be a valid URL")
    voice = (capabilities.get("voice") or {}).get("webhooks") or {}
    messages = (capabilities.get("messages") or {}).get("webhooks") or {}
    found.name = body["name"]
    found.answer_url, found.answer_method = _hook(voice, "answer_url")
    found.event_url, found.event_method = _hook(voice, "event_url")
    found.fallback_url, _ = _hook(voice, "fallback_answer_url")
    found.messages_url, _ = _hook(messages, "inbound_url")
    found.status_url, _ = _hook(messages, "status_url")
    found.more = {"capabilities": dict(capabilities), "keys": body.get("keys"), "privacy": body.get("privacy")}


def _hook(webhooks: Mapping[str, Any], name: str) -> tuple[str, str]:
    hook = webhooks.get(name) or {}
    return str(hook.get("address", "")), str(hook.get("http_method", "POST"))


def _application(found: Application) -> dict[str, Any]:
    capabilities = dict(found.more.get("capabilities") or {})
    voice, messages = dict(capabilities.get("voice") or {}), dict(capabilities.get("messages") or {})
    hooks = {
        "answer_url": (found.answer_url, found.answer_method),
        "event_url": (found.event_url, found.event_method),
        "fallback_answer_url": (found.fallback_url, "POST"),
    }
    voice["webhooks"] = {
        name: {"address": address, "http_method": method} for name, (address, method) in hooks.items() if address
    }
    voice.setdefault("signed_callbacks", True)
    texts = {"inbound_url": found.messages_url, "status_url": found.status_url}
    messages["webhooks"] = {
        name: {"address": address, "http_method": "POST"} for name, address in texts.items() if address
    }
    return {
        "id": found.id,
        "name": found.name,
        "keys": found.more.get("keys") or {"public_key": ""},
        "privacy": found.more.get("privacy") or {"improve_ai": False},
        "capabilities": {**capabilities, "voice": voice, "messages": messages},
        "_links": {"self": {"href": f"/v2/applications/{found.id}"}},
    }


def _number(owned: OwnedNumber) -> dict[str, Any]:
    told: dict[str, Any] = {
        "country": owned.country,
        "msisdn": owned.number.removeprefix("+"),
        "type": _KINDS[owned.kind],
        "features": [name.upper() for name in owned.features],
        **owned.more,
    }
    if owned.messages_url:
        told["moHttpUrl"] = owned.messages_url
    if owned.application:
        told["app_id"] = owned.application
    return told


def _found(world: World, application: str) -> Application:
    found = world.applications.get((PROVIDER, application))
    if found is None:
        raise Refused(
            404,
            {
                "type": "https://developer.nexmo.com/api-errors#not-found",
                "title": "Not Found",
                "detail": f"Application '{application}' was not found, or it was deleted",
                "instance": "0",
            },
        )
    return found


def _owned(world: World, form: Mapping[str, str]) -> OwnedNumber:
    found = world.number(PROVIDER, f"+{form.get('msisdn', '')}")
    if found is None or found.country != form.get("country"):
        raise Refused(420, _answer(420, "method failed"))
    return found


def _invalid(name: str, reason: str) -> Refused:
    return Refused(
        400,
        {
            "type": "https://developer.nexmo.com/api-errors/application#payload-validation",
            "title": "Bad Request",
            "detail": "The request failed due to validation errors",
            "invalid_parameters": [{"name": name, "reason": reason}],
            "instance": "0",
        },
    )


def _answer(code: int, label: str) -> dict[str, str]:
    return {"error-code": str(code), "error-code-label": label}


def _matches(number: str, pattern: str, where: str) -> bool:
    if where == "1":
        return pattern in number
    return number.endswith(pattern) if where == "2" else number.startswith(pattern)


def _pattern(asked: Mapping[str, str], country: str) -> tuple[str, str]:
    """A pattern as area code and digits somewhere."""
    from voisnap_providers.numbering import calling_code  # noqa: PLC0415 - 7 MB that few starts need

    pattern, where = asked.get("pattern", ""), asked.get("search_pattern", "0")
    if not pattern.isdigit() and pattern:
        raise Refused(420, _answer(420, "pattern must be digits"))
    if where == "0":
        return pattern.removeprefix(str(calling_code(country))), ""
    return "", pattern


def _known(query: Any, names: set[str]) -> dict[str, str]:
    asked = dict(query.items())
    if odd := set(asked) - names:
        raise Refused(420, _answer(420, f"unknown parameter {sorted(odd)[0]}"))
    return {name: str(value) for name, value in asked.items()}


def _form(fields: Mapping[str, Sequence[str]], names: set[str]) -> dict[str, str]:
    if odd := set(fields) - names:
        raise Refused(420, _answer(420, f"unknown parameter {sorted(odd)[0]}"))
    return {name: values[-1] for name, values in fields.items()}


def _size(asked: Mapping[str, str]) -> int:
    text = asked.get("size", "10")
    if not text.isdigit() or not 1 <= int(text) <= 100:
        raise Refused(420, _answer(420, "size must be 1 to 100"))
    return int(text)
