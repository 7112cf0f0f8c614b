"""The reaper as a process of its own: sessions end although no runtime is there to end them."""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from voisnap_domain.ids import NodeId
from voisnap_domain.resumption import CallSnapshot
from voisnap_domain.sessions import EndReason, SessionState
from voisnap_kit.redis import Redis
from voisnap_proto.events import SessionEnded, TurnFinished
from voisnap_runtime.sessions.journal import entry_of
from voisnap_runtime.sessions.store import Progress, RedisStore

pytestmark = pytest.mark.slice

LOST = NodeId("node_lost")


@pytest.fixture
async def store(redis_url):
    async with await Redis.open(redis_url) as redis:
        yield RedisStore(redis)


@pytest.fixture
async def reaper(redis_url, nats_url, tmp_path, unused_tcp_port):
    """The process, ready."""
    (tmp_path / "blobs").mkdir()
    environment = {
        "REDIS_URL": redis_url,
        "NATS_URL": nats_url,
        "BLOBS_URL": f"file://{tmp_path}/blobs",
        "SPOOL_DIR": str(tmp_path / "spool"),
        "HTTP_PORT": str(unused_tcp_port),
        "RESUME_WINDOW_SECONDS": "1",
        "LOG_LEVEL": "WARNING",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "voisnap_runtime.reaper", env={**os.environ, **environment}
    )
    async with asyncio.timeout(30), httpx.AsyncClient() as http:
        while True:
            try:
                if (await http.get(f"http://127.0.0.1:{unused_tcp_port}/readyz")).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.05)
    yield process
    if process.returncode is None:
        process.kill()
        await process.wait()


async def lost_session(store: RedisStore, session: Any, make_turn: Any) -> None:
    """A conversation in the middle of a sentence when its process died, half a minute ago."""
    now = datetime.now(UTC)
    session_id = session.plan.session_id
    started = now - timedelta(seconds=60)
    await store.create(session, token="wrtc_tok_1", token_until=now + timedelta(minutes=5))
    await store.change(session_id, lambda s: s.moved(SessionState.CONNECTING).claimed(LOST, lease_until=now))
    await store.change(session_id, lambda s: s.moved(SessionState.ACTIVE, at=started))
    turn = TurnFinished(
        tenant_id=session.plan.tenant_id,
        environment=session.plan.environment,
        session_id=session_id,
        conversation_id=session.plan.conversation_id,
        turn=make_turn(1, "Hello, this is Aria."),
    )
    await store.append(session_id, LOST, (entry_of(turn, "evt_turn_1"),), Progress(turns=1, elapsed=20), turn.turn)
    snapshot = CallSnapshot(elapsed=25, next_sequence=2, agent=make_turn(2, "We close at"), rest="six.")
    await store.keep(LOST, {session_id: snapshot})
    await store.renew({session_id: now - timedelta(seconds=15)})


async def test_a_session_ends_with_its_last_words_although_no_runtime_runs(
    reaper, store, published, make_session, make_turn
):
    session = make_session(deadline=datetime.now(UTC) + timedelta(minutes=15))

    await lost_session(store, session, make_turn)

    events = [await asyncio.wait_for(published.get(), 15) for _ in range(3)]
    assert [type(event) for event in events] == [TurnFinished, TurnFinished, SessionEnded]
    assert [event.turn.text for event in events[:2]] == ["Hello, this is Aria.", "We close at"]
    assert (events[2].reason, events[2].turns) == (EndReason.NODE_LOST, 2)
    session_id = session.plan.session_id
    kept = await store.get(session_id)
    assert (kept.state, await store.turns(session_id), await store.snapshot(session_id)) == (
        SessionState.ENDED,
        (),
        None,
    )
    reaper.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(reaper.wait(), 4) == 0
