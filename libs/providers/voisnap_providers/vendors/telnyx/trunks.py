"""Telnyx's SIP connections: one that its user registers with, one of known addresses, or one of a host name.

https://developers.telnyx.com/docs/voice/sip-trunking
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlencode

from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.numbers import HeldNumber
from voisnap_providers.ports.trunks import USER, Keep, Origination, PartReport, Parts, TrunkDesk, TrunkPlan, Unfit
from voisnap_providers.vendors.carrier_http import CarrierHttp, Rejected

from .calls import BASE_URL, PROVIDER

DOMAIN = "sip.telnyx.com"
CONNECTION, KIND, PROFILE = "connection", "kind", "outbound_voice_profile"
_CREDENTIAL, _IP, _FQDN = "credential_connections", "ip_connections", "fqdn_connections"
_MOST_ADDRESSES = 3
"""Telnyx tries three addresses of a connection one after the other."""
_ID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)
_URI = re.compile(r"sips?:(?:[^@;]*@)?(?P<host>[^:;]+)(?::(?P<port>[0-9]{1,5}))?(?:;.*)?", re.IGNORECASE)


class TelnyxTrunks(TrunkDesk):
    """Trunks of one account; `application_id` is where numbers go that leave one."""

    def __init__(self, *, api_key: str, application_id: str, base_url: str = BASE_URL) -> None:
        self._application_id = application_id
        self._http = CarrierHttp(PROVIDER, base_url=base_url, headers={"Authorization": f"Bearer {api_key}"})

    def check(self, plan: TrunkPlan, parts: Parts) -> None:
        if plan.username is not None:
            _check_kind(_CREDENTIAL, parts)
            if plan.origination:
                detail = "Telnyx rings whoever registers with the credentials: leave origination or credentials out"
                raise Unfit("origination", detail)
            if plan.allowed_ips:
                raise Unfit("allowed_ips", "Telnyx lets a trunk in by credentials or by address, not by both")
            return
        if len(plan.origination) > _MOST_ADDRESSES:
            raise Unfit("origination", f"Telnyx tries {_MOST_ADDRESSES} addresses of a trunk")
        hosts = [_host(one)[0] for one in plan.origination]
        if any(ip_network(address, strict=False).prefixlen != 32 for address in plan.allowed_ips):
            raise Unfit("allowed_ips", "Telnyx takes single addresses, no networks")
        if plan.allowed_ips and not all(_is_address(host) for host in hosts):
            raise Unfit("origination", "A trunk of known addresses at Telnyx rings addresses: write no host names")
        if len({_is_address(host) for host in hosts}) > 1:
            raise Unfit("origination", "A trunk at Telnyx rings addresses or host names, not both")
        if not hosts and not plan.allowed_ips:
            raise Unfit("origination", "A trunk at Telnyx needs credentials, addresses or a host name")
        _check_kind(_kind_of(plan), parts)

    async def apply(self, plan: TrunkPlan, parts: Parts, keep: Keep) -> Parts:
        made = dict(parts)
        kind = _kind_of(plan)
        if PROFILE not in made:
            made[PROFILE] = await self._listed_or_made("/outbound_voice_profiles", "name", plan, {})
            await keep(made)
        body: dict[str, Any] = {
            "connection_name": plan.reference,
            "active": True,
            "outbound": {"outbound_voice_profile_id": made[PROFILE]},
        }
        if kind == _CREDENTIAL:
            body["user_name"] = plan.username
            if plan.password is not None:
                body["password"] = plan.password
        if CONNECTION not in made:
            made[CONNECTION] = await self._listed_or_made(f"/{kind}", "connection_name", plan, body)
            made[KIND] = kind
            await keep(made)
        await self._asked("PATCH", f"/{kind}/{_id(made[CONNECTION])}", json=body)
        if plan.username is not None and plan.password is not None:
            made[USER] = plan.username
            await keep(made)
        if kind == _IP:
            await self._set_addresses(made[CONNECTION], plan)
        if kind == _FQDN:
            await self._set_names(made[CONNECTION], plan)
        return made

    def domain(self, parts: Parts) -> str:
        del parts
        return DOMAIN

    async def attach(self, parts: Parts, number: HeldNumber, plan: TrunkPlan) -> None:
        del plan
        await self._asked("PATCH", f"/phone_numbers/{_id(number.id)}", json={"connection_id": _id(parts[CONNECTION])})

    async def detach(self, parts: Parts, number: HeldNumber) -> None:
        del parts
        await self._asked("PATCH", f"/phone_numbers/{_id(number.id)}", json={"connection_id": self._application_id})

    async def report(self, plan: TrunkPlan, parts: Parts, numbers: tuple[HeldNumber, ...]) -> tuple[PartReport, ...]:
        connection = await self._connection(parts)
        if connection is None:
            return (PartReport(part="trunk", is_well=False, detail="Telnyx has no such connection."),)
        is_active = bool(connection.get("active"))
        reports = [PartReport(part="trunk", is_well=is_active, detail="It is active." if is_active else "It is off.")]
        outbound = connection.get("outbound")
        profile = outbound.get("outbound_voice_profile_id") if isinstance(outbound, dict) else None
        is_out = profile == parts.get(PROFILE)
        detail = "It may call out." if is_out else "It has no outbound voice profile."
        reports.append(PartReport(part="outbound", is_well=is_out, detail=detail))
        if plan.username is not None:
            is_user = connection.get("user_name") == plan.username
            detail = f"{plan.username} may register." if is_user else "It has another user."
            reports.append(PartReport(part="credentials", is_well=is_user, detail=detail))
        elif parts[KIND] == _IP:
            known = {str(one.get("ip_address")) for one in await self._of("/ips", parts[CONNECTION])}
            reports.append(_told("addresses", sorted(set(_addresses(plan)) - known), f"{len(known)} are known."))
        else:
            known = {str(one.get("fqdn")) for one in await self._of("/fqdns", parts[CONNECTION])}
            wanted = {_host(one)[0] for one in plan.origination}
            reports.append(_told("origination", sorted(wanted - known), f"{len(known)} names take calls."))
        off = [one.phone_number for one in numbers if one.settings.get("connection_id") != parts[CONNECTION]]
        reports.append(_told("numbers", off, f"{len(numbers)} numbers are on it."))
        return tuple(reports)

    async def remove(self, parts: Parts) -> None:
        if CONNECTION in parts:
            for path in ("/ips", "/fqdns"):
                for one in await self._of(path, parts[CONNECTION]):
                    await self._drop(f"{path}/{_id(one.get('id'))}")
            await self._drop(f"/{parts[KIND]}/{_id(parts[CONNECTION])}")
        if PROFILE in parts:
            await self._drop(f"/outbound_voice_profiles/{_id(parts[PROFILE])}")

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _set_addresses(self, connection: str, plan: TrunkPlan) -> None:
        """The addresses that may call out, and those that are rung, the first first."""
        wanted = _addresses(plan)
        ids: dict[str, str] = {}
        for one in await self._of("/ips", connection):
            address = str(one.get("ip_address"))
            if wanted.get(address) == one.get("port"):
                ids[address] = _id(one.get("id"))
            else:
                await self._drop(f"/ips/{_id(one.get('id'))}")
        for address, port in wanted.items():
            if address not in ids:
                body = {"ip_address": address, "port": port, "connection_id": connection}
                ids[address] = _id(_one(await self._asked("POST", "/ips", json=body)).get("id"))
        names = ("default_primary_ip_id", "default_secondary_ip_id", "default_tertiary_ip_id")
        rung = [ids[_host(one)[0]] for one in _in_order(plan)]
        if rung:
            inbound = dict(zip(names, rung, strict=False))
            await self._asked("PATCH", f"/{_IP}/{_id(connection)}", json={"inbound": inbound})

    async def _set_names(self, connection: str, plan: TrunkPlan) -> None:
        wanted = {_host(one)[0]: _host(one)[1] for one in _in_order(plan)}
        for one in await self._of("/fqdns", connection):
            if one.get("fqdn") in wanted and wanted[str(one.get("fqdn"))] == one.get("port"):
                del wanted[str(one.get("fqdn"))]
            else:
                await self._drop(f"/fqdns/{_id(one.get('id'))}")
        for name, port in wanted.items():
            body = {"connection_id": connection, "fqdn": name, "port": port, "dns_record_type": "a"}
            await self._asked("POST", "/fqdns", json=body)

    async def _listed_or_made(self, path: str, name: str, plan: TrunkPlan, body: Mapping[str, Any]) -> str:
        """An object of the trunk's own, by the trunk's name: one whose making was not heard of is found again."""
        query = urlencode([(f"filter[{name}][contains]", plan.reference), ("page[size]", "20")])
        for one in _data(await self._asked("GET", f"{path}?{query}")):
            if one.get(name) == plan.reference:
                return _id(one.get("id"))
        made = await self._asked("POST", path, json={**body, name: plan.reference})
        return _id(_one(made).get("id"))

    async def _connection(self, parts: Parts) -> dict[str, Any] | None:
        if CONNECTION not in parts:
            return None
        try:
            return _one(await self._http.asked("GET", f"/{parts[KIND]}/{_id(parts[CONNECTION])}"))
        except Rejected as rejected:
            if rejected.status == 404:
                return None
            raise self._fault(rejected) from None

    async def _of(self, path: str, connection: str) -> list[dict[str, Any]]:
        query = urlencode([("filter[connection_id]", _id(connection)), ("page[size]", "100")])
        return _data(await self._asked("GET", f"{path}?{query}"))

    async def _drop(self, path: str) -> None:
        try:
            await self._http.asked("DELETE", path)
        except Rejected as rejected:
            if rejected.status not in (404, 410):
                raise self._fault(rejected) from None

    async def _asked(self, method: str, path: str, *, json: Mapping[str, Any] | None = None) -> Any:
        try:
            return await self._http.asked(method, path, json=json)
        except Rejected as rejected:
            raise self._fault(rejected) from None

    def _fault(self, rejected: Rejected) -> ProviderError:
        errors = rejected.body.get("errors") if isinstance(rejected.body, dict) else None
        codes = (
            [str(one.get("code", ""))[:20] for one in errors if isinstance(one, dict)]
            if isinstance(errors, list)
            else []
        )
        detail = f"telnyx answered {rejected.status} (error {', '.join(codes) or 'none'})."
        return self._http.fault(detail, retryable=rejected.status == 409)


def desk(account: Account) -> TelnyxTrunks:
    """The trunks of an account."""
    return TelnyxTrunks(
        api_key=account.secret(),
        application_id=account.option("connection_id"),
        base_url=account.option("base_url", BASE_URL),
    )


def _check_kind(kind: str, parts: Parts) -> None:
    if parts.get(KIND, kind) != kind:
        field = "credentials" if _CREDENTIAL in (kind, parts[KIND]) else "origination"
        raise Unfit(
            field, "A trunk at Telnyx stays one of credentials, of addresses or of a host name: make another one"
        )


def _kind_of(plan: TrunkPlan) -> str:
    if plan.username is not None:
        return _CREDENTIAL
    return _IP if plan.allowed_ips or _is_address(_host(plan.origination[0])[0]) else _FQDN


def _addresses(plan: TrunkPlan) -> dict[str, int]:
    """Every address of a trunk and its port."""
    called = {str(ip_network(address, strict=False).network_address): 5060 for address in plan.allowed_ips}
    return called | {_host(one)[0]: _host(one)[1] for one in plan.origination}


def _in_order(plan: TrunkPlan) -> list[Origination]:
    return sorted(plan.origination, key=lambda one: (one.priority, -one.weight))


def _host(one: Origination) -> tuple[str, int]:
    match = _URI.fullmatch(one.sip_uri)
    if match is None:
        raise Unfit("origination", f"{one.sip_uri} is no SIP address")
    return match["host"].lower(), int(match["port"] or 5060)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _told(part: str, lacking: list[str], well: str) -> PartReport:
    if lacking:
        return PartReport(part=part, is_well=False, detail=f"Not there: {', '.join(lacking)}.")
    return PartReport(part=part, is_well=True, detail=well)


def _id(value: object) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ProviderError("telnyx named no id.", provider=PROVIDER, kind="carrier", retryable=False)
    return value


def _data(told: Any) -> list[dict[str, Any]]:
    found = told.get("data") if isinstance(told, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _one(told: Any) -> dict[str, Any]:
    found = told.get("data") if isinstance(told, dict) else None
    return found if isinstance(found, dict) else {}
