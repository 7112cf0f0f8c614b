"""What carriers recorded, on its way into our storage: fetched once, paid for once, heard with the rest, and gone with the rest."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from voisnap_api.call_recordings import usecases
from voisnap_api.call_recordings.fetching import FINAL_TRIES, Fetcher
from voisnap_api.call_transfers import usecases as call_transfers
from voisnap_api.carrier_webhooks.usecases import main_call_of, remember_call
from voisnap_api.conversations.usecases import delete_due_recordings
from voisnap_api.prices import usecases as prices
from voisnap_domain.calls import CarrierLeg, TransferMode, TransferStage
from voisnap_domain.sessions import Caller as SessionCaller
from voisnap_domain.sessions import Channel
from voisnap_kit.work import Caller, begin, begin_as_system
from voisnap_proto.events import CallTransferChanged
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.carrier import RecordingFormat
from voisnap_testkit.finished_calls import AGENT_TURN, USER_TURN, Call

pytestmark = pytest.mark.slice

SOUND = b"ID3 what was said afterwards"
NAME = "RE" + "1" * 32


class Carrier:
    """A carrier that has recordings; `before` is done while one is fetched."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.deleted: list[str] = []
        self.faults: list[Exception] = []
        self.before: Any = None

    async def fetch_recording(self, recording_id: str, format: RecordingFormat, *, most: int) -> AsyncIterator[bytes]:
        self.fetched.append(recording_id)
        if self.faults:
            raise self.faults.pop(0)
        yield SOUND[:7]
        if self.before is not None:
            await self.before()
        yield SOUND[7:]

    async def delete_recording(self, recording_id: str) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.deleted.append(recording_id)


class Office:
    """A conversation whose call was handed over and recorded, and a worker with a clock of its own."""

    def __init__(self, api: Any, call: Call) -> None:
        self.api, self.call, self.carrier = api, call, Carrier()
        self.now = datetime.now(UTC)
        accounts: Any = SimpleNamespace(carrier=self._carrier)
        self.fetcher = Fetcher(api.database, api.blobs, accounts, clock=lambda: self.now)
        self.whose = Caller.system(call.plan.tenant_id, call.plan.environment)

    async def _carrier(self, work: Any, provider: str, account: str, environment: Any) -> Any:
        assert (provider, account, environment) == ("twilio", "platform", self.call.plan.environment)
        return SimpleNamespace(control=self.carrier)

    async def begins(self) -> None:
        async with begin(self.api.database, self.whose) as work:
            whose = {"provider": "twilio", "account": "platform", "session_id": self.call.plan.session_id}
            await remember_call(work, **whose, call_id="CA1")
        for event in (self.call.started, self.call.turn(AGENT_TURN), self.call.turn(USER_TURN)):
            await self.api.tell(event)

    async def hands_over(self) -> None:
        plan = self.call.plan
        event = CallTransferChanged(
            tenant_id=plan.tenant_id,
            environment=plan.environment,
            session_id=plan.session_id,
            conversation_id=plan.conversation_id,
            agent_id=plan.agent.agent_id,
            transfer_id="xfer_1",
            stage=TransferStage.COMPLETED,
            mode=TransferMode.COLD,
            to="+14155550199",
            name="Sales",
            requested_by="agent",
            at=self.now,
        )
        async with begin(self.api.database, self.whose) as work:
            await call_transfers.note(work, event)

    async def ends(self) -> None:
        await self.api.tell(self.call.ended())

    async def saved(self, name: str = NAME, seconds: float | None = 61.0) -> None:
        session_id = self.call.plan.session_id
        async with begin_as_system(self.api.database, self.whose) as work:
            main = await main_call_of(work, provider="twilio", account="platform", session_id=session_id)
        assert main is not None
        async with begin(self.api.database, self.whose, clock=lambda: self.now) as work:
            await usecases.note_saved(work, main, recording_id=name, seconds=seconds)

    async def works(self, after: float = 0.0) -> int:
        self.now += timedelta(seconds=after)
        return (await self.fetcher.look_after_due()).kept

    async def rows(self) -> list[dict[str, Any]]:
        async with self.api.database.transaction_as_system() as tx:
            return await tx.all(dict, "SELECT to_jsonb(r) FROM call_recordings r ORDER BY created_at")

    async def read(self, part: str) -> Any:
        return await self.api.client.get(f"{self.call.url}/{part}", headers=self.api.token("ten_a"))

    def stored(self) -> list[bytes]:
        return [data for key, data in self.api.blobs.objects.items() if ".after/" in key]


@pytest.fixture
async def office(api: Any) -> Office:
    await api.follow()
    async with begin_as_system(api.database, Caller.system("ten_a", "live")) as work:  # type: ignore[arg-type]
        await prices.keep_catalogue(work)
    call = Call(channel=Channel.PHONE)
    leg = CarrierLeg(provider="twilio", account="platform", number="+14155550100", call_id="CA1")
    call.plan = msgspec.structs.replace(call.plan, caller=SessionCaller(phone_number="+4930901820"), leg=leg)
    api.blobs.objects[f"recordings/ten_a/{call.id}.mp3"] = b"the conversation"
    made = Office(api, call)
    await made.begins()
    await made.hands_over()
    return made


def fault(*, retryable: bool) -> ProviderError:
    return ProviderError("no", provider="twilio", kind="carrier", retryable=retryable)


async def test_what_was_said_after_a_transfer_is_heard_with_the_rest_and_costs_once(office: Office) -> None:
    await office.ends()
    before = Decimal(str((await office.read("costs")).json()["total"]))
    for _ in range(3):
        await office.saved()
    assert [await office.works(), await office.works(3600)] == [1, 0]
    assert (office.carrier.fetched, office.carrier.deleted) == ([NAME], [NAME])
    assert office.stored() == [SOUND]
    link = (await office.read("recording")).json()
    kinds = [(part["kind"], part["format"], part["durationSeconds"]) for part in link["parts"]]
    assert kinds == [("conversation", "mp3", link["durationSeconds"]), ("after_transfer", "mp3", 61)]
    assert link["parts"][0]["url"] == link["url"]
    heard = await office.api.client.get(link["parts"][1]["url"].removeprefix("http://localhost:8080"))
    assert (heard.status_code, heard.content) == (200, SOUND)
    costs = (await office.read("costs")).json()
    (leg,) = [one for one in costs["legs"] if one.get("model") == "recording"]
    assert (leg["minutes"], Decimal(str(leg["cost"]))) == (2, Decimal("0.005"))
    assert Decimal(str(costs["total"])) - before == Decimal("0.005")
    await office.ends()  # told twice
    assert (await office.read("costs")).json()["total"] == costs["total"]


async def test_a_recording_that_comes_before_the_end_of_its_conversation_waits_for_it(office: Office) -> None:
    await office.saved()
    assert [await office.works(), await office.works(10)] == [0, 0]
    assert office.carrier.fetched == []
    await office.ends()
    assert await office.works(3600) == 1
    assert [one["kind"] for one in (await office.read("recording")).json()["parts"]] == [
        "conversation",
        "after_transfer",
    ]


async def test_a_carrier_that_fails_is_asked_again_and_what_it_has_not_is_given_up(office: Office) -> None:
    await office.ends()
    await office.saved()
    office.carrier.faults = [fault(retryable=True), fault(retryable=True), fault(retryable=False)]
    for _ in range(2):
        assert await office.works(3600) == 0
        assert await office.works() == 0, "and not at once"
    assert await office.works(3600) == 0
    assert await office.works(3600) == 1
    await office.saved("RE" + "2" * 32)
    office.carrier.faults = [fault(retryable=False)] * FINAL_TRIES
    for _ in range(FINAL_TRIES + 2):
        assert await office.works(3600) == 0
    assert [(row["state"], row["due_at"]) for row in await office.rows()] == [("kept", None), ("dropped", None)]
    assert len(office.stored()) == 1


async def test_it_is_deleted_at_the_carrier_in_the_end_where_that_fails_first(office: Office) -> None:
    await office.ends()
    await office.saved()

    async def fail_the_deletion() -> None:
        office.carrier.faults = [fault(retryable=True)]

    office.carrier.before = fail_the_deletion
    await office.works()
    assert (office.carrier.deleted, [row["state"] for row in await office.rows()]) == ([], ["kept"])
    assert "parts" in (await office.read("recording")).json()
    await office.works(3600)
    assert (office.carrier.fetched, office.carrier.deleted) == ([NAME], [NAME])
    assert office.stored() == [SOUND]


@pytest.mark.parametrize("when", ["before", "meanwhile", "after"])
async def test_nothing_is_left_of_a_conversation_that_is_deleted(office: Office, when: str) -> None:
    await office.ends()
    await office.saved()

    async def delete() -> None:
        answer = await office.api.client.delete(office.call.url, headers=office.api.token("ten_a"))
        assert answer.status_code == 204

    if when == "before":
        await office.works(0)  # the session's conversation is known
        await office.saved("RE" + "2" * 32)
        await delete()
    elif when == "meanwhile":
        office.carrier.before = delete
    await office.works()
    if when == "after":
        await delete()
    await office.works(3600)
    assert office.stored() == []
    assert NAME in office.carrier.deleted
    assert all(row["state"] == "dropped" and not row["at_carrier"] for row in await office.rows())


async def test_nothing_is_kept_of_conversations_that_keep_no_recordings(office: Office) -> None:
    await office.ends()
    await office.saved()
    async with office.api.database.transaction_as_system() as tx:
        await tx.exec("UPDATE conversations SET hipaa = true")
    assert await office.works() == 0
    assert (office.carrier.fetched, office.carrier.deleted, office.stored()) == ([], [NAME], [])


async def test_it_ends_with_the_retention_of_the_rest(office: Office) -> None:
    await office.ends()
    await office.saved()
    await office.works()
    later = datetime.now(UTC) + timedelta(days=4000)
    async with begin_as_system(office.api.database, office.whose, clock=lambda: later) as work:
        assert await delete_due_recordings(work, office.api.blobs, limit=10) == 1
    assert office.stored() == []
    assert (await office.read("recording")).status_code == 404
    await office.saved("RE" + "2" * 32)
    assert await office.works() == 0
    assert office.carrier.deleted == [NAME, "RE" + "2" * 32]


async def test_two_workers_fetch_it_once(office: Office) -> None:
    await office.ends()
    await office.saved()

    async def look_too() -> None:
        assert (
            await Fetcher(office.api.database, office.api.blobs, office.fetcher._accounts).look_after_due()
        ).looked_after == 0

    office.carrier.before = look_too
    assert await office.works() == 1


async def test_what_an_account_has_recorded_for_its_own_ends_stays_where_it_is(office: Office) -> None:
    await office.ends()
    async with office.api.database.transaction_as_system() as tx:
        await tx.exec("DELETE FROM call_transfers")
    await office.saved()
    assert [await office.works(), await office.works(3600), await office.works(3600)] == [0, 0, 0]
    assert (office.carrier.fetched, office.carrier.deleted, office.stored()) == ([], [], [])
    assert [(row["state"], row["at_carrier"], row["due_at"]) for row in await office.rows()] == [
        ("dropped", True, None)
    ]
    assert "parts" not in (await office.read("recording")).json()


async def test_a_slow_recording_keeps_no_other_from_being_fetched_within_its_lease(office: Office) -> None:
    await office.ends()
    both = asyncio.Barrier(2)
    office.carrier.before = both.wait
    for name in (NAME, "RE" + "2" * 32):
        await office.saved(name)
    async with asyncio.timeout(10):
        assert await office.works() == 2


async def test_nothing_comes_back_of_a_conversation_that_is_deleted_while_the_carrier_deletes(office: Office) -> None:
    await office.ends()
    await office.saved()
    delete = office.carrier.delete_recording

    async def both_delete(recording_id: str) -> None:
        office.carrier.delete_recording = delete  # type: ignore[method-assign]
        answer = await office.api.client.delete(office.call.url, headers=office.api.token("ten_a"))
        assert answer.status_code == 204
        await delete(recording_id)

    office.carrier.delete_recording = both_delete  # type: ignore[method-assign]
    await office.works()
    assert [(row["state"], row["key"]) for row in await office.rows()] == [("dropped", None)]


async def test_what_a_worker_fetched_and_died_over_goes_with_its_conversation(office: Office) -> None:
    await office.ends()
    await office.saved()
    await office.works(0)
    (row,) = await office.rows()
    async with office.api.database.transaction_as_system() as tx:
        await tx.exec(
            "UPDATE call_recordings SET state = 'dropped', key = NULL, at_carrier = true, due_at = created_at"
        )
    assert office.stored()
    await office.works(3600)
    assert (row["state"], office.stored()) == ("kept", [])
