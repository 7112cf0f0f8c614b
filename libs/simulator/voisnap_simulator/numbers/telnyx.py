"""Telnyx's numbers: searches, orders that take a moment, numbers, and the applications and messaging profiles they are linked to.

https://developers.telnyx.com/api-reference/phone-number-search/list-available-phone-numbers, …/phone-number-orders/create-a-number-order
"""

import hmac
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, delete, get, patch, post
from litestar.types import ControllerRouterHandler

from voisnap_simulator.answers import Refused, json_answer, read_json
from voisnap_simulator.world import Application, OwnedNumber, World

from . import pool

PROVIDER = "telnyx"
_V2 = "/telnyx/v2"
_TYPES = {
    "local": pool.LOCAL,
    "mobile": pool.MOBILE,
    "national": pool.NATIONAL,
    "toll_free": pool.TOLL_FREE,
}
_SEARCHED = {
    *("country_code", "limit", "best_effort", "phone_number_type", "national_destination_code", "features"),
    *("contains", "starts_with", "ends_with", "locality", "administrative_area", "reservable", "quickship"),
    *("exclude_held_numbers", "rate_center"),
}
_APPLICATION = {
    *("application_name", "webhook_event_url", "webhook_event_failover_url", "webhook_api_version", "active", "tags"),
    *("webhook_timeout_secs", "call_cost_in_webhooks", "anchorsite_override", "dtmf_type", "inbound", "outbound"),
    *("first_command_timeout", "first_command_timeout_secs", "redact_dtmf_debug_logging"),
}
_PROFILE = {
    *("name", "enabled", "webhook_url", "webhook_failover_url", "webhook_api_version", "whitelisted_destinations"),
    *("number_pool_settings", "url_shortener_settings", "alpha_sender", "mms_fall_back_to_sms", "mms_transcoding"),
    *("daily_spend_limit", "daily_spend_limit_enabled", "smart_encoding", "features", "mobile_only"),
}
_FILTER = re.compile(r"filter\[(\w+)\](?:\[(\w*)\])?")


@dataclass
class Orders:
    """Orders by id; a pending one is done at the first look at it."""

    placed: dict[str, dict[str, Any]] = field(default_factory=dict)


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """Telnyx's REST API for numbers."""
    orders: Orders = world.part(Orders, Orders)

    @get(f"{_V2}/available_phone_numbers")
    async def search(request: Request[Any, Any, Any]) -> Response[bytes]:
        authenticated(world, request)
        asked = _filters(request, _SEARCHED)
        country = asked.get("country_code", ["US"])[-1]
        kinds = [_TYPES.get(name) for name in asked.get("phone_number_type", ["local", "mobile", "national"])]
        offers: list[pool.Offer] = []
        for kind in kinds:
            if kind is None:
                raise refused(422, "10015", "phone_number_type is not one of Telnyx's")
            offers += pool.offers(
                world,
                PROVIDER,
                country=country,
                kind=kind,
                area=asked.get("national_destination_code", [""])[-1],
                contains=asked.get("contains", [""])[-1],
                features=frozenset(asked.get("features", [])) & {"voice", "sms", "mms"},
                count=int(asked.get("limit", ["100"])[-1]) - len(offers),
            )
        if not offers and not any(kind and pool.has(country, kind) for kind in kinds):
            raise refused(400, "10031", "Telnyx has no coverage there")
        data = [_offer(offer) for offer in offers]
        return json_answer({"data": data, "meta": {"total_results": len(data), "best_effort_results": 0}})

    @get(f"{_V2}/number_orders")
    async def listed_orders(request: Request[Any, Any, Any]) -> Response[bytes]:
        authenticated(world, request)
        reference = _filters(request, {"customer_reference", "status"}).get("customer_reference", [None])[-1]
        found = [one for one in orders.placed.values() if reference in (None, one["customer_reference"])]
        return json_answer(_page(found))

    @post(f"{_V2}/number_orders", status_code=200)
    async def order(request: Request[Any, Any, Any]) -> Response[bytes]:
        authenticated(world, request)
        body = await _body(
            request,
            {"phone_numbers", "connection_id", "messaging_profile_id", "billing_group_id", "customer_reference"},
        )
        if connection := body.get("connection_id"):
            _application_of(world, str(connection), "voice")
        if profile := body.get("messaging_profile_id"):
            _application_of(world, str(profile), "messages")
        match body.get("phone_numbers"):
            case [{"phone_number": str(number)}]:
                offer = pool.for_sale(world, PROVIDER, number)
            case _:
                raise refused(422, "10004", "phone_numbers is required: one at a time")
        if offer is None:
            raise refused(422, "85001", "The phone number is not available")
        placed = {
            "id": str(uuid.uuid4()),
            "record_type": "number_order",
            "status": "pending",
            "requirements_met": True,
            "customer_reference": body.get("customer_reference"),
            "connection_id": body.get("connection_id"),
            "messaging_profile_id": body.get("messaging_profile_id"),
            "phone_numbers_count": 1,
            "phone_numbers": [
                {
                    "id": str(uuid.uuid4()),
                    "record_type": "number_order_phone_number",
                    "phone_number": number,
                    "country_code": offer.country,
                    "phone_number_type": _type_of(offer.kind),
                    "requirements_met": True,
                    "status": "pending",
                }
            ],
            "created_at": _now(world),
            "updated_at": _now(world),
        }
        orders.placed[placed["id"]] = placed
        return json_answer({"data": placed})

    @get(f"{_V2}/number_orders/{{order_id:str}}")
    async def read_order(request: Request[Any, Any, Any], order_id: str) -> Response[bytes]:
        authenticated(world, request)
        placed = orders.placed.get(order_id)
        if placed is None:
            raise not_found()
        _settle(world, placed)
        return json_answer({"data": placed})

    @get(f"{_V2}/phone_numbers")
    async def listed(request: Request[Any, Any, Any]) -> Response[bytes]:
        authenticated(world, request)
        asked = _filters(request, {"phone_number", "status", "connection_id", "customer_reference", "tag"})
        wanted = asked.get("phone_number", [""])[-1].lstrip("+")
        connection = asked.get("connection_id", [None])[-1]
        found = [
            _number(one)
            for one in world.numbers.values()
            if one.provider == PROVIDER and wanted in one.number and connection in (None, one.application)
        ]
        return json_answer(_page(found))

    @get(f"{_V2}/phone_numbers/{{number_id:str}}")
    async def read(request: Request[Any, Any, Any], number_id: str) -> Response[bytes]:
        authenticated(world, request)
        return json_answer({"data": _number(_found(world, number_id))})

    @patch(f"{_V2}/phone_numbers/{{number_id:str}}")
    async def change(request: Request[Any, Any, Any], number_id: str) -> Response[bytes]:
        authenticated(world, request)
        found = _found(world, number_id)
        names = {"connection_id", "tags", "customer_reference", "billing_group_id", "external_pin", "hd_voice_enabled"}
        body = await _body(request, names)
        if "connection_id" in body:
            if body["connection_id"]:
                _connection_of(world, str(body["connection_id"]))
            found.application = str(body["connection_id"] or "")
        found.more |= {name: value for name, value in body.items() if name != "connection_id"}
        world.changed()
        return json_answer({"data": _number(found)})

    @delete(f"{_V2}/phone_numbers/{{number_id:str}}", status_code=200)
    async def release(request: Request[Any, Any, Any], number_id: str) -> Response[bytes]:
        authenticated(world, request)
        found = _found(world, number_id)
        world.release(PROVIDER, found.number)
        return json_answer({"data": _number(found) | {"status": "deleted"}})

    @get(f"{_V2}/phone_numbers/{{number_id:str}}/messaging")
    async def read_messaging(request: Request[Any, Any, Any], number_id: str) -> Response[bytes]:
        authenticated(world, request)
        return json_answer({"data": _messaging(_found(world, number_id))})

    @patch(f"{_V2}/phone_numbers/{{number_id:str}}/messaging")
    async def change_messaging(request: Request[Any, Any, Any], number_id: str) -> Response[bytes]:
        authenticated(world, request)
        found = _found(world, number_id)
        body = await _body(request, {"messaging_profile_id", "messaging_product", "tags"})
        if profile := body.get("messaging_profile_id"):
            _application_of(world, str(profile), "messages")
        found.messaging_profile = str(body.get("messaging_profile_id") or "")
        world.changed()
        return json_answer({"data": _messaging(found)})

    @get(f"{_V2}/call_control_applications/{{application_id:str}}")
    async def read_application(request: Request[Any, Any, Any], application_id: str) -> Response[bytes]:
        authenticated(world, request)
        return json_answer({"data": _application(_application_of(world, application_id, "voice"))})

    @patch(f"{_V2}/call_control_applications/{{application_id:str}}")
    async def change_application(request: Request[Any, Any, Any], application_id: str) -> Response[bytes]:
        authenticated(world, request)
        found = _application_of(world, application_id, "voice")
        body = await _body(request, _APPLICATION)
        for name in ("application_name", "webhook_event_url"):
            if not body.get(name):
                raise refused(422, "10004", f"{name} is required")
        found.name, found.event_url = body["application_name"], body["webhook_event_url"]
        found.fallback_url = body.get("webhook_event_failover_url") or found.fallback_url
        own = ("application_name", "webhook_event_url", "webhook_event_failover_url")
        found.more |= {name: value for name, value in body.items() if name not in own}
        world.changed()
        return json_answer({"data": _application(found)})

    @get(f"{_V2}/messaging_profiles/{{profile_id:str}}")
    async def read_profile(request: Request[Any, Any, Any], profile_id: str) -> Response[bytes]:
        authenticated(world, request)
        return json_answer({"data": _profile(_application_of(world, profile_id, "messages"))})

    @patch(f"{_V2}/messaging_profiles/{{profile_id:str}}")
    async def change_profile(request: Request[Any, Any, Any], profile_id: str) -> Response[bytes]:
        authenticated(world, request)
        found = _application_of(world, profile_id, "messages")
        body = await _body(request, _PROFILE)
        found.name = body.get("name", found.name)
        found.messages_url = body.get("webhook_url", found.messages_url)
        found.more |= {name: value for name, value in body.items() if name not in ("name", "webhook_url")}
        world.changed()
        return json_answer({"data": _profile(found)})

    return (
        *(search, listed_orders, order, read_order, listed, read, change, release, read_messaging, change_messaging),
        *(read_application, change_application, read_profile, change_profile),
    )


def authenticated(world: World, request: Request[Any, Any, Any]) -> None:
    """Raises Refused unless the request holds the account's key."""
    expected = f"Bearer {world.account(PROVIDER).secret()}"
    if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected.encode()):
        raise refused(401, "10009", "Authentication failed")


def refused(status: int, code: str, detail: str) -> Refused:
    """An error as Telnyx says it."""
    meta = {"url": f"https://developers.telnyx.com/docs/overview/errors/{code}"}
    return Refused(status, {"errors": [{"code": code, "title": detail, "detail": detail, "meta": meta}]})


def not_found() -> Refused:
    """What Telnyx says of what is not there."""
    return refused(404, "10005", "The requested resource or URL could not be found")


def _settle(world: World, placed: dict[str, Any]) -> None:
    if placed["status"] != "pending":
        return
    ordered = placed["phone_numbers"][0]
    offer = pool.for_sale(world, PROVIDER, ordered["phone_number"])
    status = "failure" if offer is None else "success"
    placed["status"] = ordered["status"] = status
    placed["updated_at"] = _now(world)
    if offer is None:
        return
    world.own(
        OwnedNumber(
            provider=PROVIDER,
            number=offer.number,
            id=str(world.new_hex(19).translate(str.maketrans("abcdef0", "1234567"))),
            country=offer.country,
            kind=offer.kind,
            features=offer.features,
            application=str(placed["connection_id"] or ""),
            messaging_profile=str(placed["messaging_profile_id"] or ""),
            more={"customer_reference": placed["customer_reference"], "purchased_at": _now(world)},
        )
    )


def _found(world: World, number_id: str) -> OwnedNumber:
    owned = (one for one in world.numbers.values() if one.provider == PROVIDER)
    found = next((one for one in owned if number_id in (one.id, one.number, one.number.lstrip("+"))), None)
    if found is None:
        raise not_found()
    return found


def _application_of(world: World, application_id: str, kind: str) -> Application:
    found = world.applications.get((PROVIDER, application_id))
    if found is None or found.kind != kind:
        raise not_found()
    return found


def _connection_of(world: World, connection_id: str) -> Application:
    found = world.applications.get((PROVIDER, connection_id))
    if found is None or found.kind == "messages":
        raise refused(422, "10013", "The connection does not exist")
    return found


def _offer(offer: pool.Offer) -> dict[str, Any]:
    regions = [{"region_type": "country_code", "region_name": offer.country}]
    if offer.region:
        regions.append({"region_type": "state", "region_name": offer.region})
    if offer.locality:
        regions.append({"region_type": "location", "region_name": offer.locality})
    return {
        "record_type": "available_phone_number",
        "phone_number": offer.number,
        "vanity_format": None,
        "best_effort": False,
        "quickship": True,
        "reservable": True,
        "region_information": regions,
        "cost_information": {"upfront_cost": "0.00", "monthly_cost": f"{offer.monthly_usd:.2f}", "currency": "USD"},
        "features": [{"name": name} for name in (*offer.features, "emergency")],
    }


def _number(owned: OwnedNumber) -> dict[str, Any]:
    return {
        "id": owned.id,
        "record_type": "phone_number",
        "phone_number": owned.number,
        "country_iso_alpha2": owned.country,
        "phone_number_type": _type_of(owned.kind),
        "status": "active",
        "tags": owned.more.get("tags", []),
        "connection_id": owned.application or None,
        "messaging_profile_id": owned.messaging_profile or None,
        "customer_reference": owned.more.get("customer_reference"),
        "purchased_at": owned.more.get("purchased_at"),
    }


def _messaging(owned: OwnedNumber) -> dict[str, Any]:
    domestic = {"domestic_two_way": True, "international_inbound": True, "international_outbound": True}
    return {
        "id": owned.id,
        "record_type": "messaging_settings",
        "phone_number": owned.number,
        "country_code": owned.country,
        "messaging_profile_id": owned.messaging_profile or None,
        "type": "toll-free" if owned.kind == pool.TOLL_FREE else "long-code",
        "features": {name: domestic if name in owned.features else None for name in ("sms", "mms")},
    }


def _application(found: Application) -> dict[str, Any]:
    return {
        "active": True,
        "webhook_api_version": "2",
        "call_cost_in_webhooks": False,
        **found.more,
        "id": found.id,
        "record_type": "call_control_application",
        "application_name": found.name,
        "webhook_event_url": found.event_url,
        "webhook_event_failover_url": found.fallback_url or None,
    }


def _profile(found: Application) -> dict[str, Any]:
    return {
        "enabled": True,
        "webhook_api_version": "2",
        **found.more,
        "id": found.id,
        "record_type": "messaging_profile",
        "name": found.name,
        "webhook_url": found.messages_url,
    }


def _filters(request: Request[Any, Any, Any], names: set[str]) -> dict[str, list[str]]:
    """`filter[…]` of a query by their innermost name."""
    asked: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        if name in ("page[size]", "page[number]"):
            continue
        match = _FILTER.fullmatch(name)
        inner = (match[2] or match[1]) if match else ""
        if inner not in names:
            raise refused(400, "10015", f"{name} is no parameter of this")
        asked.setdefault(inner, []).append(str(value))
    return asked


async def _body(request: Request[Any, Any, Any], names: set[str]) -> Mapping[str, Any]:
    body = await read_json(request)
    if body is None:
        raise refused(400, "10015", "The body is no JSON object")
    if odd := set(body) - names:
        raise refused(422, "10015", f"{sorted(odd)[0]} is no field of this")
    return body


def _page(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    meta = {"page_number": 1, "page_size": max(len(found), 20), "total_pages": 1, "total_results": len(found)}
    return {"data": list(found), "meta": meta}


def _type_of(kind: str) -> str:
    return next(name for name, known in _TYPES.items() if known == kind)


def _now(world: World) -> str:
    return datetime.fromtimestamp(world.clock(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
