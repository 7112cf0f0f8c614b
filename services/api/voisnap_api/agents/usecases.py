"""What can be done with agents."""

import re
from collections.abc import Callable

import msgspec
from voisnap_domain.agents import Agent, AgentConfig, AgentSnapshot, AgentStatus
from voisnap_domain.errors import Conflict, FieldError, Invalid, LimitReached, NotFound, PreconditionFailed
from voisnap_domain.ids import PREFIXES, AgentId, UserId
from voisnap_kit.conditional import allows_change
from voisnap_kit.work import Work
from voisnap_proto.events import AgentChanged

from voisnap_api.channels import holdings as channels
from voisnap_api.conversations import usecases as conversations
from voisnap_api.conversations.records import Stats
from voisnap_api.periods import Period
from voisnap_api.phone_numbers import holdings as phone_numbers
from voisnap_api.tenants.usecases import find_tenant

from . import store
from .changes import summary
from .records import AgentFilter, AgentPosition, AgentVersion

MAX_NAME = 100

_AGENT_ID = re.compile(r"agt_[A-Za-z0-9]{1,64}")


async def create_agent(work: Work, config: AgentConfig) -> Agent:
    """A new agent, a draft in its first version."""
    return await _created(work, config, status=AgentStatus.DRAFT, summary="Initial version", change="created")


async def get_agent(work: Work, agent_id: AgentId) -> Agent:
    """One agent. Raises NotFound."""
    _check_kind(agent_id)
    agent = await store.get(work.tx, work.caller.tenant_id, work.caller.environment, agent_id)
    if agent is None:
        raise NotFound("agent", agent_id)
    return agent


async def list_agents(
    work: Work, wanted: AgentFilter, *, limit: int, offset: int = 0, after: AgentPosition | None = None
) -> tuple[list[Agent], int]:
    """One page of the agents that match, from a place in the list on, and how many match in all."""
    caller = work.caller
    agents = await store.page(
        work.tx, caller.tenant_id, caller.environment, wanted, limit=limit, offset=offset, after=after
    )
    return agents, await store.count(work.tx, caller.tenant_id, caller.environment, wanted)


async def update_agent(
    work: Work, agent_id: AgentId, change: Callable[[Agent], AgentConfig], *, if_match: str | None = None
) -> Agent:
    """The agent after `change`, in its next version; a change that changes nothing is a version, too.

    `if_match` names the states the caller knows (here and below). Raises PreconditionFailed when the agent is in another one.
    """
    before = await _for_change(work, agent_id, if_match)
    after = before.configured(change(before), at=work.now)
    return await _next_version(work, after, summary=summary(before.config, after.config), change="updated")


async def activate_agent(work: Work, agent_id: AgentId, *, if_match: str | None = None) -> Agent:
    """Let the agent take calls."""
    agent = (await _for_change(work, agent_id, if_match)).activated(at=work.now)
    await store.update(work.tx, agent)
    _tell(work, agent, "activated")
    return agent


async def deactivate_agent(work: Work, agent_id: AgentId, *, if_match: str | None = None) -> Agent:
    """Refuse the agent new calls."""
    agent = (await _for_change(work, agent_id, if_match)).deactivated(at=work.now)
    await store.update(work.tx, agent)
    _tell(work, agent, "deactivated")
    return agent


async def publish_agent(
    work: Work, agent_id: AgentId, *, notes: str | None = None, if_match: str | None = None
) -> Agent:
    """Make the current version the one that talks. Publishing it again is no error, and changes nothing."""
    before = await _for_change(work, agent_id, if_match)
    if before.published_version == before.version:
        return before
    agent = msgspec.structs.replace(before, published_version=before.version, updated_at=work.now)
    await store.update(work.tx, agent)
    await store.mark_published(work.tx, agent, notes=notes)
    _tell(work, agent, "published")
    return agent


async def restore_version(work: Work, agent_id: AgentId, number: int, *, if_match: str | None = None) -> Agent:
    """The agent with the configuration of an earlier version, as its next one. Raises NotFound."""
    before = await _for_change(work, agent_id, if_match)
    restored = before.configured((await _version(work, before, number)).config, at=work.now)
    return await _next_version(work, restored, summary=f"Restored version {number}", change="restored")


async def duplicate_agent(work: Work, agent_id: AgentId, *, name: str | None) -> Agent:
    """A copy of the agent with all its settings, inactive."""
    original = await get_agent(work, agent_id)
    suffix = " (Copy)"
    name = name or original.config.name[: MAX_NAME - len(suffix)] + suffix
    config = msgspec.structs.replace(original.config, name=name)
    return await _created(
        work, config, status=AgentStatus.INACTIVE, summary=f"Copy of {original.config.name}", change="duplicated"
    )


async def delete_agent(work: Work, agent_id: AgentId, *, if_match: str | None = None) -> None:
    """Delete the agent for good; its conversations stay, and its numbers without anybody who answers them. Whoever holds something else for
    it lets go on `agent.changed`."""
    agent = await _for_change(work, agent_id, if_match)
    await phone_numbers.let_go(work, agent.id)
    await channels.let_go(work, agent.id)
    await store.delete(work.tx, agent.tenant_id, agent.environment, agent.id)
    _tell(work, agent, "deleted")


async def list_versions(work: Work, agent_id: AgentId) -> list[AgentVersion]:
    """The agent's versions, newest first."""
    agent = await get_agent(work, agent_id)
    return await store.versions(work.tx, agent.tenant_id, agent.environment, agent.id)


async def get_version(work: Work, agent_id: AgentId, number: int) -> AgentVersion:
    """One version of the agent. Raises NotFound."""
    return await _version(work, await get_agent(work, agent_id), number)


async def two_versions(work: Work, agent_id: AgentId, first: int, second: int) -> tuple[AgentVersion, AgentVersion]:
    """Two versions of the agent, to be compared. Raises NotFound."""
    agent = await get_agent(work, agent_id)
    return await _version(work, agent, first), await _version(work, agent, second)


async def agent_stats(work: Work, agent_id: AgentId, period: Period) -> tuple[Agent, Stats]:
    """The agent, and sums over its conversations that started in a period. Raises NotFound."""
    agent = await get_agent(work, agent_id)
    return agent, await conversations.stats(work, agent.id, period)


async def active_agents_with(work: Work, provider: str, *, limit: int) -> list[str]:
    """Ids of active agents that name a provider, as first choice or as fallback."""
    return await store.active_with_provider(
        work.tx, work.caller.tenant_id, work.caller.environment, provider, limit=limit
    )


async def talking_version(
    work: Work, agent_id: AgentId, *, version: str | None = None, rehearsing: bool = False
) -> AgentSnapshot:
    """What a new session of this agent is opened with: the published version, else the newest.

    `version` asks for another one: its number, or `draft` for the newest. `rehearsing`: the session is a test, which needs no active agent.
    Raises NotFound `agent-not-found`, Conflict `agent-inactive`, Invalid.
    """
    try:
        agent = await get_agent(work, agent_id)
    except NotFound as error:
        raise NotFound("agent", agent_id, detail=error.detail, code="agent-not-found") from None
    if agent.status is not AgentStatus.ACTIVE and not rehearsing:
        raise Conflict(
            f"Agent {agent_id} is {agent.status.value}. Activate it before it takes calls.", code="agent-inactive"
        )
    number = (agent.published_version or agent.version) if version is None else _number_of(version, agent)
    if number == agent.version:
        return AgentSnapshot(agent_id=agent.id, version=agent.version, config=agent.config)
    found = await _version(work, agent, number)
    return AgentSnapshot(agent_id=agent.id, version=found.version, config=found.config)


def entity_tag(agent: Agent) -> str:
    """The strong validator of an agent's state (RFC 9110 §8.8.3)."""
    return f'"{agent.version}-{int(agent.updated_at.timestamp() * 1_000_000):x}"'


async def _created(work: Work, config: AgentConfig, *, status: AgentStatus, summary: str, change: str) -> Agent:
    await _check_room(work)
    agent = Agent(
        id=AgentId(work.new_id("agt")),
        tenant_id=work.caller.tenant_id,
        environment=work.caller.environment,
        status=status,
        version=1,
        published_version=None,
        config=config,
        widget_key=work.new_id("wgt"),
        created_at=work.now,
        updated_at=work.now,
    )
    await store.insert(work.tx, agent)
    await store.insert_version(work.tx, agent, changes_summary=summary, created_by=_author(work))
    _tell(work, agent, change)
    return agent


async def _next_version(work: Work, agent: Agent, *, summary: str, change: str) -> Agent:
    await store.update(work.tx, agent)
    await store.insert_version(work.tx, agent, changes_summary=summary, created_by=_author(work))
    _tell(work, agent, change)
    return agent


async def _version(work: Work, agent: Agent, number: int) -> AgentVersion:
    found = await store.version(work.tx, agent.tenant_id, agent.environment, agent.id, number)
    if found is None:
        raise NotFound("agent version", str(number), detail=f"Agent {agent.id} has no version {number}.")
    return found


def _author(work: Work) -> str | None:
    """Who made a version: a person, or the key that something else came with."""
    return work.caller.user_id or work.caller.key_id


async def _check_room(work: Work) -> None:
    """Raise LimitReached when the tenant's plan allows no further agent in this environment."""
    tenant = await find_tenant(work.tx, work.caller.tenant_id)
    most = tenant.usage_limits.max_agents if tenant else None
    if most is None:
        return
    if await store.count(work.tx, work.caller.tenant_id, work.caller.environment, AgentFilter()) >= most:
        raise LimitReached(f"Your plan allows {most} agents.", code="agent-limit-reached")


async def _for_change(work: Work, agent_id: AgentId, if_match: str | None = None) -> Agent:
    """The agent, locked. Raises NotFound, PreconditionFailed."""
    _check_kind(agent_id)
    agent = await store.get_for_change(work.tx, work.caller.tenant_id, work.caller.environment, agent_id)
    if agent is None:
        raise NotFound("agent", agent_id)
    if not allows_change(if_match, entity_tag(agent)):
        raise PreconditionFailed("The agent changed since you read it. Read it again and repeat your change.")
    return agent


def _check_kind(agent_id: AgentId) -> None:
    """Raise NotFound for what can't be the id of an agent, with a word about what it may be."""
    if _AGENT_ID.fullmatch(agent_id):
        return
    prefix = agent_id.partition("_")[0]
    kind = next((kind for kind, known in PREFIXES.items() if known == prefix and kind != "agent"), None)
    if kind is None:
        raise NotFound("agent", "", detail="No such agent: the id of an agent is agt_ and letters and digits.")
    raise NotFound(
        "agent", agent_id, detail=f"That is the id of a {kind.replace('_', ' ')}; an agent's begins with agt_."
    )


def _number_of(version: str, agent: Agent) -> int:
    if version == "draft":
        return agent.version
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        detail = "must be the number of a version, or draft"
        raise Invalid((FieldError(pointer="/version", code="bad-version", detail=detail),))
    return int(version)


def _tell(work: Work, agent: Agent, change: str) -> None:
    user_id = work.caller.user_id
    work.emit(
        AgentChanged(
            tenant_id=agent.tenant_id,
            environment=agent.environment,
            agent_id=agent.id,
            version=agent.version,
            change=change,
            by=UserId(user_id) if user_id else None,
        )
    )
