"""What can be done with agents."""

from collections.abc import Callable

import msgspec
from voisnap_domain.agents import Agent, AgentConfig, AgentSnapshot, AgentStatus
from voisnap_domain.errors import Conflict, FieldError, Invalid, LimitReached, NotFound, PreconditionFailed
from voisnap_domain.ids import AgentId, UserId
from voisnap_kit.work import Work
from voisnap_proto.events import AgentChanged

from voisnap_api.tenants.usecases import find_tenant

from . import store
from .changes import summary
from .records import AgentFilter, AgentVersion

MAX_NAME = 100


async def create_agent(work: Work, config: AgentConfig) -> Agent:
    """A new agent, a draft in its first version."""
    return await _created(work, config, status=AgentStatus.DRAFT, summary="Initial version", change="created")


async def get_agent(work: Work, agent_id: AgentId) -> Agent:
    """One agent. Raises NotFound."""
    agent = await store.get(work.tx, work.caller.tenant_id, work.caller.environment, agent_id)
    if agent is None:
        raise _not_found(agent_id)
    return agent


async def list_agents(work: Work, wanted: AgentFilter, *, limit: int, offset: int) -> tuple[list[Agent], int]:
    """One page of the agents that match, and how many match in all."""
    caller = work.caller
    agents = await store.page(work.tx, caller.tenant_id, caller.environment, wanted, limit=limit, offset=offset)
    return agents, await store.count(work.tx, caller.tenant_id, caller.environment, wanted)


async def update_agent(
    work: Work,
    agent_id: AgentId,
    change: Callable[[AgentConfig], AgentConfig],
    *,
    unless_changed_since: str | None = None,
) -> Agent:
    """The agent after `change`, in its next version; the same agent when nothing changed.

    `unless_changed_since` is the entity tag the caller saw. Raises PreconditionFailed when the agent moved on since.
    """
    before = await _for_change(work, agent_id)
    if unless_changed_since is not None and unless_changed_since not in {entity_tag(before), "*"}:
        raise PreconditionFailed("The agent changed since you read it. Read it again and repeat your change.")
    after = before.configured(change(before.config), at=work.now)
    if after is before:
        return before
    await store.update(work.tx, after)
    await store.insert_version(
        work.tx, after, changes_summary=summary(before.config, after.config), created_by=work.caller.user_id
    )
    _tell(work, after, "updated")
    return after


async def activate_agent(work: Work, agent_id: AgentId) -> Agent:
    """Let the agent take calls."""
    agent = (await _for_change(work, agent_id)).activated(at=work.now)
    await store.update(work.tx, agent)
    _tell(work, agent, "activated")
    return agent


async def deactivate_agent(work: Work, agent_id: AgentId) -> Agent:
    """Refuse the agent new calls."""
    agent = (await _for_change(work, agent_id)).deactivated(at=work.now)
    await store.update(work.tx, agent)
    _tell(work, agent, "deactivated")
    return agent


async def publish_agent(work: Work, agent_id: AgentId, *, notes: str | None = None) -> Agent:
    """Make the current version the one that talks. Publishing it again is no error."""
    before = await _for_change(work, agent_id)
    if before.published_version == before.version:
        return before
    agent = msgspec.structs.replace(before, published_version=before.version, updated_at=work.now)
    await store.update(work.tx, agent)
    await store.mark_published(work.tx, agent, notes=notes)
    _tell(work, agent, "published")
    return agent


async def duplicate_agent(work: Work, agent_id: AgentId, *, name: str | None) -> Agent:
    """A copy of the agent with all its settings, inactive."""
    original = await get_agent(work, agent_id)
    suffix = " (Copy)"
    name = name or original.config.name[: MAX_NAME - len(suffix)] + suffix
    config = msgspec.structs.replace(original.config, name=name)
    return await _created(
        work, config, status=AgentStatus.INACTIVE, summary=f"Copy of {original.config.name}", change="duplicated"
    )


async def delete_agent(work: Work, agent_id: AgentId) -> None:
    """Delete the agent for good; its conversations stay."""
    agent = await _for_change(work, agent_id)
    await store.delete(work.tx, agent.tenant_id, agent.environment, agent.id)
    _tell(work, agent, "deleted")


async def list_versions(work: Work, agent_id: AgentId) -> list[AgentVersion]:
    """The agent's versions, newest first."""
    agent = await get_agent(work, agent_id)
    return await store.versions(work.tx, agent.tenant_id, agent.environment, agent.id)


async def get_version(work: Work, agent_id: AgentId, number: int) -> AgentVersion:
    """One version of the agent."""
    agent = await get_agent(work, agent_id)
    found = await store.version(work.tx, agent.tenant_id, agent.environment, agent.id, number)
    if found is None:
        raise NotFound("agent version", str(number), detail=f"Agent {agent_id} has no version {number}.")
    return found


async def talking_version(work: Work, agent_id: AgentId, *, version: str | None = None) -> AgentSnapshot:
    """What a new session of this agent is opened with: the published version, else the newest.

    `version` asks for another one: its number, or `draft` for the newest. Raises NotFound `agent-not-found`, Conflict `agent-inactive`,
    Invalid.
    """
    agent = await store.get(work.tx, work.caller.tenant_id, work.caller.environment, agent_id)
    if agent is None:
        raise NotFound("agent", agent_id, code="agent-not-found")
    if agent.status is not AgentStatus.ACTIVE:
        raise Conflict(
            f"Agent {agent_id} is {agent.status.value}. Activate it before it takes calls.", code="agent-inactive"
        )
    number = (agent.published_version or agent.version) if version is None else _number_of(version, agent)
    if number == agent.version:
        return AgentSnapshot(agent_id=agent.id, version=agent.version, config=agent.config)
    found = await get_version(work, agent_id, number)
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
        created_at=work.now,
        updated_at=work.now,
    )
    await store.insert(work.tx, agent)
    await store.insert_version(work.tx, agent, changes_summary=summary, created_by=work.caller.user_id)
    _tell(work, agent, change)
    return agent


async def _check_room(work: Work) -> None:
    """Raise LimitReached when the tenant's plan allows no further agent in this environment."""
    tenant = await find_tenant(work.tx, work.caller.tenant_id)
    most = tenant.usage_limits.max_agents if tenant else None
    if most is None:
        return
    if await store.count(work.tx, work.caller.tenant_id, work.caller.environment, AgentFilter()) >= most:
        raise LimitReached(f"Your plan allows {most} agents.", code="agent-limit-reached")


async def _for_change(work: Work, agent_id: AgentId) -> Agent:
    agent = await store.get_for_change(work.tx, work.caller.tenant_id, work.caller.environment, agent_id)
    if agent is None:
        raise _not_found(agent_id)
    return agent


def _number_of(version: str, agent: Agent) -> int:
    if version == "draft":
        return agent.version
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        detail = "must be the number of a version, or draft"
        raise Invalid((FieldError(pointer="/version", code="bad-version", detail=detail),))
    return int(version)


def _not_found(agent_id: AgentId) -> NotFound:
    return NotFound("agent", agent_id)


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
