"""Fetches what carriers recorded into our object storage, and deletes it at the carrier.

Every step may be done again: a recording is put under the same key, its cost is counted from what is stored, and who died over one leaves it
to whoever looks next, when its lease is over.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import msgspec
from voisnap_domain.ids import ConversationId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit import log
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, Clock, Work, begin, begin_as_system, utc_now
from voisnap_providers.carriers import Carrier
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.blobs import Blobs
from voisnap_providers.ports.carrier import RecordingFormat

from voisnap_api.call_transfers import usecases as call_transfers
from voisnap_api.carrier_accounts import CarrierAccounts
from voisnap_api.conversations import usecases as conversations
from voisnap_api.conversations.usecases import Wanted

from . import store
from .records import CarrierRecording, RecordingStage
from .usecases import FORMAT, folder_of

MAX_BYTES = 512 * 1024 * 1024
"""Of one recording: some nine hours."""
LEASE = timedelta(minutes=6)
"""Longer than a fetch takes at most."""
AT_ONCE = 4
MAX_TRIES = 40
"""With pauses that grow to an hour: a day and a half."""
FINAL_TRIES = 4
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=1)
FORGOTTEN_AFTER = timedelta(days=45)
TOLD_LATE = timedelta(minutes=10)
"""After which a call of which no transfer is stored was handed over to nobody."""

_NOBODY = Caller.system(TenantId(""), Environment.LIVE)

_log = log.get(__name__)


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """How many recordings were looked after, and how many of them are ours now."""

    looked_after: int
    kept: int


class Fetcher:
    """Looks after recordings that are due."""

    def __init__(self, database: Database, blobs: Blobs, accounts: CarrierAccounts, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._blobs = blobs
        self._accounts = accounts
        self._clock = clock

    async def look_after_due(self) -> Fetched:
        """A few of them, at the same time: each has the whole lease."""
        async with begin_as_system(self._database, _NOBODY, clock=self._clock) as work:
            due = await store.take_due(work.tx, at=work.now, until=work.now + LEASE, limit=AT_ONCE)
            await store.delete_old(work.tx, before=work.now - FORGOTTEN_AFTER, limit=1000)
        kept = await asyncio.gather(*(self._try(one) for one in due))
        return Fetched(looked_after=len(due), kept=sum(kept))

    async def _try(self, one: CarrierRecording) -> bool:
        try:
            return await self._look_after(one)
        except Exception as error:  # whatever ails the carrier or the store: the others are looked after
            _log.warning("recording.not_looked_after", id=one.id, provider=one.provider, error=repr(error))
            await self._failed(one, is_final=isinstance(error, ProviderError) and not error.retryable)
            return False

    async def _look_after(self, one: CarrierRecording) -> bool:
        if one.state is not RecordingStage.SAVED:
            if one.state is RecordingStage.DROPPED and one.conversation_id is not None:
                await self._blobs.delete((_key(one, one.conversation_id),))  # of a worker that died over it
            await self._delete_there(one)
            return False
        if not await self._is_ours(one):
            if self._clock() - one.created_at < TOLD_LATE:
                await self._put_off(one)
            else:
                _log.info("recording.not_ours", id=one.id, provider=one.provider, recording_id=one.recording_id)
                await self._settled(one, RecordingStage.DROPPED, is_done=True)
            return False
        match await self._wanted(one):
            case Wanted.LATER:
                await self._put_off(one)
                return False
            case Wanted.NO:
                await self._settled(one, RecordingStage.DROPPED)
                await self._delete_there(msgspec.structs.replace(one, state=RecordingStage.DROPPED))
                return False
            case Wanted.YES:
                pass
        assert one.conversation_id is not None  # noqa: S101 - else nobody knows whether it is wanted
        key = _key(one, one.conversation_id)
        carrier = await self._carrier(one)
        sound = carrier.control.fetch_recording(one.recording_id, RecordingFormat(FORMAT), most=MAX_BYTES)
        size = await self._blobs.put_stream(key, sound)
        async with self._tenants(one) as work:
            is_wanted = await conversations.hold_recorded(work, one.conversation_id) is Wanted.YES
            state = RecordingStage.KEPT if is_wanted else RecordingStage.DROPPED
            await store.settle(
                work.tx,
                one.tenant_id,
                one.environment,
                one.id,
                state=state,
                key=key if is_wanted else None,
                size_bytes=size,
                due_at=work.now,
            )
            if is_wanted:
                await conversations.charge_recordings(work, one.conversation_id)
        if not is_wanted:  # it was deleted meanwhile
            await self._blobs.delete((key,))
        _log.info("recording.fetched", id=one.id, provider=one.provider, bytes=size, kept=is_wanted)
        await self._delete_there(
            msgspec.structs.replace(one, state=state, key=key if is_wanted else None, size_bytes=size)
        )
        return is_wanted

    async def _is_ours(self, one: CarrierRecording) -> bool:
        """Whether we may have ordered it: whose account it is may have the carrier record calls for his own ends, and that is not deleted."""
        if one.conversation_id is None:
            return True
        async with self._tenants(one) as work:
            return await call_transfers.may_be_handed_over(work, one.conversation_id)

    async def _wanted(self, one: CarrierRecording) -> Wanted:
        if one.conversation_id is None:
            return Wanted.LATER
        async with self._tenants(one) as work:
            return await conversations.hold_recorded(work, one.conversation_id)

    async def _delete_there(self, one: CarrierRecording) -> None:
        """At the carrier, as soon as it is ours or nobody's. Raises ProviderError, DomainError."""
        carrier = await self._carrier(one)
        await carrier.control.delete_recording(one.recording_id)
        async with self._tenants(one) as work:  # of what we have nothing is changed: it may have been deleted meanwhile
            await store.note_gone(work.tx, one.tenant_id, one.environment, one.id)

    async def _failed(self, one: CarrierRecording, *, is_final: bool) -> None:
        """A recording that is told is not always there at once: also what looks final is tried a few times."""
        if one.tries < (FINAL_TRIES if is_final else MAX_TRIES):
            await self._put_off(one)
            return
        _log.error("recording.given_up", id=one.id, provider=one.provider, recording_id=one.recording_id)
        async with self._tenants(one) as work:
            lost = one.state is RecordingStage.SAVED
            await store.settle(
                work.tx,
                one.tenant_id,
                one.environment,
                one.id,
                state=RecordingStage.DROPPED if lost else one.state,
                key=one.key,
                size_bytes=one.size_bytes,
                due_at=None,
            )
            if lost and one.conversation_id is not None:
                await conversations.charge_recordings(work, one.conversation_id)

    async def _put_off(self, one: CarrierRecording) -> None:
        if one.tries >= MAX_TRIES:
            await self._settled(one, RecordingStage.DROPPED)
            return
        pause = min(FIRST_PAUSE * 2 ** min(one.tries - 1, 12), LONGEST_PAUSE)
        async with self._tenants(one) as work:
            await store.put_off(work.tx, one.tenant_id, one.environment, one.id, due_at=work.now + pause)

    async def _settled(self, one: CarrierRecording, state: RecordingStage, *, is_done: bool = False) -> None:
        async with self._tenants(one) as work:
            await store.settle(
                work.tx,
                one.tenant_id,
                one.environment,
                one.id,
                state=state,
                key=one.key,
                size_bytes=one.size_bytes,
                due_at=None if is_done else work.now,
            )

    async def _carrier(self, one: CarrierRecording) -> Carrier:
        async with self._tenants(one) as work:
            return await self._accounts.carrier(work, one.provider, one.account, one.environment)

    def _tenants(self, one: CarrierRecording) -> AbstractAsyncContextManager[Work]:
        return begin(self._database, Caller.system(one.tenant_id, one.environment), clock=self._clock)


def _key(one: CarrierRecording, conversation_id: ConversationId) -> str:
    return f"{folder_of(one.tenant_id, conversation_id)}/{one.id}.{FORMAT}"
