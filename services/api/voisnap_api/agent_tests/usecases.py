"""Trying an agent out: a session with a simulated caller, on the way that real calls take.

In the sandbox every channel is simulated. In live, channels of a carrier would ring somebody's telephone, and none is connected yet.
"""

from datetime import timedelta

import msgspec
from voisnap_domain.agent_rules import phone_number_fault
from voisnap_domain.errors import Conflict, FieldError, Invalid, NotFound
from voisnap_domain.ids import AgentId
from voisnap_domain.rehearsals import Rehearsal, rehearsal_of
from voisnap_domain.sessions import Caller, Channel, Direction, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_kit.work import Work

from voisnap_api.agents.usecases import get_agent
from voisnap_api.conversations.usecases import get_conversation
from voisnap_api.session_plans.usecases import check_metadata, plan_session

from . import store
from .records import AgentTest, TestStatus
from .schemas import TestBody

TO_BEGIN = timedelta(minutes=2)
"""A test whose conversation is not there after so long has failed to begin, or its conversation was deleted."""

_CARRIERS = frozenset({Channel.PHONE, Channel.SMS, Channel.WHATSAPP, Channel.TELEGRAM})


async def plan_test(work: Work, agent_id: AgentId, wanted: TestBody) -> tuple[AgentTest, SessionPlan, Rehearsal]:
    """What a test is made of; nothing is kept yet. The agent need not be active.

    Raises NotFound, Invalid, Conflict `carrier-not-configured` and `channel-disabled`, Forbidden.
    """
    _check(wanted)
    agent = await get_agent(work, agent_id)
    if work.caller.environment is Environment.LIVE and wanted.channel in _CARRIERS:
        raise Conflict(
            f"No carrier is connected for the channel {wanted.channel.value}, so no call can be placed. "
            "With a sandbox key the same request lets a simulated caller talk with the agent.",
            code="carrier-not-configured",
        )
    plan = await plan_session(
        work,
        agent.id,
        wanted.channel,
        wanted.metadata,
        caller=Caller(phone_number=wanted.phone_number),
        version=None if wanted.version is None else str(wanted.version),
        direction=Direction.OUTBOUND if wanted.channel in _CARRIERS else Direction.INBOUND,
        rehearsing=True,
    )
    test = AgentTest(
        id=work.new_id("test"),
        tenant_id=work.caller.tenant_id,
        environment=work.caller.environment,
        agent_id=agent.id,
        agent_version=plan.agent.version,
        channel=wanted.channel,
        phone_number=wanted.phone_number,
        metadata=wanted.metadata,
        session_id=plan.session_id,
        conversation_id=plan.conversation_id,
        created_at=work.now,
        created_by=work.caller.user_id or work.caller.key_id,
    )
    marked = {**wanted.metadata, "testSessionId": test.id, "simulated": True}
    rehearsal = rehearsal_of(plan.agent.config, wanted.metadata, script=wanted.script)
    return test, msgspec.structs.replace(plan, metadata=marked), rehearsal


async def keep_test(work: Work, test: AgentTest) -> None:
    """Keep a test that has begun."""
    await store.insert(work.tx, test)


async def get_test(work: Work, agent_id: AgentId, test_id: str) -> tuple[AgentTest, TestStatus]:
    """A test of the agent, and where it stands. Raises NotFound."""
    agent = await get_agent(work, agent_id)
    test = await store.get(work.tx, work.caller.tenant_id, work.caller.environment, agent.id, test_id)
    if test is None:
        raise NotFound("test session", test_id, detail=f"Agent {agent_id} has no test session with that ID.")
    return test, await _status(work, test)


async def list_tests(
    work: Work, agent_id: AgentId, *, limit: int, offset: int
) -> tuple[list[tuple[AgentTest, TestStatus]], int]:
    """One page of the agent's tests, newest first, each with where it stands; and how many there are. Raises NotFound."""
    agent = await get_agent(work, agent_id)
    tenant_id, environment = work.caller.tenant_id, work.caller.environment
    tests = await store.page(work.tx, tenant_id, environment, agent.id, limit=limit, offset=offset)
    found = [(test, await _status(work, test)) for test in tests]
    return found, await store.count(work.tx, tenant_id, environment, agent.id)


async def _status(work: Work, test: AgentTest) -> TestStatus:
    try:
        conversation = await get_conversation(work, test.conversation_id)
    except NotFound:
        return TestStatus.INITIATED if work.now < test.created_at + TO_BEGIN else TestStatus.FAILED
    return TestStatus(conversation.status.value)


def _check(wanted: TestBody) -> None:
    """Raise Invalid for what the body's types don't say."""
    faults: list[FieldError] = []
    if wanted.phone_number is not None and (fault := phone_number_fault(wanted.phone_number)):
        faults.append(FieldError(pointer="/phoneNumber", code="wrong-format", detail=fault))
    if wanted.channel is Channel.PHONE and wanted.phone_number is None:
        detail = "a test by phone needs the number to call"
        faults.append(FieldError(pointer="/phoneNumber", code="required", detail=detail))
    try:
        check_metadata(wanted.metadata)
    except Invalid as error:
        faults.extend(error.errors)
    if faults:
        raise Invalid(tuple(faults))
