"""The SQL of the index behind lists: `conversation_segments`, `_bits`, `_places`, `_marks`, and of the rows it stands for.

Statements over rows take a stretch of them, so that each reads a part of one index, whatever else it filters by.
"""

from datetime import datetime
from typing import Any

from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from voisnap_api.conversations.records import Archived, ConversationFilter, opened_at

from .facets import DIGIT_FACETS, LONGEST, facets_wanted
from .records import BEGINNING, END, Indexed, Matches, Part, Position, Rank, Shard, Stretch


async def plan_once(tx: Tx, *, once: bool) -> None:
    """Whether statements of this transaction that were run before are run by a plan made once, whatever their parameters, or planned anew.

    Planning over every month's partition takes several times as long as reading a stretch, which any plan reads by the same index.
    """
    await tx.one(
        str,
        "SELECT set_config('plan_cache_mode', CASE WHEN %(once)s THEN 'force_generic_plan' ELSE 'force_custom_plan' END, true) AS mode",
        once=once,
    )


async def parts(tx: Tx, tenant_id: TenantId, environment: Environment, wanted: ConversationFilter) -> list[Part]:
    """The stretches that a list is made of, oldest first, with their counts; all as of one moment.

    A segment that lies whole in the list's period and has no mark is counted by its bits, the rest by rows.
    """
    return await tx.all(
        Part,
        """
        WITH segments AS MATERIALIZED (
            SELECT s.segment, s.after_at, s.after_id, s.until_at, s.until_id,
                   (%(start)s::timestamptz IS NULL OR s.after_at >= %(start)s)
                   AND (%(before)s::timestamptz IS NULL OR s.until_at < %(before)s)
                   AND NOT EXISTS (SELECT
                                     FROM conversation_marks m
                                    WHERE m.tenant_id = %(tenant_id)s AND m.environment = %(environment)s
                                      AND m.started_at >= s.after_at AND m.started_at <= s.until_at
                                      AND (m.started_at, m.id) > (s.after_at, s.after_id)
                                      AND (m.started_at, m.id) <= (s.until_at, s.until_id)) AS clean
              FROM conversation_segments s
             WHERE s.tenant_id = %(tenant_id)s AND s.environment = %(environment)s
               AND (%(start)s::timestamptz IS NULL OR s.until_at >= %(start)s)
               AND (%(before)s::timestamptz IS NULL OR s.after_at < %(before)s)
        ), counted AS MATERIALIZED (
            SELECT b.segment,
                   count(*) FILTER (WHERE b.facet = ANY (%(facets)s::text[])) AS facets,
                   bit_count(bits_between(
                       bit_and(b.bits) FILTER (WHERE b.facet = ANY (%(facets)s::text[])),
                       array_agg(b.bits ORDER BY b.facet) FILTER (WHERE b.facet = ANY (%(digits)s::text[])),
                       array_agg(right(b.facet, 2)::integer ORDER BY b.facet) FILTER (WHERE b.facet = ANY (%(digits)s::text[])),
                       %(min_duration)s, %(max_duration)s)) AS matches
              FROM conversation_bits b
              JOIN segments s ON s.segment = b.segment AND s.clean
             WHERE b.tenant_id = %(tenant_id)s AND b.environment = %(environment)s
               AND b.facet = ANY (%(facets)s::text[] || %(digits)s::text[])
             GROUP BY b.segment
        ), stretches AS (
            SELECT * FROM segments
            UNION ALL
            SELECT NULL, coalesce(last.until_at, %(beginning)s), coalesce(last.until_id, ''), %(end)s::timestamptz, '', false
              FROM (SELECT) AS always
              LEFT JOIN (SELECT until_at, until_id
                           FROM conversation_segments
                          WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
                          ORDER BY until_at DESC, until_id DESC
                          LIMIT 1) AS last ON true
             WHERE %(before)s::timestamptz IS NULL OR last.until_at IS NULL OR last.until_at < %(before)s
        )
        SELECT p.segment, p.after_at, p.after_id, p.until_at, p.until_id, p.clean,
               CASE WHEN p.clean THEN
                   coalesce((SELECT b.matches
                               FROM counted b
                              WHERE b.segment = p.segment AND b.facets = cardinality(%(facets)s::text[])), 0)
               ELSE
                   (SELECT count(*)
                      FROM conversations c
                     WHERE c.tenant_id = %(tenant_id)s AND c.environment = %(environment)s
                       AND c.started_at >= greatest(p.after_at, %(start)s) AND c.started_at <= least(p.until_at, %(before)s)
                       AND (c.started_at, c.id) > (p.after_at, p.after_id) AND (c.started_at, c.id) <= (p.until_at, p.until_id)
                       AND (%(before)s::timestamptz IS NULL OR c.started_at < %(before)s)
                       AND (%(agent_id)s::text IS NULL OR c.agent_id = %(agent_id)s)
                       AND (%(channel)s::text IS NULL OR c.channel = %(channel)s)
                       AND (%(direction)s::text IS NULL OR c.direction = %(direction)s)
                       AND (%(status)s::text IS NULL OR c.status = %(status)s)
                       AND (%(outcome)s::text IS NULL OR c.outcome = %(outcome)s)
                       AND (%(archived)s::boolean IS NULL OR (c.archived_at IS NOT NULL) = %(archived)s)
                       AND (%(min_duration)s::integer IS NULL OR round(c.duration_seconds) >= %(min_duration)s)
                       AND (%(max_duration)s::integer IS NULL OR round(c.duration_seconds) <= %(max_duration)s)
                       AND c.tags @> %(tags)s::text[])
               END AS matches
          FROM stretches p
         ORDER BY p.after_at, p.after_id
        """,
        tenant_id=tenant_id,
        environment=environment,
        facets=facets_wanted(wanted),
        digits=_digits(wanted),
        beginning=BEGINNING.started_at,
        end=END.started_at,
        **_parameters(wanted),
    )


async def matches(
    tx: Tx, tenant_id: TenantId, environment: Environment, wanted: ConversationFilter, *, segments: tuple[int, ...]
) -> list[Matches]:
    """Which conversations of some segments match, by their bits. A segment without a match may be missing."""
    return await tx.all(
        Matches,
        """
        SELECT found.segment, bits_between(found.found, found.digits, found.places, %(min_duration)s, %(max_duration)s)::text AS bits
          FROM (SELECT b.segment,
                       bit_and(b.bits) FILTER (WHERE b.facet = ANY (%(facets)s::text[])) AS found,
                       count(*) FILTER (WHERE b.facet = ANY (%(facets)s::text[])) AS facets,
                       array_agg(b.bits ORDER BY b.facet) FILTER (WHERE b.facet = ANY (%(digits)s::text[])) AS digits,
                       array_agg(right(b.facet, 2)::integer ORDER BY b.facet) FILTER (WHERE b.facet = ANY (%(digits)s::text[])) AS places
                  FROM conversation_bits b
                 WHERE b.tenant_id = %(tenant_id)s AND b.environment = %(environment)s
                   AND b.facet = ANY (%(facets)s::text[] || %(digits)s::text[]) AND b.segment = ANY (%(segments)s::bigint[])
                 GROUP BY b.segment) AS found
         WHERE found.facets = cardinality(%(facets)s::text[])
        """,
        tenant_id=tenant_id,
        environment=environment,
        segments=segments,
        facets=facets_wanted(wanted),
        digits=_digits(wanted),
        min_duration=wanted.min_duration,
        max_duration=wanted.max_duration,
    )


async def ids_in_places(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    *,
    segments: tuple[int, ...],
    places: tuple[int, ...],
    width: int,
) -> list[str]:
    """The ids in these places of these segments, in this order; `width` places are kept a row."""
    return await tx.all(
        str,
        """
        SELECT p.ids[mod(wanted.place, %(width)s) + 1] AS id
          FROM unnest(%(segments)s::bigint[], %(places)s::integer[]) WITH ORDINALITY AS wanted (segment, place, nth)
          JOIN conversation_places p ON p.segment = wanted.segment AND p.block = wanted.place / %(width)s
         WHERE p.tenant_id = %(tenant_id)s AND p.environment = %(environment)s
         ORDER BY wanted.nth
        """,
        tenant_id=tenant_id,
        environment=environment,
        segments=segments,
        places=places,
        width=width,
    )


async def newest_in(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    wanted: ConversationFilter,
    stretch: Stretch,
    *,
    after: Position = BEGINNING,
    before: Position = END,
    limit: int,
    offset: int,
) -> list[str]:
    """Ids of the matching rows of a stretch that lie between two positions, newest first."""
    return await tx.all(
        str,
        """
        SELECT c.id
          FROM conversations c
         WHERE c.tenant_id = %(tenant_id)s AND c.environment = %(environment)s
           AND c.started_at >= greatest(%(after_at)s, %(start)s::timestamptz)
           AND c.started_at <= least(%(until_at)s, %(before_at)s, %(before)s::timestamptz)
           AND (c.started_at, c.id) > (%(after_at)s, %(after_id)s) AND (c.started_at, c.id) <= (%(until_at)s, %(until_id)s)
           AND (c.started_at, c.id) < (%(before_at)s, %(before_id)s)
           AND (%(before)s::timestamptz IS NULL OR c.started_at < %(before)s)
           AND (%(agent_id)s::text IS NULL OR c.agent_id = %(agent_id)s)
           AND (%(channel)s::text IS NULL OR c.channel = %(channel)s)
           AND (%(direction)s::text IS NULL OR c.direction = %(direction)s)
           AND (%(status)s::text IS NULL OR c.status = %(status)s)
           AND (%(outcome)s::text IS NULL OR c.outcome = %(outcome)s)
           AND (%(archived)s::boolean IS NULL OR (c.archived_at IS NOT NULL) = %(archived)s)
           AND (%(min_duration)s::integer IS NULL OR round(c.duration_seconds) >= %(min_duration)s)
           AND (%(max_duration)s::integer IS NULL OR round(c.duration_seconds) <= %(max_duration)s)
           AND c.tags @> %(tags)s::text[]
         ORDER BY c.started_at DESC, c.id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        limit=limit,
        offset=offset,
        **_between(stretch, after, before),
        **_parameters(wanted),
    )


async def oldest_in(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    wanted: ConversationFilter,
    stretch: Stretch,
    *,
    after: Position = BEGINNING,
    before: Position = END,
    limit: int,
    offset: int,
) -> list[str]:
    """Ids of the matching rows of a stretch that lie between two positions, oldest first."""
    return await tx.all(
        str,
        """
        SELECT c.id
          FROM conversations c
         WHERE c.tenant_id = %(tenant_id)s AND c.environment = %(environment)s
           AND c.started_at >= greatest(%(after_at)s, %(start)s::timestamptz)
           AND c.started_at <= least(%(until_at)s, %(before_at)s, %(before)s::timestamptz)
           AND (c.started_at, c.id) > (%(after_at)s, %(after_id)s) AND (c.started_at, c.id) <= (%(until_at)s, %(until_id)s)
           AND (c.started_at, c.id) < (%(before_at)s, %(before_id)s)
           AND (%(before)s::timestamptz IS NULL OR c.started_at < %(before)s)
           AND (%(agent_id)s::text IS NULL OR c.agent_id = %(agent_id)s)
           AND (%(channel)s::text IS NULL OR c.channel = %(channel)s)
           AND (%(direction)s::text IS NULL OR c.direction = %(direction)s)
           AND (%(status)s::text IS NULL OR c.status = %(status)s)
           AND (%(outcome)s::text IS NULL OR c.outcome = %(outcome)s)
           AND (%(archived)s::boolean IS NULL OR (c.archived_at IS NOT NULL) = %(archived)s)
           AND (%(min_duration)s::integer IS NULL OR round(c.duration_seconds) >= %(min_duration)s)
           AND (%(max_duration)s::integer IS NULL OR round(c.duration_seconds) <= %(max_duration)s)
           AND c.tags @> %(tags)s::text[]
         ORDER BY c.started_at, c.id
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        limit=limit,
        offset=offset,
        **_between(stretch, after, before),
        **_parameters(wanted),
    )


async def longest(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    wanted: ConversationFilter,
    *,
    ceiling: int,
    limit: int,
    offset: int,
) -> list[str]:
    """Ids of the matching conversations, longest first; running ones have no duration yet and come last; from a whole number of seconds on."""
    return await tx.all(
        str,
        """
        SELECT c.id
          FROM conversations c
         WHERE c.tenant_id = %(tenant_id)s AND c.environment = %(environment)s
           AND c.whole_seconds <= %(ceiling)s::integer
           AND (%(start)s::timestamptz IS NULL OR c.started_at >= %(start)s)
           AND (%(before)s::timestamptz IS NULL OR c.started_at < %(before)s)
           AND (%(agent_id)s::text IS NULL OR c.agent_id = %(agent_id)s)
           AND (%(channel)s::text IS NULL OR c.channel = %(channel)s)
           AND (%(direction)s::text IS NULL OR c.direction = %(direction)s)
           AND (%(status)s::text IS NULL OR c.status = %(status)s)
           AND (%(outcome)s::text IS NULL OR c.outcome = %(outcome)s)
           AND (%(archived)s::boolean IS NULL OR (c.archived_at IS NOT NULL) = %(archived)s)
           AND (%(min_duration)s::integer IS NULL OR round(c.duration_seconds) >= %(min_duration)s)
           AND (%(max_duration)s::integer IS NULL OR round(c.duration_seconds) <= %(max_duration)s)
           AND c.tags @> %(tags)s::text[]
         ORDER BY c.whole_seconds DESC, c.id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        ceiling=ceiling,
        limit=limit,
        offset=offset,
        **_parameters(wanted),
    )


async def shortest(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    wanted: ConversationFilter,
    *,
    floor: int,
    limit: int,
    offset: int,
) -> list[str]:
    """Ids of the matching conversations, shortest first; running ones have no duration yet and come first; from a whole number of seconds on."""
    return await tx.all(
        str,
        """
        SELECT c.id
          FROM conversations c
         WHERE c.tenant_id = %(tenant_id)s AND c.environment = %(environment)s
           AND c.whole_seconds >= %(floor)s::integer
           AND (%(start)s::timestamptz IS NULL OR c.started_at >= %(start)s)
           AND (%(before)s::timestamptz IS NULL OR c.started_at < %(before)s)
           AND (%(agent_id)s::text IS NULL OR c.agent_id = %(agent_id)s)
           AND (%(channel)s::text IS NULL OR c.channel = %(channel)s)
           AND (%(direction)s::text IS NULL OR c.direction = %(direction)s)
           AND (%(status)s::text IS NULL OR c.status = %(status)s)
           AND (%(outcome)s::text IS NULL OR c.outcome = %(outcome)s)
           AND (%(archived)s::boolean IS NULL OR (c.archived_at IS NOT NULL) = %(archived)s)
           AND (%(min_duration)s::integer IS NULL OR round(c.duration_seconds) >= %(min_duration)s)
           AND (%(max_duration)s::integer IS NULL OR round(c.duration_seconds) <= %(max_duration)s)
           AND c.tags @> %(tags)s::text[]
         ORDER BY c.whole_seconds, c.id
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        floor=floor,
        limit=limit,
        offset=offset,
        **_parameters(wanted),
    )


async def seconds_in(
    tx: Tx, tenant_id: TenantId, environment: Environment, wanted: ConversationFilter, stretch: Stretch
) -> list[int]:
    """The durations of the matching rows of a stretch, in whole seconds."""
    return await tx.all(
        int,
        """
        SELECT least(round(c.duration_seconds), %(longest)s)::integer AS seconds
          FROM conversations c
         WHERE c.tenant_id = %(tenant_id)s AND c.environment = %(environment)s AND c.duration_seconds IS NOT NULL
           AND c.started_at >= greatest(%(after_at)s, %(start)s::timestamptz)
           AND c.started_at <= least(%(until_at)s, %(before)s::timestamptz)
           AND (c.started_at, c.id) > (%(after_at)s, %(after_id)s) AND (c.started_at, c.id) <= (%(until_at)s, %(until_id)s)
           AND (%(before)s::timestamptz IS NULL OR c.started_at < %(before)s)
           AND (%(agent_id)s::text IS NULL OR c.agent_id = %(agent_id)s)
           AND (%(channel)s::text IS NULL OR c.channel = %(channel)s)
           AND (%(direction)s::text IS NULL OR c.direction = %(direction)s)
           AND (%(status)s::text IS NULL OR c.status = %(status)s)
           AND (%(outcome)s::text IS NULL OR c.outcome = %(outcome)s)
           AND (%(archived)s::boolean IS NULL OR (c.archived_at IS NOT NULL) = %(archived)s)
           AND (%(min_duration)s::integer IS NULL OR round(c.duration_seconds) >= %(min_duration)s)
           AND (%(max_duration)s::integer IS NULL OR round(c.duration_seconds) <= %(max_duration)s)
           AND c.tags @> %(tags)s::text[]
        """,
        tenant_id=tenant_id,
        environment=environment,
        longest=LONGEST,
        after_at=stretch.after_at,
        after_id=stretch.after_id,
        until_at=stretch.until_at,
        until_id=stretch.until_id,
        **_parameters(wanted),
    )


async def at_rank(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    wanted: ConversationFilter,
    *,
    segments: tuple[int, ...],
    beside: tuple[int, ...],
    rank: int,
) -> Rank:
    """The duration at a rank of the ended conversations that match, the longest first, in these segments and `beside` them."""
    return await tx.one(
        Rank,
        """
        SELECT seconds, longer, as_long
          FROM seconds_of_rank(%(tenant_id)s, %(environment)s, %(facets)s::text[], %(digits)s::text[], %(segments)s::bigint[],
                               %(beside)s::integer[], %(min_duration)s, %(max_duration)s, %(rank)s)
        """,
        tenant_id=tenant_id,
        environment=environment,
        facets=facets_wanted(wanted),
        digits=DIGIT_FACETS,
        segments=segments,
        beside=beside,
        min_duration=wanted.min_duration,
        max_duration=wanted.max_duration,
        rank=rank,
    )


async def sorted_by_duration(
    tx: Tx, tenant_id: TenantId, environment: Environment, ids: tuple[str, ...], *, ascending: bool
) -> list[str]:
    """These ids in the order of their conversations' durations."""
    return await tx.all(
        str,
        """
        SELECT c.id
          FROM unnest(%(ids)s::text[], %(opened_at)s::timestamptz[]) AS wanted (id, opened_at)
          JOIN conversations c ON c.opened_at = wanted.opened_at AND c.id = wanted.id
         WHERE c.tenant_id = %(tenant_id)s AND c.environment = %(environment)s
         ORDER BY CASE WHEN %(ascending)s THEN c.whole_seconds END, CASE WHEN %(ascending)s THEN c.id END,
                  c.whole_seconds DESC, c.id DESC
        """,
        tenant_id=tenant_id,
        environment=environment,
        ids=ids,
        opened_at=tuple(opened_at(id) for id in ids),
        ascending=ascending,
    )


# -- building


async def shards(tx: Tx) -> list[Shard]:
    """Every tenant's environment in which something changed."""
    return await tx.all(
        Shard,
        """
        WITH RECURSIVE found AS (
            (SELECT tenant_id, environment FROM conversation_marks ORDER BY tenant_id, environment LIMIT 1)
            UNION ALL
            SELECT following.tenant_id, following.environment
              FROM found
             CROSS JOIN LATERAL (SELECT m.tenant_id, m.environment
                                   FROM conversation_marks m
                                  WHERE (m.tenant_id, m.environment) > (found.tenant_id, found.environment)
                                  ORDER BY m.tenant_id, m.environment
                                  LIMIT 1) AS following
        )
        SELECT tenant_id, environment FROM found
        """,
    )


async def claim(tx: Tx, tenant_id: str, environment: Environment) -> bool:
    """Be the one who builds here until the end of the transaction; False when another is."""
    return await tx.one(
        bool,
        "SELECT pg_try_advisory_xact_lock(hashtextextended('conversation_segments ' || %(environment)s || ' ' || %(tenant_id)s, 0))",
        tenant_id=tenant_id,
        environment=environment,
    )


async def end_of_segments(tx: Tx, tenant_id: str, environment: Environment) -> Position | None:
    """Where the last segment ends; None before the first."""
    return await tx.maybe(
        Position,
        """
        SELECT until_at AS started_at, until_id AS id
          FROM conversation_segments
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
         ORDER BY until_at DESC, until_id DESC
         LIMIT 1
        """,
        tenant_id=tenant_id,
        environment=environment,
    )


async def end_of_next(
    tx: Tx, tenant_id: str, environment: Environment, *, after: Position, older_than: datetime, size: int
) -> Position | None:
    """The position of the conversation that comes `size` after another; None while there are fewer that are old enough."""
    return await tx.maybe(
        Position,
        """
        SELECT started_at, id
          FROM conversations
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND started_at >= %(after_at)s AND (started_at, id) > (%(after_at)s, %(after_id)s) AND started_at < %(older_than)s
         ORDER BY started_at, id
         LIMIT 1 OFFSET %(skipped)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        after_at=after.started_at,
        after_id=after.id,
        older_than=older_than,
        skipped=size - 1,
    )


async def marked(tx: Tx, tenant_id: str, environment: Environment) -> Stretch | None:
    """A segment in which something changed since it was built."""
    return await tx.maybe(
        Stretch,
        """
        SELECT s.segment, s.after_at, s.after_id, s.until_at, s.until_id
          FROM conversation_segments s
         WHERE s.tenant_id = %(tenant_id)s AND s.environment = %(environment)s
           AND EXISTS (SELECT
                         FROM conversation_marks m
                        WHERE m.tenant_id = %(tenant_id)s AND m.environment = %(environment)s
                          AND m.started_at >= s.after_at AND m.started_at <= s.until_at
                          AND (m.started_at, m.id) > (s.after_at, s.after_id)
                          AND (m.started_at, m.id) <= (s.until_at, s.until_id))
         ORDER BY s.until_at DESC, s.until_id DESC
         LIMIT 1
        """,
        tenant_id=tenant_id,
        environment=environment,
    )


async def take_marks(tx: Tx, tenant_id: str, environment: Environment, stretch: Stretch) -> int:
    """Delete the marks of a stretch; how many."""
    return await tx.exec(
        """
        DELETE FROM conversation_marks
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND started_at >= %(after_at)s AND started_at <= %(until_at)s
           AND (started_at, id) > (%(after_at)s, %(after_id)s) AND (started_at, id) <= (%(until_at)s, %(until_id)s)
        """,
        tenant_id=tenant_id,
        environment=environment,
        after_at=stretch.after_at,
        after_id=stretch.after_id,
        until_at=stretch.until_at,
        until_id=stretch.until_id,
    )


async def mark(tx: Tx, tenant_id: str, environment: Environment, position: Position) -> None:
    """Mark the segment around a position as not built."""
    await tx.exec(
        "INSERT INTO conversation_marks (tenant_id, environment, started_at, id) VALUES (%(tenant_id)s, %(environment)s, %(at)s, %(id)s)",
        tenant_id=tenant_id,
        environment=environment,
        at=position.started_at,
        id=position.id,
    )


async def rows(
    tx: Tx, tenant_id: str, environment: Environment, *, after: Position, until: Position, limit: int
) -> list[Indexed]:
    """The conversations after a position, up to and with another, oldest first."""
    return await tx.all(
        Indexed,
        """
        SELECT id, started_at, agent_id, channel, direction, status, outcome,
               CASE WHEN duration_seconds IS NOT NULL THEN least(round(duration_seconds), 2000000000)::integer END AS seconds,
               archived_at IS NOT NULL AS archived, tags
          FROM conversations
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND started_at >= %(after_at)s AND started_at <= %(until_at)s
           AND (started_at, id) > (%(after_at)s, %(after_id)s) AND (started_at, id) <= (%(until_at)s, %(until_id)s)
         ORDER BY started_at, id
         LIMIT %(limit)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        after_at=after.started_at,
        after_id=after.id,
        until_at=until.started_at,
        until_id=until.id,
        limit=limit,
    )


async def drop_segment(tx: Tx, tenant_id: str, environment: Environment, segment: int) -> None:
    """Delete a segment with its bits and places."""
    await tx.exec(
        """
        DELETE FROM conversation_segments
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND segment = %(segment)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        segment=segment,
    )


async def insert_segment(
    tx: Tx, tenant_id: str, environment: Environment, *, after: Position, until: Position, size: int
) -> int:
    """Store a segment; its number."""
    return await tx.one(
        int,
        """
        INSERT INTO conversation_segments (tenant_id, environment, after_at, after_id, until_at, until_id, size)
        VALUES (%(tenant_id)s, %(environment)s, %(after_at)s, %(after_id)s, %(until_at)s, %(until_id)s, %(size)s)
        RETURNING segment
        """,
        tenant_id=tenant_id,
        environment=environment,
        after_at=after.started_at,
        after_id=after.id,
        until_at=until.started_at,
        until_id=until.id,
        size=size,
    )


async def insert_bits(
    tx: Tx, tenant_id: str, environment: Environment, segment: int, *, facets: tuple[str, ...], bits: tuple[str, ...]
) -> None:
    """Store the bits of facets."""
    await tx.exec(
        """
        INSERT INTO conversation_bits (tenant_id, environment, facet, segment, bits)
        SELECT %(tenant_id)s, %(environment)s, new.facet, %(segment)s, new.bits::bit varying
          FROM unnest(%(facets)s::text[], %(bits)s::text[]) AS new (facet, bits)
        """,
        tenant_id=tenant_id,
        environment=environment,
        segment=segment,
        facets=facets,
        bits=bits,
    )


async def insert_places(
    tx: Tx, tenant_id: str, environment: Environment, segment: int, *, ids: tuple[str, ...], width: int
) -> None:
    """Store which id is in which place, `width` a row."""
    await tx.exec(
        """
        INSERT INTO conversation_places (tenant_id, environment, segment, block, ids)
        SELECT %(tenant_id)s, %(environment)s, %(segment)s, (new.nth - 1) / %(width)s, array_agg(new.id ORDER BY new.nth)
          FROM unnest(%(ids)s::text[]) WITH ORDINALITY AS new (id, nth)
         GROUP BY (new.nth - 1) / %(width)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        segment=segment,
        ids=ids,
        width=width,
    )


def _digits(wanted: ConversationFilter) -> tuple[str, ...]:
    return DIGIT_FACETS if wanted.min_duration or wanted.max_duration is not None else ()


def _between(stretch: Stretch, after: Position, before: Position) -> dict[str, Any]:
    lower = max(stretch.after, after, key=_order)
    return {
        "after_at": lower.started_at,
        "after_id": lower.id,
        "until_at": stretch.until_at,
        "until_id": stretch.until_id,
        "before_at": before.started_at,
        "before_id": before.id,
    }


def _order(position: Position) -> tuple[datetime, str]:
    return position.started_at, position.id


def _parameters(wanted: ConversationFilter) -> dict[str, Any]:
    return {
        "agent_id": wanted.agent_id,
        "channel": wanted.channel,
        "direction": wanted.direction,
        "status": wanted.status,
        "outcome": wanted.outcome,
        "archived": {Archived.NO: False, Archived.YES: True, Archived.ALL: None}[wanted.archived],
        "min_duration": wanted.min_duration,
        "max_duration": wanted.max_duration,
        "tags": wanted.tags,
        "start": wanted.period.start,
        "before": wanted.period.before,
    }
