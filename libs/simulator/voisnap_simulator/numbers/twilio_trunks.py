"""Twilio's Elastic SIP Trunking, and the lists of credentials and addresses that its trunks are linked to.

https://www.twilio.com/docs/sip-trunking/api. Secrets are forgotten as they come.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.types import ControllerRouterHandler

from voisnap_simulator.answers import empty_answer, json_answer, read_form
from voisnap_simulator.world import World

from .twilio import PROVIDER, authenticated, not_found, refused

_TRUNKS = "/twilio/v1/Trunks"
_SIP = "/twilio/2010-04-01/Accounts/{account:str}/SIP"
_LISTS = {"CredentialLists": "CL", "IpAccessControlLists": "AL"}
_ENTRIES = {"Credentials": ("CR", "CredentialLists"), "IpAddresses": ("IP", "IpAccessControlLists")}
_LINKS = {"CredentialLists": "CredentialListSid", "IpAccessControlLists": "IpAccessControlListSid"}
_TRUNK_FIELDS = {"FriendlyName", "DomainName", "Secure", "TransferMode", "CnamLookupEnabled", "DisasterRecoveryUrl"}
_URL_FIELDS = {"SipUrl", "Priority", "Weight", "Enabled", "FriendlyName"}
_SNAKE = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass
class Trunking:
    """What an account has, by SID. Links are by trunk and collection."""

    trunks: dict[str, dict[str, Any]] = field(default_factory=dict)
    urls: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    lists: dict[str, dict[str, Any]] = field(default_factory=dict)
    entries: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    links: dict[tuple[str, str], list[str]] = field(default_factory=dict)


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """Twilio's REST API for trunks."""
    kept: Trunking = world.part(Trunking, Trunking)

    @get(_TRUNKS)
    async def trunks(request: Request[Any, Any, Any]) -> Response[bytes]:
        authenticated(world, request)
        return json_answer(_page("trunks", list(kept.trunks.values())))

    @post(_TRUNKS)
    async def make(request: Request[Any, Any, Any]) -> Response[bytes]:
        account = authenticated(world, request)
        form = await _form(request, _TRUNK_FIELDS)
        domain = form.get("DomainName", "")
        if domain and not re.fullmatch(r"[a-z0-9-]+\.pstn\.twilio\.com", domain):
            raise refused(400, 21245, "Domain is not valid")
        if domain and any(one["domain_name"] == domain for one in kept.trunks.values()):
            raise refused(400, 21248, "Domain is taken")
        sid = f"TK{world.new_hex()}"
        kept.trunks[sid] = {
            "sid": sid,
            "account_sid": account,
            "domain_name": domain or None,
            "friendly_name": form.get("FriendlyName"),
            "secure": False,
            "transfer_mode": "disable-all",
            "auth_type": "",
            "auth_type_set": [],
            "url": f"https://trunking.twilio.com/v1/Trunks/{sid}",
        }
        return json_answer(kept.trunks[sid], 201)

    @get(f"{_TRUNKS}/{{trunk:str}}")
    async def read(request: Request[Any, Any, Any], trunk: str) -> Response[bytes]:
        authenticated(world, request)
        return json_answer(_of(kept.trunks, trunk, request))

    @post(f"{_TRUNKS}/{{trunk:str}}", status_code=200)
    async def change(request: Request[Any, Any, Any], trunk: str) -> Response[bytes]:
        authenticated(world, request)
        found = _of(kept.trunks, trunk, request)
        found |= {_snake(name): value for name, value in (await _form(request, _TRUNK_FIELDS)).items()}
        return json_answer(found)

    @delete(f"{_TRUNKS}/{{trunk:str}}", status_code=204)
    async def drop(request: Request[Any, Any, Any], trunk: str) -> Response[None]:
        authenticated(world, request)
        _of(kept.trunks, trunk, request)
        del kept.trunks[trunk]
        kept.urls.pop(trunk, None)
        for key in [key for key in kept.links if key[0] == trunk]:
            del kept.links[key]
        for number in world.numbers.values():
            if number.provider == PROVIDER and number.more.get("trunk_sid") == trunk:
                number.more["trunk_sid"] = ""
        return empty_answer()

    @get(f"{_TRUNKS}/{{trunk:str}}/{{collection:str}}")
    async def linked(request: Request[Any, Any, Any], trunk: str, collection: str) -> Response[bytes]:
        authenticated(world, request)
        _of(kept.trunks, trunk, request)
        if collection == "OriginationUrls":
            return json_answer(_page("origination_urls", list(kept.urls.get(trunk, {}).values())))
        if collection == "PhoneNumbers":
            numbers = [
                {"sid": one.id, "phone_number": one.number, "trunk_sid": trunk}
                for one in world.numbers.values()
                if one.provider == PROVIDER and one.more.get("trunk_sid") == trunk
            ]
            return json_answer(_page("phone_numbers", numbers))
        if collection not in _LINKS:
            raise not_found(request)
        lists = [kept.lists[sid] | {"trunk_sid": trunk} for sid in kept.links.get((trunk, collection), [])]
        return json_answer(_page(_snake(collection), lists))

    @post(f"{_TRUNKS}/{{trunk:str}}/{{collection:str}}")
    async def link(request: Request[Any, Any, Any], trunk: str, collection: str) -> Response[bytes]:
        account = authenticated(world, request)
        _of(kept.trunks, trunk, request)
        if collection == "OriginationUrls":
            url = _url(await _form(request, _URL_FIELDS)) | {"sid": f"OU{world.new_hex()}", "account_sid": account}
            if len(kept.urls.get(trunk, {})) >= 10:
                raise refused(400, 21254, "Too many origination URLs")
            kept.urls.setdefault(trunk, {})[url["sid"]] = url
            return json_answer(url | {"trunk_sid": trunk}, 201)
        if collection == "PhoneNumbers":
            sid = (await _form(request, {"PhoneNumberSid"})).get("PhoneNumberSid")
            number = next((one for one in world.numbers.values() if one.provider == PROVIDER and one.id == sid), None)
            if number is None:
                raise refused(400, 21602, "PhoneNumberSid is not valid")
            number.more["trunk_sid"] = trunk
            number.more["voice_application_sid"] = ""
            world.changed()
            return json_answer({"sid": sid, "phone_number": number.number, "trunk_sid": trunk}, 201)
        if collection not in _LINKS:
            raise not_found(request)
        sid = (await _form(request, {_LINKS[collection]})).get(_LINKS[collection], "")
        if sid not in kept.lists or not sid.startswith(_LISTS[collection]):
            raise refused(400, 21255, f"{_LINKS[collection]} is not valid")
        sids = kept.links.setdefault((trunk, collection), [])
        if sid in sids:
            raise refused(409, 21257, "It is linked already")
        sids.append(sid)
        return json_answer(kept.lists[sid] | {"trunk_sid": trunk}, 201)

    @delete(f"{_TRUNKS}/{{trunk:str}}/{{collection:str}}/{{member:str}}", status_code=204)
    async def unlink(request: Request[Any, Any, Any], trunk: str, collection: str, member: str) -> Response[None]:
        authenticated(world, request)
        _of(kept.trunks, trunk, request)
        if collection == "OriginationUrls" and kept.urls.get(trunk, {}).pop(member, None) is not None:
            return empty_answer()
        if collection == "PhoneNumbers":
            for number in world.numbers.values():
                if number.id == member and number.more.get("trunk_sid") == trunk:
                    number.more["trunk_sid"] = ""
                    world.changed()
                    return empty_answer()
        if member in kept.links.get((trunk, collection), []):
            kept.links[trunk, collection].remove(member)
            return empty_answer()
        raise not_found(request)

    @get(f"{_SIP}/{{collection:str}}")
    async def lists(request: Request[Any, Any, Any], account: str, collection: str) -> Response[bytes]:
        authenticated(world, request, account)
        prefix = _prefix(collection, request)
        found = [one for sid, one in kept.lists.items() if sid.startswith(prefix)]
        return json_answer(_page(_snake(_bare(collection)), found))

    @post(f"{_SIP}/{{collection:str}}")
    async def make_list(request: Request[Any, Any, Any], account: str, collection: str) -> Response[bytes]:
        sid = f"{_prefix(collection, request)}{world.new_hex()}"
        authenticated(world, request, account)
        form = await _form(request, {"FriendlyName"})
        if not form.get("FriendlyName"):
            raise refused(400, 20001, "FriendlyName is required")
        kept.lists[sid] = {"sid": sid, "account_sid": account, "friendly_name": form["FriendlyName"]}
        return json_answer(kept.lists[sid], 201)

    @delete(f"{_SIP}/{{collection:str}}/{{list_id:str}}", status_code=204)
    async def drop_list(request: Request[Any, Any, Any], account: str, collection: str, list_id: str) -> Response[None]:
        authenticated(world, request, account)
        _prefix(collection, request)
        _of(kept.lists, list_id, request)
        sid = _bare(list_id)
        if any(sid in sids for sids in kept.links.values()):
            raise refused(409, 21243, "The list is linked to a trunk")
        del kept.lists[sid]
        kept.entries.pop(sid, None)
        return empty_answer()

    @get(f"{_SIP}/{{collection:str}}/{{list_id:str}}/{{kind:str}}")
    async def entries(
        request: Request[Any, Any, Any], account: str, collection: str, list_id: str, kind: str
    ) -> Response[bytes]:
        authenticated(world, request, account)
        _entry(collection, kind, request)
        _of(kept.lists, list_id, request)
        return json_answer(_page(_snake(_bare(kind)), list(kept.entries.get(list_id, {}).values())))

    @post(f"{_SIP}/{{collection:str}}/{{list_id:str}}/{{kind:str}}")
    async def add(
        request: Request[Any, Any, Any], account: str, collection: str, list_id: str, kind: str
    ) -> Response[bytes]:
        authenticated(world, request, account)
        prefix = _entry(collection, kind, request)
        _of(kept.lists, list_id, request)
        if prefix == "CR":
            form = await _form(request, {"Username", "Password"})
            _check_password(form.get("Password", ""))
            entry: dict[str, Any] = {"username": form.get("Username", "")}
        else:
            form = await _form(request, {"FriendlyName", "IpAddress", "CidrPrefixLength"})
            try:
                IPv4Address(form.get("IpAddress", ""))
            except ValueError:
                raise refused(400, 21463, "IpAddress is not valid") from None
            entry = {
                "friendly_name": form.get("FriendlyName"),
                "ip_address": form["IpAddress"],
                "cidr_prefix_length": int(form.get("CidrPrefixLength", "32")),
            }
        entry |= {"sid": f"{prefix}{world.new_hex()}", "account_sid": account}
        kept.entries.setdefault(list_id, {})[entry["sid"]] = entry
        return json_answer(entry, 201)

    @post(f"{_SIP}/{{collection:str}}/{{list_id:str}}/{{kind:str}}/{{entry_id:str}}", status_code=200)
    async def set_password(
        request: Request[Any, Any, Any], account: str, collection: str, list_id: str, kind: str, entry_id: str
    ) -> Response[bytes]:
        authenticated(world, request, account)
        _entry(collection, kind, request)
        found = _of(kept.entries.get(list_id, {}), entry_id, request)
        _check_password((await _form(request, {"Password"})).get("Password", ""))
        return json_answer(found)

    @delete(f"{_SIP}/{{collection:str}}/{{list_id:str}}/{{kind:str}}/{{entry_id:str}}", status_code=204)
    async def drop_entry(
        request: Request[Any, Any, Any], account: str, collection: str, list_id: str, kind: str, entry_id: str
    ) -> Response[None]:
        authenticated(world, request, account)
        _entry(collection, kind, request)
        _of(kept.entries.get(list_id, {}), entry_id, request)
        del kept.entries[list_id][_bare(entry_id)]
        return empty_answer()

    return (
        *(trunks, make, read, change, drop, linked, link, unlink),
        *(lists, make_list, drop_list, entries, add, set_password, drop_entry),
    )


def _url(form: Mapping[str, str]) -> dict[str, Any]:
    if set(form) != _URL_FIELDS:
        raise refused(400, 20001, f"Required: {', '.join(sorted(_URL_FIELDS - set(form)))}")
    if not form["SipUrl"].startswith("sip:"):
        raise refused(400, 21252, "SipUrl must begin with sip:")
    priority, weight = form["Priority"], form["Weight"]
    if not (priority.isdigit() and int(priority) <= 65535 and weight.isdigit() and 1 <= int(weight) <= 65535):
        raise refused(400, 21253, "Priority or Weight is out of range")
    return {
        "sip_url": form["SipUrl"],
        "priority": int(priority),
        "weight": int(weight),
        "enabled": form["Enabled"] == "true",
        "friendly_name": form["FriendlyName"],
    }


def _check_password(password: str) -> None:
    strong = len(password) >= 12 and re.search("[a-z]", password) and re.search("[A-Z]", password)
    if not strong or not re.search("[0-9]", password):
        raise refused(400, 21236, "Password is too weak: 12 characters with a digit, a small and a capital letter")


def _prefix(collection: str, request: Request[Any, Any, Any]) -> str:
    prefix = _LISTS.get(_bare(collection))
    if prefix is None:
        raise not_found(request)
    return prefix


def _entry(collection: str, kind: str, request: Request[Any, Any, Any]) -> str:
    prefix, owner = _ENTRIES.get(_bare(kind), ("", ""))
    if owner != collection:
        raise not_found(request)
    return prefix


def _of(known: Mapping[str, dict[str, Any]], sid: str, request: Request[Any, Any, Any]) -> dict[str, Any]:
    found = known.get(_bare(sid))
    if found is None:
        raise not_found(request)
    return found


async def _form(request: Request[Any, Any, Any], names: set[str]) -> dict[str, str]:
    fields = await read_form(request)
    if odd := set(fields) - names:
        raise refused(400, 20001, f"Unknown parameters: {', '.join(sorted(odd))}")
    return {name: values[-1] for name, values in fields.items()}


def _page(name: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    meta = {"page": 0, "page_size": 1000, "key": name, "next_page_url": None, "previous_page_url": None}
    return {name: found, "meta": meta, "page": 0, "page_size": 1000, "next_page_uri": None}


def _bare(name: str) -> str:
    return name.removesuffix(".json")


def _snake(name: str) -> str:
    return _SNAKE.sub("_", name).lower()
