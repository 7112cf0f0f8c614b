"""What people send beside words: fetched from its network once the message is answered, looked into, and kept with the conversation.

The rules are those of recordings: an agent that records nothing keeps none, a HIPAA agent never does, and it ends with the same retention and
with its conversation. It lies in the conversation's folder, so that whatever deletes that deletes it, too.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from prometheus_client import Counter
from voisnap_domain.errors import DomainError
from voisnap_domain.ids import TenantId
from voisnap_domain.sessions import SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_domain.texting import MediaKind
from voisnap_kit import log
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, Work, begin, begin_as_system, utc_now
from voisnap_providers.errors import MessageRefused, ProviderError, ProviderUnconfigured
from voisnap_providers.ports.blobs import Blobs

from . import media_store
from .media_types import fits, type_of
from .networks import Networks
from .records import KeptMedia, MediaState, Message, WaitingMedia

AT_ONCE = 8
LEASE = timedelta(minutes=2)
"""After which what a worker that died was fetching is fetched by another; longer than a fetch may take."""

FETCH_SECONDS = 45.0
MOST_ATTEMPTS = 5
_PAUSES = (2.0, 10.0, 60.0, 240.0)

_EPHEMERAL = frozenset({MediaKind.REACTION, MediaKind.LOCATION})
"""What has no content."""

_NOBODY = Caller.system(TenantId(""), Environment.LIVE)

_FETCHED = Counter("voisnap_message_media_total", "What came with messages, by what came of keeping it", ["outcome"])

_log = log.get(__name__)


async def have_kept(work: Work, plan: SessionPlan, messages: Sequence[Message]) -> None:
    """Have what came with messages fetched and kept, where the conversation's agent keeps recordings."""
    config = plan.agent.config
    if config.hipaa_compliant or not config.recording.enabled:
        return
    day = plan.created_at.replace(hour=0, minute=0, second=0, microsecond=0)
    expires_at = day + timedelta(days=config.recording.storage_retention_days)
    for message in messages:
        for place, media in enumerate(message.media):
            if not media.reference or media.kind in _EPHEMERAL:
                continue
            key = f"recordings/{plan.tenant_id}/{plan.conversation_id}/media/{message.id}-{place}"
            waiting = KeptMedia(message_id=message.id, place=place, state=MediaState.WAITING, key=key)
            await media_store.insert(
                work.tx, message.tenant_id, message.environment, waiting, expires_at=expires_at, at=work.now
            )


class MediaKeeper:
    """Fetches what waits, and deletes what nobody names any more; safe to run in many workers."""

    def __init__(
        self, database: Database, blobs: Blobs, networks: Networks, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._networks = networks
        self._clock = clock

    async def keep_due(self) -> int:
        """Fetch what is due; how much was tried."""
        now = self._clock()
        async with self._database.transaction_as_system() as tx:
            found = await media_store.claim(tx, now=now, until=now + LEASE, limit=AT_ONCE)
        await asyncio.gather(*(self._see_to(one) for one in found))
        return len(found)

    async def seconds_to_next(self) -> float | None:
        """How long until something is due; None for nothing."""
        async with self._database.transaction_as_system() as tx:
            return await media_store.seconds_to_next(tx, now=self._clock())

    async def discard(self) -> int:
        """Delete what was let go of; how much. Storage that is away leaves it for later."""
        async with begin_as_system(self._database, _NOBODY, clock=self._clock) as work:
            keys = await media_store.take_discarded(work.tx, limit=100)
            await self._blobs.delete(tuple(keys))
        return len(keys)

    async def _see_to(self, waiting: WaitingMedia) -> None:
        kept: KeptMedia | None
        try:
            kept = await self._fetched(waiting)
        except MessageRefused as error:
            kept = await self._later(waiting, error) if error.retryable else _refused(waiting, error.failure.value)
        except (DomainError, ProviderUnconfigured) as error:
            kept = _refused(waiting, error.code)
        except Exception as error:  # the network or the storage is away, or a bug: not for ever
            kept = await self._later(waiting, error)
        if kept is None:
            return
        async with begin(
            self._database, Caller.system(waiting.tenant_id, waiting.environment), clock=self._clock
        ) as work:
            is_wanted = await media_store.keep(work.tx, waiting.tenant_id, waiting.environment, kept)
        if not is_wanted and kept.state is MediaState.KEPT:
            await self._blobs.delete((kept.key,))  # it was deleted meanwhile
        _FETCHED.labels(kept.state.value).inc()
        _log.info("message.media", message_id=waiting.message_id, state=kept.state.value, failure=kept.failure)

    async def _fetched(self, waiting: WaitingMedia) -> KeptMedia:
        async with begin(
            self._database, Caller.system(waiting.tenant_id, waiting.environment), clock=self._clock
        ) as work:
            messenger = await self._networks.messenger(work, waiting.provider, waiting.account, waiting.environment)
        async with asyncio.timeout(FETCH_SECONDS):
            fetched = await messenger.sender.fetch(waiting.media)
            found = type_of(fetched.content)
            if not fetched.content:
                return _refused(waiting, "empty")
            if not fits(waiting.media.kind, found):
                return _refused(waiting, "not-what-it-says")
            key = f"{waiting.key}.{found.extension}"
            await self._blobs.put(key, fetched.content)
        return KeptMedia(
            message_id=waiting.message_id,
            place=waiting.place,
            state=MediaState.KEPT,
            key=key,
            content_type=found.content_type,
            size_bytes=len(fetched.content),
        )

    async def _later(self, waiting: WaitingMedia, error: Exception) -> KeptMedia | None:
        """None where it is tried again."""
        is_for_ever = isinstance(error, ProviderError) and not error.retryable
        if is_for_ever or waiting.attempts >= MOST_ATTEMPTS:
            _log.warning("message.media_lost", message_id=waiting.message_id, error=type(error).__name__)
            return _refused(waiting, "not-fetched")
        pause = timedelta(seconds=_PAUSES[min(waiting.attempts, len(_PAUSES)) - 1])
        async with begin(
            self._database, Caller.system(waiting.tenant_id, waiting.environment), clock=self._clock
        ) as work:
            await media_store.put_off(
                work.tx,
                waiting.tenant_id,
                waiting.environment,
                waiting.message_id,
                waiting.place,
                due_at=work.now + pause,
            )
        _log.info("message.media_put_off", message_id=waiting.message_id, error=type(error).__name__)
        return None


def _refused(waiting: WaitingMedia, failure: str) -> KeptMedia:
    return KeptMedia(
        message_id=waiting.message_id,
        place=waiting.place,
        state=MediaState.REFUSED,
        key=waiting.key,
        failure=failure,
    )
