"""`/api/v1/agents`."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter
from voisnap_domain.agents import Agent, AgentStatus
from voisnap_domain.errors import FieldError, Invalid
from voisnap_domain.ids import AgentId
from voisnap_kit.conditional import is_known
from voisnap_kit.http import InjectedPageQuery, Page, cursor_of, position_of
from voisnap_kit.work import Work, begin, begin_reading

from voisnap_api.catalogue.routes import InjectedReaches
from voisnap_api.catalogue.usecases import Reaches, warnings_of
from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires
from voisnap_api.outbound_calls.countries import target_warnings
from voisnap_api.periods import period

from . import usecases
from .changes import differences, summary
from .records import AgentFilter, AgentPosition
from .schemas import (
    AgentStats,
    AgentView,
    ComparisonView,
    DuplicateBody,
    PublishBody,
    VersionDetail,
    VersionList,
    VersionView,
    config_of,
    document_of,
    patched,
)

_SORTS = {"name": "name", "createdAt": "created_at", "updatedAt": "updated_at"}

IfMatch = Annotated[
    str | None, HeaderParameter(name="If-Match", description="The `ETag` you saw; 412 when the agent changed since")
]
IfNoneMatch = Annotated[
    str | None, HeaderParameter(name="If-None-Match", description="The `ETag` you have; 304 when it is still the same")
]


DateFrom = Annotated[
    str | None, QueryParameter(name="dateFrom", description="The first day or moment, in ISO 8601; inclusive")
]
DateTo = Annotated[
    str | None, QueryParameter(name="dateTo", description="The last day or moment, in ISO 8601; inclusive")
]


class AgentController(Controller):
    """Voice agents: persona, voice, model, behaviour, versions."""

    path = "/api/v1/agents"
    tags = ("Agents",)

    @post("/", guards=[requires("agents:write")])
    async def create(
        self,
        data: JSONBody[dict[str, Any]],
        caller: InjectedCaller,
        database: InjectedDatabase,
        reaches: InjectedReaches,
    ) -> Response[AgentView]:
        """Create an agent, as a draft. Fields that are left out get their documented defaults.

        `warnings` of the answer name models and voices that are not in the catalogue, providers that you have no access to, and targets of
        transfers that calls may not go to.
        """
        config = config_of(data)
        async with begin(database, caller) as work:
            return await _answer(work, await usecases.create_agent(work, config), reaches, status=201)

    @get("/", guards=[requires("agents:read")], opt={"policy": API_READ_HEAVY})
    async def list_agents(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        paging: InjectedPageQuery,
        status: Annotated[AgentStatus | None, QueryParameter(description="Only agents in this status")] = None,
        search: Annotated[str | None, QueryParameter(description="Only agents whose name contains this")] = None,
        tags: Annotated[
            str | None, QueryParameter(description="Only agents with all these tags, comma-separated")
        ] = None,
        sort_by: Annotated[
            str, QueryParameter(name="sortBy", description="name, createdAt or updatedAt")
        ] = "createdAt",
        sort_order: Annotated[str, QueryParameter(name="sortOrder", description="asc or desc")] = "desc",
    ) -> Page[AgentView]:
        """List agents, newest first unless asked otherwise."""
        wanted = AgentFilter(status=status, search=search or None, tags=_split(tags), sort=_sort(sort_by, sort_order))
        after = None if paging.cursor is None else _position(paging.cursor, wanted)
        offset = paging.offset if after is None else 0
        async with begin_reading(database, caller) as work:
            agents, total = await usecases.list_agents(work, wanted, limit=paging.page_size, offset=offset, after=after)
        cursor = _cursor(agents[-1], wanted) if len(agents) == paging.page_size else None
        return Page.of([AgentView.of(agent) for agent in agents], paging, total, next_cursor=cursor)

    @get("/{agent_id:str}", guards=[requires("agents:read")])
    async def read(
        self,
        agent_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        reaches: InjectedReaches,
        if_none_match: IfNoneMatch = None,
    ) -> Response[AgentView]:
        """Get an agent. Its `ETag` goes into the `If-Match` of a later change."""
        async with begin_reading(database, caller) as work:
            agent = await usecases.get_agent(work, AgentId(agent_id))
            if is_known(if_none_match, usecases.entity_tag(agent)):
                return Response(None, status_code=304, headers=_headers(agent))  # type: ignore[return-value]
            return await _answer(work, agent, reaches)

    @patch("/{agent_id:str}", guards=[requires("agents:write")])
    async def update(
        self,
        agent_id: FromPath[str],
        data: JSONBody[dict[str, Any]],
        caller: InjectedCaller,
        database: InjectedDatabase,
        reaches: InjectedReaches,
        if_match: IfMatch = None,
    ) -> Response[AgentView]:
        """Change an agent by a JSON merge patch: nested objects merge, null clears a field, arrays are replaced.

        Every patch makes the next version, also one that changes nothing.
        """
        async with begin(database, caller) as work:
            agent = await usecases.update_agent(
                work, AgentId(agent_id), lambda agent: patched(agent, data), if_match=if_match
            )
            return await _answer(work, agent, reaches)

    @delete("/{agent_id:str}", guards=[requires("agents:write")])
    async def remove(
        self,
        agent_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        if_match: IfMatch = None,
    ) -> None:
        """Delete an agent for good; its phone numbers are free again. Its conversations are kept."""
        async with begin(database, caller) as work:
            await usecases.delete_agent(work, AgentId(agent_id), if_match=if_match)

    @post("/{agent_id:str}/activate", status_code=200, guards=[requires("agents:write")])
    async def activate(
        self,
        agent_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        reaches: InjectedReaches,
        if_match: IfMatch = None,
    ) -> Response[AgentView]:
        """Let an agent take calls."""
        async with begin(database, caller) as work:
            agent = await usecases.activate_agent(work, AgentId(agent_id), if_match=if_match)
            return await _answer(work, agent, reaches)

    @post("/{agent_id:str}/deactivate", status_code=200, guards=[requires("agents:write")])
    async def deactivate(
        self,
        agent_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        reaches: InjectedReaches,
        if_match: IfMatch = None,
    ) -> Response[AgentView]:
        """Refuse an agent new calls; those in progress go on."""
        async with begin(database, caller) as work:
            agent = await usecases.deactivate_agent(work, AgentId(agent_id), if_match=if_match)
            return await _answer(work, agent, reaches)

    @post("/{agent_id:str}/duplicate", guards=[requires("agents:write")])
    async def duplicate(
        self,
        agent_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        reaches: InjectedReaches,
        data: JSONBody[DuplicateBody | None] = None,
    ) -> Response[AgentView]:
        """Copy an agent with all its settings; the copy is inactive."""
        async with begin(database, caller) as work:
            agent = await usecases.duplicate_agent(work, AgentId(agent_id), name=data.name if data else None)
            return await _answer(work, agent, reaches, status=201)

    @post("/{agent_id:str}/publish", status_code=200, guards=[requires("agents:write")])
    async def publish(
        self,
        agent_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        reaches: InjectedReaches,
        data: JSONBody[PublishBody | None] = None,
        if_match: IfMatch = None,
    ) -> Response[AgentView]:
        """Make the current version the one that talks. It never changes again; publishing it once more changes nothing."""
        notes = data.notes if data else None
        async with begin(database, caller) as work:
            agent = await usecases.publish_agent(work, AgentId(agent_id), notes=notes, if_match=if_match)
            return await _answer(work, agent, reaches)

    @get("/{agent_id:str}/stats", guards=[requires("agents:read")], opt={"policy": API_READ_HEAVY})
    async def stats(
        self,
        agent_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        date_from: DateFrom = None,
        date_to: DateTo = None,
    ) -> AgentStats:
        """Sum up an agent's conversations that started in a period: of its whole life when no dates are given."""
        asked = period(date_from, date_to)
        async with begin(database, caller) as work:
            agent, found = await usecases.agent_stats(work, AgentId(agent_id), asked)
        return AgentStats.of(agent, found, start=date_from, end=date_to, today=work.now.date())

    @get("/{agent_id:str}/versions", guards=[requires("agents:read")], opt={"policy": API_READ_HEAVY})
    async def versions(
        self, agent_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> VersionList:
        """List an agent's versions, newest first."""
        async with begin(database, caller) as work:
            found = await usecases.list_versions(work, AgentId(agent_id))
        return VersionList(data=tuple(VersionView.of(version) for version in found))

    @get("/{agent_id:str}/versions/{number:int}", guards=[requires("agents:read")])
    async def version(
        self, agent_id: FromPath[str], number: FromPath[int], caller: InjectedCaller, database: InjectedDatabase
    ) -> VersionDetail:
        """Get one version of an agent, with its configuration."""
        async with begin(database, caller) as work:
            found = await usecases.get_version(work, AgentId(agent_id), number)
        return VersionDetail.of(found)

    @get("/{agent_id:str}/versions/{first:int}/compare/{second:int}", guards=[requires("agents:read")])
    async def compare(
        self,
        agent_id: FromPath[str],
        first: FromPath[int],
        second: FromPath[int],
        caller: InjectedCaller,
        database: InjectedDatabase,
    ) -> ComparisonView:
        """Compare two versions of an agent: which members differ, with the value in the first and in the second."""
        async with begin(database, caller) as work:
            old, new = await usecases.two_versions(work, AgentId(agent_id), first, second)
        changes = tuple(differences(document_of(old.config), document_of(new.config)))
        return ComparisonView.of(old, new, changes=changes, summary=summary(old.config, new.config))

    @post("/{agent_id:str}/versions/{number:int}/restore", status_code=200, guards=[requires("agents:write")])
    async def restore(
        self,
        agent_id: FromPath[str],
        number: FromPath[int],
        caller: InjectedCaller,
        database: InjectedDatabase,
        reaches: InjectedReaches,
        if_match: IfMatch = None,
    ) -> Response[AgentView]:
        """Go back to the configuration of an earlier version, as the agent's next version. What is published stays published."""
        async with begin(database, caller) as work:
            agent = await usecases.restore_version(work, AgentId(agent_id), number, if_match=if_match)
            return await _answer(work, agent, reaches)


async def _answer(work: Work, agent: Agent, reaches: Reaches, *, status: int = 200) -> Response[AgentView]:
    headers = _headers(agent)
    if status == 201:
        headers["Location"] = f"/api/v1/agents/{agent.id}"
    warnings = warnings_of(agent.config, await reaches.of(work))
    warnings += await target_warnings(work, agent.config.transfer.targets)
    return Response(AgentView.of(agent, warnings), status_code=status, headers=headers)


def _headers(agent: Agent) -> dict[str, str]:
    return {"ETag": usecases.entity_tag(agent)}


def _cursor(last: Agent, wanted: AgentFilter) -> str:
    """Where the page behind an agent begins; good for lists in this order only."""
    values = {"name": last.config.name, "created_at": last.created_at, "updated_at": last.updated_at}
    return cursor_of(wanted.sort, values[wanted.by], last.id)


def _position(cursor: str, wanted: AgentFilter) -> AgentPosition:
    """The place that a cursor stands for. Raises Invalid for one of another list or order."""
    if wanted.by == "name":
        sort, name, id = position_of(cursor, tuple[str, str, str])
        position = AgentPosition(id=id, name=name)
    else:
        sort, moment, id = position_of(cursor, tuple[str, datetime, str])
        position = AgentPosition(id=id, moment=moment)
    if sort != wanted.sort:
        detail = "must be the nextCursor of a page of this list, in the same order"
        raise Invalid((FieldError(pointer="?cursor", code="invalid", detail=detail),))
    return position


def _split(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _sort(by: str, order: str) -> str:
    faults = []
    if by not in _SORTS:
        faults.append(FieldError(pointer="?sortBy", code="not-allowed", detail=f"Must be one of {', '.join(_SORTS)}."))
    if order not in {"asc", "desc"}:
        faults.append(FieldError(pointer="?sortOrder", code="not-allowed", detail="Must be one of asc, desc."))
    if faults:
        raise Invalid(tuple(faults))
    return f"{_SORTS[by]} {order}"
