"""Telnyx's numbers: orders that are worked on for a while, and the application and the messaging profile that say where calls and texts go.

https://developers.telnyx.com/docs/numbers/phone-numbers/number-orders
"""

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from voisnap_providers.accounts import Account
from voisnap_providers.errors import DialUncertain, ProviderError
from voisnap_providers.numbering import begins_with_area, country_of
from voisnap_providers.ports.numbers import (
    Difference,
    HeldNumber,
    NumberDesk,
    NumberFeature,
    NumberOffer,
    NumberQuery,
    NumberTargets,
    Purchase,
    PurchaseUncertain,
)
from voisnap_providers.vendors import number_refusals
from voisnap_providers.vendors.carrier_http import CarrierHttp, Rejected
from voisnap_providers.vendors.phone_numbers import e164

from .calls import BASE_URL, PROVIDER

ORDER_SECONDS = (0.2, 0.5, 1.0, 2.0, 3.0)
"""Between the looks at an order for whoever waits; what takes longer is looked after by a reconciler."""
_ID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)


class TelnyxNumbers(NumberDesk):
    """Numbers of one account, which ring at one Call Control application (`connection_id`) and are written to by one messaging profile."""

    def __init__(
        self, *, api_key: str, connection_id: str, messaging_profile_id: str = "", base_url: str = BASE_URL
    ) -> None:
        self._connection_id = connection_id
        self._profile_id = messaging_profile_id
        self._http = CarrierHttp(PROVIDER, base_url=base_url, headers={"Authorization": f"Bearer {api_key}"})

    async def search(self, query: NumberQuery) -> tuple[NumberOffer, ...]:
        wanted: list[tuple[str, str]] = [
            ("filter[country_code]", query.country),
            ("filter[limit]", str(query.limit)),
            ("filter[best_effort]", "false"),
        ]
        if query.toll_free:
            wanted.append(("filter[phone_number_type]", "toll_free"))
        if query.area_code is not None:
            wanted.append(("filter[national_destination_code]", query.area_code.lstrip("0")))
        if query.contains is not None:
            wanted.append(("filter[phone_number][contains]", query.contains))
        wanted += [("filter[features][]", feature.value) for feature in query.features]
        try:
            told = await self._http.asked("GET", f"/available_phone_numbers?{urlencode(wanted)}")
        except Rejected as rejected:
            # Where Telnyx has no coverage at all, it answers a search with a refusal.
            if rejected.status in (400, 404, 422):
                return ()
            raise self._fault(rejected) from None
        offers = [offer for one in _data(told) if (offer := _offer(one, query)) is not None and _fits(offer, query)]
        return tuple(offers[: query.limit])

    async def buy(self, phone_number: str, *, country: str, reference: str, targets: NumberTargets) -> Purchase:
        """An order by the purchase's name: before another one is placed, the one there is is looked for."""
        del country, targets
        placed = await self._order_of(reference)
        if placed is None:
            order: dict[str, Any] = {
                "phone_numbers": [{"phone_number": phone_number}],
                "connection_id": self._connection_id,
                "customer_reference": reference,
            }
            if self._profile_id:
                order["messaging_profile_id"] = self._profile_id
            try:
                placed = _one(await self._http.asked("POST", "/number_orders", json=order, dialling=True))
            except DialUncertain as error:
                detail = f"Nobody knows whether {PROVIDER} took the order."
                raise PurchaseUncertain(detail, provider=PROVIDER) from error
            except Rejected as rejected:
                raise _refused(rejected) from None
        if not isinstance(placed, dict) or not _ID.fullmatch(str(placed.get("id", ""))):
            raise PurchaseUncertain(f"{PROVIDER} took the order and did not name it.", provider=PROVIDER)
        order_id = str(placed["id"])
        purchase = await self._settled(placed)
        for seconds in ORDER_SECONDS:
            if purchase.held is not None:
                break
            await asyncio.sleep(seconds)
            # What can't be learnt now is learnt later: the order stands.
            with suppress(ProviderError):
                purchase = await self.ordered(order_id)
        return purchase

    async def ordered(self, order_id: str) -> Purchase:
        if not _ID.fullmatch(order_id):
            raise self._http.fault("This is no id of a Telnyx order.", retryable=False)
        return await self._settled(_one(await self._asked("GET", f"/number_orders/{order_id}")))

    async def find(self, phone_number: str) -> HeldNumber | None:
        query = urlencode([("filter[phone_number]", phone_number), ("page[size]", "20")])
        listed = _data(await self._asked("GET", f"/phone_numbers?{query}"))
        found = next((one for one in listed if one.get("phone_number") == phone_number), None)
        if found is None or str(found.get("status")) in ("deleted", "ported-out", "ported_out"):
            return None
        return HeldNumber(
            id=str(found.get("id", "")),
            phone_number=phone_number,
            country=str(found.get("country_iso_alpha2") or country_of(phone_number) or ""),
            features=await self._features_of(str(found.get("id", ""))),
            toll_free=found.get("phone_number_type") == "toll_free",
            settings={
                "connection_id": str(found.get("connection_id") or ""),
                "messaging_profile_id": str(found.get("messaging_profile_id") or ""),
            },
        )

    async def configure(self, number: HeldNumber, targets: NumberTargets) -> None:
        """Links the number to the application and the profile, and has both tell us."""
        path = self._number(number.id)
        application = await self._application()
        wanted = {"webhook_event_url": targets.voice_url, "webhook_api_version": "2"}
        if any(application.get(name) != value for name, value in wanted.items()):
            name = str(application.get("application_name") or "Voisnap")
            body = {**wanted, "application_name": name, "call_cost_in_webhooks": True}
            await self._asked("PATCH", f"/call_control_applications/{self._connection_id}", json=body)
        await self._asked("PATCH", path, json={"connection_id": self._connection_id})
        if self._profile_id and NumberFeature.SMS in number.features:
            profile = await self._profile()
            wanted = {"webhook_url": targets.messages_url, "webhook_api_version": "2"}
            if any(profile.get(name) != value for name, value in wanted.items()):
                await self._asked("PATCH", f"/messaging_profiles/{self._profile_id}", json=wanted)
            await self._asked("PATCH", f"{path}/messaging", json={"messaging_profile_id": self._profile_id})

    async def differences(self, number: HeldNumber, targets: NumberTargets) -> tuple[Difference, ...]:
        application = await self._application()
        wanted = {
            "connection_id": self._connection_id,
            "webhook_event_url": targets.voice_url,
            "webhook_api_version": "2",
        }
        found = {
            "connection_id": number.settings.get("connection_id", ""),
            "webhook_event_url": str(application.get("webhook_event_url") or ""),
            "webhook_api_version": str(application.get("webhook_api_version") or ""),
        }
        if NumberFeature.SMS in number.features and self._profile_id:
            profile = await self._profile()
            wanted |= {"messaging_profile_id": self._profile_id, "webhook_url": targets.messages_url}
            found |= {
                "messaging_profile_id": number.settings.get("messaging_profile_id", ""),
                "webhook_url": str(profile.get("webhook_url") or ""),
            }
        return tuple(
            Difference(setting=name, expected=wanted[name], found=found[name])
            for name in wanted
            if wanted[name] != found[name]
        )

    async def release(self, number: HeldNumber) -> None:
        try:
            await self._http.asked("DELETE", self._number(number.id))
        except Rejected as rejected:
            if rejected.status not in (404, 410):
                raise self._fault(rejected) from None

    async def check(self) -> None:
        """The application is asked for: without it no number would ring here."""
        await self._application()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _order_of(self, reference: str) -> dict[str, Any] | None:
        query = urlencode([("filter[customer_reference]", reference), ("page[size]", "1")])
        listed = _data(await self._asked("GET", f"/number_orders?{query}"))
        return next((one for one in listed if one.get("customer_reference") == reference), None)

    async def _settled(self, order: Any) -> Purchase:
        """What an order is worth: its number, or its id while it is worked on. Raises what a refused purchase does."""
        if not isinstance(order, dict):
            raise self._http.fault("telnyx answered with no order.", retryable=True)
        order_id, status = str(order.get("id", "")), order.get("status")
        ordered = order.get("phone_numbers")
        numbers = [one for one in ordered if isinstance(one, dict)] if isinstance(ordered, list) else []
        if status == "failure":
            raise number_refusals.gone(PROVIDER)
        if status != "success":
            if order.get("requirements_met") is False or any(one.get("requirements_met") is False for one in numbers):
                raise number_refusals.documents(PROVIDER)
            return Purchase(order_id=order_id)
        number = next((str(one.get("phone_number", "")) for one in numbers), "")
        try:
            return Purchase(held=await self.find(number), order_id=order_id)
        except ProviderError:
            return Purchase(order_id=order_id)

    async def _features_of(self, number_id: str) -> tuple[NumberFeature, ...]:
        """Every number rings; what it can be written stands with its messaging settings."""
        try:
            told = _one(await self._http.asked("GET", f"{self._number(number_id)}/messaging"))
        except Rejected as rejected:
            if rejected.status == 404:
                return (NumberFeature.VOICE,)
            raise self._fault(rejected) from None
        able = told.get("features") if isinstance(told, dict) else None
        written = [f for f in (NumberFeature.SMS, NumberFeature.MMS) if isinstance(able, dict) and able.get(f.value)]
        return (NumberFeature.VOICE, *written)

    async def _application(self) -> dict[str, Any]:
        return await self._part(f"/call_control_applications/{self._connection_id}", "connectionId")

    async def _profile(self) -> dict[str, Any]:
        return await self._part(f"/messaging_profiles/{self._profile_id}", "messagingProfileId")

    async def _part(self, path: str, name: str) -> dict[str, Any]:
        try:
            told = _one(await self._http.asked("GET", path))
        except Rejected as rejected:
            if rejected.status == 404:
                detail = f"The account with telnyx has nothing of this {name}."
                raise self._http.fault(detail, retryable=False) from None
            raise self._fault(rejected) from None
        return told if isinstance(told, dict) else {}

    async def _asked(self, method: str, path: str, *, json: Mapping[str, Any] | None = None) -> Any:
        try:
            return await self._http.asked(method, path, json=json)
        except Rejected as rejected:
            raise self._fault(rejected) from None

    def _number(self, number_id: str) -> str:
        if not _ID.fullmatch(number_id):
            raise self._http.fault("This is no id of a Telnyx number.", retryable=False)
        return f"/phone_numbers/{number_id}"

    def _fault(self, rejected: Rejected) -> ProviderError:
        codes = ", ".join(sorted(code for code, _ in _errors(rejected))) or "none"
        return self._http.fault(f"telnyx answered {rejected.status} (error {codes}).", retryable=rejected.status == 409)


def desk(account: Account) -> TelnyxNumbers:
    """The numbers of an account."""
    return TelnyxNumbers(
        api_key=account.secret(),
        connection_id=account.option("connection_id"),
        messaging_profile_id=account.option("messaging_profile_id"),
        base_url=account.option("base_url", BASE_URL),
    )


def _offer(told: Any, query: NumberQuery) -> NumberOffer | None:
    number = e164(str(told.get("phone_number")))
    if number is None:
        return None
    regions = told.get("region_information")
    places: dict[str, str] = {}
    for one in regions if isinstance(regions, list) else ():
        if isinstance(one, dict) and one.get("region_name"):
            places.setdefault(str(one.get("region_type")), str(one["region_name"]))
    return NumberOffer(
        phone_number=number,
        country=places.get("country_code") or query.country,
        region=places.get("state"),
        locality=places.get("location") or places.get("rate_center"),
        features=_features(told),
        toll_free=query.toll_free,
        monthly_cost_usd=_dollars(told.get("cost_information")),
    )


def _fits(offer: NumberOffer, query: NumberQuery) -> bool:
    return (
        set(query.features) <= set(offer.features)
        and (query.area_code is None or begins_with_area(offer.phone_number, query.country, query.area_code))
        and (query.contains is None or query.contains in offer.phone_number)
    )


def _features(told: Any) -> tuple[NumberFeature, ...]:
    named = told.get("features")
    able = {str(one.get("name")) for one in named if isinstance(one, dict)} if isinstance(named, list) else set()
    return tuple(feature for feature in NumberFeature if feature.value in able)


def _dollars(told: Any) -> float | None:
    if not isinstance(told, dict) or str(told.get("currency", "USD")).upper() != "USD":
        return None
    try:
        return float(told["monthly_cost"])
    except (KeyError, TypeError, ValueError):
        return None


def _data(told: Any) -> list[Any]:
    found = told.get("data") if isinstance(told, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _one(told: Any) -> Any:
    return told.get("data") if isinstance(told, dict) else None


def _errors(rejected: Rejected) -> list[tuple[str, str]]:
    """Codes and texts of a refusal."""
    errors = rejected.body.get("errors") if isinstance(rejected.body, dict) else None
    return [
        (str(one.get("code", ""))[:20], f"{one.get('title', '')} {one.get('detail', '')}")
        for one in (errors if isinstance(errors, list) else ())
        if isinstance(one, dict)
    ]


def _refused(rejected: Rejected) -> Exception:
    errors = _errors(rejected)
    words = " ".join(text for _, text in errors)
    return number_refusals.refusal(PROVIDER, rejected.status, errors[0][0] if errors else "", words)
