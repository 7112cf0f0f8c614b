"""Finding the conversations of a list and counting them exactly, over very many; and building the index that this rests on.

How it works and why: docs/adr/0018-lists-over-a-million.md.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta

import msgspec
from voisnap_domain.conversations import ConversationStatus
from voisnap_kit.work import Work

from voisnap_api.conversations.records import ConversationFilter, Sort
from voisnap_api.periods import ALWAYS

from . import store
from .facets import LONGEST, bits_of
from .records import BEGINNING, END, Found, Indexed, Part, Position, Rank, Shard, Stretch

SEGMENT_SIZE = 16_384
"""Conversations of a segment: two kilobytes a facet, and as many rows to read where a segment is not clean."""

SETTLED = timedelta(hours=1)
"""Conversations that began less than this ago are in no segment: most of them still change."""

WIDTH = 256
"""Places a row of `conversation_places`."""

_ATTEMPTS = 3
"""A page is looked up after its parts were counted: in between a segment may have been built anew, and its places are others."""

_CHUNK = 4096
"""Rows read at once."""

_MOST_READ = 4 * SEGMENT_SIZE
"""Rows that one transaction builds segments of."""


async def find(work: Work, wanted: ConversationFilter, *, limit: int, offset: int) -> Found:
    """One page of a list by its number of items before it."""
    total, ids = 0, []
    for _ in range(_ATTEMPTS):
        parts = await _parts(work, wanted)
        total = sum(part.matches for part in parts)
        if wanted.sort is Sort.DURATION:
            ids = await _by_duration(work, wanted, total=total, limit=limit, offset=offset)
        else:
            ids = await _page(work, wanted, parts, limit=limit, offset=offset)
        if len(ids) >= min(limit, total - offset):
            break
    return Found(ids=tuple(ids), more=offset + len(ids) < total, total=total)


async def find_after(work: Work, wanted: ConversationFilter, position: Position, *, limit: int) -> Found:
    """The page of a list in the order of time that follows a position."""
    total, ids = 0, []
    for _ in range(_ATTEMPTS):
        parts = await _parts(work, wanted)
        total = sum(part.matches for part in parts)
        here = next((place for place, part in enumerate(parts) if _order(position) <= _order(part.until)), len(parts))
        bounds = {"after": position} if wanted.ascending else {"before": position}
        ids = [] if here == len(parts) else await _rows(work, wanted, parts[here], limit=limit + 1, offset=0, **bounds)
        following = parts[here + 1 :] if wanted.ascending else parts[:here]
        left = min(limit + 1 - len(ids), sum(part.matches for part in following))
        rest = await _page(work, wanted, following, limit=left, offset=0)
        ids += rest
        if len(rest) >= left:
            break
    return Found(ids=tuple(ids[:limit]), more=len(ids) > limit, total=total)


async def _parts(work: Work, wanted: ConversationFilter) -> list[Part]:
    await store.plan_once(work.tx, once=True)
    return await store.parts(work.tx, work.caller.tenant_id, work.caller.environment, wanted)


async def _page(work: Work, wanted: ConversationFilter, parts: Sequence[Part], *, limit: int, offset: int) -> list[str]:
    """Ids of the page: from rows where a part is not clean, by their places where it is; those of clean parts in one question."""
    pieces: list[tuple[Part, int, int]] = []  # a part, the matches to skip in it, the matches to take of it
    for part in parts if wanted.ascending else reversed(parts):
        if limit <= 0:
            break
        if part.matches <= offset:
            offset -= part.matches
            continue
        taken = min(limit, part.matches - offset)
        pieces.append((part, offset, taken))
        offset, limit = 0, limit - taken
    return await _take(work, wanted, pieces)


async def _take(work: Work, wanted: ConversationFilter, pieces: Sequence[tuple[Part, int, int]]) -> list[str]:
    """Ids of parts: after how many matches, and how many at most."""
    clean = await _in_places(work, wanted, [piece for piece in pieces if piece[0].clean])
    ids: list[str] = []
    for part, skipped, taken in pieces:
        ids += clean[part.segment] if part.clean else await _rows(work, wanted, part, limit=taken, offset=skipped)
    return ids


async def _in_places(
    work: Work, wanted: ConversationFilter, pieces: Sequence[tuple[Part, int, int]]
) -> dict[int | None, list[str]]:
    """Ids of clean parts' pieces by segment."""
    if not pieces:
        return {}
    caller = work.caller
    segments = tuple(part.segment for part, _, _ in pieces if part.segment is not None)
    matching = await store.matches(work.tx, caller.tenant_id, caller.environment, wanted, segments=segments)
    bits = {found.segment: found.bits for found in matching}
    asked: list[tuple[int, int]] = []
    for part, skipped, taken in pieces:
        found = bits.get(part.segment or 0, "")
        asked += [(part.segment or 0, place) for place in _places(found, skipped, taken, ascending=wanted.ascending)]
    ids = await store.ids_in_places(
        work.tx,
        caller.tenant_id,
        caller.environment,
        segments=tuple(segment for segment, _ in asked),
        places=tuple(place for _, place in asked),
        width=WIDTH,
    )
    by_segment: dict[int | None, list[str]] = {part.segment: [] for part, _, _ in pieces}
    for (segment, _), id in zip(asked, ids, strict=False):  # shorter when a segment was built anew in between
        by_segment[segment].append(id)
    return by_segment


def _places(bits: str, skipped: int, taken: int, *, ascending: bool) -> Iterator[int]:
    """Places of the set bits after the first `skipped` ones of the order, at most `taken`."""
    place = -1 if ascending else len(bits)
    for nth in range(skipped + taken):
        place = bits.find("1", place + 1) if ascending else bits.rfind("1", 0, place)
        if place < 0:
            return
        if nth >= skipped:
            yield place


async def _rows(
    work: Work,
    wanted: ConversationFilter,
    stretch: Stretch,
    *,
    after: Position = BEGINNING,
    before: Position = END,
    limit: int,
    offset: int,
) -> list[str]:
    ask = store.oldest_in if wanted.ascending else store.newest_in
    caller = work.caller
    return await ask(
        work.tx,
        caller.tenant_id,
        caller.environment,
        wanted,
        stretch,
        after=after,
        before=before,
        limit=limit,
        offset=offset,
    )


async def _by_duration(work: Work, wanted: ConversationFilter, *, total: int, limit: int, offset: int) -> list[str]:
    """Ids of a page of a list by duration: running ones have none yet, come after the longest and before the shortest."""
    ended = msgspec.structs.replace(wanted, min_duration=wanted.min_duration or 0)
    parts = await _parts(work, ended)
    count = sum(part.matches for part in parts)
    first, last = min(offset, total), min(offset + limit, total)  # of the page, in the list
    lead = total - count if wanted.ascending else 0  # where the ended ones begin in the list
    timed = (min(max(first - lead, 0), count), min(max(last - lead, 0), count))
    still = (first, min(last, lead)) if wanted.ascending else (max(first - count, 0), max(last - count, 0))
    ids = await _timed(work, ended, parts, count, *timed) if timed[0] < timed[1] else []
    if still[0] >= still[1]:
        return ids
    running = await _running(work, wanted, total - count)
    return running[slice(*still)] + ids if wanted.ascending else ids + running[slice(*still)]


async def _running(work: Work, wanted: ConversationFilter, count: int) -> list[str]:
    """All running conversations of a list, in the order of their ids."""
    running = msgspec.structs.replace(wanted, status=ConversationStatus.IN_PROGRESS)
    ids = await _page(work, running, await _parts(work, running), limit=count, offset=0)
    return sorted(ids, reverse=not wanted.ascending)


async def _timed(
    work: Work, wanted: ConversationFilter, parts: Sequence[Part], count: int, first: int, last: int
) -> list[str]:
    """Ids from one place to another among those that ended.

    Their durations tell which conversations come into question. Few are sorted by their rows; of very many of the same few seconds, the
    index by duration is entered where they begin.
    """
    if count <= _VERY_FEW:
        return (await _sorted(work, wanted, parts, count))[first:last]
    dense = wanted.period == ALWAYS and count * _DENSE >= len(parts) * SEGMENT_SIZE
    if dense and first == 0:
        return await _from_index(work, wanted, edge=None, skipped=0, taken=last)
    caller = work.caller
    beside: list[int] = []
    for part in parts:
        if not part.clean and part.matches:
            beside += await store.seconds_in(work.tx, caller.tenant_id, caller.environment, wanted, part)
    segments = tuple(part.segment for part in parts if part.clean and part.matches and part.segment is not None)

    async def rank_of(place: int) -> Rank:
        return await store.at_rank(
            work.tx,
            caller.tenant_id,
            caller.environment,
            wanted,
            segments=segments,
            beside=tuple(beside),
            rank=count - 1 - place if wanted.ascending else place,
        )

    opening = await rank_of(first)
    before = count - opening.longer - opening.as_long if wanted.ascending else opening.longer
    if dense:
        return await _from_index(work, wanted, edge=opening.seconds, skipped=first - before, taken=last - first)
    closing = opening if before + opening.as_long >= last else await rank_of(last - 1)
    longest, shortest = (closing, opening) if wanted.ascending else (opening, closing)
    eligible = shortest.longer + shortest.as_long - longest.longer
    if eligible <= _FEW and longest.seconds < LONGEST:
        among = msgspec.structs.replace(wanted, min_duration=shortest.seconds, max_duration=longest.seconds)
        ordered = await _sorted(work, among, parts, eligible)
        return ordered[first - before : last - before]
    return await _from_index(work, wanted, edge=opening.seconds, skipped=first - before, taken=last - first)


async def _sorted(work: Work, wanted: ConversationFilter, parts: Sequence[Part], count: int) -> list[str]:
    """All ids that match, at most so many, by duration; `parts` may have counted more than match."""
    ids = await _take(work, wanted, [(part, 0, min(count, part.matches)) for part in parts if part.matches])
    caller = work.caller
    return await store.sorted_by_duration(
        work.tx, caller.tenant_id, caller.environment, tuple(ids), ascending=wanted.ascending
    )


async def _from_index(
    work: Work, wanted: ConversationFilter, *, edge: int | None, skipped: int, taken: int
) -> list[str]:
    """Ids from the index by duration, which is entered at a number of seconds."""
    caller = work.caller
    await store.plan_once(work.tx, once=False)
    if wanted.ascending:
        floor = 0 if edge is None else edge
        return await store.shortest(
            work.tx, caller.tenant_id, caller.environment, wanted, floor=floor, limit=taken, offset=skipped
        )
    ceiling = _ENDLESS if edge is None or edge == LONGEST else edge  # the longest one stands for all longer ones
    return await store.longest(
        work.tx, caller.tenant_id, caller.environment, wanted, ceiling=ceiling, limit=taken, offset=skipped
    )


_ENDLESS = 2_000_000_000
"""Whole seconds that no conversation exceeds."""

_DENSE = 20
"""A list with more than one of so many conversations finds a page in the index by duration at once."""

_FEW = 2000
"""Conversations of the durations of a page that are sorted by their rows."""

_VERY_FEW = 500
"""Conversations of a whole list that are sorted by their rows."""


# -- building


async def shards_to_build(work: Work) -> list[Shard]:
    """Where something changed; the work runs as the system."""
    return await store.shards(work.tx)


async def build_next(work: Work, shard: Shard, *, size: int = SEGMENT_SIZE) -> int:
    """Build the next segment of a tenant that is full and settled, else one that changed; how many were built, 0 when all is done.

    Marks are deleted before rows are read: what commits in between is read and stays marked, so no count is ever wrong.
    """
    tenant_id, environment = shard.tenant_id, shard.environment
    if not await store.claim(work.tx, tenant_id, environment):
        return 0
    end = await store.end_of_segments(work.tx, tenant_id, environment) or BEGINNING
    until = await store.end_of_next(
        work.tx, tenant_id, environment, after=end, older_than=work.now - SETTLED, size=size
    )
    if until is not None:
        stretch = _stretch(end, until)
        await store.take_marks(work.tx, tenant_id, environment, stretch)
        return await _build(work, shard, stretch, size=size)
    stretch = await store.marked(work.tx, tenant_id, environment)
    if stretch is not None and stretch.segment is not None:
        await store.take_marks(work.tx, tenant_id, environment, stretch)
        await store.drop_segment(work.tx, tenant_id, environment, stretch.segment)
        return await _build(work, shard, stretch, size=size)
    # Marks beyond the last segment say nothing that its builder would not read.
    await store.take_marks(work.tx, tenant_id, environment, _stretch(end, END))
    return 0


async def _build(work: Work, shard: Shard, stretch: Stretch, *, size: int) -> int:
    """Segments over a stretch, the last of which ends where the stretch ends. What is too much for one work is left marked."""
    found = await _read(work, shard, stretch)
    whole = len(found) < _MOST_READ
    groups = [found[at : at + size] for at in range(0, len(found), size)] or [[]]
    after = stretch.after
    for number, group in enumerate(groups):
        until = stretch.until if whole and number == len(groups) - 1 else _position(group[-1])
        await _store(work, shard, group, after=after, until=until)
        after = until
    if not whole and _order(after) < _order(stretch.until):
        await store.insert_segment(
            work.tx, shard.tenant_id, shard.environment, after=after, until=stretch.until, size=0
        )
        await store.mark(work.tx, shard.tenant_id, shard.environment, stretch.until)
    return len(groups)


async def _read(work: Work, shard: Shard, stretch: Stretch) -> list[Indexed]:
    found: list[Indexed] = []
    after = stretch.after
    while len(found) < _MOST_READ:
        chunk = await store.rows(
            work.tx, shard.tenant_id, shard.environment, after=after, until=stretch.until, limit=_CHUNK
        )
        found += chunk
        if len(chunk) < _CHUNK:
            break
        after = _position(chunk[-1])
    return found


async def _store(work: Work, shard: Shard, group: Sequence[Indexed], *, after: Position, until: Position) -> None:
    tenant_id, environment = shard.tenant_id, shard.environment
    segment = await store.insert_segment(work.tx, tenant_id, environment, after=after, until=until, size=len(group))
    if not group:
        return
    bits = await asyncio.to_thread(bits_of, group)
    names = tuple(bits)
    for at in range(0, len(names), _FACETS_AT_ONCE):
        some = names[at : at + _FACETS_AT_ONCE]
        await store.insert_bits(
            work.tx, tenant_id, environment, segment, facets=some, bits=tuple(bits[name] for name in some)
        )
    ids = tuple(conversation.id for conversation in group)
    await store.insert_places(work.tx, tenant_id, environment, segment, ids=ids, width=WIDTH)


_FACETS_AT_ONCE = 200


def _stretch(after: Position, until: Position) -> Stretch:
    return Stretch(after_at=after.started_at, after_id=after.id, until_at=until.started_at, until_id=until.id)


def _position(conversation: Indexed) -> Position:
    return Position(started_at=conversation.started_at, id=conversation.id)


def _order(position: Position) -> tuple[object, str]:
    return position.started_at, position.id
