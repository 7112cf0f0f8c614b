"""Credentials of tenants with providers: what is stored, shown, refused, and who gets them."""

import base64
import json
import logging

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from voisnap_api.auth.scopes import Role
from voisnap_api.provider_credentials.reconcilers import stale_seals
from voisnap_domain.ids import TenantId
from voisnap_domain.provider_credentials import sealing_context
from voisnap_domain.tenants import Environment
from voisnap_kit import sealing
from voisnap_kit.sealing import Keyring
from voisnap_kit.settings import Secret
from voisnap_testkit.openai_emulator import Failure, OpenAiEmulator

pytestmark = pytest.mark.slice

URL = "/api/v1/provider-credentials"
KEY = "sk-live-aVerySecretKey-0042"
OTHER = "sk-live-anotherSecretKey-7"
HELD = "test:" + base64.b64encode(b"s" * 32).decode()
"""The keys of the installation under test."""

SERVICE_ACCOUNT = {
    "type": "service_account",
    "project_id": "acme-voice",
    "private_key_id": "0123456789abcdef",
    "private_key": rsa.generate_private_key(public_exponent=65537, key_size=2048)
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode(),
    "client_email": "bot@acme-voice.iam.gserviceaccount.com",
    "client_id": "1",
    "auth_uri": "https://accounts.google.com/o/oauth2/auth",
    "token_uri": "https://oauth2.googleapis.com/token",
    "universe_domain": "googleapis.com",
}


@pytest.fixture
def owner(api):
    return api.token("ten_a")


async def add(api, headers, **changes):
    body = {"provider": "openai", "name": "Ours", "secrets": {"apiKey": KEY}} | changes
    return await api.client.post(URL, json=body, headers=headers)


async def made(api, headers, **changes):
    answer = await add(api, headers, **changes)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def rows(api, sql, **parameters):
    async with api.database.transaction_as_system() as tx:
        return await tx.all(str, sql, **parameters)


async def opened(api, credential, keys=HELD):
    """The secrets of a stored credential, with the installation's key."""
    async with api.database.transaction_as_system() as tx:
        sealed = await tx.one(bytes, "SELECT sealed FROM provider_credentials WHERE id = %(id)s", id=credential["id"])
    context = sealing_context(TenantId("ten_a"), Environment.LIVE, credential["provider"], credential["id"])
    return json.loads(sealing.unseal(Keyring.parse(keys), sealed, context=context))


async def test_a_credential_is_sealed_and_shown_by_its_last_characters_only(api, owner, caplog):
    caplog.set_level(logging.DEBUG)
    answer = await add(api, owner, options={"organization": "org-1"})
    body = answer.json()
    assert answer.headers["location"] == f"{URL}/{body['id']}"
    assert (body["secrets"], body["options"], body["revision"]) == ({"apiKey": "…0042"}, {"organization": "org-1"}, 1)
    assert (body["isDefault"], body["environment"], body["lastTest"]) == (True, "live", None)
    read = await api.client.get(f"{URL}/{body['id']}", headers=owner)
    listed = await api.client.get(URL, headers=owner)
    assert read.json() == body == listed.json()["data"][0]
    assert await opened(api, body) == {"api_key": KEY}
    dump = await rows(api, "SELECT c::text FROM provider_credentials c")
    dump += await rows(api, "SELECT a::text FROM audit_entries a") + await rows(api, "SELECT o::text FROM outbox o")
    everywhere = "".join([answer.text, read.text, listed.text, caplog.text, *dump])
    assert KEY not in everywhere
    assert KEY.encode().hex() not in everywhere
    [entry] = await rows(api, "SELECT action || detail::text FROM audit_entries")
    assert entry.startswith("provider_credential.created")


async def test_a_repeated_request_makes_one_credential(api, owner):
    headers = owner | {"Idempotency-Key": "once"}
    first, second = await add(api, headers), await add(api, headers)
    assert (first.json(), second.headers["idempotency-replayed"]) == (second.json(), "true")
    assert KEY not in str(await rows(api, "SELECT i::text FROM idempotency_keys i"))


WRONG = [
    ({"name": " "}, ["/name"]),
    ({"provider": "telepathy", "name": 7}, ["/provider", "/name"]),
    ({"secrets": {}}, ["/secrets/apiKey"]),
    ({"secrets": {"apiKey": " "}}, ["/secrets/apiKey"]),
    ({"secrets": {"apiKey": "x" * 4097}}, ["/secrets/apiKey"]),
    ({"secrets": {"apiKey": KEY + "\r\nX-Evil: 1"}}, ["/secrets/apiKey"]),
    ({"secrets": {"apiKey": KEY, "password": "x" * 20}}, ["/secrets/password"]),
    ({"options": {"baseUrl": "https://evil.test"}}, ["/options/baseUrl"]),
    ({"options": {"organization": "a/../b"}}, ["/options/organization"]),
    ({"provider": "aws", "secrets": {}}, ["/secrets/accessKeyId", "/secrets/secretAccessKey", "/options/region"]),
    (
        {"provider": "azure", "secrets": {"key": KEY}, "options": {"region": "evil.test/?x=", "sttUrl": "wss://evil"}},
        ["/options/sttUrl", "/options/region"],
    ),
    ({"provider": "google", "secrets": {}}, ["/secrets"]),
    ({"provider": "google", "secrets": {"serviceAccount": "{}"}}, ["/secrets/serviceAccount"]),
    (
        {"provider": "google", "secrets": {"serviceAccount": json.dumps(SERVICE_ACCOUNT | {"token_uri": "http://10.0.0.1"})}},
        ["/secrets/serviceAccount"],
    ),
    (
        {"provider": "google", "secrets": {"serviceAccount": json.dumps(SERVICE_ACCOUNT | {"type": "external_account"})}},
        ["/secrets/serviceAccount"],
    ),
    (
        {"provider": "google", "secrets": {"serviceAccount": json.dumps(SERVICE_ACCOUNT | {"private_key": "-----BEGIN PRIVATE KEY-----"})}},
        ["/secrets/serviceAccount"],
    ),
    (
        {"provider": "google", "secrets": {"serviceAccount": json.dumps(SERVICE_ACCOUNT | {"private_key": SERVICE_ACCOUNT["private_key"] * 3})}},
        ["/secrets/serviceAccount"],
    ),
    ({"provider": "openai_compatible"}, ["/options/baseUrl"]),
    (
        {"provider": "openai_compatible", "options": {"baseUrl": "http://169.254.169.254/v1"}},
        ["/options/baseUrl"],
    ),
    ({"secrets": {"apiKey": 7}}, ["/secrets/apiKey"]),
    ({"secret": {}}, ["/secret"]),
]  # fmt: skip
"""Changes of a good body, and what is found wrong."""


async def test_every_wrong_field_is_named_and_no_secret_repeated(api, owner):
    for changes, pointers in WRONG:
        answer = await add(api, owner, **changes)
        assert answer.status_code == 422, answer.text
        assert [error["pointer"] for error in answer.json()["errors"]] == pointers, changes
        assert KEY not in answer.text
    assert await rows(api, "SELECT id FROM provider_credentials") == []


async def test_a_key_goes_to_no_other_server_than_it_was_given_for(api, owner):
    mine, other = ({"baseUrl": f"https://{name}.example.com/v1"} for name in ("mine", "other"))
    credential = await made(api, owner, provider="openai_compatible", options=mine)
    url = f"{URL}/{credential['id']}"
    moved = await api.client.patch(url, json={"options": other}, headers=owner)
    assert moved.status_code == 422
    assert [error["pointer"] for error in moved.json()["errors"]] == ["/secrets"]
    assert (await api.client.get(url, headers=owner)).json()["options"] == mine
    with_key = await api.client.patch(url, json={"options": other, "secrets": {"apiKey": OTHER}}, headers=owner)
    assert (with_key.status_code, with_key.json()["options"]) == (200, other)


async def test_googles_key_file_is_kept_without_what_could_lead_elsewhere(api, owner):
    given = {"provider": "google", "secrets": {"serviceAccount": json.dumps(SERVICE_ACCOUNT)}}
    body = await made(api, owner, **given, options={"location": "europe-west4"})
    assert body["secrets"] == {"serviceAccount": "…cdef"}
    [kept] = (await opened(api, body)).values()
    assert json.loads(kept) == {
        name: value for name, value in SERVICE_ACCOUNT.items() if name not in {"auth_uri", "universe_domain"}
    }


async def test_one_of_a_provider_is_the_default_one(api, owner):
    first = await made(api, owner)
    second = await made(api, owner, name="Second")
    other = await made(api, owner, name="Other", provider="cohere")
    third = await made(api, owner, name="Third", isDefault=True)
    defaults = "SELECT name FROM provider_credentials WHERE is_default ORDER BY name"
    assert [one["isDefault"] for one in (first, second, other, third)] == [True, False, True, True]
    assert await rows(api, defaults) == ["Other", "Third"]
    moved = await api.client.patch(f"{URL}/{second['id']}", json={"isDefault": True}, headers=owner)
    assert (moved.json()["isDefault"], await rows(api, defaults)) == (True, ["Other", "Second"])
    refused = await api.client.patch(f"{URL}/{second['id']}", json={"isDefault": False}, headers=owner)
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "default-needed")
    assert (await api.client.delete(f"{URL}/{second['id']}", headers=owner)).status_code == 204
    assert await rows(api, defaults) == ["Other", "Third"]
    of_provider = await api.client.get(f"{URL}?provider=openai", headers=owner)
    assert [one["name"] for one in of_provider.json()["data"]] == ["Third", "Ours"]


async def test_new_secrets_make_a_new_revision_and_a_new_name_does_not(api, owner):
    credential = await made(api, owner)
    url = f"{URL}/{credential['id']}"
    renamed = await api.client.patch(url, json={"name": "Renamed"}, headers=owner)
    assert (renamed.json()["name"], renamed.json()["revision"]) == ("Renamed", 1)
    replaced = await api.client.patch(url, json={"secrets": {"apiKey": OTHER}}, headers=owner)
    assert (replaced.json()["secrets"], replaced.json()["revision"]) == ({"apiKey": "…ey-7"}, 2)
    assert await opened(api, credential) == {"api_key": OTHER}
    options = await api.client.patch(url, json={"options": {"organization": "org-2"}}, headers=owner)
    assert (options.json()["options"], options.json()["revision"]) == ({"organization": "org-2"}, 3)
    assert await opened(api, credential) == {"api_key": OTHER}
    wrong = await api.client.patch(
        url, json={"name": "", "secrets": {"nope": "x"}, "options": {"x": "y"}}, headers=owner
    )
    assert {error["pointer"] for error in wrong.json()["errors"]} >= {"/name"}
    wrong = await api.client.patch(url, json={"secrets": {"nope": "x"}, "options": {"x": "y"}}, headers=owner)
    assert [error["pointer"] for error in wrong.json()["errors"]] == ["/secrets/nope", "/options/x", "/secrets/apiKey"]
    unchanged = await api.client.get(url, headers=owner)
    assert unchanged.json() == options.json()


async def test_deleting_the_last_access_of_active_agents_wants_a_second_word(api, owner):
    agent = await api.add_agent(owner)
    spare = await api.add_agent(
        owner,
        llm={"provider": "local", "model": "local"},
        fallbacks={"llm": [{"provider": "openai", "model": "gpt-4o"}]},
    )
    idle = await api.client.post(f"/api/v1/agents/{agent['id']}/duplicate", headers=owner)
    credential = await made(api, owner)
    url = f"{URL}/{credential['id']}"
    refused = await api.client.delete(url, headers=owner)
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "credential-in-use")
    assert agent["id"] in refused.json()["detail"]
    assert spare["id"] in refused.json()["detail"]
    assert idle.json()["id"] not in refused.json()["detail"]
    assert (await api.client.delete(f"{url}?force=true", headers=owner)).status_code == 204
    assert (await api.client.get(url, headers=owner)).status_code == 404
    assert await rows(api, "SELECT id FROM provider_credentials") == []


async def test_a_session_gets_the_defaults_of_the_providers_it_needs_sealed(api, owner):
    await api.start_runtime()
    await made(api, owner, name="Old")
    mine = await made(api, owner, isDefault=True)
    fallback = await made(api, owner, provider="cohere")
    await made(api, owner, provider="anthropic")
    voice = await made(api, owner, provider="elevenlabs")
    await made(api, api.token("ten_b"), name="Strangers")
    await made(api, api.token("ten_a", environment=Environment.SANDBOX), provider="deepgram")
    agent = await api.add_agent(owner, fallbacks={"llm": [{"provider": "cohere", "model": "command-a-03-2025"}]})
    answer = await api.client.post("/api/v1/webrtc/sessions", json={"agentId": agent["id"]}, headers=owner)
    assert answer.status_code == 201, answer.text
    plan = api.opened[0].plan
    assert [one.id for one in plan.credentials] == [fallback["id"], voice["id"], mine["id"]]
    on_the_bus = msgspec.json.encode(plan)
    assert KEY.encode() not in on_the_bus
    assert base64.b64encode(KEY.encode())[:-4] not in on_the_bus
    assert plan.told().credentials == ()


async def test_an_installation_without_keys_keeps_no_secrets(start_api):
    async with start_api(voisnap_sealing_keys=None) as api:
        answer = await add(api, api.token("ten_a"))
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "sealing-not-configured")


async def test_old_seals_are_renewed_and_unreadable_ones_left_alone(api, owner, database):
    credential = await made(api, owner)
    lost = await made(api, owner, provider="cohere")
    async with database.transaction_as_system() as tx:
        foreign = sealing.seal(Keyring({"gone": b"g" * 32}), b"{}", context=("x",))
        await tx.exec(
            "UPDATE provider_credentials SET sealed = %(sealed)s, sealed_with = 'gone' WHERE id = %(id)s",
            sealed=foreign,
            id=lost["id"],
        )
    new = "new:" + base64.b64encode(b"n" * 32).decode()
    keys = Keyring.parse(f"{new},{HELD}")
    renewing = stale_seals(database, keys)
    await renewing.run_once()
    assert (renewing.last.resealed, renewing.last.unreadable) == (1, 1)
    assert await rows(api, "SELECT sealed_with FROM provider_credentials ORDER BY created_at") == ["new", "gone"]
    assert await opened(api, credential, new) == {"api_key": KEY}
    await renewing.run_once()
    assert (renewing.last.resealed, renewing.last.unreadable) == (0, 1)


async def test_only_who_runs_the_tenant_sees_or_changes_them(api, owner):
    credential = await made(api, owner)
    url = f"{URL}/{credential['id']}"
    user, reader = api.token("ten_a", role=Role.TENANT_USER), api.token("ten_a", role=Role.READ_ONLY)
    assert (await api.client.get(url, headers=user)).status_code == 403
    assert (await api.client.get(url, headers=reader)).status_code == 200
    assert (await api.client.patch(url, json={"name": "x"}, headers=reader)).status_code == 403
    assert (await api.client.get(url, headers=api.token("ten_b"))).status_code == 404
    sandbox = api.token("ten_a", environment=Environment.SANDBOX)
    assert (await api.client.get(url, headers=sandbox)).status_code == 404


def test_settings_show_no_keys():
    assert "c3Nz" not in repr(Secret(HELD))


async def test_a_test_asks_the_provider_and_says_what_came_of_it(start_api):
    async with OpenAiEmulator(key=KEY) as emulator, start_api(environ={"OPENAI_BASE_URL": emulator.url}) as api:
        owner = api.token("ten_a")
        credential = await made(api, owner)
        url = f"{URL}/{credential['id']}"

        async def tested():
            answer = await api.client.post(f"{url}/test", headers=owner)
            assert answer.status_code == 200, answer.text
            assert answer.json() == (await api.client.get(url, headers=owner)).json()
            last = answer.json()["lastTest"]
            return last["outcome"], {probe["kind"]: probe["outcome"] for probe in last["probes"]}

        emulator.always("Yes.")
        assert await tested() == ("works", {"llm": "works"})
        assert emulator.asked[0].model == "gpt-4o-mini"
        emulator.always(Failure(500, None, "broken"))
        assert await tested() == ("failed", {"llm": "failed"})
        emulator.always("Yes.")
        await api.client.patch(url, json={"name": "Same secrets"}, headers=owner)
        assert (await api.client.get(url, headers=owner)).json()["lastTest"]["outcome"] == "failed"
        await api.client.patch(url, json={"secrets": {"apiKey": OTHER}}, headers=owner)
        assert (await api.client.get(url, headers=owner)).json()["lastTest"] is None
        assert await tested() == ("refused", {"llm": "refused"})
        assert KEY not in str(await rows(api, "SELECT c::text FROM provider_credentials c"))
        emulator.forgive()
        actions = await rows(
            api, "SELECT detail ->> 'outcome' FROM audit_entries WHERE action LIKE '%%.tested' ORDER BY at"
        )
        assert actions == ["works", "failed", "refused"]


async def test_what_nobody_can_ask_is_not_tested(api, owner):
    options = {"baseUrl": "https://models.example.com/v1"}
    credential = await made(api, owner, provider="openai_compatible", options=options)
    answer = await api.client.post(f"{URL}/{credential['id']}/test", headers=owner)
    assert answer.json()["lastTest"]["outcome"] == "not_tested"
