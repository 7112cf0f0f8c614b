"""Telnyx's SIP connections, their addresses and host names, and outbound voice profiles.

https://developers.telnyx.com/docs/voice/sip-trunking. Secrets are forgotten as they come.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from litestar import Request, Response, delete, get, patch, post
from litestar.types import ControllerRouterHandler

from voisnap_simulator.answers import json_answer, read_json
from voisnap_simulator.world import Application, World

from .telnyx import PROVIDER, authenticated, not_found, refused

_V2 = "/telnyx/v2"
_SHARED = {"connection_name", "active", "inbound", "outbound", "tags", "webhook_event_url", "webhook_api_version"}
_FIELDS = {
    "credential_connections": _SHARED | {"user_name", "password", "sip_uri_calling_preference"},
    "ip_connections": _SHARED | {"transport_protocol"},
    "fqdn_connections": _SHARED | {"transport_protocol"},
    "outbound_voice_profiles": {"name", "enabled", "traffic_type", "service_plan", "tags"},
    "ips": {"ip_address", "port", "connection_id"},
    "fqdns": {"fqdn", "port", "connection_id", "dns_record_type"},
}
_REQUIRED = {
    "credential_connections": ("connection_name", "user_name", "password"),
    "ip_connections": (),
    "fqdn_connections": ("connection_name",),
    "outbound_voice_profiles": ("name",),
    "ips": ("ip_address",),
    "fqdns": ("connection_id", "dns_record_type", "fqdn"),
}
_CONNECTIONS = ("credential_connections", "ip_connections", "fqdn_connections")


@dataclass
class Connections:
    """What an account has, by collection and id."""

    kept: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {name: {} for name in _FIELDS})


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """Telnyx's REST API for trunks."""
    kept = world.part(Connections, Connections).kept
    made: list[ControllerRouterHandler] = []
    for name in _FIELDS:
        made += _collection(world, kept, name)
    return tuple(made)


def _collection(
    world: World, kept: dict[str, dict[str, dict[str, Any]]], name: str
) -> tuple[ControllerRouterHandler, ...]:
    here = kept[name]

    @get(f"{_V2}/{name}", name=f"telnyx_{name}_list")
    async def listed(request: Request[Any, Any, Any]) -> Response[bytes]:
        authenticated(world, request)
        found = [one for one in here.values() if _matches(one, request)]
        meta = {"page_number": 1, "page_size": 100, "total_pages": 1, "total_results": len(found)}
        return json_answer({"data": [_shown(one) for one in found], "meta": meta})

    @post(f"{_V2}/{name}", name=f"telnyx_{name}_create")
    async def create(request: Request[Any, Any, Any]) -> Response[bytes]:
        authenticated(world, request)
        body = await _body(request, name)
        for needed in _REQUIRED[name]:
            if not body.get(needed):
                raise refused(422, "10004", f"{needed} is required")
        _check(name, body, kept)
        if name == "credential_connections" and any(one["user_name"] == body["user_name"] for one in here.values()):
            raise refused(422, "10012", "user_name is taken")
        one = {"active": True, **body, "id": _new_id(name, world), "record_type": name.removesuffix("s")}
        here[one["id"]] = one
        if name in _CONNECTIONS:
            world.add(Application(provider=PROVIDER, id=one["id"], kind="sip", name=str(body.get("connection_name"))))
        return json_answer({"data": _shown(one)}, 201)

    @get(f"{_V2}/{name}/{{member:str}}", name=f"telnyx_{name}_read")
    async def read(request: Request[Any, Any, Any], member: str) -> Response[bytes]:
        authenticated(world, request)
        return json_answer({"data": _shown(_of(here, member))})

    @patch(f"{_V2}/{name}/{{member:str}}", name=f"telnyx_{name}_update")
    async def change(request: Request[Any, Any, Any], member: str) -> Response[bytes]:
        authenticated(world, request)
        found = _of(here, member)
        body = await _body(request, name)
        own = {field: found.get(field) for field in ("user_name", "ip_address", "connection_id")}
        _check(name, {**own, **body}, kept)
        found |= body
        return json_answer({"data": _shown(found)})

    @delete(f"{_V2}/{name}/{{member:str}}", status_code=200, name=f"telnyx_{name}_delete")
    async def drop(request: Request[Any, Any, Any], member: str) -> Response[bytes]:
        authenticated(world, request)
        found = _of(here, member)
        if name in _CONNECTIONS:
            owned = (one for one in world.numbers.values() if one.provider == PROVIDER)
            if any(one.application == member for one in owned):
                raise refused(422, "10015", "The connection has numbers")
            world.applications.pop((PROVIDER, member), None)
        if name == "outbound_voice_profiles" and any(
            (one.get("outbound") or {}).get("outbound_voice_profile_id") == member
            for connection in _CONNECTIONS
            for one in kept[connection].values()
        ):
            raise refused(422, "10015", "The profile has connections")
        del here[member]
        return json_answer({"data": _shown(found)})

    return listed, create, read, change, drop


def _check(name: str, body: Mapping[str, Any], kept: Mapping[str, Mapping[str, Any]]) -> None:
    if name == "credential_connections":
        user, password = str(body.get("user_name", "")), body.get("password")
        if not (4 <= len(user) <= 32 and user.isalnum()):
            raise refused(422, "10015", "user_name must be 4 to 32 letters and digits")
        if password is not None and not 8 <= len(str(password)) <= 128:
            raise refused(422, "10015", "password must have 8 to 128 characters")
    if name == "ips":
        try:
            ip_address(str(body.get("ip_address")))
        except ValueError:
            raise refused(422, "10015", "ip_address is not valid") from None
    owner = {"ips": "ip_connections", "fqdns": "fqdn_connections"}.get(name)
    if owner is not None and body.get("connection_id") not in kept[owner]:
        raise refused(422, "10013", "The connection does not exist")
    profile = (body.get("outbound") or {}).get("outbound_voice_profile_id")
    if profile is not None and profile not in kept["outbound_voice_profiles"]:
        raise refused(422, "10013", "The outbound voice profile does not exist")
    primary = (body.get("inbound") or {}).get("default_primary_ip_id")
    if primary is not None and primary not in kept["ips"]:
        raise refused(422, "10013", "The address does not exist")


def _matches(one: Mapping[str, Any], request: Request[Any, Any, Any]) -> bool:
    for name, value in request.query_params.items():
        if name == "filter[connection_id]" and one.get("connection_id") != value:
            return False
        if name.endswith("[contains]") and str(value) not in str(one.get(name[len("filter[") :].partition("]")[0])):
            return False
    return True


def _of(here: Mapping[str, dict[str, Any]], member: str) -> dict[str, Any]:
    found = here.get(member)
    if found is None:
        raise not_found()
    return found


def _shown(one: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name != "password"}


def _new_id(name: str, world: World) -> str:
    if name == "ips":
        return str(uuid.uuid4())
    return "1" + "".join(str(int(digit, 16) % 10) for digit in world.new_hex(18))


async def _body(request: Request[Any, Any, Any], name: str) -> dict[str, Any]:
    body = await read_json(request)
    if body is None:
        raise refused(400, "10015", "The body is no JSON object")
    if odd := set(body) - _FIELDS[name]:
        raise refused(422, "10015", f"{sorted(odd)[0]} is no field of this")
    return body
