"""Live sessions in Redis: one hash a session, changed only by compare-and-set, its finished turns and its journal of events beside it.

Keys of one session share the hash tag `{session_id}`, so they live in one slot of a cluster and one script may touch them all:

    vs:{sid}:state      hash: revision, session (JSON), owner, state, progress (JSON), snapshot (JSON)
    vs:{sid}:turns      list of finished turns (JSON), for whoever takes the session over; gone with the end of the session
    vs:{sid}:journal    stream of events that wait for JetStream
    vs:{sid}:tickets    set: keys of its tokens and seats, which go soon after its end
    vs:{sid}:telephone  hash: the carrier's id of the call, who answered it, how often it was let in again
    vs:{sid}:lock       held by the process that clears up after a lost owner
    vs:tok:<sha256>     session token → session id
    vs:seat:<sha256>    hub connection (digest of its token) → the session it belonged to and whose it was
    vs:live             sorted set: session id by the time its lease ends
    vs:journals         set: session ids whose journal may hold entries
    vs:tenant:{tid}:live    sorted set: a tenant's sessions by the time they end at the latest
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast

import msgspec
from voisnap_domain.calls import AnsweredBy, CallNotes
from voisnap_domain.conversations import CallQuality, Turn
from voisnap_domain.costs import Usage
from voisnap_domain.errors import Conflict, NotFound
from voisnap_domain.ids import EventId, NodeId, SessionId, TenantId
from voisnap_domain.resumption import CallSnapshot
from voisnap_domain.sessions import Session, SessionState
from voisnap_domain.tenants import Environment
from voisnap_kit.redis import Redis, Script

KEEP_ENDED = timedelta(minutes=1)
"""How long an ended session can still be looked up, and its tokens and seats say whose they were."""

KEEP_TICKETS = timedelta(days=1)
"""How long it is known which tokens and seats a session has; longer than a session lasts."""

KEEP_JOURNAL = timedelta(days=7)
"""How long events wait for a bus that is away, at most."""

MAX_TURNS = 2_000
"""Turns that are kept for a take-over; of a longer conversation the latest."""

_ATTEMPTS = 8


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a journal: its id, its tenant, its tag, itself as JSON, and the `traceparent` of what it belongs to."""

    id: EventId
    tenant_id: TenantId
    tag: str
    body: bytes
    trace: str = ""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What a session has done so far, written with each turn: all that is left of it when its process dies."""

    turns: int = 0
    elapsed: float = 0.0
    usage: Usage = msgspec.field(default_factory=Usage)
    quality: CallQuality = msgspec.field(default_factory=CallQuality)
    warnings: tuple[str, ...] = ()


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """Where a hub connection belonged: its session, and the person or API key in whose name it was opened."""

    session_id: SessionId
    tenant_id: TenantId
    environment: Environment
    account: str = msgspec.field(name="user_id")
    hub: str


class Store(Protocol):
    """Where live sessions are kept. Every method raises `RedisError` (the fake: never) when the store is away."""

    async def create(self, session: Session, *, token: str, token_until: datetime) -> None:
        """Keep a new session and its first token; its lease ends with the token unless somebody claims it."""
        ...

    async def restore(
        self,
        session: Session,
        *,
        lease_until: datetime,
        turns: Sequence[Turn] = (),
        progress: Progress | None = None,
    ) -> None:
        """Write a session back that the store has forgotten although it lives; one that is there stays as it is, with a lease again."""
        ...

    async def reserve(
        self, tenant_id: TenantId, session_id: SessionId, *, limit: int | None, now: datetime, until: datetime
    ) -> bool:
        """Count a session towards its tenant's concurrent ones until `until`; False when the limit is reached."""
        ...

    async def waiting(self, tenant_id: TenantId, *, now: datetime, until: datetime) -> int:
        """How many of a tenant's sessions count no longer than `until`, the latest time for one that is opened now: nobody has claimed them."""
        ...

    async def release(self, tenant_id: TenantId, session_id: SessionId) -> None:
        """The session no longer counts."""
        ...

    async def get(self, session_id: SessionId) -> Session | None: ...

    async def add_token(self, token: str, session_id: SessionId, *, until: datetime) -> None:
        """Let another token open the session, or the same one for longer."""
        ...

    async def find_by_token(self, token: str) -> SessionId | None: ...

    async def use_token(self, token: str) -> SessionId | None:
        """The session that a token opens, for the one who asks first: nobody else finds it again."""
        ...

    async def note_call(
        self, session_id: SessionId, *, call_id: str | None = None, answered_by: AnsweredBy | None = None
    ) -> None:
        """Keep what is told of a telephone call."""
        ...

    async def call_notes(self, session_id: SessionId) -> CallNotes: ...

    async def readmitted(self, session_id: SessionId) -> int:
        """Count that a telephone call is let in again; how often that was since its id was noted last."""
        ...

    async def change(
        self,
        session_id: SessionId,
        change: Callable[[Session], Session],
        *,
        entries: Sequence[Entry] = (),
        known: Session | None = None,
    ) -> Session:
        """Apply `change` to the session as it is now and write the entries with it, all or nothing.

        `known`, the session as it was read a moment ago, saves a look when nobody has changed it since.
        `change` may run more than once. A session that `change` returns as it was is left alone, entries included. Raises NotFound,
        Conflict when others change it without end, and whatever `change` raises.
        """
        ...

    async def append(
        self,
        session_id: SessionId,
        node_id: NodeId,
        entries: Sequence[Entry],
        progress: Progress | None,
        turn: Turn | None = None,
    ) -> bool:
        """Write entries, progress and the finished turn for the owner; False when the session is over or belongs to another node.

        A session that the store forgot takes the entries, and nothing else.
        """
        ...

    async def keep(self, node_id: NodeId, snapshots: Mapping[SessionId, CallSnapshot]) -> tuple[SessionId, ...]:
        """Write snapshots for the owner in one round trip; answers the sessions that are over or another node's."""
        ...

    async def progress(self, session_id: SessionId) -> Progress: ...

    async def turns(self, session_id: SessionId) -> tuple[Turn, ...]:
        """The finished turns of a session that lives, in order, each once."""
        ...

    async def snapshot(self, session_id: SessionId) -> CallSnapshot | None:
        """What was last kept of a session that lives."""
        ...

    async def seat(self, digest: str, seat: Seat, *, until: datetime) -> None:
        """Note whose connection this was."""
        ...

    async def seats(self, digests: Sequence[str]) -> tuple[Seat, ...]:
        """The seats of these connections, as far as known, in their order."""
        ...

    async def renew(self, leases: Mapping[SessionId, datetime]) -> tuple[SessionId, ...]:
        """Prolong the leases of sessions; answers those that have none any more."""
        ...

    async def lease_of(self, session_id: SessionId) -> datetime | None: ...

    async def expired(self, now: datetime, *, limit: int) -> tuple[SessionId, ...]:
        """Sessions whose lease is over, oldest first."""
        ...

    async def leave(self, session_id: SessionId) -> None:
        """The session is over: it needs no lease, and its tokens and seats soon go."""
        ...

    async def lock(self, session_id: SessionId, node_id: NodeId, *, seconds: float) -> bool:
        """Be the one that clears up after the session, for some seconds."""
        ...

    async def pending(self, session_id: SessionId, *, limit: int) -> tuple[tuple[str, Entry], ...]:
        """The oldest entries of a journal with their positions."""
        ...

    async def published(self, session_id: SessionId, positions: Sequence[str]) -> None:
        """These entries are safe elsewhere: drop them."""
        ...

    async def journals(self) -> tuple[SessionId, ...]:
        """Sessions whose journal may hold entries."""
        ...


_CHANGE = Script("""
local revision = redis.call('HGET', KEYS[1], 'revision')
if revision == ARGV[2] and redis.call('HGET', KEYS[1], 'session') == ARGV[3] then return 1 end
if revision ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'session', ARGV[3], 'owner', ARGV[4], 'state', ARGV[5])
redis.call('EXPIREAT', KEYS[1], ARGV[6])
if ARGV[5] == 'ended' then
  redis.call('DEL', KEYS[3])
  redis.call('HDEL', KEYS[1], 'snapshot')
end
for i = 8, #ARGV, 5 do
  redis.call('XADD', KEYS[2], '*', 'id', ARGV[i], 'tenant', ARGV[i+1], 'tag', ARGV[i+2], 'body', ARGV[i+3], 'trace', ARGV[i+4])
end
if #ARGV >= 8 then redis.call('EXPIRE', KEYS[2], ARGV[7]) end
return 1
""")

_APPEND = Script("""
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner and owner ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[1], 'state') == 'ended' then return 0 end
if owner and ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'progress', ARGV[2]) end
if owner and ARGV[4] ~= '' then
  redis.call('RPUSH', KEYS[3], ARGV[4])
  redis.call('LTRIM', KEYS[3], -tonumber(ARGV[5]), -1)
  redis.call('PEXPIRE', KEYS[3], redis.call('PTTL', KEYS[1]))
end
for i = 6, #ARGV, 5 do
  redis.call('XADD', KEYS[2], '*', 'id', ARGV[i], 'tenant', ARGV[i+1], 'tag', ARGV[i+2], 'body', ARGV[i+3], 'trace', ARGV[i+4])
end
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
""")

_PUBLISHED = Script("""
for i = 1, #ARGV do redis.call('XDEL', KEYS[1], ARGV[i]) end
local left = redis.call('XLEN', KEYS[1])
if left == 0 then redis.call('DEL', KEYS[1]) end
return left
""")

_RESTORE = Script("""
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'revision', ARGV[1], 'session', ARGV[2], 'owner', ARGV[3], 'state', ARGV[4])
if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], 'progress', ARGV[6]) end
redis.call('EXPIREAT', KEYS[1], ARGV[5])
redis.call('DEL', KEYS[2])
for i = 7, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
redis.call('EXPIREAT', KEYS[2], ARGV[5])
return 1
""")

_KEEP = Script("""
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[1], 'state') == 'ended' then return 0 end
redis.call('HSET', KEYS[1], 'snapshot', ARGV[2])
return 1
""")

_RESERVE = Script("""
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2])
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and tonumber(ARGV[4]) >= 0
   and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('EXPIREAT', KEYS[1], math.ceil(tonumber(last[2])))
return 1
""")

_RENEW = Script("""
local missing = {}
for i = 1, #ARGV, 2 do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then redis.call('ZADD', KEYS[1], ARGV[i+1], ARGV[i])
  else missing[#missing+1] = ARGV[i] end
end
return missing
""")

_LIVE = "vs:live"
_JOURNALS = "vs:journals"


class RedisStore:
    """`Store` on Redis or Valkey."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._client: Any = redis.client

    async def create(self, session: Session, *, token: str, token_until: datetime) -> None:
        session_id = session.plan.session_id
        data, owner, state, until, _ = _fields(session)
        fields = {"revision": session.revision, "session": data, "owner": owner, "state": state}
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hset(_state_key(session_id), mapping=fields)
            pipeline.expireat(_state_key(session_id), until)
            await pipeline.execute()
        await self.add_token(token, session_id, until=token_until)
        await self._client.zadd(_LIVE, {session_id: token_until.timestamp()})

    async def restore(
        self,
        session: Session,
        *,
        lease_until: datetime,
        turns: Sequence[Turn] = (),
        progress: Progress | None = None,
    ) -> None:
        session_id = session.plan.session_id
        data, owner, state, until, _ = _fields(session)
        args = (
            session.revision,
            data,
            owner,
            state,
            until,
            b"" if progress is None else msgspec.json.encode(progress),
            *(msgspec.json.encode(turn) for turn in turns[-MAX_TURNS:]),
        )
        await _RESTORE(self._redis, keys=(_state_key(session_id), _turns_key(session_id)), args=args)
        await self._client.zadd(_LIVE, {session_id: lease_until.timestamp()})

    async def reserve(
        self, tenant_id: TenantId, session_id: SessionId, *, limit: int | None, now: datetime, until: datetime
    ) -> bool:
        args = (session_id, now.timestamp(), until.timestamp(), -1 if limit is None else limit)
        return bool(await _RESERVE(self._redis, keys=(_tenant_key(tenant_id),), args=args))

    async def waiting(self, tenant_id: TenantId, *, now: datetime, until: datetime) -> int:
        return await self._client.zcount(_tenant_key(tenant_id), f"({now.timestamp()}", until.timestamp())

    async def release(self, tenant_id: TenantId, session_id: SessionId) -> None:
        await self._client.zrem(_tenant_key(tenant_id), session_id)

    async def get(self, session_id: SessionId) -> Session | None:
        data = await self._client.hget(_state_key(session_id), "session")
        return None if data is None else msgspec.json.decode(data, type=Session)

    async def add_token(self, token: str, session_id: SessionId, *, until: datetime) -> None:
        await self._ticket(session_id, _token_key(token), session_id, until)

    async def find_by_token(self, token: str) -> SessionId | None:
        found = await self._client.get(_token_key(token))
        return None if found is None else SessionId(found.decode())

    async def use_token(self, token: str) -> SessionId | None:
        found = await self._client.getdel(_token_key(token))
        return None if found is None else SessionId(found.decode())

    async def note_call(
        self, session_id: SessionId, *, call_id: str | None = None, answered_by: AnsweredBy | None = None
    ) -> None:
        key = _telephone_key(session_id)
        fields: dict[str, Any] = {}
        if call_id is not None:
            fields |= {"call_id": call_id, "readmitted": 0}
        if answered_by is not None:
            fields["answered_by"] = answered_by.value
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hset(key, mapping=fields)
            pipeline.expire(key, int(KEEP_TICKETS.total_seconds()))
            await pipeline.execute()

    async def call_notes(self, session_id: SessionId) -> CallNotes:
        fields = await cast(Awaitable[dict[bytes, bytes]], self._client.hgetall(_telephone_key(session_id)))
        call_id, answered_by = fields.get(b"call_id"), fields.get(b"answered_by")
        return CallNotes(
            call_id=None if call_id is None else call_id.decode(),
            answered_by=None if answered_by is None else AnsweredBy(answered_by.decode()),
        )

    async def readmitted(self, session_id: SessionId) -> int:
        key = _telephone_key(session_id)
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hincrby(key, "readmitted", 1)
            pipeline.expire(key, int(KEEP_TICKETS.total_seconds()))
            count, _ = await pipeline.execute()
        return cast(int, count)

    async def change(
        self,
        session_id: SessionId,
        change: Callable[[Session], Session],
        *,
        entries: Sequence[Entry] = (),
        known: Session | None = None,
    ) -> Session:
        keys = (_state_key(session_id), _journal_key(session_id), _turns_key(session_id))
        for _ in range(_ATTEMPTS):
            session, known = known or await self.get(session_id), None
            if session is None:
                raise NotFound("session", session_id)
            changed = change(session)
            if changed is session:
                return session
            if entries:
                await self._client.sadd(_JOURNALS, session_id)
            args = (session.revision, changed.revision, *_fields(changed), *_journal_args(entries))
            if await _CHANGE(self._redis, keys=keys, args=args):
                return changed
        raise Conflict(f"Session {session_id} is changed by too many at once.", code="session-state")

    async def append(
        self,
        session_id: SessionId,
        node_id: NodeId,
        entries: Sequence[Entry],
        progress: Progress | None,
        turn: Turn | None = None,
    ) -> bool:
        await self._client.sadd(_JOURNALS, session_id)
        keys = (_state_key(session_id), _journal_key(session_id), _turns_key(session_id))
        args = (
            node_id,
            b"" if progress is None else msgspec.json.encode(progress),
            int(KEEP_JOURNAL.total_seconds()),
            b"" if turn is None else msgspec.json.encode(turn),
            MAX_TURNS,
            *_journal_args(entries),
        )
        return bool(await _APPEND(self._redis, keys=keys, args=args))

    async def keep(self, node_id: NodeId, snapshots: Mapping[SessionId, CallSnapshot]) -> tuple[SessionId, ...]:
        kept = await _KEEP.each(
            self._redis,
            [
                ((_state_key(session_id),), (node_id, msgspec.json.encode(snapshot)))
                for session_id, snapshot in snapshots.items()
            ],
        )
        return tuple(session_id for session_id, done in zip(snapshots, kept, strict=True) if not done)

    async def progress(self, session_id: SessionId) -> Progress:
        data = await self._client.hget(_state_key(session_id), "progress")
        return Progress() if data is None else msgspec.json.decode(data, type=Progress)

    async def turns(self, session_id: SessionId) -> tuple[Turn, ...]:
        found = await self._client.lrange(_turns_key(session_id), 0, -1)
        turns = (msgspec.json.decode(data, type=Turn) for data in found)
        # A push whose answer was lost is repeated.
        return tuple(turn for _, turn in sorted({turn.sequence: turn for turn in turns}.items()))

    async def snapshot(self, session_id: SessionId) -> CallSnapshot | None:
        data = await self._client.hget(_state_key(session_id), "snapshot")
        return None if data is None else msgspec.json.decode(data, type=CallSnapshot)

    async def seat(self, digest: str, seat: Seat, *, until: datetime) -> None:
        await self._ticket(seat.session_id, _seat_key(digest), msgspec.json.encode(seat), until)

    async def seats(self, digests: Sequence[str]) -> tuple[Seat, ...]:
        async with self._client.pipeline(transaction=False) as pipeline:  # keys of many slots
            for digest in digests:
                pipeline.get(_seat_key(digest))
            found = await pipeline.execute()
        return tuple(msgspec.json.decode(data, type=Seat) for data in found if data is not None)

    async def renew(self, leases: Mapping[SessionId, datetime]) -> tuple[SessionId, ...]:
        if not leases:
            return ()
        args = tuple(part for session_id, until in leases.items() for part in (session_id, until.timestamp()))
        missing = cast(list[bytes], await _RENEW(self._redis, keys=(_LIVE,), args=args))
        return tuple(SessionId(session_id.decode()) for session_id in missing)

    async def lease_of(self, session_id: SessionId) -> datetime | None:
        score = await self._client.zscore(_LIVE, session_id)
        return None if score is None else datetime.fromtimestamp(score, UTC)

    async def expired(self, now: datetime, *, limit: int) -> tuple[SessionId, ...]:
        found = await self._client.zrangebyscore(_LIVE, "-inf", now.timestamp(), start=0, num=limit)
        return tuple(SessionId(session_id.decode()) for session_id in found)

    async def leave(self, session_id: SessionId) -> None:
        tickets_key = f"vs:{{{session_id}}}:tickets"
        tickets = await cast(Awaitable[set[bytes]], self._client.smembers(tickets_key))
        soon = int(KEEP_ENDED.total_seconds())
        async with self._client.pipeline(transaction=False) as pipeline:  # keys of many slots
            pipeline.zrem(_LIVE, session_id)
            for ticket in tickets:
                pipeline.expire(ticket, soon)
            pipeline.delete(tickets_key)
            pipeline.expire(_telephone_key(session_id), soon)
            await pipeline.execute()

    async def lock(self, session_id: SessionId, node_id: NodeId, *, seconds: float) -> bool:
        return bool(await self._client.set(f"vs:{{{session_id}}}:lock", node_id, nx=True, px=int(seconds * 1000)))

    async def pending(self, session_id: SessionId, *, limit: int) -> tuple[tuple[str, Entry], ...]:
        found = await self._client.xrange(_journal_key(session_id), count=limit)
        return tuple((position.decode(), _entry(fields)) for position, fields in found)

    async def published(self, session_id: SessionId, positions: Sequence[str]) -> None:
        key = _journal_key(session_id)
        if await _PUBLISHED(self._redis, keys=(key,), args=tuple(positions)) == 0:
            await self._client.srem(_JOURNALS, session_id)
            if await self._client.xlen(key) > 0:  # written between the two
                await self._client.sadd(_JOURNALS, session_id)

    async def journals(self) -> tuple[SessionId, ...]:
        found = await cast(Awaitable[set[bytes]], self._client.smembers(_JOURNALS))
        return tuple(sorted(SessionId(session_id.decode()) for session_id in found))

    async def _ticket(self, session_id: SessionId, key: str, value: str | bytes, until: datetime) -> None:
        tickets_key = f"vs:{{{session_id}}}:tickets"
        async with self._client.pipeline(transaction=False) as pipeline:  # keys of two slots
            pipeline.set(key, value, exat=_second(until))
            pipeline.sadd(tickets_key, key)
            pipeline.expire(tickets_key, int(KEEP_TICKETS.total_seconds()))
            await pipeline.execute()


def _fields(session: Session) -> tuple[bytes, str, str, int, int]:
    """Session as JSON, owner, state, when the hash goes, how long the journal stays (the scripts' arguments, in this order)."""
    ended = session.state is SessionState.ENDED and session.ended_at is not None
    until = cast(datetime, session.ended_at) if ended else session.deadline
    return (
        msgspec.json.encode(session),
        session.owner or "",
        session.state.value,
        _second(until + KEEP_ENDED),
        int(KEEP_JOURNAL.total_seconds()),
    )


def _journal_args(entries: Sequence[Entry]) -> tuple[Any, ...]:
    return tuple(part for entry in entries for part in (entry.id, entry.tenant_id, entry.tag, entry.body, entry.trace))


def _entry(fields: Mapping[bytes, bytes]) -> Entry:
    return Entry(
        id=EventId(fields[b"id"].decode()),
        tenant_id=TenantId(fields[b"tenant"].decode()),
        tag=fields[b"tag"].decode(),
        body=fields[b"body"],
        trace=fields.get(b"trace", b"").decode(),
    )


def _second(at: datetime) -> int:
    return int(at.timestamp()) + 1


def _state_key(session_id: SessionId) -> str:
    return f"vs:{{{session_id}}}:state"


def _journal_key(session_id: SessionId) -> str:
    return f"vs:{{{session_id}}}:journal"


def _turns_key(session_id: SessionId) -> str:
    return f"vs:{{{session_id}}}:turns"


def _telephone_key(session_id: SessionId) -> str:
    return f"vs:{{{session_id}}}:telephone"


def _seat_key(digest: str) -> str:
    return f"vs:seat:{digest}"


def _tenant_key(tenant_id: TenantId) -> str:
    return f"vs:tenant:{{{tenant_id}}}:live"


def _token_key(token: str) -> str:
    return f"vs:tok:{hashlib.sha256(token.encode()).hexdigest()}"
