"""Twilio's numbers: AvailablePhoneNumbers, IncomingPhoneNumbers, and the prices of the Pricing API.

https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource
"""

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from voisnap_providers.accounts import Account
from voisnap_providers.errors import DialUncertain, ProviderError
from voisnap_providers.numbering import begins_with_area, country_of, is_nanp, is_toll_free
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
from .hosts import host_of

_KINDS = ("Local", "Mobile", "National")
"""What there may be of in a country, in the order of being asked for."""
_PRICES = {"Local": "local", "Mobile": "mobile", "National": "national", "TollFree": "toll free"}
_FILTERS = {
    NumberFeature.VOICE: "VoiceEnabled",
    NumberFeature.SMS: "SmsEnabled",
    NumberFeature.MMS: "MmsEnabled",
}
_NAMES = {NumberFeature.VOICE: "voice", NumberFeature.SMS: "sms", NumberFeature.MMS: "mms"}
_SID = re.compile(r"PN[0-9a-fA-F]{32}", re.ASCII)
_GONE = frozenset({21422, 21421, 21404})
_DOCUMENTS = frozenset({21613, 21615, 21631, 21649, 21651})
"""Codes of numbers that want an address, an identity or a bundle: https://www.twilio.com/docs/api/errors."""
_PRICES_SECONDS = 3600.0


class TwilioNumbers(NumberDesk):
    """Numbers of one account."""

    def __init__(self, *, account_sid: str, user: str = "", secret: str, base_url: str = BASE_URL) -> None:
        auth = (user or account_sid, secret)
        self._path = f"/2010-04-01/Accounts/{account_sid}"
        self._http = CarrierHttp(PROVIDER, base_url=base_url, auth=auth)
        self._pricing = CarrierHttp(PROVIDER, base_url=host_of(base_url, "pricing"), auth=auth)
        self._prices: dict[str, tuple[float, Mapping[str, float]]] = {}

    async def search(self, query: NumberQuery) -> tuple[NumberOffer, ...]:
        kinds = ("TollFree",) if query.toll_free else _KINDS
        prices = asyncio.create_task(self._prices_of(query.country))
        try:
            offers: list[NumberOffer] = []
            for kind in kinds:
                found = await self._available(query, kind)
                price = (await prices).get(_PRICES[kind])
                offers += [_offer(one, query, price) for one in found if _fits(one, query)]
                if len(offers) >= query.limit:
                    break
        finally:
            prices.cancel()
        return tuple(offers[: query.limit])

    async def buy(self, phone_number: str, *, country: str, reference: str, targets: NumberTargets) -> Purchase:
        """Twilio knows no name of a purchase: one whose answer is lost is looked for among the account's numbers."""
        del country
        form = {"PhoneNumber": phone_number, "FriendlyName": reference, **_settings(targets)}
        try:
            bought = await self._http.asked("POST", f"{self._path}/IncomingPhoneNumbers.json", form=form, dialling=True)
        except DialUncertain as error:
            raise PurchaseUncertain(f"Nobody knows whether {PROVIDER} sold the number.", provider=PROVIDER) from error
        except Rejected as rejected:
            code = _code(rejected)
            if code in _GONE:
                raise number_refusals.gone(PROVIDER) from None
            if code in _DOCUMENTS:
                raise number_refusals.documents(PROVIDER) from None
            raise number_refusals.refusal(PROVIDER, rejected.status, str(code), _words(rejected)) from None
        held = _held(bought)
        if held is None:
            raise PurchaseUncertain(f"{PROVIDER} took the purchase and did not name the number.", provider=PROVIDER)
        return Purchase(held=held, is_configured=True)

    async def ordered(self, order_id: str) -> Purchase:
        """Twilio sells at once: there are no orders."""
        return Purchase(order_id=order_id)

    async def find(self, phone_number: str) -> HeldNumber | None:
        query = urlencode({"PhoneNumber": phone_number, "PageSize": 20})
        listed = await self._asked("GET", f"{self._path}/IncomingPhoneNumbers.json?{query}")
        found = (_held(one) for one in _list(listed, "incoming_phone_numbers"))
        return next((one for one in found if one is not None and one.phone_number == phone_number), None)

    async def configure(self, number: HeldNumber, targets: NumberTargets) -> None:
        """An application or a trunk on the number would go before its addresses."""
        form = {**_settings(targets), "VoiceApplicationSid": "", "SmsApplicationSid": "", "TrunkSid": ""}
        await self._asked("POST", self._number(number.id), form=form)

    async def differences(self, number: HeldNumber, targets: NumberTargets) -> tuple[Difference, ...]:
        wanted = {**_settings(targets), "VoiceApplicationSid": "", "SmsApplicationSid": "", "TrunkSid": ""}
        if NumberFeature.SMS not in number.features:
            wanted = {name: value for name, value in wanted.items() if not name.startswith("Sms")}
        found = {name: number.settings.get(name, "") for name in wanted}
        return tuple(
            Difference(setting=name, expected=wanted[name], found=found[name])
            for name in wanted
            if wanted[name] != found[name]
        )

    async def release(self, number: HeldNumber) -> None:
        try:
            await self._http.asked("DELETE", self._number(number.id))
        except Rejected as rejected:
            if rejected.status != 404:
                raise self._fault(rejected) from None

    async def check(self) -> None:
        await self._asked("GET", f"{self._path}.json")

    async def aclose(self) -> None:
        await self._http.aclose()
        await self._pricing.aclose()

    async def _available(self, query: NumberQuery, kind: str) -> list[Any]:
        """Numbers of one kind; none where the country has no such kind."""
        wanted: dict[str, str] = {"PageSize": str(query.limit)}
        wanted |= {_FILTERS[feature]: "true" for feature in query.features}
        if query.area_code is not None and is_nanp(query.country):
            wanted["AreaCode"] = query.area_code
        elif query.area_code is not None and query.contains is None:
            wanted["Contains"] = query.area_code.lstrip("0")
            wanted["PageSize"] = "100"  # digits anywhere: those that begin with them are picked from these
        if query.contains is not None:
            wanted["Contains"] = query.contains
        path = f"{self._path}/AvailablePhoneNumbers/{query.country}/{kind}.json?{urlencode(wanted)}"
        try:
            return _list(await self._http.asked("GET", path), "available_phone_numbers")
        except Rejected as rejected:
            if rejected.status == 404:
                return []
            raise self._fault(rejected) from None

    async def _prices_of(self, country: str) -> Mapping[str, float]:
        """Monthly prices in dollars by kind; none where Twilio does not tell: a search is worth more than its prices."""
        asked_at, prices = self._prices.get(country, (-_PRICES_SECONDS, {}))
        if time.monotonic() - asked_at < _PRICES_SECONDS:
            return prices
        try:
            told = await self._pricing.asked("GET", f"/v1/PhoneNumbers/Countries/{country}")
        except (Rejected, ProviderError):
            return {}
        prices = {}
        if isinstance(told, dict) and str(told.get("price_unit", "")).upper() == "USD":
            prices = dict(filter(None, (_price(one) for one in _list(told, "phone_number_prices"))))
        self._prices[country] = (time.monotonic(), prices)
        return prices

    async def _asked(self, method: str, path: str, *, form: Mapping[str, str] | None = None) -> Any:
        try:
            return await self._http.asked(method, path, form=form)
        except Rejected as rejected:
            raise self._fault(rejected) from None

    def _number(self, number_id: str) -> str:
        if not _SID.fullmatch(number_id):
            raise self._http.fault("This is no id of a Twilio number.", retryable=False)
        return f"{self._path}/IncomingPhoneNumbers/{number_id}.json"

    def _fault(self, rejected: Rejected) -> ProviderError:
        return self._http.fault(
            f"twilio answered {rejected.status} (error {_code(rejected)}).", retryable=rejected.status == 409
        )


def desk(account: Account) -> TwilioNumbers:
    """The numbers of an account: asked for by its API key, where it has one."""
    user = account.option("api_key_sid")
    return TwilioNumbers(
        account_sid=account.option("account_sid"),
        user=user,
        secret=account.secret("api_key_secret" if user else "auth_token"),
        base_url=account.option("base_url", BASE_URL),
    )


def _settings(targets: NumberTargets) -> dict[str, str]:
    return {
        "VoiceUrl": targets.voice_url,
        "VoiceMethod": "POST",
        "StatusCallback": targets.events_url,
        "StatusCallbackMethod": "POST",
        "SmsUrl": targets.messages_url,
        "SmsMethod": "POST",
    }


_SETTINGS = {
    "VoiceUrl": "voice_url",
    "VoiceMethod": "voice_method",
    "StatusCallback": "status_callback",
    "StatusCallbackMethod": "status_callback_method",
    "SmsUrl": "sms_url",
    "SmsMethod": "sms_method",
    "VoiceApplicationSid": "voice_application_sid",
    "SmsApplicationSid": "sms_application_sid",
    "TrunkSid": "trunk_sid",
}
"""Settings of a number as they are set, and as they are read."""


def _held(told: Any) -> HeldNumber | None:
    match told:
        case {"sid": str(sid), "phone_number": str(number)} if _SID.fullmatch(sid) and e164(number):
            return HeldNumber(
                id=sid,
                phone_number=number,
                country=country_of(number) or "",
                features=_features(told),
                toll_free=is_toll_free(number),
                settings={name: str(told.get(field) or "") for name, field in _SETTINGS.items()},
            )
    return None


def _offer(told: Any, query: NumberQuery, price: float | None) -> NumberOffer:
    return NumberOffer(
        phone_number=told["phone_number"],
        country=str(told.get("iso_country") or query.country),
        region=told.get("region") or None,
        locality=told.get("locality") or None,
        features=_features(told),
        toll_free=query.toll_free,
        monthly_cost_usd=price,
    )


def _fits(told: Any, query: NumberQuery) -> bool:
    """Whether a number is what was asked for: Twilio looks for digits anywhere, and knows area codes of North America alone."""
    number = told.get("phone_number") if isinstance(told, dict) else None
    if not isinstance(number, str) or e164(number) is None:
        return False
    return (query.area_code is None or begins_with_area(number, query.country, query.area_code)) and set(
        query.features
    ) <= set(_features(told))


def _features(told: Any) -> tuple[NumberFeature, ...]:
    """Twilio writes them `voice`, `SMS`, `MMS` of what is for sale and `voice`, `sms`, `mms` of what one has."""
    capabilities = told.get("capabilities")
    able = {str(name).lower() for name, has in capabilities.items() if has} if isinstance(capabilities, dict) else set()
    return tuple(feature for feature, name in _NAMES.items() if name in able)


def _price(told: Any) -> tuple[str, float] | None:
    try:
        return str(told["number_type"]), float(told.get("current_price") or told["base_price"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _list(told: Any, name: str) -> list[Any]:
    found = told.get(name) if isinstance(told, dict) else None
    return found if isinstance(found, list) else []


def _code(rejected: Rejected) -> int:
    code: Any = rejected.body.get("code") if isinstance(rejected.body, dict) else 0
    return code if isinstance(code, int) else 0


def _words(rejected: Rejected) -> str:
    return str(rejected.body.get("message", "")) if isinstance(rejected.body, dict) else ""
