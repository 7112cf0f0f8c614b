"""Every statement of every store is planned on the migrated schema, as the service's own role; and what row-level security hides."""

import ast
import re
from pathlib import Path

import psycopg
import pytest
import voisnap_api
from voisnap_domain.tenants import Environment

pytestmark = pytest.mark.slice

PACKAGE = Path(voisnap_api.__file__).parent
STORES = sorted(PACKAGE.glob("*/*store.py"))


def statements(path: Path) -> list[tuple[str, str]]:
    """(function, SQL) of every call on `tx` in a store."""
    found = []
    store = path.parent.name if path.name == "store.py" else f"{path.parent.name}.{path.stem}"
    for function in ast.walk(ast.parse(path.read_text())):
        if not isinstance(function, ast.AsyncFunctionDef):
            continue
        for call in ast.walk(function):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                continue
            if isinstance(call.func.value, ast.Name) and call.func.value.id == "tx":
                texts = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
                assert len(texts) == 1, f"{path}:{call.lineno} has no literal statement"
                if texts[0].startswith("SET LOCAL "):  # how the planner is to go about the one that follows
                    continue
                found.append((f"{store}.{function.name}", texts[0]))
    return found


ALL = [statement for path in STORES for statement in statements(path)]


def numbered(sql: str) -> str:
    """Named parameters as $1, $2 …, as psycopg sends them."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return re.sub(r"%\((\w+)\)s", number, sql)


def test_every_store_function_has_one_statement():
    assert len(ALL) >= 40
    names = [name for name, _ in ALL]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", STORES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_every_statement_on_a_tenants_table_names_the_tenant_or_is_the_systems(path):
    system = {
        "auth.refresh_token_for_change",
        "auth.spend",
        "auth.revoke_family",
        "auth.delete_expired",
        "auth.delete_revocations",
        "auth.failures_of",
        "auth.count_failure",
        "auth.lock_address",
        "auth.forgive",
        "auth.delete_failures",
        "links.get_for_change",
        "links.mark_used",
        "links.delete_expired",
        "mail.claim_due",
        "mail.mark_sent",
        "mail.mark_delayed",
        "mail.mark_failed",
        "mail.page_of_all",
        "mail.count_of_all",
        "mail.delete_older",
        "mfa.challenge_for_change",
        "mfa.ask_passkey",
        "mfa.count_attempt",
        "mfa.delete_challenge",
        "mfa.delete_old_challenges",
        "users.by_email",
        "users.delete_unverified",
        "api_keys.by_hash",
        "api_keys.note_uses",
        "conversations.ensure_partitions",
        "prices.in_force",
        "prices.in_force_of",
        "prices.how_many",
        "prices.add_missing",
        "prices.add_operators",
        "idempotency.delete_older",
        "conversation_lists.shards",
        "conversation_lists.plan_once",
        "carrier_webhooks.delete_events",
        "carrier_webhooks.delete_calls",
        "channels.at",
        "phone_numbers.answered_here",
        "contacts.forgotten",
        "contacts.delete_forgotten",
        "messaging.outbox_store.seconds_to_next",
        "messaging.media_store.seconds_to_next",
        "messaging.media_store.take_discarded",
        "messaging.media_store.delete_expired",
        "call_recordings.delete_old",
        "messaging.delete_threads",
    }
    for name, sql in statements(path):
        assert name in system or "tenant_id" in sql, name


async def test_every_statement_can_be_planned(database):
    async with database._pool.connection() as connection:  # what `Tx` sends wants the parameters' values
        for name, sql in ALL:
            try:
                async with connection.transaction():
                    await connection.execute(f"EXPLAIN (GENERIC_PLAN) {numbered(sql).replace('%%', '%')}".encode())
            except psycopg.Error as error:
                pytest.fail(f"{name}: {error}")


async def test_a_conversation_is_looked_up_in_one_partition(database):
    sql = dict(ALL)["conversations.get"]
    plan = ""
    async with database.transaction_as_system() as tx:
        for line in await tx.all(
            str,
            "EXPLAIN " + sql,
            tenant_id="ten_a",
            environment="live",
            id="conv_1",
            opened_at="2026-01-01T00:00:00Z",
        ):
            plan += line + "\n"
    assert plan.count("Scan on") == 1 or plan.count("Index Scan using") == 1, plan


TABLES = {
    "tenants": "INSERT INTO tenants VALUES ('ten_a', 'n', 's', 'active', 'p', '{}', now())",
    "users": "INSERT INTO users (id, tenant_id, email, password_hash, first_name, last_name, role, created_at)"
    " VALUES ('usr_1', 'ten_a', 'e', 'h', 'f', 'l', 'Admin', now())",
    "refresh_tokens": "INSERT INTO refresh_tokens VALUES ('\\x00', 'fam', 'ten_a', 'live', 'usr_1', now(), now())",
    "one_time_links": "INSERT INTO one_time_links VALUES ('\\x00', 'invitation', 'ten_a', 'usr_1', now(), now())",
    "token_revocations": "INSERT INTO token_revocations VALUES ('usr_1', 'ten_a', now())",
    "totp_secrets": "INSERT INTO totp_secrets VALUES ('usr_1', 'ten_a', '\\x00', now())",
    "passkeys": "INSERT INTO passkeys VALUES ('pky_1', '\\x00', 'ten_a', 'usr_1', 'localhost', 'n', '\\x00', 0, '{}', now())",
    "recovery_codes": "INSERT INTO recovery_codes VALUES ('usr_1', '\\x00', 'ten_a', now())",
    "login_challenges": "INSERT INTO login_challenges VALUES"
    " ('\\x00', 'login', 'ten_a', 'usr_1', 'live', null, null, 0, now())",
    "registrations": "INSERT INTO registrations VALUES ('usr_1', 'ten_a', 'c', now())",
    "mail_outbox": "INSERT INTO mail_outbox VALUES"
    " ('mail_1', 'ten_a', 'usr_1', 'a', 'n', 'invitation', 's', 'b', now(), now())",
    "api_keys": "INSERT INTO api_keys (id, tenant_id, environment, name, prefix, key_hash, scopes, created_at)"
    " VALUES ('key_1', 'ten_a', 'live', 'n', 'p', '\\x00', '{}', now())",
    "idempotency_keys": "INSERT INTO idempotency_keys (tenant_id, environment, key, request_hash, created_at)"
    " VALUES ('ten_a', 'live', 'k', '\\x00', now())",
    "agents": "INSERT INTO agents (id, tenant_id, environment, status, version, config, created_at, updated_at)"
    """ VALUES ('agt_1', 'ten_a', 'live', 'draft', 1, '{"name": "n", "tags": []}', now(), now())""",
    "agent_versions": "INSERT INTO agent_versions (agent_id, version, tenant_id, environment, config, changes_summary, created_at)"
    " VALUES ('agt_1', 1, 'ten_a', 'live', '{}', 's', now())",
    "agent_tests": "INSERT INTO agent_tests VALUES"
    " ('test_1', 'ten_a', 'live', 'agt_1', 1, 'webrtc', null, '{}', 'wrtc_1', 'conv_1', now(), null)",
    "conversations": "INSERT INTO conversations (id, opened_at, tenant_id, environment, session_id, agent_id, agent_name,"
    " agent_version, channel, direction, status, language, hipaa, recording_wanted, retention_days, started_at, caller, metadata)"
    " VALUES ('conv_1', now(), 'ten_a', 'live', 's', 'a', 'n', 1, 'webrtc', 'inbound', 'in_progress', 'en', false, true, 90,"
    " now(), '{}', '{}')",
    "deleted_conversations": "INSERT INTO deleted_conversations VALUES ('conv_2', 'ten_a', 'live', now())",
    "analyses": "INSERT INTO analyses (opened_at, conversation_id, tenant_id, environment, status, task, requested_at)"
    " VALUES (coalesce((SELECT max(opened_at) FROM conversations WHERE id = 'conv_1'), now()), 'conv_1', 'ten_a', 'live',"
    " 'processing', '{}', now())",
    "call_transfers": "INSERT INTO call_transfers VALUES ('xfer_1', 'ten_a', 'live',"
    " coalesce((SELECT max(opened_at) FROM conversations WHERE id = 'conv_1'), now()), 'conv_1', 'cold', 't', 'd', 'api', 'r', 's', 'c', now())",
    "audit_entries": "INSERT INTO audit_entries (id, tenant_id, environment, at, actor_type, action, target_type, target_id)"
    " VALUES ('aud_1', 'ten_a', 'live', now(), 'system', 'thing.done', 'thing', 't')",
    "conversation_segments": "INSERT INTO conversation_segments OVERRIDING SYSTEM VALUE"
    " VALUES ('ten_a', 'live', '2026-01-02', 'z', '2026-01-01', '', 1, 0)",
    "conversation_bits": "INSERT INTO conversation_bits VALUES ('ten_a', 'live', 'any', 1, '1')",
    "conversation_places": "INSERT INTO conversation_places VALUES ('ten_a', 'live', 1, 0, '{conv_1}')",
    # A conversation has marked itself where it could be written at all.
    "conversation_marks": "INSERT INTO conversation_marks SELECT 'ten_a', 'live', now(), 'conv_1'"
    " WHERE NOT EXISTS (SELECT FROM conversation_marks)",
    "cors_origins": "INSERT INTO cors_origins VALUES ('ten_a', 'live', 'https://acme.test')",
    "price_markups": "INSERT INTO price_markups VALUES ('ten_a', 'llm', '2026-01-01', 5)",
    "spend": "INSERT INTO spend VALUES ('ten_a', 'live', '2026-01-01', 'openai', 'platform', 5)",
    "provider_credentials": "INSERT INTO provider_credentials (id, tenant_id, environment, provider, name, sealed, sealed_with,"
    " is_default, created_at, updated_at) VALUES ('pcred_1', 'ten_a', 'live', 'openai', 'n', '\\x00', 'k', true, now(), now())",
    "carrier_calls": "INSERT INTO carrier_calls (tenant_id, environment, provider, account, session_id, claimed_at, created_at)"
    " VALUES ('ten_a', 'live', 'twilio', 'platform', 'call_1', now(), now())",
    "carrier_events": "INSERT INTO carrier_events VALUES ('ten_a', 'live', 'twilio', 'platform', 'e', now())",
    "phone_numbers": "INSERT INTO phone_numbers (id, tenant_id, environment, phone_number, provider, account, country, capabilities, source,"
    " status, created_at, updated_at) VALUES ('num_1', 'ten_a', 'live', '+14155550100', 'twilio', 'platform', 'US', '{voice}', 'purchase',"
    " 'active', now(), now())",
    "outbound_calls": "INSERT INTO outbound_calls (id, tenant_id, environment, agent_id, from_number, to_number, status, due_at,"
    " max_retries, retry_delay_minutes, created_at, updated_at) VALUES ('obc_1', 'ten_a', 'live', 'agt_1', '+1', '+2', 'queued', now(),"
    " 0, 15, now(), now())",
    "dial_attempts": "INSERT INTO dial_attempts (id, tenant_id, environment, call_id, provider, account, ring_seconds, longest_seconds,"
    " planned_at) VALUES ('att_1', 'ten_a', 'live', 'obc_1', 'twilio', 'platform', 30, 60, now())",
    "outbound_call_settings": "INSERT INTO outbound_call_settings VALUES ('ten_a', 'live', null, 1, 30, 'off', now())",
    "do_not_call": "INSERT INTO do_not_call VALUES ('ten_a', 'live', '+14155550100', null, 'manual', null, now())",
    "contacts": "INSERT INTO contacts (id, tenant_id, environment, created_at, updated_at, last_seen_at)"
    " VALUES ('cont_1', 'ten_a', 'live', now(), now(), now())",
    "contact_identities": "INSERT INTO contact_identities VALUES ('ten_a', 'live', 'phone', '+14155550123', 'cont_1', null, now())",
    "message_opt_outs": "INSERT INTO message_opt_outs VALUES ('ten_a', 'live', 'sms', '\\x00', 'keyword', now())",
    "channel_connections": "INSERT INTO channel_connections (id, tenant_id, environment, channel, provider, account, address, agent_id,"
    " status, created_at, updated_at) VALUES ('chan_1', 'ten_a', 'live', 'telegram', 'telegram', 'platform', '7', 'agt_1', 'active',"
    " now(), now())",
    "message_threads": "INSERT INTO message_threads (id, tenant_id, environment, contact_id, channel, provider, account, our_address,"
    " their_key, their_address, agent_id, created_at) VALUES ('thr_1', 'ten_a', 'live', 'cont_1', 'sms', 'twilio', 'platform', 'o', 't',"
    " 't', 'agt_1', now())",
    "discarded_media": "INSERT INTO discarded_media VALUES ('recordings/ten_a/conv_1/media/x', 'ten_a', 'live')",
    "messages": "INSERT INTO messages (id, tenant_id, environment, thread_id, direction, source, text, state, created_at, updated_at)"
    " VALUES ('msg_1', 'ten_a', 'live', 'thr_1', 'inbound', 'wrote', 't', 'received', now(), now())",
    "message_media": "INSERT INTO message_media (message_id, place, tenant_id, environment, state, key, due_at, expires_at, created_at)"
    " VALUES ('msg_1', 0, 'ten_a', 'live', 'kept', 'recordings/ten_a/conv_1/media/y', now(), now(), now())",
    "call_recordings": "INSERT INTO call_recordings (id, tenant_id, environment, provider, account, recording_id, session_id, state,"
    " created_at) VALUES ('crec_1', 'ten_a', 'live', 'twilio', 'platform', 'RE1', 'call_1', 'saved', now())",
    "sip_trunks": "INSERT INTO sip_trunks (id, tenant_id, environment, name, provider, account, status, created_at, updated_at)"
    " VALUES ('trunk_1', 'ten_a', 'live', 'n', 'twilio', 'platform', 'active', now(), now())",
    "turns": "INSERT INTO turns VALUES (now(), 'conv_1', 1, 'ten_a', 'live', 'user', 't', 0, 1, 1, '[]', false, null)",
}
"""A row of tenant `ten_a` for every table that belongs to tenants, in an order that foreign keys allow."""

BOTH_ENVIRONMENTS = {
    *("tenants", "users", "one_time_links", "token_revocations", "totp_secrets", "passkeys", "recovery_codes"),
    *("login_challenges", "mail_outbox", "registrations", "price_markups"),
}


async def test_no_table_of_tenants_is_missing_here(database):
    async with database.transaction_as_system() as tx:
        found = await tx.all(
            str,
            """
            SELECT c.relname
              FROM pg_class c
              JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
             WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
               AND c.relname <> 'outbox'
            """,
        )
    assert set(found) == set(TABLES)


async def test_a_forgotten_where_shows_nothing_of_others(database):
    for sql in TABLES.values():
        async with database.transaction("ten_a", Environment.LIVE) as tx:
            await tx.exec(sql)
    for table in TABLES:
        everything = f"SELECT count(*) FROM {table}"  # noqa: S608
        async with database.transaction("ten_a", Environment.LIVE) as tx:
            assert await tx.one(int, everything) == 1, table
        async with database.transaction("ten_b", Environment.LIVE) as tx:
            assert await tx.one(int, everything) == 0, table
            assert await tx.exec(f"DELETE FROM {table}") == 0, table  # noqa: S608
        async with database.transaction("ten_a", Environment.SANDBOX) as tx:
            assert await tx.one(int, everything) == (1 if table in BOTH_ENVIRONMENTS else 0), table
        async with database.transaction("", "") as tx:
            assert await tx.one(int, everything) == 0, table


async def test_a_row_can_not_be_written_for_another_tenant(database):
    for table, sql in TABLES.items():
        with pytest.raises(Exception, match="row-level security"):
            async with database.transaction("ten_b", Environment.LIVE) as tx:
                await tx.exec(sql)
        async with database.transaction_as_system() as tx:
            assert await tx.one(int, f"SELECT count(*) FROM {table}") == 0  # noqa: S608


async def test_partitions_can_not_be_reached_past_their_parent(database):
    async with database.transaction("ten_a", Environment.LIVE) as tx:
        await tx.exec(TABLES["conversations"])
        partition = await tx.one(str, "SELECT tableoid::regclass::text FROM conversations")
        assert await tx.one(int, f"SELECT count(*) FROM {partition}") == 0  # noqa: S608


async def test_missing_months_are_created_by_the_services_role(database):
    async with database.transaction_as_system() as tx:
        again = await tx.one(int, "SELECT ensure_partitions(now(), 3)")
        later = await tx.one(int, "SELECT ensure_partitions(now() + interval '1 month', 3)")
    assert (again, later) == (0, 2)
