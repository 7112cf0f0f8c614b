"""Trying an agent out: a session with a simulated caller, on the way that real calls take.

In the sandbox every channel is simulated. In live, a test on a channel of a carrier reaches somebody: it is a call or a message like those
that tenants ask for themselves.
"""

from datetime import timedelta

import msgspec
from voisnap_domain.agent_rules import phone_number_fault
from voisnap_domain.agents import AgentSnapshot
from voisnap_domain.errors import Conflict, FieldError, Invalid, NotFound
from voisnap_domain.ids import AgentId, ContactId, ConversationId, MessageId, OutboundCallId
from voisnap_domain.outbound import OutboundStatus
from voisnap_domain.rehearsals import Rehearsal, rehearsal_of
from voisnap_domain.sessions import Caller, Channel, Direction, SessionPlan
from voisnap_domain.templates import render, variables_of
from voisnap_domain.tenants import Environment
from voisnap_kit.work import Caller as Principal
from voisnap_kit.work import Work

from voisnap_api.agents.usecases import get_agent, talking_version
from voisnap_api.contacts.records import ContactFilter
from voisnap_api.contacts.usecases import list_contacts
from voisnap_api.conversations.usecases import get_conversation
from voisnap_api.messaging import usecases as messages
from voisnap_api.messaging.networks import Networks
from voisnap_api.messaging.records import State
from voisnap_api.outbound_calls.schemas import OutboundCallBody
from voisnap_api.outbound_calls.usecases import create_call, get_call
from voisnap_api.session_plans.usecases import check_metadata, plan_session

from . import store
from .records import AgentTest, Standing, TestStatus
from .schemas import TestBody

TO_BEGIN = timedelta(minutes=2)
"""A test whose conversation is not there after so long has failed to begin, or its conversation was deleted."""

_CARRIERS = frozenset({Channel.PHONE, Channel.SMS, Channel.WHATSAPP, Channel.TELEGRAM})

_OF_CALL = {
    OutboundStatus.IN_PROGRESS: TestStatus.IN_PROGRESS,
    OutboundStatus.COMPLETED: TestStatus.COMPLETED,
    OutboundStatus.VOICEMAIL: TestStatus.COMPLETED,
    OutboundStatus.NO_ANSWER: TestStatus.ABANDONED,
    OutboundStatus.BUSY: TestStatus.ABANDONED,
    OutboundStatus.CANCELLED: TestStatus.ABANDONED,
    OutboundStatus.FAILED: TestStatus.FAILED,
}
_OF_MESSAGE = {
    State.SENDING: TestStatus.IN_PROGRESS,
    State.UNCONFIRMED: TestStatus.IN_PROGRESS,
    State.SENT: TestStatus.COMPLETED,
    State.DELIVERED: TestStatus.COMPLETED,
    State.READ: TestStatus.COMPLETED,
    State.FAILED: TestStatus.FAILED,
    State.UNDELIVERABLE: TestStatus.FAILED,
}


async def plan_test(work: Work, agent_id: AgentId, wanted: TestBody) -> tuple[AgentTest, SessionPlan, Rehearsal]:
    """What a test with a simulated caller is made of; nothing is kept yet. The agent need not be active.

    Raises NotFound, Invalid, Conflict `channel-disabled`, Forbidden.
    """
    _check(wanted)
    agent = await get_agent(work, agent_id)
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
    test = msgspec.structs.replace(
        _new(work, wanted, plan.agent), session_id=plan.session_id, conversation_id=plan.conversation_id
    )
    marked = {**wanted.metadata, "testSessionId": test.id, "simulated": True}
    rehearsal = rehearsal_of(plan.agent.config, wanted.metadata, script=wanted.script)
    return test, msgspec.structs.replace(plan, metadata=marked), rehearsal


def is_for_real(caller: Principal, channel: Channel) -> bool:
    """Whether a test reaches somebody: in live, on a channel of a carrier."""
    return caller.environment is Environment.LIVE and channel in _CARRIERS


async def reach_somebody(work: Work, networks: Networks, agent_id: AgentId, wanted: TestBody) -> AgentTest:
    """Call the number that a test names, or send it the agent's first message; the test is kept. The agent need not be active.

    Raises NotFound, Invalid, Forbidden, Conflict `carrier-not-configured` (the agent has nothing to call or to write from) and
    `no-first-message`; and what `create_call` and `send` raise.
    """
    _check(wanted, for_real=True)
    work.caller.require("calls:write" if wanted.channel is Channel.PHONE else "conversations:write")
    agent = await get_agent(work, agent_id)
    version = None if wanted.version is None else str(wanted.version)
    snapshot = await talking_version(work, agent.id, version=version, rehearsing=True)
    test = _new(work, wanted, snapshot)
    if wanted.channel is Channel.PHONE:
        test = msgspec.structs.replace(test, outbound_call_id=await _call(work, test))
    else:
        test = msgspec.structs.replace(test, message_id=await _write(work, networks, test, wanted))
    await keep_test(work, test)
    return test


async def _call(work: Work, test: AgentTest) -> OutboundCallId:
    """The call of a test, to be placed at once."""
    body = OutboundCallBody(
        agent_id=test.agent_id,
        to_number=test.phone_number or "",
        metadata={**test.metadata, "testSessionId": test.id},
    )
    try:
        call = await create_call(work, body, tested_version=test.agent_version)
    except Conflict as error:
        if error.code == "no-phone-number":
            raise _no_carrier(test.channel) from None
        raise
    except Invalid as error:
        raise _as_asked(error, "/toNumber") from None
    return call.id


async def _write(work: Work, networks: Networks, test: AgentTest, wanted: TestBody) -> MessageId:
    """The message of a test: what the agent says first on this channel."""
    plan = await plan_session(
        work,
        test.agent_id,
        test.channel,
        test.metadata,
        caller=Caller(phone_number=test.phone_number),
        version=str(test.agent_version),
        direction=Direction.OUTBOUND,
        rehearsing=True,
    )
    try:
        await messages.sender_of(work, test.agent_id, test.channel)
    except Conflict as error:
        if error.code == "no-sender":
            raise _no_carrier(test.channel) from None
        raise
    config, variables = plan.agent.config, variables_of(plan, now=plan.created_at)
    opening = (
        render(text or "", variables).text.strip() for text in (config.ai_disclosure_message, config.first_message)
    )
    text = "\n".join(part for part in opening if part)
    if not text:
        raise Conflict(
            f"Agent {test.agent_id} has no first message on {test.channel.value}, so there is nothing to send. Give it a `firstMessage`.",
            code="no-first-message",
        )
    contact_id = await _contact_by_number(work, test.phone_number) if test.channel is Channel.TELEGRAM else None
    order = messages.Wanted(
        channel=test.channel,
        agent_id=test.agent_id,
        to=test.phone_number if contact_id is None else None,
        contact_id=contact_id,
        text=text,
    )
    try:
        sent = await messages.send(work, networks, order)
    except Invalid as error:
        raise _as_asked(error, "/to", "/contactId") from None
    return sent[0].id


async def _contact_by_number(work: Work, number: str | None) -> ContactId:
    """Whom a bot may write to: telephone numbers are no addresses there, but people's are known by them."""
    found, _ = await list_contacts(work, ContactFilter(phone_number=number), limit=1, offset=0)
    if not found:
        detail = (
            "belongs to no contact: a bot can write only to somebody who has written to it, and whose number is known"
        )
        raise Invalid((FieldError(pointer="/phoneNumber", code="unreachable", detail=detail),))
    return found[0].contact.id


def _no_carrier(channel: Channel) -> Conflict:
    return Conflict(
        f"The agent has nothing to reach anybody from on the channel {channel.value}: assign it a number, or connect an account. "
        "With a sandbox key the same request lets a simulated caller talk with the agent.",
        code="carrier-not-configured",
    )


def _as_asked(error: Invalid, *numbers: str) -> Invalid:
    """The faults by the fields of a test."""
    return Invalid(
        tuple(
            msgspec.structs.replace(one, pointer="/phoneNumber") if one.pointer in numbers else one
            for one in error.errors
        )
    )


def _new(work: Work, wanted: TestBody, agent: AgentSnapshot) -> AgentTest:
    return AgentTest(
        id=work.new_id("test"),
        tenant_id=work.caller.tenant_id,
        environment=work.caller.environment,
        agent_id=agent.agent_id,
        agent_version=agent.version,
        channel=wanted.channel,
        phone_number=wanted.phone_number,
        metadata=wanted.metadata,
        created_at=work.now,
        created_by=work.caller.user_id or work.caller.key_id,
    )


async def keep_test(work: Work, test: AgentTest) -> None:
    """Keep a test that has begun."""
    await store.insert(work.tx, test)


async def get_test(work: Work, agent_id: AgentId, test_id: str) -> Standing:
    """A test of the agent, and where it stands. Raises NotFound."""
    agent = await get_agent(work, agent_id)
    test = await store.get(work.tx, work.caller.tenant_id, work.caller.environment, agent.id, test_id)
    if test is None:
        raise NotFound("test session", test_id, detail=f"Agent {agent_id} has no test session with that ID.")
    return await _standing(work, test)


async def list_tests(work: Work, agent_id: AgentId, *, limit: int, offset: int) -> tuple[list[Standing], int]:
    """One page of the agent's tests, newest first, each with where it stands; and how many there are. Raises NotFound."""
    agent = await get_agent(work, agent_id)
    tenant_id, environment = work.caller.tenant_id, work.caller.environment
    tests = await store.page(work.tx, tenant_id, environment, agent.id, limit=limit, offset=offset)
    found = [await _standing(work, test) for test in tests]
    return found, await store.count(work.tx, tenant_id, environment, agent.id)


async def _standing(work: Work, test: AgentTest) -> Standing:
    conversation_id = test.conversation_id
    try:
        if test.outbound_call_id is not None:
            call = await get_call(work, test.outbound_call_id)
            status, conversation_id = _OF_CALL.get(call.status, TestStatus.INITIATED), call.conversation_id
        elif test.message_id is not None:
            message = await messages.get_message(work, test.message_id)
            status, conversation_id = _OF_MESSAGE.get(message.state, TestStatus.INITIATED), message.conversation_id
        else:
            status = TestStatus((await get_conversation(work, ConversationId(conversation_id or ""))).status.value)
    except NotFound:
        begins = test.is_simulated and work.now < test.created_at + TO_BEGIN
        status = TestStatus.INITIATED if begins else TestStatus.FAILED
    return Standing(test=test, status=status, conversation_id=conversation_id)


def _check(wanted: TestBody, *, for_real: bool = False) -> None:
    """Raise Invalid for what the body's types don't say."""
    faults: list[FieldError] = []
    if wanted.phone_number is not None and (fault := phone_number_fault(wanted.phone_number)):
        faults.append(FieldError(pointer="/phoneNumber", code="wrong-format", detail=fault))
    if wanted.phone_number is None and (wanted.channel is Channel.PHONE or for_real):
        detail = f"a test by {wanted.channel.value} needs the number to reach"
        faults.append(FieldError(pointer="/phoneNumber", code="required", detail=detail))
    try:
        check_metadata(wanted.metadata)
    except Invalid as error:
        faults.extend(error.errors)
    if faults:
        raise Invalid(tuple(faults))
