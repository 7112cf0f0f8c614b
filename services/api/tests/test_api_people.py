"""Inviting people, managing them, and the limits of who may do what to whom."""

import asyncio
import re
from datetime import timedelta

import pytest
from voisnap_api.auth.scopes import Role
from voisnap_api.mail.usecases import send_due
from voisnap_domain.tenants import Environment
from voisnap_kit.settings import Secret
from voisnap_kit.work import utc_now
from voisnap_testkit.fakes_email import UNKNOWN_PERSON, MemorySender

pytestmark = pytest.mark.slice

PASSWORD = "correct horse battery staple"
OTHER = "seven quiet lanterns drifting"


@pytest.fixture(autouse=True)
def forgets_at_once(monkeypatch):
    monkeypatch.setattr("voisnap_api.auth.credentials.REMEMBERED_SECONDS", 0.0)


async def log_in(api, email, password=PASSWORD):
    answer = await api.client.post("/api/v1/auth/login", json={"email": email, "password": password})
    assert answer.status_code == 200, answer.text
    return answer.json()


def bearing(body):
    return {"Authorization": f"Bearer {body['accessToken']}"}


async def mails(api, headers):
    answer = await api.client.get("/api/v1/mail", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def secret_in(mail):
    return re.search(r"#\w+=([\w-]+)", mail["text"])[1]


@pytest.fixture
async def owner(api):
    user = await api.add_user("owner@example.com")
    return user, bearing(await log_in(api, "owner@example.com"))


async def invite(api, headers, email="bob@example.com", **body):
    return await api.client.post("/api/v1/users/invite", json={"email": email} | body, headers=headers)


async def join(api, headers, email="bob@example.com", **body):
    invited = await invite(api, headers, email, **body)
    assert invited.status_code == 201, invited.text
    token = secret_in((await mails(api, headers))[0])
    accepted = await api.client.post("/api/v1/auth/invitations/accept", json={"token": token, "password": OTHER})
    assert accepted.status_code == 200, accepted.text
    return invited.json()["id"], accepted.json()


def slug(answer):
    return answer.json()["type"].rpartition("/")[2]


async def test_invited_person_joins_with_the_link_once(api, owner):
    user, headers = owner
    invited = await invite(api, headers, role="TenantUser", firstName="Bob", permissions={"canViewBilling": True})
    assert invited.status_code == 201, invited.text
    body = invited.json()
    assert (body["status"], body["role"], body["invitedBy"]) == ("invited", "TenantUser", user.id)
    assert body["permissions"] == {
        "canManageApiKeys": False,
        "canViewBilling": True,
        "canDeleteConversations": False,
    }
    mail = (await mails(api, headers))[0]
    assert (mail["to"], mail["kind"], mail["status"]) == ("bob@example.com", "invitation", "kept")
    assert "Ada Byron" in mail["subject"]
    token = secret_in(mail)
    looked = await api.client.post("/api/v1/auth/invitations/look", json={"token": token})
    assert looked.json()["email"] == "bob@example.com"
    weak = await api.client.post(
        "/api/v1/auth/invitations/accept", json={"token": token, "password": "passwordpassword"}
    )
    assert (weak.status_code, weak.json()["errors"][0]["code"]) == (422, "too-common")
    accept = {"token": token, "password": OTHER, "lastName": "Stone"}
    answers = await asyncio.gather(*(api.client.post("/api/v1/auth/invitations/accept", json=accept) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    joined = next(answer.json() for answer in answers if answer.status_code == 200)["user"]
    assert (joined["firstName"], joined["lastName"], joined["status"]) == ("Bob", "Stone", "active")
    assert (await log_in(api, "bob@example.com", OTHER))["user"]["id"] == body["id"]


async def test_resent_invitation_replaces_the_link_and_a_revoked_one_is_gone(api, owner):
    _, headers = owner
    user_id = (await invite(api, headers)).json()["id"]
    first = secret_in((await mails(api, headers))[0])
    assert (await api.client.post(f"/api/v1/users/{user_id}/invitation/resend", headers=headers)).status_code == 200
    second = secret_in((await mails(api, headers))[0])
    old = await api.client.post("/api/v1/auth/invitations/look", json={"token": first})
    assert (old.status_code, slug(old)) == (404, "link-unknown")
    assert (await api.client.delete(f"/api/v1/users/{user_id}/invitation", headers=headers)).status_code == 204
    gone = await api.client.post("/api/v1/auth/invitations/accept", json={"token": second, "password": OTHER})
    assert gone.status_code == 404
    assert (await invite(api, headers)).status_code == 201, "the address is free again"


async def test_an_expired_invitation_says_so(api, owner):
    _, headers = owner
    await invite(api, headers)
    token = secret_in((await mails(api, headers))[0])
    async with api.database.transaction_as_system() as tx:
        await tx.exec("UPDATE one_time_links SET expires_at = now() - interval '1 minute'")
    answer = await api.client.post("/api/v1/auth/invitations/accept", json={"token": token, "password": OTHER})
    assert (answer.status_code, slug(answer)) == (409, "link-expired")


async def test_taken_and_impossible_addresses_are_refused(api, owner):
    _, headers = owner
    await api.add_user("taken@example.com", tenant_id="ten_b")
    taken = await invite(api, headers, "TAKEN@example.com")
    assert (taken.status_code, slug(taken)) == (409, "email-taken")
    for wrong in ("nobody", "a@b@c", "a b@example.com", "x" * 250 + "@example.com", "a@exa\nmple.com"):
        refused = await invite(api, headers, wrong)
        assert refused.status_code == 422, wrong
        assert refused.json()["errors"][0]["pointer"] == "/email"
    assert [mail for mail in await mails(api, headers) if mail["kind"] == "invitation"] == []


@pytest.mark.parametrize(
    ("role", "gives", "status"),
    [
        (Role.TENANT_OWNER, Role.TENANT_OWNER, 201),
        (Role.ADMIN, Role.ADMIN, 201),
        (Role.ADMIN, Role.TENANT_OWNER, 403),
        (Role.TENANT_OWNER, Role.AGENCY_MANAGER, 403),
        (Role.TENANT_OWNER, Role.PLATFORM_ADMIN, 403),
        (Role.AGENCY_ACCOUNT_MANAGER, Role.TENANT_USER, 201),
        (Role.AGENCY_ACCOUNT_MANAGER, Role.ADMIN, 403),
        (Role.TENANT_USER, Role.READ_ONLY, 403),
        (Role.READ_ONLY, Role.READ_ONLY, 403),
    ],
)
async def test_nobody_gives_a_role_beyond_their_reach(api, role, gives, status):
    answer = await invite(api, api.token("ten_a", role=role), role=gives.value)
    assert answer.status_code == status, answer.text


async def test_nobody_gives_permissions_they_lack(api):
    manager = api.token("ten_a", role=Role.AGENCY_ACCOUNT_MANAGER)
    answer = await invite(api, manager, permissions={"canManageApiKeys": True})
    assert (answer.status_code, slug(answer)) == (403, "permission-exceeded")


async def test_keys_manage_everyday_people_and_only_live_ones(api):
    live = {"Authorization": f"Bearer {await api.add_key()}"}
    sandbox = {"Authorization": f"Bearer {await api.add_key(environment=Environment.SANDBOX)}"}
    assert (await invite(api, live, "one@example.com", role="TenantUser")).status_code == 201
    assert (await invite(api, live, "two@example.com", role="Admin")).status_code == 403
    assert (await invite(api, sandbox, "three@example.com", role="TenantUser")).status_code == 403


async def test_a_new_role_takes_the_old_token_away_and_comes_with_the_refresh(api, owner):
    _, headers = owner
    bob, entered = await join(api, headers)
    assert (await api.client.get("/api/v1/users", headers=bearing(entered))).status_code == 403
    changed = await api.client.patch(f"/api/v1/users/{bob}", json={"role": "Admin"}, headers=headers)
    assert (changed.status_code, changed.json()["role"]) == (200, "Admin")
    old = await api.client.get("/api/v1/auth/me", headers=bearing(entered))
    assert (old.status_code, slug(old)) == (401, "token-revoked")
    renewed = await api.client.post("/api/v1/auth/refresh", json={"refreshToken": entered["refreshToken"]})
    assert renewed.status_code == 200, renewed.text
    assert (await api.client.get("/api/v1/users", headers=bearing(renewed.json()))).status_code == 200


async def test_permissions_are_really_checked(api, owner):
    _, headers = owner
    bob, entered = await join(api, headers, role="TenantUser")
    key = {"name": "mine", "scopes": ["agents:read"]}
    assert (await api.client.post("/api/v1/api-keys", json=key, headers=bearing(entered))).status_code == 403
    url = "/api/v1/conversations/conv_01JD0000000000000000000000"
    assert (await api.client.delete(url, headers=bearing(entered))).status_code == 403
    granted = {"permissions": {"canManageApiKeys": True, "canDeleteConversations": True}}
    changed = await api.client.patch(f"/api/v1/users/{bob}", json=granted, headers=headers)
    assert changed.json()["permissions"]["canDeleteConversations"] is True
    entered = await log_in(api, "bob@example.com", OTHER)
    assert (await api.client.post("/api/v1/api-keys", json=key, headers=bearing(entered))).status_code == 201
    assert (await api.client.delete(url, headers=bearing(entered))).status_code == 404
    taken = {"permissions": {"canDeleteConversations": False}}
    await api.client.patch(f"/api/v1/users/{bob}", json=taken, headers=headers)
    entered = await log_in(api, "bob@example.com", OTHER)
    beyond = {"name": "k", "scopes": ["conversations:write"]}
    refused = await api.client.post("/api/v1/api-keys", json=beyond, headers=bearing(entered))
    assert (refused.status_code, slug(refused)) == (403, "scope-exceeded")
    assert entered["user"]["permissions"]["canManageApiKeys"] is True


async def test_a_deactivated_person_is_out_at_once_and_back_after_reactivation(api, owner):
    _, headers = owner
    bob, entered = await join(api, headers)
    answer = await api.client.post(f"/api/v1/users/{bob}/deactivate", headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (200, "disabled")
    assert (await api.client.get("/api/v1/auth/me", headers=bearing(entered))).status_code == 401
    refresh = {"refreshToken": entered["refreshToken"]}
    assert (await api.client.post("/api/v1/auth/refresh", json=refresh)).status_code == 401
    refused = await api.client.post("/api/v1/auth/login", json={"email": "bob@example.com", "password": OTHER})
    assert refused.status_code == 401
    assert (await api.client.post(f"/api/v1/users/{bob}/reactivate", headers=headers)).status_code == 200
    assert (await log_in(api, "bob@example.com", OTHER))["user"]["status"] == "active"


async def test_nobody_does_it_to_themselves_and_the_last_owner_stays(api, owner):
    user, headers = owner
    raised = await api.client.patch(f"/api/v1/users/{user.id}", json={"role": "Admin"}, headers=headers)
    assert (raised.status_code, slug(raised)) == (403, "own-role")
    for method, path in (("POST", "/deactivate"), ("DELETE", "")):
        own = await api.client.request(method, f"/api/v1/users/{user.id}{path}", headers=headers)
        assert (own.status_code, slug(own)) == (403, "own-account")
    operator = api.token("ten_a", user_id="usr_operator")
    last = await api.client.delete(f"/api/v1/users/{user.id}", headers=operator)
    assert (last.status_code, slug(last)) == (409, "last-owner")
    demoted = await api.client.patch(f"/api/v1/users/{user.id}", json={"role": "Admin"}, headers=operator)
    assert (demoted.status_code, slug(demoted)) == (409, "last-owner")
    second = await api.add_user("second@example.com")
    both = await asyncio.gather(
        *(api.client.delete(f"/api/v1/users/{each}", headers=operator) for each in (user.id, second.id))
    )
    assert sorted(answer.status_code for answer in both) == [204, 409], "one owner is left"


async def test_an_admin_manages_no_owner(api, owner):
    user, _ = owner
    admin = api.token("ten_a", role=Role.ADMIN, user_id="usr_admin")
    for method, path in (("POST", "/deactivate"), ("POST", "/mfa/reset"), ("POST", "/unlock"), ("DELETE", "")):
        answer = await api.client.request(method, f"/api/v1/users/{user.id}{path}", headers=admin)
        assert (answer.status_code, slug(answer)) == (403, "role-out-of-reach"), path
    await api.client.post("/api/v1/auth/password/forgot", json={"email": user.email})
    found = await mails(api, admin)
    assert [(mail["to"], mail["text"]) for mail in found] == [(user.email, None)], (
        "a link would open the owner's account"
    )


async def test_deleting_forgets_the_person_and_their_tokens(api, owner):
    _, headers = owner
    bob, entered = await join(api, headers)
    assert (await api.client.delete(f"/api/v1/users/{bob}", headers=headers)).status_code == 204
    assert (await api.client.get(f"/api/v1/users/{bob}", headers=headers)).status_code == 404
    assert (await api.client.get("/api/v1/agents", headers=bearing(entered))).status_code == 401
    assert (await invite(api, headers)).status_code == 201


async def test_list_filters_searches_sorts_and_pages(api, owner):
    _, headers = owner
    for name, role in (("Cid", Role.READ_ONLY), ("Bea", Role.TENANT_USER), ("Dan", Role.TENANT_USER)):
        await api.add_user(f"{name.lower()}@example.org", first_name=name, last_name="Zed", role=role)
    await api.add_user("foreign@example.org", tenant_id="ten_b")

    async def names(**query):
        answer = await api.client.get("/api/v1/users", params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        return [user["firstName"] for user in answer.json()["data"]], answer.json()["total"]

    assert await names(sortBy="name", sortOrder="asc") == (["Ada", "Bea", "Cid", "Dan"], 4)
    assert await names(role="TenantUser", sortBy="email", sortOrder="desc") == (["Dan", "Bea"], 2)
    assert await names(search="CID@exam") == (["Cid"], 1)
    assert await names(search="%") == ([], 0)
    assert await names(status="invited") == ([], 0)
    assert await names(sortBy="createdAt", sortOrder="asc", pageSize=1, page=2) == (["Cid"], 4)
    assert (await names(sortBy="lastLoginAt"))[0][0] == "Ada"
    for wrong in ({"role": "King"}, {"sortBy": "shoeSize"}, {"sortOrder": "up"}, {"status": "asleep"}):
        assert (await api.client.get("/api/v1/users", params=wrong, headers=headers)).status_code == 422


async def test_if_match_guards_against_changes_in_between(api, owner):
    _, headers = owner
    bob, _ = await join(api, headers)
    read = await api.client.get(f"/api/v1/users/{bob}", headers=headers)
    seen = {"If-Match": read.headers["etag"]}
    first = await api.client.patch(f"/api/v1/users/{bob}", json={"firstName": "Rob"}, headers=headers | seen)
    assert (first.status_code, first.json()["firstName"]) == (200, "Rob")
    second = await api.client.patch(f"/api/v1/users/{bob}", json={"firstName": "Bobby"}, headers=headers | seen)
    assert second.status_code == 412


async def test_other_tenants_people_do_not_exist_here(api, owner):
    user, _ = owner
    stranger = api.token("ten_b", user_id="usr_b")
    url = f"/api/v1/users/{user.id}"
    for method, path in (
        *(("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/deactivate"), ("POST", "/reactivate")),
        *(("POST", "/unlock"), ("POST", "/mfa/reset"), ("POST", "/invitation/resend"), ("DELETE", "/invitation")),
    ):
        body = {"json": {"firstName": "X"}} if method == "PATCH" else {}
        answer = await api.client.request(method, url + path, headers=stranger, **body)
        assert answer.status_code == 404, (method, path)
    assert (await api.client.get("/api/v1/users", headers=stranger)).json()["total"] == 0
    assert (await api.client.get("/api/v1/mail", headers=stranger)).json()["total"] == 0


async def test_people_rename_themselves(api, owner):
    _, headers = owner
    answer = await api.client.patch("/api/v1/auth/me", json={"firstName": "Augusta"}, headers=headers)
    assert (answer.json()["firstName"], answer.json()["lastName"]) == ("Augusta", "Byron")
    refused = await api.client.patch("/api/v1/auth/me", json={"role": "Admin"}, headers=headers)
    assert refused.json()["errors"][0]["pointer"] == "/role"


async def test_what_was_done_is_in_the_audit_log(api, owner):
    user, headers = owner
    bob, _ = await join(api, headers)
    await api.client.patch(f"/api/v1/users/{bob}", json={"role": "ReadOnly"}, headers=headers)
    await api.client.post(f"/api/v1/users/{bob}/deactivate", headers=headers)
    log = (await api.client.get("/api/v1/audit-log", params={"targetId": bob}, headers=headers)).json()["data"]
    assert [entry["action"] for entry in reversed(log)] == [
        "user.invited",
        "user.invitation_accepted",
        "user.logged_in",
        "user.updated",
        "user.disabled",
    ]
    assert log[0]["actor"] == {"type": "user", "id": user.id}
    assert log[1]["detail"] == {"role": {"from": "TenantUser", "to": "ReadOnly"}}
    assert OTHER not in str(log)


# Mail


async def test_mails_are_sent_once_and_their_texts_forgotten(start_api):
    async with start_api(smtp_url=Secret("smtp://mail.example")) as api:
        headers = api.token("ten_a")
        await invite(api, headers)
        shown = (await mails(api, headers))[0]
        assert (shown["status"], shown["text"]) == ("waiting", None), "with a mail server nobody reads links here"
        sender = MemorySender()
        sent = await asyncio.gather(*(send_due(api.database, sender, utc_now) for _ in range(3)))
        assert (sum(sent), len(sender.sent)) == (1, 1)
        assert "#invitation=" in sender.sent[0].text
        assert (await mails(api, headers))[0]["status"] == "sent"
        async with api.database.transaction_as_system() as tx:
            assert await tx.one(bool, "SELECT body IS NULL FROM mail_outbox")


async def test_mails_wait_for_a_mail_server_that_is_away_and_end_at_a_refusal(start_api):
    async with start_api(smtp_url=Secret("smtp://mail.example")) as api:
        headers = api.token("ten_a")
        await invite(api, headers)
        sender, now = MemorySender(), utc_now()
        sender.is_away = True
        assert await send_due(api.database, sender, lambda: now) == 0
        shown = (await mails(api, headers))[0]
        assert (shown["status"], shown["attempts"], "reached" in shown["failure"]) == ("waiting", 1, True)
        sender.is_away = False
        assert await send_due(api.database, sender, lambda: now + timedelta(seconds=9)) == 0, (
            "not before its pause is over"
        )
        assert await send_due(api.database, sender, lambda: now + timedelta(seconds=10)) == 1
        await invite(api, headers, UNKNOWN_PERSON)
        assert await send_due(api.database, sender, utc_now) == 0
        assert (await mails(api, headers))[0]["status"] == "failed"
        assert await send_due(api.database, sender, lambda: now + timedelta(days=1)) == 0


async def test_a_mail_is_given_up_after_a_day_or_so(start_api):
    async with start_api(smtp_url=Secret("smtp://mail.example")) as api:
        await invite(api, api.token("ten_a"))
        sender, now = MemorySender(), utc_now()
        sender.is_away = True
        for days in range(9):
            moment = now + timedelta(days=days)
            await send_due(api.database, sender, lambda moment=moment: moment)
        [shown] = await mails(api, api.token("ten_a"))
        assert (shown["status"], shown["attempts"]) == ("failed", 8)


async def test_operators_read_every_tenants_mails_and_nobody_else_does(api, owner):
    _, headers = owner
    await api.add_user("away@example.com", tenant_id="ten_b")
    await api.client.post("/api/v1/auth/password/forgot", json={"email": "away@example.com"})
    refused = await api.client.get("/api/v1/mail", params={"allTenants": "true"}, headers=headers)
    assert refused.status_code == 403
    await api.add_user("op@example.com", tenant_id="ten_op", platform_admin=True)
    operator = bearing(await log_in(api, "op@example.com"))
    found = await api.client.get("/api/v1/mail", params={"allTenants": "true"}, headers=operator)
    assert [(mail["tenantId"], mail["to"]) for mail in found.json()["data"]] == [("ten_b", "away@example.com")]
    assert "#reset=" in found.json()["data"][0]["text"]
