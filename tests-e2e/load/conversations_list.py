"""The list of conversations over a million of them: every filter, deep pages, exact totals.

    .venv/bin/python tests-e2e/load/conversations_list.py [--conversations 1000000] [--requests 40] [--check] [--fill-only] [--json]

Fills a database of its own below the state folder once (a million conversations of one tenant over two years, and a tenth as many of
others) and keeps it. A request is what the handler does: its transaction as the service's role under row-level security, the SQL, and the
answer as JSON. Prints percentiles of each filter and the plans' use of indexes; `--check` counts every total again by a look at every row.
Fails when a 95th percentile is above 50 ms, a table of conversations is read from end to end, or a total is wrong.
"""

import argparse
import asyncio
import json
import math
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
from voisnap_api.conversation_lists import usecases as lists
from voisnap_api.conversation_lists.reconcilers import list_index
from voisnap_api.conversation_lists.records import Position
from voisnap_api.conversations import usecases
from voisnap_api.conversations.records import Archived, ConversationFilter, Sort, StoredConversation, opened_at
from voisnap_api.conversations.schemas import ConversationView
from voisnap_api.periods import period
from voisnap_domain.conversations import ConversationStatus
from voisnap_domain.ids import TenantId
from voisnap_domain.sessions import Channel, Direction
from voisnap_domain.tenants import Environment
from voisnap_kit.http import Page, PageQuery
from voisnap_kit.ids import UlidSource
from voisnap_kit.postgres import Database, Tx
from voisnap_kit.work import Caller, begin
from voisnap_stack.database import prepare
from voisnap_stack.home import home_folder
from voisnap_stack.servers import EmbeddedServers

LIMIT_MS = 50.0
PASSWORD = "load"
TENANT = "ten_large"
CALLER = Caller(tenant_id=TenantId(TENANT), environment=Environment.LIVE, role="TenantOwner")
START = datetime(2024, 11, 1, tzinfo=UTC)
DAYS = 730
AGENTS = 60
AGENT_WEIGHTS = [1 / rank for rank in range(1, AGENTS + 1)]
CHANNELS = {"phone": 50, "webrtc": 25, "webchat": 15, "whatsapp": 6, "sms": 3, "telegram": 1}
STATUSES = {"completed": 88, "abandoned": 8, "failed": 3.9, "in_progress": 0.1}
OUTCOMES = {"resolved": 60, "escalated": 12, None: 15, "unresolved": 8, "callback_scheduled": 4.5, "legal": 0.5}
TAGS = {
    "billing": 0.2,
    "support": 0.15,
    "sales": 0.1,
    "vip": 0.03,
    "refund": 0.02,
    "complaint": 0.01,
    "audit-2025": 0.0005,
}
COLUMNS = (
    "id, opened_at, tenant_id, environment, session_id, agent_id, agent_name, agent_version, channel, direction, status, language, hipaa,"
    " recording_wanted, retention_days, started_at, ended_at, duration_seconds, caller, metadata, end_reason, usage, llm_usd, tts_usd,"
    " stt_usd, telephony_usd, analysis, tags, outcome, archived_at, sentiment_score"
)
USAGE = (
    '{"llm":{"provider":"openai","model":"gpt-4o","input_tokens":1840,"output_tokens":620},"tts":{"provider":"elevenlabs","characters":2340},'
    '"stt":{"provider":"deepgram","model":"nova-2","audio_seconds":108.0},"telephony":{"provider":"twilio","seconds":227.0}}'
)
SUMMARY = (
    "Customer called about a charge on their June invoice. Agent confirmed the charge was for the annual plan upgrade."
)


def rows(tenant_id: str, count: int, dice: random.Random) -> Iterator[tuple[Any, ...]]:
    """Conversations of a tenant in the order of time: more by day than by night and more of them every month."""
    moments = sorted(START + timedelta(days=DAYS * math.sqrt(dice.random())) for _ in range(count))
    clock = [0]
    ids = UlidSource(clock_ms=lambda: clock[0], randbits=dice.getrandbits)
    agents = dice.choices(range(AGENTS), AGENT_WEIGHTS, k=count)
    channels, statuses, outcomes = (
        dice.choices(list(shares), list(shares.values()), k=count) for shares in (CHANNELS, STATUSES, OUTCOMES)
    )
    for moment, agent, channel, status, outcome in zip(moments, agents, channels, statuses, outcomes, strict=True):
        clock[0] = int(moment.timestamp() * 1000)
        id = f"conv_{ids.next()}"
        running = status == "in_progress"
        seconds = None if running else round(min(3600.0, dice.lognormvariate(5.0, 0.8)), 2)
        cost = None if running else round(dice.random() / 20, 6)
        phone = f"+1415555{dice.randrange(10_000):04d}"
        analysis = None if running else json.dumps({"sentiment": "positive", "sentimentScore": 0.8, "summary": SUMMARY})
        yield (
            *(
                id,
                opened_at(id),
                tenant_id,
                "live",
                f"call_{id[5:]}",
                f"agt_{agent:026d}",
                f"Agent {agent}",
                3,
                channel,
            ),
            *("inbound" if dice.random() < 0.8 else "outbound", status, "en-US", False, True, 90, moment),
            *(None if seconds is None else moment + timedelta(seconds=seconds), seconds),
            *(
                json.dumps({"phone_number": phone, "country": "US"}),
                json.dumps({"customerId": f"cust_{dice.randrange(90_000)}"}),
            ),
            *(None if running else "user_ended", None if running else USAGE, cost, cost, cost, cost, analysis),
            *([tag for tag, share in TAGS.items() if dice.random() < share], None if running else outcome),
            *(moment if dice.random() < 0.03 else None, None if running else dice.random()),
        )


def fill(owner_url: str, count: int) -> None:
    """A million conversations, unless they are there; as autovacuum would leave them."""
    copy_rows(owner_url, count)
    with psycopg.connect(owner_url, options="-c search_path=api,public", autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) conversations")


def copy_rows(owner_url: str, count: int) -> None:
    """Fill the tables anew, unless they were filled with as many."""
    dice = random.Random(20_250_616)  # noqa: S311
    with psycopg.connect(owner_url, options="-c search_path=api,public -c timezone=UTC") as connection:
        if connection.execute("SELECT obj_description('conversations'::regclass)").fetchone() == (f"filled {count}",):
            return
        print(f"filling {count} conversations …", file=sys.stderr)
        connection.execute(
            "TRUNCATE conversations, conversation_segments, conversation_bits, conversation_places, conversation_marks CASCADE"
        )
        for month in range(26):
            connection.execute("SELECT ensure_partitions(%s, 0)", (START + timedelta(days=30.4 * month + 5),))
        for tenant_id, share in ((TENANT, 1.0), ("ten_middle", 0.08), *((f"ten_small_{n}", 0.002) for n in range(10))):
            with connection.cursor().copy(f"COPY conversations ({COLUMNS}) FROM STDIN") as copy:
                for row in rows(tenant_id, int(count * share), dice):
                    copy.write_row(row)
        connection.execute(f"COMMENT ON TABLE conversations IS 'filled {int(count)}'")


async def build(database: Database) -> float:
    """Build the index behind lists; seconds."""
    started = time.perf_counter()
    reconciler = list_index(database)
    while True:
        await reconciler.run_once()
        if reconciler.last is not None and not reconciler.last.behind:
            return time.perf_counter() - started


def agent(rank: int) -> str:
    return f"agt_{rank:026d}"


def filters() -> dict[str, list[ConversationFilter]]:
    """What is asked for, by name; several values each, which are asked in turn."""

    def all_of(**named: list[Any]) -> list[ConversationFilter]:
        count = max(len(values) for values in named.values())
        return [
            ConversationFilter(**{name: values[n % len(values)] for name, values in named.items()})
            for n in range(count)
        ]

    month = [period(f"2026-{m:02d}-01", f"2026-{m:02d}-28") for m in (3, 6, 9)]
    phone, completed = [Channel.PHONE], [ConversationStatus.COMPLETED]
    return {
        "everything": [ConversationFilter()],
        "oldest first": [ConversationFilter(ascending=True)],
        "agent": all_of(agent_id=[agent(0), agent(7), agent(59)]),
        "unknown agent": all_of(agent_id=["agt_none"]),
        "channel": all_of(channel=[Channel.PHONE, Channel.SMS, Channel.TELEGRAM]),
        "status": all_of(status=list(ConversationStatus)),
        "direction": all_of(direction=list(Direction)),
        "outcome": all_of(outcome=["resolved", "escalated", "legal", "none"]),
        "a day": all_of(period=[period("2026-06-16", "2026-06-16"), period("2025-01-31", "2025-01-31")]),
        "a month": all_of(period=month),
        "from a moment": all_of(
            period=[period("2025-03-04T05:06:07Z", None), period("2026-10-20T00:00:00+02:00", None)]
        ),
        "to a moment": all_of(period=[period(None, "2026-03-04T05:06:07Z"), period(None, "2025-02-01")]),
        "a tag": all_of(tags=[(tag,) for tag in TAGS]),
        "two tags": all_of(tags=[("billing", "support"), ("vip", "refund"), ("audit-2025", "complaint")]),
        "minDuration": all_of(min_duration=[1, 60, 148, 600, 3600]),
        "maxDuration": all_of(max_duration=[5, 100, 2000]),
        "durations": all_of(min_duration=[60, 119], max_duration=[300, 121]),
        "archived": all_of(archived=[Archived.YES]),
        "archived or not": all_of(archived=[Archived.ALL]),
        "the documented line": all_of(agent_id=[agent(0), agent(3)], channel=phone, period=month, status=completed),
        "agent and outcome": all_of(agent_id=[agent(0), agent(30)], outcome=["escalated", "legal"]),
        "rare everywhere": all_of(channel=[Channel.TELEGRAM], status=[ConversationStatus.FAILED], tags=[("refund",)]),
        "all at once": all_of(
            agent_id=[agent(0), agent(2)],
            channel=phone,
            status=completed,
            direction=[Direction.INBOUND],
            outcome=["resolved"],
            period=[period("2025-02-03T04:05:06Z", "2026-07-08")],
            tags=[("billing",)],
            min_duration=[30],
            max_duration=[900],
        ),
        "longest first": [ConversationFilter(sort=Sort.DURATION)],
        "longest of an agent": all_of(sort=[Sort.DURATION], agent_id=[agent(0), agent(59)]),
        "longest of a rare kind": all_of(sort=[Sort.DURATION], channel=[Channel.TELEGRAM], outcome=["legal"]),
        "shortest of a month": all_of(sort=[Sort.DURATION], ascending=[True], period=month),
    }


async def ask(database: Database, wanted: ConversationFilter, *, page: int, page_size: int) -> tuple[float, int]:
    """One request: milliseconds and the total."""
    query = PageQuery(page=page, page_size=page_size)
    started = time.perf_counter()
    async with begin(database, CALLER) as work:
        shown, found = await usecases.list_conversations(work, wanted, limit=page_size, offset=query.offset)
    answer(shown, query, found.total, work.now)
    return (time.perf_counter() - started) * 1000, found.total


async def ask_after(
    database: Database, wanted: ConversationFilter, position: Position, *, page_size: int
) -> tuple[float, Position | None]:
    """One request behind a cursor: milliseconds and the next position."""
    started = time.perf_counter()
    async with begin(database, CALLER) as work:
        shown, found = await usecases.list_conversations_after(work, wanted, position, limit=page_size)
    answer(shown, PageQuery(page_size=page_size), found.total, work.now)
    taken = (time.perf_counter() - started) * 1000
    return taken, Position(started_at=shown[-1].started_at, id=shown[-1].id) if found.more else None


def answer(shown: list[StoredConversation], query: PageQuery, total: int, at: datetime) -> bytes:
    return msgspec.json.encode(Page.of([ConversationView.of(one, at=at) for one in shown], query, total))


async def count_rows(database: Database, wanted: ConversationFilter) -> int:
    """The total by a look at every row."""
    async with database.transaction(TENANT, Environment.LIVE) as tx:
        return await tx.one(
            int,
            """
            SELECT count(*)
              FROM conversations
             WHERE tenant_id = %(tenant_id)s AND (%(agent_id)s::text IS NULL OR agent_id = %(agent_id)s)
               AND (%(channel)s::text IS NULL OR channel = %(channel)s) AND (%(status)s::text IS NULL OR status = %(status)s)
               AND (%(direction)s::text IS NULL OR direction = %(direction)s) AND (%(outcome)s::text IS NULL OR outcome = %(outcome)s)
               AND (%(start)s::timestamptz IS NULL OR started_at >= %(start)s)
               AND (%(before)s::timestamptz IS NULL OR started_at < %(before)s) AND tags @> %(tags)s::text[]
               AND (%(least)s::integer IS NULL OR round(duration_seconds) >= %(least)s)
               AND (%(most)s::integer IS NULL OR round(duration_seconds) <= %(most)s)
               AND (%(archived)s = 'all' OR (archived_at IS NOT NULL) = (%(archived)s = 'true'))
            """,
            tenant_id=TENANT,
            agent_id=wanted.agent_id,
            channel=wanted.channel,
            status=wanted.status,
            direction=wanted.direction,
            outcome=wanted.outcome,
            start=wanted.period.start,
            before=wanted.period.before,
            tags=wanted.tags,
            least=wanted.min_duration,
            most=wanted.max_duration,
            archived=wanted.archived.value,
        )


_READ_ALL = re.compile(r"Seq Scan on conversations_.*cost=[0-9.]+\.\.([0-9.]+) ")
_A_FEW_PAGES = 1000.0
"""Cost in the planner's units up to which a partition is so small that it is rightly read as a whole."""


def _reads_all(line: str) -> bool:
    found = _READ_ALL.search(line)
    return found is not None and float(found[1]) > _A_FEW_PAGES


class Explained(Tx):
    """A transaction that also plans what it runs, and keeps the plans that read a table of conversations from end to end."""

    def __init__(self, tx: Tx, worst: list[str]) -> None:
        super().__init__(tx._connect)
        self._begun = tx._begun
        self.worst = worst

    async def all(self, kind: Any, sql: Any, /, **params: Any) -> Any:
        lines = await super().all(str, "EXPLAIN " + sql, **params)
        self.worst += [line.strip() for line in lines if _reads_all(line)]
        return await super().all(kind, sql, **params)


async def sequential_reads(database: Database, wanted: ConversationFilter) -> list[str]:
    """Lines of plans that read a whole table of conversations, of a first and of a deep page."""
    worst: list[str] = []
    async with begin(database, CALLER) as work:
        await work.tx.exec("SELECT 1")  # both are one transaction, which begins with its first statement
        work.tx = Explained(work.tx, worst)
        for offset in (0, 5000):
            await lists.find(work, wanted, limit=20, offset=offset)
    return worst


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def measure(database: Database, requests: int, check: bool) -> list[dict[str, Any]]:
    """One row a filter and page."""
    table = []
    plan = [(name, wanted, 1, 20) for name, wanted in filters().items()]
    everything = [ConversationFilter()]
    (_, total), busy = await ask(database, everything[0], page=1, page_size=20), filters()["agent"][:1]
    for page in (100, 10_000, total // 40, -(-total // 20), 1_000_000):
        plan.append((f"everything, page {page}", everything, page, 20))
    plan += [
        ("100 of a rare tag", filters()["a tag"][-1:], 1, 100),
        ("busiest agent, page 1000", busy, 1000, 100),
        ("oldest first, page 10000", filters()["oldest first"], 10_000, 20),
        ("longest first, page 10000", filters()["longest first"], 10_000, 20),
        ("longest first, page 25000", filters()["longest first"], 25_000, 20),
    ]
    for name, wanted, page, page_size in plan:
        taken, totals = [], set()
        for number in range(requests):
            milliseconds, total = await ask(database, wanted[number % len(wanted)], page=page, page_size=page_size)
            taken.append(milliseconds)
            totals.add((number % len(wanted), total))
        wrong = []
        if check and page == 1:
            wrong = [total for n, total in totals if total != await count_rows(database, wanted[n])]
        reads = [line for one in wanted[:2] for line in await sequential_reads(database, one)] if page == 1 else []
        most = max(total for _, total in totals)
        table.append(row(name, taken, most, wrong=wrong, reads=reads))
    taken, position = [], None
    for _ in range(requests):
        if position is None:
            position = Position(started_at=START + timedelta(days=600), id="")
        milliseconds, position = await ask_after(database, everything[0], position, page_size=20)
        taken.append(milliseconds)
    table.append(row("everything, behind a cursor", taken, total, wrong=[], reads=[]))
    return table


def row(name: str, taken: list[float], total: int, *, wrong: list[int], reads: list[str]) -> dict[str, Any]:
    return {
        "list": name,
        "total": total,
        "p50_ms": round(percentile(taken, 0.5), 1),
        "p95_ms": round(percentile(taken, 0.95), 1),
        "wrong_totals": wrong,
        "read_from_end_to_end": reads,
    }


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--fill-only", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    async with AsyncExitStack() as stack:
        home = home_folder().root / "load" / "conversations"
        servers = await stack.enter_async_context(EmbeddedServers.start(home, fsync=False, parts=("postgres",)))
        owner = servers.database_url.rpartition("/")[0] + "/voisnap"
        roles = {"voisnap_api": PASSWORD, "voisnap_admin": PASSWORD}
        await prepare(owner, roles, (servers.database_url, "voisnap"))
        await asyncio.to_thread(fill, owner, options.conversations)
        url = servers.database_url_for("voisnap_api", PASSWORD, "voisnap")
        database = await stack.enter_async_context(await Database.open(url, max_size=4))
        built = await build(database)
        print(f"index built in {built:.1f} s", file=sys.stderr)
        if options.fill_only:
            return 0
        table = await measure(database, options.requests, options.check)
    if options.json:
        print(json.dumps(table, indent=1))
    else:
        print(f"{'list':32} {'total':>9} {'p50 ms':>8} {'p95 ms':>8}")
        for one in table:
            faults = f"  WRONG {one['wrong_totals']}" if one["wrong_totals"] else ""
            faults += f"  READS ALL {one['read_from_end_to_end'][0]}" if one["read_from_end_to_end"] else ""
            print(f"{one['list']:32} {one['total']:>9} {one['p50_ms']:>8} {one['p95_ms']:>8}{faults}")
    bad = [one for one in table if one["p95_ms"] > LIMIT_MS or one["wrong_totals"] or one["read_from_end_to_end"]]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
