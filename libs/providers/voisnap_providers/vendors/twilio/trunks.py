"""Twilio's Elastic SIP Trunking.

https://www.twilio.com/docs/sip-trunking/api
"""

import re
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.numbers import HeldNumber
from voisnap_providers.ports.trunks import USER, Keep, PartReport, Parts, TrunkDesk, TrunkPlan, Unfit
from voisnap_providers.vendors.carrier_http import CarrierHttp, Rejected

from .calls import BASE_URL, PROVIDER
from .hosts import host_of

DOMAIN = "pstn.twilio.com"
MOST_ORIGINATIONS = 10
REFERENCE, TRUNK, CREDENTIALS, ADDRESSES = "reference", "trunk", "credential_list", "ip_access_control_list"
_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}", re.ASCII)


class TwilioTrunks(TrunkDesk):
    """Trunks of one account. Each has a credential list and a list of addresses of its own."""

    def __init__(self, *, account_sid: str, user: str = "", secret: str, base_url: str = BASE_URL) -> None:
        auth = (user or account_sid, secret)
        self._account = f"/2010-04-01/Accounts/{account_sid}"
        self._sip = CarrierHttp(PROVIDER, base_url=base_url, auth=auth)
        self._trunking = CarrierHttp(PROVIDER, base_url=host_of(base_url, "trunking"), auth=auth)

    def check(self, plan: TrunkPlan, parts: Parts) -> None:
        del parts
        if len(plan.origination) > MOST_ORIGINATIONS:
            raise Unfit("origination", f"Twilio has {MOST_ORIGINATIONS} of them a trunk")

    async def apply(self, plan: TrunkPlan, parts: Parts, keep: Keep) -> Parts:
        made = {**parts, REFERENCE: plan.reference}
        if TRUNK not in made:
            made[TRUNK] = await self._trunk(plan)
            await keep(made)
        trunk = f"/v1/Trunks/{_sid(made[TRUNK])}"
        await self._put(f"{trunk}", FriendlyName=_label(plan))
        await self._originate(trunk, plan)
        if plan.username is not None:
            if CREDENTIALS not in made:
                made[CREDENTIALS] = await self._listed_or_made("CredentialLists", "credential_lists", plan)
                await keep(made)
            if plan.password is not None:
                await self._set_password(made[CREDENTIALS], plan.username, plan.password)
                made[USER] = plan.username
                await keep(made)
            await self._link(trunk, "CredentialLists", "credential_lists", CredentialListSid=made[CREDENTIALS])
        elif CREDENTIALS in made:
            await self._drop(self._trunking, f"{trunk}/CredentialLists/{_sid(made[CREDENTIALS])}")
            await self._drop(self._sip, f"{self._account}/SIP/CredentialLists/{_sid(made.pop(CREDENTIALS))}.json")
            made.pop(USER, None)
            await keep(made)
        if plan.allowed_ips:
            if ADDRESSES not in made:
                made[ADDRESSES] = await self._listed_or_made("IpAccessControlLists", "ip_access_control_lists", plan)
                await keep(made)
            await self._allow(made[ADDRESSES], plan)
            sid = made[ADDRESSES]
            await self._link(trunk, "IpAccessControlLists", "ip_access_control_lists", IpAccessControlListSid=sid)
        elif ADDRESSES in made:
            await self._drop(self._trunking, f"{trunk}/IpAccessControlLists/{_sid(made[ADDRESSES])}")
            await self._drop(self._sip, f"{self._account}/SIP/IpAccessControlLists/{_sid(made.pop(ADDRESSES))}.json")
            await keep(made)
        return made

    def domain(self, parts: Parts) -> str:
        return f"{_domain_of(parts[REFERENCE])}.{DOMAIN}" if REFERENCE in parts else ""

    async def attach(self, parts: Parts, number: HeldNumber, plan: TrunkPlan) -> None:
        del plan
        path = f"/v1/Trunks/{_sid(parts[TRUNK])}/PhoneNumbers"
        listed = await self._all(self._trunking, path, "phone_numbers")
        if not any(one.get("sid") == number.id for one in listed):
            await self._asked(self._trunking, "POST", path, form={"PhoneNumberSid": _sid(number.id)})

    async def detach(self, parts: Parts, number: HeldNumber) -> None:
        await self._drop(self._trunking, f"/v1/Trunks/{_sid(parts[TRUNK])}/PhoneNumbers/{_sid(number.id)}")

    async def report(self, plan: TrunkPlan, parts: Parts, numbers: tuple[HeldNumber, ...]) -> tuple[PartReport, ...]:
        trunk = f"/v1/Trunks/{_sid(parts.get(TRUNK, ''))}" if TRUNK in parts else ""
        found = await self._maybe(self._trunking, trunk) if trunk else None
        if found is None:
            return (PartReport(part="trunk", is_well=False, detail="Twilio has no such trunk."),)
        reports = [PartReport(part="trunk", is_well=True, detail=f"{found.get('domain_name')} is there.")]
        urls = await self._all(self._trunking, f"{trunk}/OriginationUrls", "origination_urls")
        enabled = {one.get("sip_url") for one in urls if one.get("enabled")}
        missing = [one.sip_uri for one in plan.origination if one.sip_uri not in enabled]
        reports.append(_told("origination", missing, f"{len(enabled)} addresses take calls."))
        if plan.username is not None:
            linked = await self._all(self._trunking, f"{trunk}/CredentialLists", "credential_lists")
            is_linked = any(one.get("sid") == parts.get(CREDENTIALS) for one in linked)
            users = await self._users(parts[CREDENTIALS]) if is_linked else []
            lacking = [] if any(one.get("username") == plan.username for one in users) else [plan.username]
            reports.append(_told("credentials", lacking, f"{plan.username} may call out."))
        if plan.allowed_ips:
            linked = await self._all(self._trunking, f"{trunk}/IpAccessControlLists", "ip_access_control_lists")
            is_linked = any(one.get("sid") == parts.get(ADDRESSES) for one in linked)
            known = await self._addresses(parts[ADDRESSES]) if is_linked else {}
            lacking = [address for address in plan.allowed_ips if _network(address) not in known.values()]
            reports.append(_told("allowedIps", lacking, f"{len(known)} networks may call out."))
        listed = await self._all(self._trunking, f"{trunk}/PhoneNumbers", "phone_numbers")
        there = {one.get("sid") for one in listed}
        lacking = [number.phone_number for number in numbers if number.id not in there]
        reports.append(_told("numbers", lacking, f"{len(numbers)} numbers are on it."))
        return tuple(reports)

    async def remove(self, parts: Parts) -> None:
        if TRUNK in parts:
            await self._drop(self._trunking, f"/v1/Trunks/{_sid(parts[TRUNK])}")
        if CREDENTIALS in parts:
            await self._drop(self._sip, f"{self._account}/SIP/CredentialLists/{_sid(parts[CREDENTIALS])}.json")
        if ADDRESSES in parts:
            await self._drop(self._sip, f"{self._account}/SIP/IpAccessControlLists/{_sid(parts[ADDRESSES])}.json")

    async def aclose(self) -> None:
        await self._sip.aclose()
        await self._trunking.aclose()

    async def _trunk(self, plan: TrunkPlan) -> str:
        """The trunk's SID; one whose making was not heard of is known by its domain, which is ours alone."""
        domain = f"{_domain_of(plan.reference)}.{DOMAIN}"
        for one in await self._all(self._trunking, "/v1/Trunks", "trunks"):
            if one.get("domain_name") == domain:
                return str(one.get("sid"))
        form = {"FriendlyName": _label(plan), "DomainName": domain}
        return str((await self._asked(self._trunking, "POST", "/v1/Trunks", form=form)).get("sid"))

    async def _originate(self, trunk: str, plan: TrunkPlan) -> None:
        path = f"{trunk}/OriginationUrls"
        wanted = {one.sip_uri: one for one in plan.origination}
        for one in await self._all(self._trunking, path, "origination_urls"):
            there = wanted.get(str(one.get("sip_url")))
            if there is None:
                await self._drop(self._trunking, f"{path}/{_sid(one.get('sid'))}")
            elif (there.priority, there.weight, True) == (one.get("priority"), one.get("weight"), one.get("enabled")):
                del wanted[there.sip_uri]
            else:
                await self._drop(self._trunking, f"{path}/{_sid(one.get('sid'))}")
        for one in wanted.values():
            form = {
                "SipUrl": one.sip_uri,
                "Priority": str(one.priority),
                "Weight": str(one.weight),
                "Enabled": "true",
                "FriendlyName": one.sip_uri[:64],
            }
            await self._asked(self._trunking, "POST", path, form=form)

    async def _listed_or_made(self, collection: str, name: str, plan: TrunkPlan) -> str:
        """A list of the trunk's own, by the trunk's name."""
        path = f"{self._account}/SIP/{collection}.json"
        for one in await self._all(self._sip, path, name):
            if one.get("friendly_name") == plan.reference:
                return str(one.get("sid"))
        return str((await self._asked(self._sip, "POST", path, form={"FriendlyName": plan.reference})).get("sid"))

    async def _set_password(self, credential_list: str, username: str, password: str) -> None:
        path = f"{self._account}/SIP/CredentialLists/{_sid(credential_list)}/Credentials"
        is_there = False
        for one in await self._users(credential_list):
            if one.get("username") == username:
                is_there = True
                await self._asked(self._sip, "POST", f"{path}/{_sid(one.get('sid'))}.json", form={"Password": password})
            else:
                await self._drop(self._sip, f"{path}/{_sid(one.get('sid'))}.json")
        if not is_there:
            form = {"Username": username, "Password": password}
            await self._asked(self._sip, "POST", f"{path}.json", form=form)

    async def _allow(self, access_list: str, plan: TrunkPlan) -> None:
        path = f"{self._account}/SIP/IpAccessControlLists/{_sid(access_list)}/IpAddresses"
        known = await self._addresses(access_list)
        wanted = {_network(address): address for address in plan.allowed_ips}
        for sid, network in known.items():
            if wanted.pop(network, None) is None:
                await self._drop(self._sip, f"{path}/{_sid(sid)}.json")
        for (address, length), text in wanted.items():
            form = {"FriendlyName": text, "IpAddress": address, "CidrPrefixLength": str(length)}
            await self._asked(self._sip, "POST", f"{path}.json", form=form)

    async def _users(self, credential_list: str) -> list[dict[str, Any]]:
        path = f"{self._account}/SIP/CredentialLists/{_sid(credential_list)}/Credentials.json"
        return await self._all(self._sip, path, "credentials")

    async def _addresses(self, access_list: str) -> dict[str, tuple[str, int]]:
        path = f"{self._account}/SIP/IpAccessControlLists/{_sid(access_list)}/IpAddresses.json"
        return {
            str(one.get("sid")): (str(one.get("ip_address")), int(one.get("cidr_prefix_length") or 32))
            for one in await self._all(self._sip, path, "ip_addresses")
        }

    async def _link(self, trunk: str, collection: str, name: str, **form: str) -> None:
        path = f"{trunk}/{collection}"
        [sid] = form.values()
        if not any(one.get("sid") == sid for one in await self._all(self._trunking, path, name)):
            await self._asked(self._trunking, "POST", path, form=form)

    async def _put(self, path: str, **form: str) -> None:
        await self._asked(self._trunking, "POST", path, form=form)

    async def _all(self, http: CarrierHttp, path: str, name: str) -> list[dict[str, Any]]:
        told = await self._asked(http, "GET", f"{path}?PageSize=1000")
        found = told.get(name) if isinstance(told, dict) else None
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    async def _maybe(self, http: CarrierHttp, path: str) -> dict[str, Any] | None:
        try:
            told = await http.asked("GET", path)
        except Rejected as rejected:
            if rejected.status == 404:
                return None
            raise self._fault(rejected) from None
        return told if isinstance(told, dict) else None

    async def _drop(self, http: CarrierHttp, path: str) -> None:
        try:
            await http.asked("DELETE", path)
        except Rejected as rejected:
            if rejected.status != 404:
                raise self._fault(rejected) from None

    async def _asked(
        self, http: CarrierHttp, method: str, path: str, *, form: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        try:
            told = await http.asked(method, path, form=form)
        except Rejected as rejected:
            raise self._fault(rejected) from None
        return told if isinstance(told, dict) else {}

    def _fault(self, rejected: Rejected) -> ProviderError:
        code = rejected.body.get("code") if isinstance(rejected.body, dict) else None
        detail = f"twilio answered {rejected.status} (error {code if isinstance(code, int) else 0})."
        return self._sip.fault(detail, retryable=rejected.status == 409)


def desk(account: Account) -> TwilioTrunks:
    """The trunks of an account."""
    user = account.option("api_key_sid")
    return TwilioTrunks(
        account_sid=account.option("account_sid"),
        user=user,
        secret=account.secret("api_key_secret" if user else "auth_token"),
        base_url=account.option("base_url", BASE_URL),
    )


def _sid(value: object) -> str:
    if not isinstance(value, str) or not _SID.fullmatch(value):
        raise ProviderError("twilio named no SID.", provider=PROVIDER, kind="carrier", retryable=False)
    return value


def _label(plan: TrunkPlan) -> str:
    return plan.name[:64]


def _domain_of(reference: str) -> str:
    """Names of domains are small letters, digits and hyphens."""
    return f"voisnap-{reference.lower().replace('_', '-')}"


def _network(address: str) -> tuple[str, int]:
    network = ip_network(address, strict=False)
    return str(network.network_address), network.prefixlen


def _told(part: str, lacking: list[str], well: str) -> PartReport:
    if lacking:
        return PartReport(part=part, is_well=False, detail=f"Not there: {', '.join(lacking)}.")
    return PartReport(part=part, is_well=True, detail=well)
