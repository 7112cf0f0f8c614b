"""Vonage's numbers: the Numbers API rents them, and the application that they are linked to says where their calls and texts are told.

https://developer.vonage.com/en/api/numbers, https://developer.vonage.com/en/api/application.v2
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from voisnap_providers.accounts import Account
from voisnap_providers.errors import DialUncertain, ProviderError
from voisnap_providers.numbering import begins_with_area, calling_code, country_of
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

REST_URL = "https://rest.nexmo.com"
EUR_IN_USD = 1.15
"""Vonage's prices are in euros. What the search shows is an estimate; the invoice is in the account's currency."""
MOST = 100
"""Numbers of one answer."""
_TOLL_FREE = "landline-toll-free"
_MSISDN = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)
_STARTS_WITH, _CONTAINS = 0, 1
_DONE = "200"


class VonageNumbers(NumberDesk):
    """Numbers of one account, linked to one application."""

    def __init__(
        self,
        *,
        api_key: str,
        api_secret: str,
        application_id: str,
        base_url: str = BASE_URL,
        rest_url: str = REST_URL,
    ) -> None:
        auth = (api_key, api_secret)
        self._application_id = application_id
        self._rest = CarrierHttp(PROVIDER, base_url=rest_url, auth=auth)
        self._applications = CarrierHttp(PROVIDER, base_url=base_url, auth=auth)

    async def search(self, query: NumberQuery) -> tuple[NumberOffer, ...]:
        wanted: dict[str, object] = {"country": query.country, "size": min(MOST, query.limit)}
        # MMS is a feature of numbers and none of the search.
        features = [f.value.upper() for f in query.features if f is not NumberFeature.MMS]
        if features:
            wanted["features"] = ",".join(sorted(features))
        if query.toll_free:
            wanted["type"] = _TOLL_FREE
        if query.area_code is not None:
            prefix = f"{calling_code(query.country)}{query.area_code.lstrip('0')}"
            wanted |= {"pattern": prefix, "search_pattern": _STARTS_WITH}
            wanted["size"] = MOST if query.contains else wanted["size"]
        elif query.contains is not None:
            wanted |= {"pattern": query.contains, "search_pattern": _CONTAINS}
        if not query.toll_free or NumberFeature.MMS in query.features:
            wanted["size"] = MOST  # those that cost nothing to call are picked out here
        told = await self._asked("GET", f"/number/search?{urlencode(wanted)}")
        offers = [offer for one in _list(told) if (offer := _offer(one)) is not None and _fits(offer, query)]
        return tuple(offers[: query.limit])

    async def buy(self, phone_number: str, *, country: str, reference: str, targets: NumberTargets) -> Purchase:
        """Vonage knows no name of a purchase: one whose answer is lost is looked for among the account's numbers."""
        del reference, targets
        form = {"country": country, "msisdn": _msisdn(phone_number)}
        try:
            told = await self._rest.asked("POST", "/number/buy", form=form, dialling=True)
        except DialUncertain as error:
            raise PurchaseUncertain(f"Nobody knows whether {PROVIDER} sold the number.", provider=PROVIDER) from error
        except Rejected as rejected:
            raise _refused(rejected.status, rejected.body) from None
        if not _is_done(told):
            raise _refused(200, told)
        try:
            held = await self.find(phone_number)
        except ProviderError:
            held = None
        if held is None:
            raise PurchaseUncertain(f"{PROVIDER} sold the number and does not list it yet.", provider=PROVIDER)
        return Purchase(held=held)

    async def ordered(self, order_id: str) -> Purchase:
        """Vonage sells at once: there are no orders."""
        return Purchase(order_id=order_id)

    async def find(self, phone_number: str) -> HeldNumber | None:
        query = urlencode({"pattern": _msisdn(phone_number), "search_pattern": _STARTS_WITH, "size": MOST})
        told = await self._asked("GET", f"/account/numbers?{query}")
        found = next((one for one in _list(told) if e164(str(one.get("msisdn"))) == phone_number), None)
        if found is None:
            return None
        return HeldNumber(
            id=_msisdn(phone_number),
            phone_number=phone_number,
            country=str(found.get("country") or country_of(phone_number) or ""),
            features=_features(found),
            toll_free=found.get("type") == _TOLL_FREE,
            settings={
                "app_id": _application_of(found),
                "voiceCallbackType": _unless_app(found),
            },
        )

    async def configure(self, number: HeldNumber, targets: NumberTargets) -> None:
        """Links the number to the application, and has the application tell us. A forwarding on the number would go before it."""
        await self._configure_application(targets)
        form = {"country": number.country, "msisdn": number.id, "app_id": self._application_id}
        told = await self._asked("POST", "/number/update", form=form)
        if not _is_done(told):
            raise self._rest.fault(f"{PROVIDER} did not link the number (error {_code(told)}).", retryable=False)

    async def differences(self, number: HeldNumber, targets: NumberTargets) -> tuple[Difference, ...]:
        wanted = {"app_id": self._application_id, "voiceCallbackType": "", **_addresses(targets)}
        found = {**number.settings, **_addresses_of(await self._application())}
        return tuple(
            Difference(setting=name, expected=wanted[name], found=found.get(name, ""))
            for name in wanted
            if wanted[name] != found.get(name, "")
        )

    async def release(self, number: HeldNumber) -> None:
        form = {"country": number.country, "msisdn": number.id}
        try:
            told = await self._rest.asked("POST", "/number/cancel", form=form)
        except Rejected as rejected:
            told = rejected.body
        if not _is_done(told) and await self.find(number.phone_number) is not None:
            raise self._rest.fault(f"{PROVIDER} did not take the number back (error {_code(told)}).", retryable=True)

    async def check(self) -> None:
        """The application is asked for, too: numbers of another account's application would never ring here."""
        await self._application()

    async def aclose(self) -> None:
        await self._rest.aclose()
        await self._applications.aclose()

    async def _configure_application(self, targets: NumberTargets) -> None:
        """Puts our addresses into the application and leaves the rest of it: what a PUT does not name is gone."""
        application = await self._application()
        if _addresses_of(application).items() >= _addresses(targets).items():
            return
        capabilities = dict(application.get("capabilities") or {})
        voice, messages = dict(capabilities.get("voice") or {}), dict(capabilities.get("messages") or {})
        voice["webhooks"] = {
            **(voice.get("webhooks") or {}),
            "answer_url": {"address": targets.voice_url, "http_method": "POST"},
            "event_url": {"address": targets.events_url, "http_method": "POST"},
        }
        voice["signed_callbacks"] = True
        messages["webhooks"] = {
            **(messages.get("webhooks") or {}),
            "inbound_url": {"address": targets.messages_url, "http_method": "POST"},
            "status_url": {"address": targets.messages_url, "http_method": "POST"},
        }
        kept = {name: application[name] for name in ("name", "keys", "privacy") if name in application}
        body = {**kept, "capabilities": {**capabilities, "voice": voice, "messages": messages}}
        try:
            await self._applications.asked("PUT", f"/v2/applications/{self._application_id}", json=body)
        except Rejected as rejected:
            raise self._fault(rejected) from None

    async def _application(self) -> dict[str, Any]:
        try:
            told = await self._applications.asked("GET", f"/v2/applications/{self._application_id}")
        except Rejected as rejected:
            if rejected.status == 404:
                detail = "The account with vonage has no application of this applicationId."
                raise self._rest.fault(detail, retryable=False) from None
            raise self._fault(rejected) from None
        return told if isinstance(told, dict) else {}

    async def _asked(self, method: str, path: str, *, form: Mapping[str, str] | None = None) -> Any:
        try:
            return await self._rest.asked(method, path, form=form)
        except Rejected as rejected:
            raise self._fault(rejected) from None

    def _fault(self, rejected: Rejected) -> ProviderError:
        return self._rest.fault(f"vonage answered {rejected.status} (error {_code(rejected.body)}).", retryable=False)


def desk(account: Account) -> VonageNumbers:
    """The numbers of an account."""
    return VonageNumbers(
        api_key=account.option("api_key"),
        api_secret=account.secret("api_secret"),
        application_id=account.option("application_id"),
        base_url=account.option("base_url", BASE_URL),
        rest_url=account.option("rest_url", REST_URL),
    )


def _addresses(targets: NumberTargets) -> dict[str, str]:
    return {
        "voice.answer_url": f"POST {targets.voice_url}",
        "voice.event_url": f"POST {targets.events_url}",
        "messages.inbound_url": f"POST {targets.messages_url}",
        "messages.status_url": f"POST {targets.messages_url}",
    }


def _addresses_of(application: Mapping[str, Any]) -> dict[str, str]:
    """Where an application tells of calls and texts: method and address by the names of its settings."""
    found: dict[str, str] = {}
    match application.get("capabilities"):
        case dict(capabilities):
            for capability in ("voice", "messages"):
                match capabilities.get(capability):
                    case {"webhooks": dict(webhooks)}:
                        for name, hook in webhooks.items():
                            if isinstance(hook, dict):
                                method = str(hook.get("http_method") or "GET").upper()
                                found[f"{capability}.{name}"] = f"{method} {hook.get('address') or ''}"
    return found


def _offer(told: Any) -> NumberOffer | None:
    number = e164(str(told.get("msisdn"))) if isinstance(told, dict) else None
    if number is None:
        return None
    return NumberOffer(
        phone_number=number,
        country=str(told.get("country") or ""),
        features=_features(told),
        toll_free=told.get("type") == _TOLL_FREE,
        monthly_cost_usd=_dollars(told.get("cost")),
    )


def _fits(offer: NumberOffer, query: NumberQuery) -> bool:
    return (
        offer.toll_free == query.toll_free
        and set(query.features) <= set(offer.features)
        and (query.area_code is None or begins_with_area(offer.phone_number, query.country, query.area_code))
        and (query.contains is None or query.contains in offer.phone_number)
    )


def _features(told: Any) -> tuple[NumberFeature, ...]:
    named = told.get("features")
    able = {str(one).lower() for one in named} if isinstance(named, list) else set()
    return tuple(feature for feature in NumberFeature if feature.value in able)


def _dollars(euros: Any) -> float | None:
    try:
        return round(float(euros) * EUR_IN_USD, 2)
    except (TypeError, ValueError):
        return None


def _application_of(told: Any) -> str:
    """The application of a number: `app_id`, and in answers of older accounts the value of a callback to an application."""
    if told.get("app_id"):
        return str(told["app_id"])
    kinds = (("voiceCallbackType", "voiceCallbackValue"), ("messagesCallbackType", "messagesCallbackValue"))
    return next((str(told.get(value) or "") for kind, value in kinds if told.get(kind) == "app"), "")


def _unless_app(told: Any) -> str:
    kind = str(told.get("voiceCallbackType") or "")
    return "" if kind == "app" else kind


def _list(told: Any) -> list[Any]:
    found = told.get("numbers") if isinstance(told, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _msisdn(number: str) -> str:
    bare = number.removeprefix("+")
    if not _MSISDN.fullmatch(bare):
        raise ValueError("Vonage knows numbers of 7 to 15 digits")
    return bare


def _is_done(told: Any) -> bool:
    return _code(told) == _DONE


def _code(told: Any) -> str:
    return str(told.get("error-code", ""))[:20] if isinstance(told, dict) else ""


def _refused(status: int, body: Any) -> Exception:
    """Vonage answers a purchase that it can't make with 420, whatever the reason; its label says more."""
    words = str(body.get("error-code-label", "")) if isinstance(body, dict) else ""
    code = _code(body)
    if code == "420" and not any(word in words.lower() for word in ("balance", "funds", "credit", "address", "regul")):
        return number_refusals.gone(PROVIDER)
    return number_refusals.refusal(PROVIDER, status, code, words)
