"""Who may reach what, over every operation of the OpenAPI document: other tenants, the other environment, every single scope, nobody.

New operations are covered by themselves. A new path parameter fails here until `things` makes one of it.
"""

import json
import re
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest
from voisnap_api.app import openapi_document
from voisnap_api.auth.scopes import DELETE_CONVERSATIONS, GRANTABLE, HUB, Role
from voisnap_api.phone_numbers import store as numbers
from voisnap_api.phone_numbers.records import LineSource, LineStatus, PhoneLine
from voisnap_api.sip_trunks import store as trunks
from voisnap_api.sip_trunks.records import SipTrunk, TrunkStatus
from voisnap_domain.ids import PhoneNumberId, SipTrunkId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_providers.ports.numbers import NumberFeature
from voisnap_testkit.finished_calls import AGENT_TURN, USER_TURN, Call
from voisnap_testkit.openapi_values import example_of

pytestmark = pytest.mark.slice

DOCUMENT = json.loads(openapi_document())
SCOPES = sorted(GRANTABLE | {HUB, DELETE_CONVERSATIONS})

PUBLIC = {
    "auth.accept_invitation",
    "auth.ask_to_unlock",
    "auth.confirm_registration",
    "auth.forgot",
    "auth.login",
    "auth.logout",
    "auth.look_at_invitation",
    "auth.mfa.ask_passkey",
    "auth.mfa.verify",
    "auth.refresh",
    "auth.register",
    "auth.reset",
    "auth.unlock",
}
"""Operations that need no credential."""

OWN_ACCOUNT = re.compile(r"auth\.")
"""Operations on whoever asks, which need a credential and no scope."""

NO_SCOPE = {"mail.list"}
"""Others without a scope: what an operator of the platform may do."""

BODIES: dict[str, Any] = {
    "do_not_call.create": {"phoneNumber": "+14155550104"},
    "do_not_call.import_numbers": {"phoneNumbers": ["+14155550102"]},
    "outbound_calls.batch": {"agentId": "agt_none", "calls": [{"toNumber": "+14155550103"}]},
    "outbound_calls.create": {"agentId": "agt_none", "toNumber": "+14155550103"},
    "outbound_calls.set_settings": {"maxConcurrent": 5},
    "agents.test": {"channel": "webchat"},
    "channels.create": {"channel": "telegram", "agentId": "agt_none"},
    "channels.update": {"settings": {}},
    "contacts.update": {"name": "Ada"},
    "messages.create": {"channel": "sms", "agentId": "agt_none", "to": "+14155550105", "text": "Hi"},
    "telephony.numbers.create": {"phoneNumber": "+14155550142", "provider": "twilio"},
    "telephony.trunks.create": {
        "name": "Office",
        "provider": "twilio",
        "origination": [{"sipUri": "sip:pbx.acme.example"}],
    },
    "telephony.trunks.update": {"name": "Office"},
    "telephony.numbers.update": {"friendlyName": "Front desk"},
    "users.change": {"firstName": "Eve"},
    "agents.update": {"description": "x"},
    "provider_credentials.create": {"provider": "openai", "name": "Ours", "secrets": {"apiKey": "sk-0123456789abcdef"}},
}
"""Bodies that pass validation, where the one made from the schema does not."""

ABSENT = {
    "conversations.recording",
    "conversations.analysis",
    "conversations.remove_tag",
    "users.revoke_invitation",
    "users.resend_invitation",
    "auth.mfa.remove_passkey",
}
"""Operations that answer their own tenant with 404 too, because a part of the thing is missing."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of the document."""

    id: str
    method: str
    path: str
    scopes: frozenset[str]
    is_public: bool
    body: Any

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.path)


def operations() -> list[Operation]:
    found = []
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            made = None if content is None else content.get("example", example_of(content["schema"], DOCUMENT))
            found.append(
                Operation(
                    id=operation["operationId"],
                    method=method.upper(),
                    path=path,
                    scopes=frozenset(operation.get("x-required-scopes", ())),
                    is_public=operation.get("security") == [],
                    body=BODIES.get(operation["operationId"], made),
                )
            )
    return sorted(found, key=lambda operation: (operation.method == "DELETE", operation.path.count("/")))


OPERATIONS = operations()
NOWHERE = dict.fromkeys((name for operation in OPERATIONS for name in operation.parameters), "none") | {
    "first": "1",
    "second": "2",
    "number": "1",
}


async def send(api: Any, operation: Operation, values: dict[str, str], headers: dict[str, str]) -> httpx.Response:
    path = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], operation.path)
    return await api.client.request(operation.method, path, json=operation.body, headers=headers)


async def things(api: Any, owner: dict[str, str]) -> dict[str, str]:
    """One thing of tenant `ten_a`, live, for every path parameter there is."""
    await api.follow()
    await api.start_runtime()
    agent = await api.add_agent(owner)
    assert (
        await api.client.patch(f"/api/v1/agents/{agent['id']}", json={"description": "changed"}, headers=owner)
    ).status_code == 200
    test = await api.client.post(f"/api/v1/agents/{agent['id']}/test", json={"channel": "webrtc"}, headers=owner)
    user = await api.add_user("bob@acme.test", first_name="Bob")
    key = await api.client.post("/api/v1/api-keys", json={"name": "k", "scopes": ["agents:read"]}, headers=owner)
    call = Call()
    for event in (call.started, call.turn(AGENT_TURN), call.turn(USER_TURN), call.ended()):
        await api.tell(event)
    tagged = await api.client.post(f"{call.url}/tags", json={"tags": ["vip"]}, headers=owner)
    assert (test.status_code, key.status_code, tagged.status_code) == (202, 201, 200), test.text + key.text
    body = BODIES["provider_credentials.create"]
    credential = await api.client.post("/api/v1/provider-credentials", json=body, headers=owner)
    assert credential.status_code == 201, credential.text
    line = PhoneLine(
        id=PhoneNumberId("num_things"),
        tenant_id=TenantId("ten_a"),
        environment=Environment.LIVE,
        phone_number="+14155550199",
        provider="twilio",
        account="platform",
        country="US",
        capabilities=(NumberFeature.VOICE,),
        agent_id=agent["id"],
        source=LineSource.PURCHASE,
        status=LineStatus.ACTIVE,
        created_at=datetime.now(UTC),
        updated_at=datetime.now(UTC),
    )
    trunk = SipTrunk(
        id=SipTrunkId("trunk_things"),
        tenant_id=TenantId("ten_a"),
        environment=Environment.LIVE,
        name="Office",
        provider="twilio",
        account="platform",
        status=TrunkStatus.ACTIVE,
        created_at=datetime.now(UTC),
        updated_at=datetime.now(UTC),
    )
    async with api.database.transaction_as_system() as tx:
        await numbers.insert(tx, line)
        await trunks.insert(tx, trunk)
    await written(api)
    wanted = {"agentId": agent["id"], "toNumber": "+14155550103"}
    placed = await api.client.post("/api/v1/outbound-calls", json=wanted, headers=owner)
    listed = await api.client.post("/api/v1/do-not-call", json={"phoneNumber": "+14155550101"}, headers=owner)
    assert (placed.status_code, listed.status_code) == (201, 201), placed.text + listed.text
    return {
        "agentId": agent["id"],
        "callId": placed.json()["id"],
        "phoneNumber": "+14155550101",
        "conversationId": call.id,
        "credentialId": credential.json()["id"],
        "numberId": line.id,
        "trunkId": trunk.id,
        "channelId": "chan_things",
        "contactId": "cont_things",
        "messageId": "msg_things",
        "first": "1",
        "second": "2",
        "number": "1",
        "keyId": key.json()["id"],
        "passkeyId": "psk_1",
        "tag": "vip",
        "testSessionId": test.json()["testSessionId"],
        "userId": user.id,
    }


async def written(api: Any) -> None:
    """A contact of tenant `ten_a` who wrote to one of its connections."""
    async with api.database.transaction_as_system() as tx:
        for statement in (
            "INSERT INTO contacts (id, tenant_id, environment, created_at, updated_at, last_seen_at)"
            " VALUES ('cont_things', 'ten_a', 'live', now(), now(), now())",
            "INSERT INTO channel_connections (id, tenant_id, environment, channel, provider, account, address, agent_id, status, created_at,"
            " updated_at) VALUES ('chan_things', 'ten_a', 'live', 'telegram', 'telegram', 'platform', '7', 'agt_1', 'active', now(), now())",
            "INSERT INTO message_threads (id, tenant_id, environment, contact_id, channel, provider, account, our_address, their_key,"
            " their_address, agent_id, created_at) VALUES ('thr_things', 'ten_a', 'live', 'cont_things', 'telegram', 'telegram', 'platform',"
            " '7', '5', '5', 'agt_1', now())",
            "INSERT INTO messages (id, tenant_id, environment, thread_id, direction, source, text, state, created_at, updated_at)"
            " VALUES ('msg_things', 'ten_a', 'live', 'thr_things', 'inbound', 'wrote', 'Hi', 'answered', now(), now())",
        ):
            await tx.exec(statement)


def test_every_path_parameter_is_known_here():
    known = {
        *("agentId", "conversationId", "first", "second", "number", "keyId", "passkeyId", "tag", "testSessionId"),
        *("userId", "credentialId", "callId", "phoneNumber", "numberId", "trunkId"),
        *("channelId", "contactId", "messageId"),
    }
    assert set(NOWHERE) <= known, "make one of it in `things` (and name it here), so that it is tried by other tenants"


async def test_nothing_of_a_tenant_is_reached_with_another_credential(api):
    """Every operation with the ids of real things: other tenant, other environment, unknown key. Then their own, which must work."""
    owner = api.token("ten_a", user_id="usr_owner")
    await api.add_user("owner@acme.test", id="usr_owner")
    values = await things(api, owner)
    ids = [value for value in values.values() if "_" in value]
    sandbox_key = await api.add_key(environment=Environment.SANDBOX)
    foreign_key = await api.add_key("ten_b")
    strangers = {
        "another tenant": api.token("ten_b", user_id="usr_stranger"),
        "another tenant's key": {"Authorization": f"Bearer {foreign_key}"},
        "the sandbox": {"Authorization": f"Bearer {sandbox_key}"},
    }
    shared = {"userId"}  # people belong to both environments of their tenant
    for name, headers in strangers.items():
        for operation in OPERATIONS:
            if operation.is_public or OWN_ACCOUNT.match(operation.id) or operation.id in NO_SCOPE:
                continue
            if name == "the sandbox" and (shared & set(operation.parameters) or operation.id.startswith("users.")):
                continue
            answer = await send(api, operation, values, headers)
            if operation.parameters:
                assert answer.status_code in {401, 404}, f"{name}, {operation.id}: {answer.status_code} {answer.text}"
            if operation.method == "GET":
                assert not any(id in answer.text for id in ids if id not in answer.url.path), (name, operation.id)
    unusable = {"nobody": {}, "an unknown key": {"Authorization": "Bearer vsnp_live_" + "0" * 30}}
    wrong_environment = {"Authorization": f"Bearer {sandbox_key}", "X-Voisnap-Environment": "live"}
    for name, headers in {**unusable, "the other environment's key": wrong_environment}.items():
        for operation in OPERATIONS:
            if not operation.is_public:
                answer = await send(api, operation, values, headers)
                assert answer.status_code == 401, f"{name}, {operation.id}: {answer.status_code} {answer.text}"
                assert answer.headers["content-type"] == "application/problem+json"
    for operation in OPERATIONS:
        if operation.parameters and operation.id not in ABSENT and operation.method != "DELETE":
            answer = await send(api, operation, values, owner)
            assert answer.status_code not in {401, 404, 422}, f"{operation.id}: {answer.status_code} {answer.text}"


async def test_every_operation_asks_for_its_scopes_and_no_other_will_do(api):
    await api.add_user("owner@acme.test", id="usr_1")
    for operation in OPERATIONS:
        if not operation.scopes:
            known = operation.is_public or OWN_ACCOUNT.match(operation.id) or operation.id in NO_SCOPE
            assert known, f"{operation.id} asks for no scope"
            assert not operation.is_public or operation.id in PUBLIC, operation.id
            continue
        for held in (operation.scopes, frozenset(SCOPES), *(frozenset({scope}) for scope in SCOPES)):
            answer = await send(api, operation, NOWHERE, api.token("ten_a", scopes=held))
            is_refused = answer.status_code == 403 and answer.json()["type"].endswith("/missing-scope")
            assert is_refused != (operation.scopes <= held), f"{operation.id} with {set(held)}: {answer.status_code}"
        for scope in operation.scopes:
            answer = await send(api, operation, NOWHERE, api.token("ten_a", scopes=frozenset(SCOPES) - {scope}))
            assert answer.status_code == 403, f"{operation.id} without {scope}: {answer.status_code}"


async def test_people_who_only_read_change_nothing(api):
    reader = api.token("ten_a", role=Role.READ_ONLY)
    for operation in OPERATIONS:
        if operation.method != "GET" and operation.scopes:
            answer = await send(api, operation, NOWHERE, reader)
            assert answer.status_code == 403, f"{operation.id}: {answer.status_code}"


async def test_the_services_role_can_not_get_around_row_level_security(database):
    async with database.transaction_as_system() as tx:
        assert await tx.one(bool, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user") is False
        open_tables = await tx.all(
            str,
            """
            SELECT c.relname
              FROM pg_class c
              JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
             WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
               AND c.relname NOT IN ('outbox')
               AND (NOT c.relrowsecurity OR pg_get_userbyid(c.relowner) = current_user
                    OR NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))
            """,
        )
    assert open_tables == []
