"""Twilio's numbers: AvailablePhoneNumbers, IncomingPhoneNumbers and the Pricing API.

https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource. Fields that Twilio does not know are refused, where it would
overlook them. +15005550000 is never available and +15005550001 no number, as with Twilio's test credentials.
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.types import ControllerRouterHandler

from voisnap_simulator.answers import Refused, empty_answer, json_answer, read_form
from voisnap_simulator.world import OwnedNumber, World

from . import pool

PROVIDER = "twilio"
_ACCOUNTS = "/twilio/2010-04-01/Accounts/{account:str}"
_KINDS = {"Local": pool.LOCAL, "Mobile": pool.MOBILE, "National": pool.NATIONAL, "TollFree": pool.TOLL_FREE}
_PRICED = {"local": pool.LOCAL, "mobile": pool.MOBILE, "national": pool.NATIONAL, "toll free": pool.TOLL_FREE}
_SEARCHED = {
    *("AreaCode", "Contains", "SmsEnabled", "MmsEnabled", "VoiceEnabled", "PageSize", "Page", "InRegion", "InLocality"),
    *("ExcludeAllAddressRequired", "ExcludeLocalAddressRequired", "ExcludeForeignAddressRequired", "Beta"),
}
_LISTED = {"PhoneNumber", "FriendlyName", "Beta", "Origin", "PageSize", "Page"}
_SET = {
    "FriendlyName": "friendly_name",
    "VoiceFallbackMethod": "voice_fallback_method",
    "StatusCallbackMethod": "status_callback_method",
    "SmsFallbackUrl": "sms_fallback_url",
    "SmsFallbackMethod": "sms_fallback_method",
    "VoiceApplicationSid": "voice_application_sid",
    "SmsApplicationSid": "sms_application_sid",
    "TrunkSid": "trunk_sid",
    "AddressSid": "address_sid",
    "BundleSid": "bundle_sid",
    "VoiceReceiveMode": "voice_receive_mode",
}
"""Fields of a number that are kept and read back."""
_OWN = {
    "VoiceUrl": "voice_url",
    "VoiceMethod": "voice_method",
    "VoiceFallbackUrl": "voice_fallback_url",
    "StatusCallback": "status_url",
    "SmsUrl": "messages_url",
    "SmsMethod": "messages_method",
}
"""Fields that the simulated calls and texts go by."""
_NEVER_AVAILABLE, _NO_NUMBER = "+15005550000", "+15005550001"


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """Twilio's REST API for numbers."""

    @get(_ACCOUNTS)
    async def account(request: Request[Any, Any, Any], account: str) -> Response[bytes]:
        sid = authenticated(world, request, account.removesuffix(".json"))
        return json_answer({"sid": sid, "friendly_name": "Voisnap sandbox", "status": "active", "type": "Full"})

    @get(f"{_ACCOUNTS}/AvailablePhoneNumbers/{{country:str}}/{{kind:str}}")
    async def search(request: Request[Any, Any, Any], account: str, country: str, kind: str) -> Response[bytes]:
        authenticated(world, request, account)
        asked = _known(request.query_params, _SEARCHED)
        wanted = _KINDS.get(kind.removesuffix(".json"))
        if wanted is None or not pool.has(country, wanted):
            raise not_found(request)
        area = asked.get("AreaCode", "")
        if area and country not in ("US", "CA"):
            raise refused(400, 21451, "Invalid area code")
        features = {name for name in ("voice", "sms", "mms") if asked.get(f"{name.capitalize()}Enabled") == "true"}
        offers = pool.offers(
            world,
            PROVIDER,
            country=country,
            kind=wanted,
            area=area,
            contains=asked.get("Contains", "").strip("*"),
            features=frozenset(features),
            count=_page_size(asked),
        )
        uri = request.url.path.removeprefix("/twilio")
        return json_answer({"uri": uri, "available_phone_numbers": [_offer(offer) for offer in offers]})

    @get(f"{_ACCOUNTS}/IncomingPhoneNumbers.json")
    async def listed(request: Request[Any, Any, Any], account: str) -> Response[bytes]:
        sid = authenticated(world, request, account)
        asked = _known(request.query_params, _LISTED)
        wanted = asked.get("PhoneNumber", "").lstrip("+")
        found = [
            number
            for number in world.numbers.values()
            if number.provider == PROVIDER and (not wanted or wanted in number.number)
        ]
        page = [_number(sid, number) for number in found[: _page_size(asked)]]
        uri = request.url.path.removeprefix("/twilio")
        paging = {"page": 0, "page_size": _page_size(asked), "start": 0, "end": max(len(page) - 1, 0), "uri": uri}
        links = {"first_page_uri": f"{uri}?Page=0", "next_page_uri": None, "previous_page_uri": None}
        return json_answer({**paging, **links, "incoming_phone_numbers": page})

    @post(f"{_ACCOUNTS}/IncomingPhoneNumbers.json")
    async def buy(request: Request[Any, Any, Any], account: str) -> Response[bytes]:
        sid = authenticated(world, request, account)
        form = _form(await read_form(request), {"PhoneNumber", "AreaCode", *_SET, *_OWN})
        number = form.pop("PhoneNumber", "")
        if area := form.pop("AreaCode", ""):
            found = pool.offers(world, PROVIDER, country="US", kind=pool.LOCAL, area=area, count=1)
            if not found:
                raise refused(400, 21452, f"No phone numbers found in area code {area}")
            number = found[0].number
        if number == _NO_NUMBER or not number.startswith("+"):
            raise refused(400, 21421, f"PhoneNumber is invalid: {number}")
        offer = None if number == _NEVER_AVAILABLE else pool.for_sale(world, PROVIDER, number)
        if offer is None:
            raise refused(400, 21422, f"PhoneNumber is not available: {number}")
        owned = OwnedNumber(
            provider=PROVIDER,
            number=number,
            id=f"PN{world.new_hex()}",
            country=offer.country,
            kind=offer.kind,
            features=offer.features,
            more={"date_created": formatdate(world.clock())},
        )
        _set(owned, form)
        return json_answer(_number(sid, world.own(owned)), 201)

    @get(f"{_ACCOUNTS}/IncomingPhoneNumbers/{{number:str}}")
    async def read(request: Request[Any, Any, Any], account: str, number: str) -> Response[bytes]:
        sid = authenticated(world, request, account)
        return json_answer(_number(sid, _found(world, request, number)))

    @post(f"{_ACCOUNTS}/IncomingPhoneNumbers/{{number:str}}")
    async def change(request: Request[Any, Any, Any], account: str, number: str) -> Response[bytes]:
        sid = authenticated(world, request, account)
        owned = _found(world, request, number)
        _set(owned, _form(await read_form(request), {*_SET, *_OWN}))
        world.changed()
        return json_answer(_number(sid, owned))

    @delete(f"{_ACCOUNTS}/IncomingPhoneNumbers/{{number:str}}", status_code=204)
    async def release(request: Request[Any, Any, Any], account: str, number: str) -> Response[None]:
        authenticated(world, request, account)
        world.release(PROVIDER, _found(world, request, number).number)
        return empty_answer()

    @get("/twilio/v1/PhoneNumbers/Countries/{country:str}")
    async def prices(request: Request[Any, Any, Any], country: str) -> Response[bytes]:
        authenticated(world, request)
        kinds = [(name, kind) for name, kind in _PRICED.items() if pool.has(country, kind)]
        if not kinds:
            raise not_found(request)
        told = [
            {
                "number_type": name,
                "base_price": f"{pool.MONTHLY_USD[kind]}",
                "current_price": f"{pool.MONTHLY_USD[kind]}",
            }
            for name, kind in kinds
        ]
        return json_answer(
            {"country": country, "iso_country": country, "price_unit": "USD", "phone_number_prices": told}
        )

    return account, search, listed, buy, read, change, release, prices


def authenticated(world: World, request: Request[Any, Any, Any], account: str | None = None) -> str:
    """The account's SID. Raises Refused unless the request has Basic authentication of it."""
    ours = world.account(PROVIDER)
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    expected = base64.b64encode(f"{ours.option('account_sid')}:{ours.secret('auth_token')}".encode()).decode()
    if scheme.lower() != "basic" or not hmac.compare_digest(given.encode(), expected.encode()):
        raise refused(401, 20003, "Authenticate")
    if account is not None and account != ours.option("account_sid"):
        raise not_found(request)
    return ours.option("account_sid")


def refused(status: int, code: int, message: str) -> Refused:
    """An error as Twilio says it."""
    info = f"https://www.twilio.com/docs/errors/{code}"
    return Refused(status, {"code": code, "message": message, "more_info": info, "status": status})


def not_found(request: Request[Any, Any, Any]) -> Refused:
    """What Twilio says of what is not there."""
    path = request.url.path.removeprefix("/twilio")
    return refused(404, 20404, f"The requested resource {path} was not found")


def _found(world: World, request: Request[Any, Any, Any], number: str) -> OwnedNumber:
    sid = number.removesuffix(".json")
    found = next((one for one in world.numbers.values() if one.provider == PROVIDER and one.id == sid), None)
    if found is None:
        raise not_found(request)
    return found


def _set(owned: OwnedNumber, form: Mapping[str, str]) -> None:
    for name, value in form.items():
        if name.endswith("Method") and value not in ("GET", "POST"):
            raise refused(400, 21402, f"{name} is invalid: {value}")
        if name.endswith("Url") and value and not value.startswith(("http://", "https://")):
            raise refused(400, 21402, f"{name} is not valid: {value}")
        if name in _OWN:
            setattr(owned, _OWN[name], value)
        else:
            owned.more[_SET[name]] = value


def _number(account: str, owned: OwnedNumber) -> dict[str, Any]:
    kept = {field: owned.more.get(field, "") for field in _SET.values()}
    created = owned.more.get("date_created", formatdate(0))
    return {
        **kept,
        "sid": owned.id,
        "account_sid": account,
        "phone_number": owned.number,
        "friendly_name": kept["friendly_name"] or owned.number,
        "capabilities": {name: name in owned.features for name in ("voice", "sms", "mms", "fax")},
        "voice_url": owned.voice_url,
        "voice_method": owned.voice_method,
        "voice_fallback_url": owned.voice_fallback_url,
        "status_callback": owned.status_url,
        "status_callback_method": kept["status_callback_method"] or "POST",
        "sms_url": owned.messages_url,
        "sms_method": owned.messages_method,
        "address_requirements": "none",
        "api_version": "2010-04-01",
        "beta": False,
        "date_created": created,
        "date_updated": created,
        "origin": "twilio",
        "status": "in-use",
        "type": owned.kind,
        "uri": f"/2010-04-01/Accounts/{account}/IncomingPhoneNumbers/{owned.id}.json",
    }


def _offer(offer: pool.Offer) -> dict[str, Any]:
    return {
        "friendly_name": offer.number,
        "phone_number": offer.number,
        "lata": None,
        "locality": offer.locality,
        "rate_center": None,
        "latitude": None,
        "longitude": None,
        "region": offer.region,
        "postal_code": None,
        "iso_country": offer.country,
        "address_requirements": "none",
        "beta": False,
        "capabilities": {
            "voice": "voice" in offer.features,
            "SMS": "sms" in offer.features,
            "MMS": "mms" in offer.features,
        },
    }


def _known(query: Any, names: set[str]) -> dict[str, str]:
    asked = dict(query.items())
    if odd := set(asked) - names:
        raise refused(400, 20001, f"Unknown parameters: {', '.join(sorted(odd))}")
    return {name: str(value) for name, value in asked.items()}


def _form(fields: Mapping[str, Sequence[str]], names: set[str]) -> dict[str, str]:
    if odd := set(fields) - names:
        raise refused(400, 20001, f"Unknown parameters: {', '.join(sorted(odd))}")
    return {name: values[-1] for name, values in fields.items()}


def _page_size(asked: Mapping[str, str]) -> int:
    text = asked.get("PageSize", "50")
    if not text.isdigit():
        raise refused(400, 20001, "PageSize must be a number")
    return max(1, min(int(text), 1000))
