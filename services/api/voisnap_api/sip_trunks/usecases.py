"""What can be done with a tenant's SIP trunks in the database; what is asked of carriers meanwhile is `building`'s."""

import re
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, ip_network

import msgspec
from voisnap_domain.errors import Conflict, FieldError, Invalid, LimitReached, NotFound
from voisnap_domain.ids import SipTrunkId
from voisnap_kit.work import Work
from voisnap_providers.ports.trunks import Origination, Parts

from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target

from . import store
from .records import SipTrunk, TrunkStatus, TrunkTest

MOST = 50
"""Trunks of one tenant and environment."""
BUSY_SECONDS = 180.0
"""How long whoever works on a trunk has it for himself."""
WIDEST = 24
"""The shortest prefix of a network that may call out: 256 addresses."""
_URI = re.compile(
    r"sip:(?:[A-Za-z0-9._+~-]{1,64}@)?(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:;transport=(?:udp|tcp|tls))?"
)
_USERNAME = re.compile(r"[A-Za-z0-9]{4,32}")
_UNREACHABLE = tuple(
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3"),
    )
)
"""Where no carrier gets through: private networks, this host, multicast."""


async def create_trunk(work: Work, trunk: SipTrunk) -> None:
    """Write a trunk down before anybody asks the carrier for it. Raises LimitReached `trunk-limit-reached`."""
    caller = work.caller
    await store.lock(work.tx, caller.tenant_id, caller.environment)
    if await store.count(work.tx, caller.tenant_id, caller.environment, None) >= MOST:
        raise LimitReached(f"There can be {MOST} SIP trunks at most.", code="trunk-limit-reached")
    await store.insert(work.tx, msgspec.structs.replace(trunk, busy_until=_busy(work)))
    await _note(work, "created", trunk)


async def get_trunk(work: Work, trunk_id: SipTrunkId) -> SipTrunk:
    """One trunk of the caller's environment. Raises NotFound."""
    found = await store.get(work.tx, work.caller.tenant_id, work.caller.environment, trunk_id)
    if found is None:
        raise NotFound("SIP trunk", trunk_id)
    return found


async def list_trunks(work: Work, provider: str | None, *, limit: int, offset: int) -> tuple[list[SipTrunk], int]:
    """One page of the trunks of the caller's environment, newest first, and how many there are."""
    caller = work.caller
    found = await store.page(work.tx, caller.tenant_id, caller.environment, provider, limit=limit, offset=offset)
    return found, await store.count(work.tx, caller.tenant_id, caller.environment, provider)


async def take_up(work: Work, trunk_id: SipTrunkId) -> SipTrunk:
    """A trunk to work on, which nobody else may meanwhile. Raises NotFound, Conflict `trunk-busy`."""
    trunk = await _for_change(work, trunk_id)
    if trunk.busy_until is not None and trunk.busy_until > work.now:
        raise Conflict("Somebody is at work on this trunk. Try again in a moment.", code="trunk-busy")
    trunk = msgspec.structs.replace(trunk, busy_until=_busy(work))
    await store.update(work.tx, trunk)
    return trunk


async def note_wanted(work: Work, trunk: SipTrunk, changed: tuple[str, ...]) -> None:
    """Keep what a trunk shall be from now on."""
    await store.update(work.tx, msgspec.structs.replace(trunk, busy_until=_busy(work), updated_at=work.now))
    await _note(work, "changed", trunk, {"changed": list(changed)})


async def note_parts(work: Work, trunk_id: SipTrunkId, parts: Parts) -> None:
    """Keep what there is of a trunk at the carrier."""
    trunk = await _for_change(work, trunk_id)
    await store.update(work.tx, msgspec.structs.replace(trunk, parts=dict(parts), busy_until=_busy(work)))


async def note_done(
    work: Work, trunk_id: SipTrunkId, *, status: TrunkStatus, detail: str | None, sip_domain: str
) -> SipTrunk:
    """The work on a trunk is over, with this outcome."""
    trunk = await _for_change(work, trunk_id)
    trunk = msgspec.structs.replace(
        trunk, status=status, status_detail=detail, sip_domain=sip_domain, busy_until=None, updated_at=work.now
    )
    await store.update(work.tx, trunk)
    return trunk


async def note_test(work: Work, trunk_id: SipTrunkId, test: TrunkTest) -> SipTrunk:
    """Keep what a test found."""
    trunk = msgspec.structs.replace(await _for_change(work, trunk_id), last_test=test)
    await store.update(work.tx, trunk)
    return trunk


async def begin_delete(work: Work, trunk_id: SipTrunkId) -> SipTrunk:
    """A trunk that is to go. Raises NotFound, Conflict `trunk-busy`."""
    trunk = msgspec.structs.replace(await take_up(work, trunk_id), status=TrunkStatus.DELETING)
    await store.update(work.tx, trunk)
    return trunk


async def forget(work: Work, trunk: SipTrunk) -> None:
    """Nothing is left of a trunk."""
    await store.delete(work.tx, trunk.tenant_id, trunk.environment, trunk.id)
    await _note(work, "deleted", trunk)


def faults_of(
    name: str, origination: tuple[Origination, ...], username: str | None, allowed_ips: tuple[str, ...]
) -> list[FieldError]:
    """What no carrier takes."""
    faults: list[FieldError] = []
    if not 1 <= len(name.strip()) <= 100 or not name.isprintable():
        detail = "must have 1 to 100 printable characters"
        faults.append(FieldError(pointer="/name", code="bad-length", detail=detail))
    for index, one in enumerate(origination):
        if detail := _uri_fault(one.sip_uri):
            faults.append(FieldError(pointer=f"/origination/{index}/sipUri", code="wrong-format", detail=detail))
    if len({one.sip_uri for one in origination}) < len(origination):
        faults.append(FieldError(pointer="/origination", code="duplicate", detail="names an address twice"))
    if username is not None and not _USERNAME.fullmatch(username):
        detail = "must be 4 to 32 letters and digits"
        faults.append(FieldError(pointer="/credentials/username", code="wrong-format", detail=detail))
    for index, text in enumerate(allowed_ips):
        if detail := _network_fault(text):
            faults.append(FieldError(pointer=f"/allowedIps/{index}", code="wrong-format", detail=detail))
    return faults


def password_fault(password: str) -> FieldError | None:
    """Why a password is none that every carrier takes."""
    kinds = (r"[a-z]", r"[A-Z]", r"[0-9]")
    if re.fullmatch(r"[\x21-\x7e]{12,64}", password) and all(re.search(kind, password) for kind in kinds):
        return None
    detail = (
        "must have 12 to 64 printable ASCII characters without blanks: a small letter, a capital and a digit among them"
    )
    return FieldError(pointer="/credentials/password", code="too-weak", detail=detail)


def _uri_fault(uri: str) -> str | None:
    match = _URI.fullmatch(uri)
    if match is None or not 0 < int(match["port"] or 5060) < 65536:
        return "must be a SIP address such as sip:pbx.example.com:5060;transport=tls"
    host = match["host"].lower()
    if re.fullmatch(r"[0-9.]+", host):
        return _network_fault(host)
    if "." not in host or host.endswith((".local", ".localhost", ".internal")):
        return "must be a host that the carrier reaches over the Internet"
    return None


def _network_fault(text: str) -> str | None:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return "must be an IPv4 address or network such as 198.51.100.7 or 198.51.100.0/28"
    if not isinstance(network, IPv4Network):
        return "must be IPv4: carriers take no other trunks"
    if network.prefixlen < WIDEST:
        return f"must be a network of /{WIDEST} or smaller"
    first: IPv4Address = network.network_address
    return "is no address of the Internet" if any(first in one for one in _UNREACHABLE) else None


async def _for_change(work: Work, trunk_id: SipTrunkId) -> SipTrunk:
    found = await store.get_for_change(work.tx, work.caller.tenant_id, work.caller.environment, trunk_id)
    if found is None:
        raise NotFound("SIP trunk", trunk_id)
    return found


def _busy(work: Work) -> datetime:
    return work.now + timedelta(seconds=BUSY_SECONDS)


def check(faults: list[FieldError]) -> None:
    """Raise Invalid when there are any."""
    if faults:
        raise Invalid(tuple(faults))


async def _note(work: Work, verb: str, trunk: SipTrunk, detail: dict[str, object] | None = None) -> None:
    await audit.note(
        work,
        action=f"sip_trunk.{verb}",
        target=Target(type="sip_trunk", id=trunk.id),
        detail={"name": trunk.name, "provider": trunk.provider, "account": trunk.account, **(detail or {})},
    )
