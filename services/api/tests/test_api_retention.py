"""What ends with its time: messages and calls that no conversation keeps, contacts without a trace. And whose turn it is to be sent."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from voisnap_api.contacts.reconcilers import forgotten_contacts
from voisnap_api.messaging import outbox_store, store
from voisnap_api.messaging.reconcilers import expired_messages
from voisnap_api.outbound_calls.reconcilers import expired_calls

pytestmark = pytest.mark.slice

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


class Shelf:
    """Rows of several tenants, as old as the test says."""

    def __init__(self, api: Any) -> None:
        self.api = api

    async def execute(self, statement: str, **values: Any) -> None:
        async with self.api.database.transaction_as_system() as tx:
            await tx.exec(statement, **values)

    async def ids(self, table: str) -> list[str]:
        async with self.api.database.transaction_as_system() as tx:
            return await tx.all(str, f"SELECT id FROM {table} ORDER BY id")  # noqa: S608

    async def contact(self, contact_id: str, *, age: timedelta, tenant: str = "ten_a", edited: bool = False) -> None:
        await self.execute(
            "INSERT INTO contacts (id, tenant_id, environment, created_at, updated_at, last_seen_at)"
            " VALUES (%(id)s, %(tenant)s, 'live', %(at)s, %(edited)s, %(at)s)",
            id=contact_id,
            tenant=tenant,
            at=NOW - age,
            edited=NOW - age + timedelta(minutes=edited),
        )

    async def thread(
        self, thread_id: str, *, age: timedelta, tenant: str = "ten_a", agent: str = "gone", due: bool = False
    ) -> None:
        await self.contact(f"cont_{thread_id}", age=age, tenant=tenant)
        await self.execute(
            "INSERT INTO message_threads (id, tenant_id, environment, contact_id, channel, provider, account, our_address, their_key,"
            " their_address, agent_id, created_at, due_at)"
            " VALUES (%(id)s, %(tenant)s, 'live', %(contact)s, 'sms', 'twilio', 'platform', '+1', %(id)s, '+2', %(agent)s, %(at)s, %(due)s)",
            id=thread_id,
            tenant=tenant,
            contact=f"cont_{thread_id}",
            agent=agent,
            at=NOW - age,
            due=NOW - age if due else None,
        )

    async def message(
        self,
        message_id: str,
        thread_id: str,
        *,
        age: timedelta,
        tenant: str = "ten_a",
        state: str = "sent",
        source: str = "api",
        conversation: str | None = None,
    ) -> None:
        await self.execute(
            "INSERT INTO messages (id, tenant_id, environment, thread_id, conversation_id, direction, source, text, state, due_at,"
            " created_at, updated_at)"
            " VALUES (%(id)s, %(tenant)s, 'live', %(thread)s, %(conversation)s, 'outbound', %(source)s, 'hello', %(state)s, %(due)s,"
            " %(at)s, %(at)s)",
            id=message_id,
            tenant=tenant,
            thread=thread_id,
            conversation=conversation,
            source=source,
            state=state,
            due=NOW - age if state == "queued" else None,
            at=NOW - age,
        )

    async def call(self, call_id: str, *, age: timedelta, agent: str = "gone", over: bool = True) -> None:
        await self.execute(
            "INSERT INTO outbound_calls (id, tenant_id, environment, agent_id, from_number, to_number, status, due_at, ended_at,"
            " max_retries, retry_delay_minutes, created_at, updated_at)"
            " VALUES (%(id)s, 'ten_a', 'live', %(agent)s, '+1', '+2', %(status)s, %(at)s, %(ended)s, 0, 5, %(at)s, %(at)s)",
            id=call_id,
            agent=agent,
            status="completed" if over else "scheduled",
            at=NOW - age,
            ended=NOW - age if over else None,
        )

    async def attempt(self, attempt_id: str, call_id: str, *, due: bool, token: str | None = None) -> None:
        await self.execute(
            "INSERT INTO dial_attempts (id, tenant_id, environment, call_id, provider, account, ring_seconds, longest_seconds, planned_at,"
            " settled_at, due_at, stream_token)"
            " VALUES (%(id)s, 'ten_a', 'live', %(call)s, 'twilio', 'platform', 30, 60, now(), now(), %(due)s, %(token)s)",
            id=attempt_id,
            call=call_id,
            due=NOW if due else None,
            token=token,
        )


@pytest.fixture
def shelf(api):
    return Shelf(api)


async def test_messages_that_no_conversation_keeps_end_with_their_agents_retention(api, shelf):
    short = (await api.add_agent(api.token("ten_a"), recording={"storageRetentionDays": 30}))["id"]
    await shelf.thread("a_short", age=40 * DAY, agent=short)
    await shelf.thread("b_usual", age=100 * DAY)
    await shelf.thread("c_waits", age=100 * DAY, due=True)
    await shelf.thread("d_empty", age=100 * DAY, tenant="ten_deleted")
    await shelf.thread("e_young", age=80 * DAY)
    await shelf.message("a_old", "a_short", age=31 * DAY)
    await shelf.message("b_gone", "b_usual", age=91 * DAY, state="held")
    await shelf.message("b_kept", "b_usual", age=91 * DAY, conversation="conv_1")
    await shelf.message("b_queued", "b_usual", age=91 * DAY, state="queued")
    await shelf.message("e_young", "e_young", age=40 * DAY)
    reconciler = expired_messages(api.database)
    await reconciler.run_once()
    assert await shelf.ids("messages") == ["b_kept", "b_queued", "e_young"]
    assert await shelf.ids("message_threads") == ["b_usual", "c_waits", "e_young"]
    assert (reconciler.last.messages, reconciler.last.threads) == (2, 2)
    await reconciler.run_once()
    assert (reconciler.last.messages, reconciler.last.threads) == (0, 0)


async def test_contacts_without_a_trace_are_forgotten(api, shelf):
    await shelf.thread("writes", age=100 * DAY)
    await shelf.contact("a_gone", age=91 * DAY, tenant="ten_deleted")
    await shelf.contact("b_noted", age=91 * DAY, edited=True)
    await shelf.contact("c_young", age=89 * DAY)
    reconciler = forgotten_contacts(api.database)
    await reconciler.run_once()
    assert await shelf.ids("contacts") == ["b_noted", "c_young", "cont_writes"]
    assert reconciler.last.contacts == 1


async def test_calls_end_with_their_agents_retention_once_nothing_is_left_to_clear_up(api, shelf):
    long = (await api.add_agent(api.token("ten_a"), recording={"storageRetentionDays": 365}))["id"]
    await shelf.call("a_gone", age=91 * DAY)
    await shelf.attempt("att_a", "a_gone", due=False)
    await shelf.call("b_unclear", age=91 * DAY)
    await shelf.attempt("att_b", "b_unclear", due=True)
    await shelf.call("c_long", age=91 * DAY, agent=long)
    await shelf.call("d_young", age=89 * DAY)
    await shelf.call("e_waits", age=91 * DAY, over=False)
    reconciler = expired_calls(api.database)
    await reconciler.run_once()
    assert await shelf.ids("outbound_calls") == ["b_unclear", "c_long", "d_young", "e_waits"]
    assert await shelf.ids("dial_attempts") == ["att_b"]
    assert reconciler.last.calls == 1


async def test_no_token_is_kept_of_an_attempt_that_is_settled(shelf):
    await shelf.call("call", age=DAY)
    with pytest.raises(Exception, match="dial_attempts_token_is_gone"):
        await shelf.attempt("att", "call", due=False, token="opens a socket")


async def test_every_tenant_has_its_turn_and_answers_go_before_what_a_tenant_sends_on_its_own(api, shelf):
    for number in range(12):
        await shelf.thread(f"many_{number:02}", age=DAY, tenant="ten_many")
        await shelf.message(f"many_{number:02}", f"many_{number:02}", age=DAY, tenant="ten_many", state="queued")
    await shelf.thread("answer", age=DAY, tenant="ten_many")
    await shelf.message("answer", "answer", age=timedelta(0), tenant="ten_many", state="queued", source="reply")
    await shelf.thread("few", age=DAY, tenant="ten_few")
    await shelf.message("few_1", "few", age=timedelta(minutes=1), tenant="ten_few", state="queued")
    await shelf.message("few_2", "few", age=timedelta(0), tenant="ten_few", state="queued")
    seen = []
    for _ in range(2):
        async with api.database.transaction_as_system() as tx:
            seen.append({message.id for message in await outbox_store.claim_to_send(tx, now=NOW + DAY, limit=3)})
    assert seen[0] > {"answer", "few_1"}
    assert len(seen[0]) == len(seen[1]) == 3
    assert "few_2" not in seen[1]  # the one before it is still under way


async def test_two_workers_take_different_messages(api, shelf):
    for number in range(6):
        await shelf.thread(f"t_{number}", age=DAY)
        await shelf.message(f"m_{number}", f"t_{number}", age=DAY, state="queued")

    async with api.database.transaction_as_system() as one, api.database.transaction_as_system() as other:
        async with asyncio.timeout(5):
            first = await outbox_store.claim_to_send(one, now=NOW, limit=3)
            second = await outbox_store.claim_to_send(other, now=NOW, limit=3)
    assert len({message.id for message in (*first, *second)}) == 6


async def test_who_writes_to_one_tenant_does_not_wait_behind_all_who_write_to_another(api, shelf):
    for number in range(12):
        await shelf.thread(f"many_{number:02}", age=DAY, tenant="ten_many", due=True)
    await shelf.thread("few", age=timedelta(minutes=1), tenant="ten_few", due=True)
    async with api.database.transaction_as_system() as tx:
        found = await store.claim_due(tx, now=NOW, until=NOW + DAY, limit=4)
    assert [thread.id for thread in found].count("few") == 1
    assert len(found) == 4
    async with api.database.transaction_as_system() as tx:
        again = await store.claim_due(tx, now=NOW, until=NOW + DAY, limit=20)
    assert len(again) == 9
    assert not {thread.id for thread in again} & {thread.id for thread in found}
