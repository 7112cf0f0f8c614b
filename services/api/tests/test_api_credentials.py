"""Passwords, locks, second factors, keys and registration over HTTP."""

import asyncio
import base64
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from voisnap_api.auth import lockout, passwords
from voisnap_api.mfa import totp
from voisnap_api.settings import Registration
from voisnap_domain.tenants import Environment, Tenant, TenantStatus, UsageLimits
from voisnap_kit.ids import new_id
from voisnap_kit.tokens import TokenSigner, generate_private_key, parse_jwks, verify
from voisnap_proto.requests import CREATE_TENANT, CreateTenant, TenantReady
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

pytestmark = pytest.mark.slice

PASSWORD = "correct horse battery staple"
OTHER = "seven quiet lanterns drifting"
EMAIL = "ada@example.com"
ORIGIN = "http://localhost:8080"


@pytest.fixture(autouse=True)
def forgets_at_once(monkeypatch):
    monkeypatch.setattr("voisnap_api.auth.credentials.REMEMBERED_SECONDS", 0.0)


class Person:
    """Somebody who is logged in."""

    def __init__(self, api, user, body):
        self.api, self.user, self.body = api, user, body

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.body['accessToken']}"}

    async def post(self, path, body=None, **options):
        headers = self.headers | options.pop("headers", {})
        return await self.api.client.post(f"/api/v1/auth{path}", json=body or {}, headers=headers)

    async def mails(self, kind=None):
        answer = await self.api.client.get("/api/v1/mail", headers=self.headers)
        return [mail for mail in answer.json()["data"] if kind in (None, mail["kind"])]


@pytest.fixture
async def ada(api):
    user = await api.add_user(EMAIL)
    entered = await log_in(api)
    return Person(api, user, entered.json())


async def log_in(api, password=PASSWORD, email=EMAIL, **body):
    return await api.client.post("/api/v1/auth/login", json={"email": email, "password": password} | body)


async def public(api, path, **body):
    return await api.client.post(f"/api/v1/auth{path}", json=body)


async def pass_time(api, interval):
    """Make everything about locks and mails so much older."""
    async with api.database.transaction_as_system() as tx:
        await tx.exec(
            "UPDATE login_failures SET locked_until = locked_until - %(by)s::interval, last_at = last_at - %(by)s::interval",
            by=interval,
        )
        await tx.exec("UPDATE one_time_links SET created_at = created_at - %(by)s::interval", by=interval)


def slug(answer):
    return answer.json()["type"].rpartition("/")[2]


def secret_in(mail):
    return re.search(r"#\w+=([\w-]+)", mail["text"])[1]


# Passwords


async def test_forgotten_password_is_replaced_with_the_link_and_ends_all_log_ins(api, ada):
    operator = Person(api, None, {"accessToken": api.token("ten_a", user_id="usr_op")["Authorization"][7:]})
    assert (await public(api, "/password/forgot", email="ADA@example.com ")).status_code == 202
    [mail] = await operator.mails("password_reset")
    token = secret_in(mail)
    for weak, code in (
        ("short", "too-short"),
        (EMAIL, "is-address"),
        ("x" * 257, "too-long"),
        ("1234567890123", "too-common"),
    ):
        refused = await public(api, "/password/reset", token=token, password=weak)
        assert refused.json()["errors"] == [
            {"pointer": "/password", "code": code, "detail": refused.json()["errors"][0]["detail"]}
        ], weak
    answers = await asyncio.gather(*(public(api, "/password/reset", token=token, password=OTHER) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [204, 409]
    assert (await public(api, "/refresh", refreshToken=ada.body["refreshToken"])).status_code == 401
    assert (await ada.post("/hub-token")).status_code == 401
    assert (await log_in(api)).status_code == 401
    assert (await log_in(api, OTHER)).status_code == 200
    assert len(await operator.mails("password_changed")) == 1


async def test_unknown_address_gets_the_same_answer_and_no_mail(api, ada):
    known = await public(api, "/password/forgot", email=EMAIL)
    unknown = await public(api, "/password/forgot", email="nobody@example.com")
    again = await public(api, "/password/forgot", email=EMAIL)
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert again.status_code == 202
    assert len(await ada.mails()) == 1, "one mail a minute, none to strangers"


@pytest.mark.parametrize(("path", "body"), [("/password/reset", {"password": OTHER}), ("/unlock", {})])
async def test_made_up_and_old_links_are_told_apart(api, ada, path, body):
    unknown = await public(api, path, token="made-up", **body)
    assert (unknown.status_code, slug(unknown)) == (404, "link-unknown")
    await public(api, "/password/forgot", email=EMAIL)
    token = secret_in((await ada.mails("password_reset"))[0])
    if path == "/unlock":
        other = await public(api, path, token=token)
        assert (other.status_code, slug(other)) == (404, "link-unknown"), "a link for something else"
        return
    async with api.database.transaction_as_system() as tx:
        await tx.exec("UPDATE one_time_links SET expires_at = now()")
    expired = await public(api, path, token=token, **body)
    assert (expired.status_code, slug(expired)) == (409, "link-expired")


async def test_changing_the_password_needs_the_old_one_and_keeps_only_this_log_in(api, ada):
    elsewhere = (await log_in(api)).json()
    wrong = await ada.post("/password", {"currentPassword": "wrong", "newPassword": OTHER})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/currentPassword")
    changed = await ada.post("/password", {"currentPassword": PASSWORD, "newPassword": OTHER})
    assert changed.status_code == 200, changed.text
    assert (await public(api, "/refresh", refreshToken=elsewhere["refreshToken"])).status_code == 401
    assert (await ada.post("/logout/all")).status_code == 401, "the old access token"
    ada.body = changed.json()
    assert (await public(api, "/refresh", refreshToken=ada.body["refreshToken"])).status_code == 200


async def test_logging_out_everywhere_ends_access_tokens_too(api, ada):
    elsewhere = Person(api, ada.user, (await log_in(api)).json())
    assert (await ada.post("/logout/all")).status_code == 204
    for person in (ada, elsewhere):
        refused = await api.client.get("/api/v1/auth/me", headers=person.headers)
        assert (refused.status_code, slug(refused)) == (401, "token-revoked")
        assert (await public(api, "/refresh", refreshToken=person.body["refreshToken"])).status_code == 401
    assert (await log_in(api)).status_code == 200


# Locks


def test_locks_grow_from_a_minute_to_an_hour():
    minutes = [lockout.lock_after(failures) for failures in (0, 4, 5, 6, 7, 11, 50)]
    assert minutes == [None, None, *(timedelta(minutes=n) for n in (1, 2, 4, 60, 60))]


async def test_wrong_passwords_lock_the_address_known_or_not(api, ada):
    for email in (EMAIL, "nobody@example.com"):
        answers = [await log_in(api, "wrong", email) for _ in range(lockout.FREE_FAILURES)]
        assert {answer.status_code for answer in answers} == {401}
        right = await log_in(api, PASSWORD, email)
        assert (right.status_code, slug(right)) == (429, "account-locked")
        assert 0 < int(right.headers["retry-after"]) <= 60
    assert len(await ada.mails("account_locked")) == 1, "and none to the stranger"
    await pass_time(api, "61 seconds")
    assert (await log_in(api, "wrong")).status_code == 401
    assert 60 < int((await log_in(api)).headers["retry-after"]) <= 120, "the second lock is longer"
    assert len(await ada.mails("account_locked")) == 1, "the first lock is told, later ones are not"
    await pass_time(api, "121 seconds")
    assert (await log_in(api)).status_code == 200
    assert [(await log_in(api, "wrong")).status_code for _ in range(4)] == [401] * 4
    assert (await log_in(api)).status_code == 200, "a right password begins the count anew"


async def test_a_right_guess_among_parallel_ones_learns_nothing_after_the_lock(api, ada, monkeypatch):
    real, begun, released = passwords.matches, asyncio.Event(), asyncio.Event()

    async def slow_when_right(password_hash, password):
        if password == PASSWORD:
            begun.set()
            await released.wait()
        return await real(password_hash, password)

    monkeypatch.setattr(passwords, "matches", slow_when_right)
    guess = asyncio.create_task(log_in(api))
    await begun.wait()
    wrong = await asyncio.gather(*(log_in(api, f"wrong {number}") for number in range(5)))
    assert {answer.status_code for answer in wrong} == {401}
    released.set()
    answer = await guess
    assert (answer.status_code, slug(answer)) == (429, "account-locked")


async def test_a_lock_ends_by_the_mail_by_an_administrator_or_by_a_new_password(api, ada):
    async def lock():
        for _ in range(lockout.FREE_FAILURES):
            await log_in(api, "wrong")
        assert (await log_in(api)).status_code == 429

    await lock()
    token = secret_in((await ada.mails("account_locked"))[0])
    assert (await public(api, "/unlock", token=token)).status_code == 204
    assert (await log_in(api)).status_code == 200
    assert slug(await public(api, "/unlock", token=token)) == "link-used"

    await lock()
    operator = api.token("ten_a", user_id="usr_op")
    unlocked = await api.client.post(f"/api/v1/users/{ada.user.id}/unlock", headers=operator)
    assert unlocked.status_code == 200
    assert (await log_in(api)).status_code == 200

    await lock()
    await pass_time(api, "0 seconds")
    await public(api, "/password/forgot", email=EMAIL)
    token = secret_in((await ada.mails("password_reset"))[0])
    assert (await public(api, "/password/reset", token=token, password=OTHER)).status_code == 204
    assert (await log_in(api, OTHER)).status_code == 200


async def test_the_unlocking_mail_is_sent_again_on_request_and_only_while_locked(api, ada):
    assert (await public(api, "/unlock/request", email=EMAIL)).status_code == 202
    assert await ada.mails("account_locked") == []
    for _ in range(lockout.FREE_FAILURES):
        await log_in(api, "wrong")
    await pass_time(api, "30 seconds")
    await public(api, "/unlock/request", email=EMAIL)
    assert len(await ada.mails("account_locked")) == 1, "one a minute"
    async with api.database.transaction_as_system() as tx:
        await tx.exec("UPDATE one_time_links SET created_at = created_at - interval '2 minutes'")
    await public(api, "/unlock/request", email=EMAIL)
    assert len(await ada.mails("account_locked")) == 2


async def test_lenient_policy_counts_resets_by_address(start_api):
    async with start_api(rate_limit_factor=1) as api:
        answers = [await public(api, "/password/forgot", email="a@example.com") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert answers[-1].headers["x-ratelimit-policy"] == "auth-lenient"


# Authenticator apps


def test_codes_are_those_of_the_standard():
    secret = b"12345678901234567890"
    # RFC 6238 appendix B, SHA-1, the last six of eight digits.
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")):
        assert totp.code_at(secret, seconds // 30) == code


def test_a_code_is_good_once_and_a_step_around_its_time():
    secret, now = b"12345678901234567890", datetime.fromtimestamp(1_000_000_000, UTC)
    step = totp.step_at(now)
    for offset, taken in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        found = totp.matching_step(secret, totp.code_at(secret, step + offset), now=now, after=0)
        assert (found == step + offset) is taken
    assert totp.matching_step(secret, totp.code_at(secret, step), now=now, after=step) is None
    assert totp.matching_step(secret, "１２３４５６", now=now, after=0) is None


def app_of(body):
    """The authenticator app that scanned the code: its codes of that half minute and of those around it."""
    secret = base64.b32decode(body["secret"] + "=" * (-len(body["secret"]) % 8))
    scanned = totp.step_at(datetime.now(UTC))
    return lambda offset=0: totp.code_at(secret, scanned + offset)


async def enrol_app(person):
    begun = await person.post("/mfa/totp", {"password": PASSWORD})
    assert begun.status_code == 200, begun.text
    code = app_of(begun.json())
    confirmed = await person.post("/mfa/totp/confirm", {"code": code(-1)})
    assert confirmed.status_code == 200, confirmed.text
    return code, confirmed.json()["recoveryCodes"]


async def verify_code(api, token, code, method="totp"):
    return await public(api, "/mfa/verify", mfaToken=token, method=method, code=code)


async def test_an_app_is_confirmed_and_asked_for_and_each_code_is_taken_once(api, ada):
    wrong = await ada.post("/mfa/totp", {"password": "wrong"})
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "wrong-password")
    begun = (await ada.post("/mfa/totp", {"password": PASSWORD})).json()
    assert begun["otpauthUri"].startswith("otpauth://totp/Voisnap%3Aada%40example.com?secret=")
    assert begun["qrCodeSvg"].startswith("<svg ")
    assert (await log_in(api)).json()["user"]["mfaEnabled"] is False, "not before it is confirmed"
    code = app_of(begun)
    refused = await ada.post("/mfa/totp/confirm", {"code": "000000" if code() != "000000" else "000001"})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "wrong-code")
    confirmed = await ada.post("/mfa/totp/confirm", {"code": code(-1)})
    recovery = confirmed.json()["recoveryCodes"]
    assert (len(recovery), len(set(recovery))) == (10, 10)
    assert slug(await ada.post("/mfa/totp", {"password": PASSWORD})) == "totp-enabled"

    half = await log_in(api, environment="sandbox")
    body = half.json()
    assert set(body) == {"mfaRequired", "mfaToken", "methods"}
    assert (body["mfaRequired"], body["methods"]) == (True, ["totp", "recovery_code"])
    replayed = await verify_code(api, body["mfaToken"], code(-1))
    assert (replayed.status_code, slug(replayed)) == (401, "invalid-mfa-code"), "the code that confirmed the app"
    spaced = code()[:3] + " " + code()[3:]
    entered = await verify_code(api, body["mfaToken"], spaced)
    assert entered.status_code == 200, entered.text
    assert verify(entered.json()["accessToken"], api.signer.keys()).env == "sandbox"
    assert entered.json()["user"]["mfaEnabled"] is True
    used = await verify_code(api, body["mfaToken"], code(1))
    assert (used.status_code, slug(used)) == (401, "invalid-mfa-token"), "a token is good once"
    token = (await log_in(api)).json()["mfaToken"]
    assert (await verify_code(api, token, code())).status_code == 401, "the code was used"
    assert (await verify_code(api, token, code(1))).status_code == 200


async def test_two_uses_of_one_code_at_the_same_time_are_one(api, ada):
    code, _ = await enrol_app(ada)
    tokens = [(await log_in(api)).json()["mfaToken"] for _ in range(3)]
    answers = await asyncio.gather(*(verify_code(api, token, code()) for token in tokens))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401]


async def test_a_recovery_code_opens_once(api, ada):
    _, recovery = await enrol_app(ada)
    token = (await log_in(api)).json()["mfaToken"]
    assert (await verify_code(api, token, recovery[0].upper(), "recovery_code")).status_code == 200
    token = (await log_in(api)).json()["mfaToken"]
    assert (await verify_code(api, token, recovery[0], "recovery_code")).status_code == 401
    shown = await api.client.get("/api/v1/auth/mfa", headers=ada.headers)
    assert (shown.json()["totpEnabled"], shown.json()["recoveryCodesLeft"]) == (True, 9)
    renewed = await ada.post("/mfa/recovery-codes", {"password": PASSWORD})
    assert len(renewed.json()["recoveryCodes"]) == 10
    assert (await verify_code(api, token, recovery[1], "recovery_code")).status_code == 401, "the old ones are void"


async def test_wrong_codes_end_the_log_in_and_lock_the_account(api, ada):
    await enrol_app(ada)
    token = (await log_in(api)).json()["mfaToken"]
    answers = [await verify_code(api, token, "12345x") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {401}
    ended = await verify_code(api, token, "12345x")
    assert (ended.status_code, slug(ended)) == (401, "invalid-mfa-token")
    assert slug(await log_in(api)) == "account-locked"


async def test_without_factors_there_is_nothing_to_recover_and_removing_the_last_forgets_the_codes(api, ada):
    assert slug(await ada.post("/mfa/recovery-codes", {"password": PASSWORD})) == "mfa-not-enabled"
    await enrol_app(ada)
    assert (await ada.post("/mfa/totp/remove", {"password": PASSWORD})).status_code == 204
    assert (await log_in(api)).status_code == 200
    assert "accessToken" in (await log_in(api)).json()
    shown = (await api.client.get("/api/v1/auth/mfa", headers=ada.headers)).json()
    assert (shown["enabled"], shown["recoveryCodesLeft"]) == (False, 0)
    assert [mail["kind"] for mail in await ada.mails("mfa_changed")] == ["mfa_changed"] * 2


async def test_an_administrator_resets_lost_factors(api, ada):
    await enrol_app(ada)
    operator = api.token("ten_a", user_id="usr_op")
    answer = await api.client.post(f"/api/v1/users/{ada.user.id}/mfa/reset", headers=operator)
    assert (answer.status_code, answer.json()["mfaEnabled"]) == (200, False)
    assert "accessToken" in (await log_in(api)).json()


async def test_the_apps_secret_is_sealed_in_the_database(api, ada):
    begun = (await ada.post("/mfa/totp", {"password": PASSWORD})).json()
    raw = base64.b32decode(begun["secret"] + "=" * (-len(begun["secret"]) % 8))
    async with api.database.transaction_as_system() as tx:
        sealed = await tx.one(bytes, "SELECT sealed FROM totp_secrets")
    assert raw not in sealed


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", "/mfa"), ("POST", "/mfa/totp"), ("POST", "/mfa/totp/confirm"), ("POST", "/mfa/passkeys/options")),
        *(("POST", "/password"), ("POST", "/environment"), ("POST", "/logout/all"), ("PATCH", "/me")),
    ],
)
async def test_neither_keys_nor_hub_tokens_touch_an_account(api, ada, method, path):
    key = {"Authorization": f"Bearer {await api.add_key()}"}
    hub = (await ada.post("/hub-token")).json()["accessToken"]
    bodies = {
        "/mfa/totp/confirm": {"code": "1"},
        "/password": {"currentPassword": PASSWORD, "newPassword": OTHER},
        "/environment": {"environment": "sandbox"},
        "/logout/all": {},
        "/me": {"firstName": "X"},
    }
    for headers in (key, {"Authorization": f"Bearer {hub}"}):
        body = {} if method == "GET" else {"json": bodies.get(path, {"password": PASSWORD})}
        answer = await api.client.request(method, f"/api/v1/auth{path}", headers=headers, **body)
        assert answer.status_code == 403, answer.text


# Passkeys


class Authenticator:
    """A software authenticator (W3C WebAuthn level 2 §6): one EC key, no attestation."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = hashlib.sha256(b"credential").digest()
        self.count = 0

    def _client_data(self, kind, options, origin):
        return json.dumps(
            {"type": kind, "challenge": options["challenge"], "origin": origin, "crossOrigin": False}
        ).encode()

    def _data(self, rp_id, flags, attested=b""):
        self.count += 1
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big") + attested

    def create(self, options, origin=ORIGIN):
        point = self.key.public_key().public_numbers()
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")})
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cose
        attestation = {"fmt": "none", "attStmt": {}, "authData": self._data(options["rp"]["id"], 0x41, attested)}
        return self._credential(
            clientDataJSON=self._client_data("webauthn.create", options, origin),
            attestationObject=cbor2.dumps(attestation),
        )

    def get(self, options, origin=ORIGIN):
        client_data = self._client_data("webauthn.get", options, origin)
        data = self._data(options["rpId"], 0x01)
        signature = self.key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        return self._credential(clientDataJSON=client_data, authenticatorData=data, signature=signature)

    def _credential(self, **response):
        text = {name: bytes_to_base64url(value) for name, value in response.items()}
        credential_id = bytes_to_base64url(self.id)
        return {
            "id": credential_id,
            "rawId": credential_id,
            "type": "public-key",
            "response": text | {"transports": ["usb"]},
        }


async def enrol_passkey(person, authenticator, name="Key ring", origin=ORIGIN):
    here = {"Origin": origin}
    begun = await person.post("/mfa/passkeys/options", {"password": PASSWORD}, headers=here)
    assert begun.status_code == 200, begun.text
    body = {
        "enrolmentToken": begun.json()["enrolmentToken"],
        "name": name,
        "credential": authenticator.create(begun.json()["publicKey"], origin),
    }
    return await person.post("/mfa/passkeys", body, headers=here), body


@pytest.fixture
async def at_localhost(start_api):
    async with start_api(public_url=ORIGIN) as api:
        user = await api.add_user(EMAIL)
        yield Person(api, user, (await log_in(api)).json())


async def assertion(api, authenticator, token, origin=ORIGIN):
    asked = await public(api, "/mfa/passkeys/challenge", mfaToken=token)
    assert asked.status_code == 200, asked.text
    return authenticator.get(asked.json()["publicKey"], origin)


async def verify_key(api, token, credential):
    return await public(api, "/mfa/verify", mfaToken=token, method="webauthn", credential=credential)


async def test_a_passkey_is_enrolled_and_asked_for(at_localhost):
    ada, api, authenticator = at_localhost, at_localhost.api, Authenticator()
    added, body = await enrol_passkey(ada, authenticator)
    assert added.status_code == 201, added.text
    assert (added.json()["passkey"]["name"], added.json()["passkey"]["hostName"]) == ("Key ring", "localhost")
    assert len(added.json()["recoveryCodes"]) == 10
    again = await ada.post("/mfa/passkeys", body, headers={"Origin": ORIGIN})
    assert slug(again) == "enrolment-ended"

    half = (await log_in(api)).json()
    assert half["methods"] == ["webauthn", "recovery_code"]
    credential = await assertion(api, authenticator, half["mfaToken"])
    entered = await verify_key(api, half["mfaToken"], credential)
    assert entered.status_code == 200, entered.text
    token = (await log_in(api)).json()["mfaToken"]
    await assertion(api, authenticator, token)
    assert (await verify_key(api, token, credential)).status_code == 401, "an answer to an earlier question"


async def test_wrong_answers_of_authenticators_are_refused(at_localhost):
    ada, api, authenticator = at_localhost, at_localhost.api, Authenticator()
    phished = authenticator.create
    begun = (await ada.post("/mfa/passkeys/options", {"password": PASSWORD}, headers={"Origin": ORIGIN})).json()
    for credential in (phished(begun["publicKey"], "http://evil.example"), {}, {"id": 1, "response": []}):
        body = {"enrolmentToken": begun["enrolmentToken"], "name": "k", "credential": credential}
        refused = await ada.post("/mfa/passkeys", body, headers={"Origin": ORIGIN})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/credential")
    assert (await enrol_passkey(ada, authenticator))[0].status_code == 201

    token = (await log_in(api)).json()["mfaToken"]
    assert (
        await verify_key(api, token, await assertion(api, authenticator, token, "http://evil.example"))
    ).status_code == 401
    stranger = Authenticator()
    assert (await verify_key(api, token, await assertion(api, stranger, token))).status_code == 401
    authenticator.count = 0
    assert (await verify_key(api, token, await assertion(api, authenticator, token))).status_code == 401, "a copy"
    unasked = await verify_key(api, token, {"id": "@@", "response": None})
    assert unasked.status_code == 401


async def test_passkeys_need_a_host_name_and_are_removed_by_id(at_localhost, api):
    user = await api.add_user("bob@example.com")
    bob = Person(api, user, (await log_in(api, email="bob@example.com")).json())
    refused = await bob.post("/mfa/passkeys/options", {"password": PASSWORD})
    assert (refused.status_code, slug(refused)) == (409, "passkeys-need-host-name")
    ada = at_localhost
    added, _ = await enrol_passkey(ada, Authenticator())
    url = f"/mfa/passkeys/{added.json()['passkey']['id']}/remove"
    assert (await ada.post("/mfa/passkeys/pky_1/remove", {"password": PASSWORD})).status_code == 404
    assert (await ada.post(url, {"password": PASSWORD})).status_code == 204
    assert "accessToken" in (await log_in(ada.api)).json()


def test_base64url_is_what_browsers_send():
    assert base64url_to_bytes(bytes_to_base64url(b"\xff\xfe")) == b"\xff\xfe"


# Environments


async def test_the_whole_log_in_moves_to_the_other_environment(api, ada):
    moved = await ada.post("/environment", {"environment": "sandbox", "refreshToken": ada.body["refreshToken"]})
    assert moved.status_code == 200, moved.text
    assert moved.json()["environment"] == "sandbox"
    renewed = await public(api, "/refresh", refreshToken=moved.json()["refreshToken"])
    assert verify(renewed.json()["accessToken"], api.signer.keys()).env == "sandbox"
    spent = await ada.post("/environment", {"environment": "live", "refreshToken": ada.body["refreshToken"]})
    assert (spent.status_code, slug(spent)) == (401, "invalid-refresh-token")
    light = await ada.post("/environment", {"environment": "sandbox"})
    assert light.json()["refreshToken"] is None
    assert verify(light.json()["accessToken"], api.signer.keys()).env == "sandbox"


async def test_an_access_token_is_not_prolonged_by_moving_to_and_fro(api, ada):
    ends = verify(ada.body["accessToken"], api.signer.keys()).exp
    now = datetime.now(UTC)
    short = api.signer.sign(
        subject=ada.user.id,
        tenant_id="ten_a",
        environment="live",
        role="TenantOwner",
        scopes=frozenset({"hub", "agents:write"}),
        now=now,
        lifetime=timedelta(minutes=2),
        token_id=new_id("jti"),
    )
    moved = await api.client.post(
        "/api/v1/auth/environment", json={"environment": "sandbox"}, headers={"Authorization": f"Bearer {short}"}
    )
    assert moved.status_code == 200, moved.text
    assert moved.json()["expiresIn"] <= 120
    assert verify(moved.json()["accessToken"], api.signer.keys()).exp <= (now + timedelta(minutes=2)).timestamp() < ends


async def test_a_hub_token_does_not_tell_whose_it_is(api, ada):
    token = (await ada.post("/hub-token", {"agentId": "agt_1"})).json()["accessToken"]
    answer = await api.client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, slug(answer)) == (403, "hub-token")
    assert EMAIL not in answer.text


async def test_somebody_elses_refresh_token_moves_nobody(api, ada):
    await api.add_user("bob@example.com")
    other = (await log_in(api, email="bob@example.com")).json()
    answer = await ada.post("/environment", {"environment": "sandbox", "refreshToken": other["refreshToken"]})
    assert answer.status_code == 401


# API keys


async def make_key(api, headers, **body):
    answer = await api.client.post(
        "/api/v1/api-keys", json={"name": "k", "scopes": ["agents:read"]} | body, headers=headers
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


def of_key(body):
    return {"Authorization": f"Bearer {body['key']}"}


async def test_rotation_gives_a_new_key_and_lets_the_old_one_run_out(api):
    headers = api.token("ten_a")
    expires = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    old = await make_key(api, headers, name="server", expiresAt=expires)
    rotated = await api.client.post(
        f"/api/v1/api-keys/{old['id']}/rotate", json={"overlapSeconds": 60}, headers=headers
    )
    assert rotated.status_code == 201, rotated.text
    new = rotated.json()
    assert (new["name"], new["scopes"], new["status"]) == ("server", ["agents:read"], "active")
    assert new["id"] != old["id"]
    assert new["expiresAt"] is not None
    for body in (old, new):
        assert (await api.client.get("/api/v1/agents", headers=of_key(body))).status_code == 200
    shown = (await api.client.get(f"/api/v1/api-keys/{old['id']}", headers=headers)).json()
    assert shown["replacedBy"] == new["id"]
    left = datetime.fromisoformat(shown["expiresAt"]) - datetime.now(UTC)
    assert timedelta(seconds=50) < left <= timedelta(seconds=61)
    twice = await api.client.post(f"/api/v1/api-keys/{old['id']}/rotate", json={}, headers=headers)
    assert (twice.status_code, slug(twice)) == (409, "api-key-ended")
    at_once = await api.client.post(f"/api/v1/api-keys/{new['id']}/rotate", json={"overlapSeconds": 0}, headers=headers)
    assert (await api.client.get("/api/v1/agents", headers=of_key(new))).status_code == 401
    assert (await api.client.get("/api/v1/agents", headers=of_key(at_once.json()))).status_code == 200
    for wrong in (-1, 2_592_001, "1"):
        answer = await api.client.post(
            f"/api/v1/api-keys/{at_once.json()['id']}/rotate", json={"overlapSeconds": wrong}, headers=headers
        )
        assert answer.status_code == 422


async def test_nobody_rotates_a_key_that_can_do_more_than_they_can(api):
    powerful = await make_key(api, api.token("ten_a"), scopes=["agents:write"])
    weak = api.token("ten_a", scopes=frozenset({"keys:write", "agents:read"}))
    answer = await api.client.post(f"/api/v1/api-keys/{powerful['id']}/rotate", json={}, headers=weak)
    assert (answer.status_code, slug(answer)) == (403, "scope-exceeded")


@pytest.mark.parametrize("expires", ["9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z"])
async def test_a_key_ends_within_the_calendar(api, expires):
    headers = api.token("ten_a")
    body = {"name": "k", "scopes": ["agents:read"], "expiresAt": expires}
    refused = await api.client.post("/api/v1/api-keys", json=body, headers=headers)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/expiresAt")
    assert (await api.client.get("/api/v1/api-keys", headers=headers)).json()["total"] == 0


async def test_keys_are_renamed_filtered_and_sorted_in_their_environment(api):
    headers = api.token("ten_a")
    one = await make_key(api, headers, name="Backend")
    two = await make_key(api, headers, name="Reports", scopes=["analytics:read"])
    await make_key(api, api.token("ten_a", environment=Environment.SANDBOX), name="Try")
    renamed = await api.client.patch(f"/api/v1/api-keys/{one['id']}", json={"name": "Zebra"}, headers=headers)
    assert renamed.json()["name"] == "Zebra"
    await api.client.delete(f"/api/v1/api-keys/{two['id']}", headers=headers)

    async def names(**query):
        answer = await api.client.get("/api/v1/api-keys", params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        return [key["name"] for key in answer.json()["data"]]

    assert await names(sortBy="name", sortOrder="desc") == ["Zebra", "Reports"]
    assert await names(status="active") == ["Zebra"]
    assert await names(status="revoked") == ["Reports"]
    assert await names(scope="analytics:read") == ["Reports"]
    assert await names(search="zeb") == ["Zebra"]
    sandbox = {"Authorization": f"Bearer {await api.add_key(environment=Environment.SANDBOX)}"}
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("POST", "/rotate", {}),
        ("DELETE", "", None),
    ):
        url = f"/api/v1/api-keys/{one['id']}{path}"
        answer = await api.client.request(method, url, headers=sandbox, **({"json": body} if body is not None else {}))
        assert answer.status_code == 404, method
    for wrong in ("", " ", "x" * 101, "a\u0007b"):
        bad = await api.client.patch(f"/api/v1/api-keys/{one['id']}", json={"name": wrong}, headers=headers)
        assert bad.status_code == 422


async def test_revoking_a_key_ends_the_tokens_made_with_it(api):
    headers = api.token("ten_a")
    key = await make_key(api, headers, scopes=["webrtc:write", "conversations:read"])
    hub = (await api.client.post("/api/v1/auth/hub-token", json={}, headers=of_key(key))).json()["accessToken"]
    with_hub = {"Authorization": f"Bearer {hub}"}
    assert (await api.client.get("/api/v1/conversations", headers=with_hub)).status_code == 200
    await api.client.delete(f"/api/v1/api-keys/{key['id']}", headers=headers)
    assert (await api.client.get("/api/v1/conversations", headers=with_hub)).status_code == 401


async def test_an_expired_key_is_refused(api):
    headers = api.token("ten_a")
    key = await make_key(api, headers, expiresAt=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    async with api.database.transaction_as_system() as tx:
        await tx.exec("UPDATE api_keys SET expires_at = now() WHERE id = %(id)s", id=key["id"])
    refused = await api.client.get("/api/v1/agents", headers=of_key(key))
    assert (refused.status_code, slug(refused)) == (401, "invalid-api-key")
    assert (await api.client.get(f"/api/v1/api-keys/{key['id']}", headers=headers)).json()["status"] == "expired"


def test_former_and_coming_keys_are_published_and_verify():
    former, coming = generate_private_key(), generate_private_key()
    old_signer = TokenSigner(former)
    signer = TokenSigner(generate_private_key(), (former, coming))
    published = parse_jwks(signer.jwks())
    assert set(published) == {signer.kid, old_signer.kid, TokenSigner(coming).kid}
    assert all("d" not in key for key in signer.jwks()["keys"])
    values = {"subject": "usr_1", "tenant_id": "ten_a", "environment": "live", "role": "Admin", "scopes": frozenset()}
    token = old_signer.sign(now=datetime.now(UTC), lifetime=timedelta(minutes=1), token_id="jti_1", **values)
    assert verify(token, published).sub == verify(token, signer.keys()).sub == "usr_1"


# Registration


def registration(**body):
    return {
        "email": "new@example.com",
        "password": OTHER,
        "firstName": "Grace",
        "lastName": "Hopper",
        "companyName": "Compilers & Co",
    } | body


@pytest.fixture
async def open_api(start_api):
    async with start_api(registration=Registration.OPEN) as api:
        yield api


@pytest.fixture
def asked(open_api):
    """What the admin service was asked for."""
    return []


async def start_admin(api, asked):
    async def create(request: CreateTenant) -> TenantReady:
        asked.append(request)
        now = datetime.now(UTC)
        return TenantReady(
            tenant=Tenant(
                id=request.tenant_id,
                name=request.name,
                slug=request.slug,
                status=TenantStatus.ACTIVE,
                plan=request.plan,
                agency_id=None,
                billing_mode="self_billed",
                usage_limits=UsageLimits(),
                owner=request.owner,
                created_at=now,
                updated_at=now,
            )
        )

    await api.bus.respond(CREATE_TENANT, "admin", CreateTenant, create)


async def all_mails(api):
    async with api.database.transaction_as_system() as tx:
        return await tx.all(str, "SELECT body FROM mail_outbox ORDER BY created_at, id")


async def test_registration_is_closed_unless_opened(api):
    refused = await public(api, "/register", **registration())
    assert (refused.status_code, slug(refused)) == (403, "registration-closed")


async def test_a_confirmed_address_becomes_the_owner_of_a_tenant(open_api, asked):
    api = open_api
    assert (await public(api, "/register", **registration())).status_code == 202
    assert (await log_in(api, OTHER, "new@example.com")).status_code == 401, "not before the address is confirmed"
    [text] = await all_mails(api)
    token = re.search(r"#registration=([\w-]+)", text)[1]
    away = await public(api, "/register/confirm", token=token)
    assert (away.status_code, "retry-after" in away.headers) == (503, True)
    await start_admin(api, asked)
    entered = await public(api, "/register/confirm", token=token)
    assert entered.status_code == 200, entered.text
    assert (entered.json()["user"]["role"], entered.json()["user"]["status"]) == ("TenantOwner", "active")
    [request] = asked
    assert (request.name, request.owner.name) == ("Compilers & Co", "Grace Hopper")
    assert re.fullmatch(r"compilers-co-[0-9a-z]{6}", request.slug)
    assert (await public(api, "/register/confirm", token=token)).status_code == 409
    headers = {"Authorization": f"Bearer {entered.json()['accessToken']}"}
    assert (await api.client.get("/api/v1/agents", headers=headers)).json()["total"] == 0


async def test_a_known_address_gets_the_same_answer_and_a_mail_without_a_link_to_an_account(open_api):
    api = open_api
    await api.add_user("new@example.com")
    known = await public(api, "/register", **registration())
    unknown = await public(api, "/register", **registration(email="other@example.com"))
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    first, _ = await all_mails(api)
    assert "You have an account already" in first
    assert "=" not in first.partition("#")[2]


async def test_registering_again_replaces_what_was_never_confirmed(open_api, asked):
    api = open_api
    await public(api, "/register", **registration(firstName="Eve"))
    async with api.database.transaction_as_system() as tx:
        await tx.exec("UPDATE one_time_links SET created_at = created_at - interval '2 minutes'")
    await public(api, "/register", **registration())
    first, second = (re.search(r"#registration=([\w-]+)", text)[1] for text in await all_mails(api))
    await start_admin(api, asked)
    assert (await public(api, "/register/confirm", token=first)).status_code == 404
    entered = await public(api, "/register/confirm", token=second)
    assert entered.json()["user"]["firstName"] == "Grace"


async def test_registration_says_every_fault(open_api):
    wrong = registration(email="nobody", firstName="x" * 81, companyName=" ", extra=1)
    refused = await public(open_api, "/register", **wrong)
    assert {fault["pointer"] for fault in refused.json()["errors"]} == {
        "/email",
        "/firstName",
        "/companyName",
        "/extra",
    }
