"""Callers who are handed over, in virtual time: to somebody, back to the agent, or nowhere."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from voisnap_domain.agents import Recording
from voisnap_domain.calls import AnsweredBy, CallPhase, TransferAcceptance, TransferMode
from voisnap_domain.errors import Conflict, NotFound
from voisnap_domain.sessions import Caller, EndReason
from voisnap_proto.events import CallTransferChanged, SessionEnded
from voisnap_proto.requests import (
    NOTE_TRANSFER_CALL,
    TRANSFER_SESSION,
    NoteTransferCall,
    TransferBegun,
    TransferCallNoted,
    TransferSession,
)
from voisnap_runtime.pipeline.tools import ToolContext
from voisnap_runtime.transfers.offering import LegSays, LegWord
from voisnap_runtime.transfers.tool import CANCEL_TRANSFER, TRANSFER_CALL, tools_of

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

SALES, DESK = "+14155550123", "sip:desk@pbx.example"
CONTEXT = ToolContext(call_id="c1", key="k", spoke=False)


def tool_of(office: Any, plan: Any) -> Any:
    return next(
        tool
        for tool in tools_of(plan, office.transfers.begin_for_agent, office.transfers.call_off)
        if tool.spec.name == TRANSFER_CALL
    )


async def put_through(office: Any, live: Any, target: str, **more: str) -> Any:
    return await tool_of(office, live.plan).run({"target": target, "reason": "Bread.", **more}, CONTEXT)


async def leg_says(office: Any, live: Any, word: LegWord) -> bool:
    kept = office.kept.kept[live.plan.session_id]
    says = LegSays(session_id=live.plan.session_id, transfer_id=kept.order.transfer_id, word=word)
    return (await office.transfers.leg_says(says)).is_known


async def leg_is(office: Any, live: Any, phase: CallPhase | None, answered_by: AnsweredBy | None = None) -> bool:
    kept = office.kept.kept[live.plan.session_id]
    note = NoteTransferCall(
        session_id=live.plan.session_id,
        attempt_id=kept.order.transfer_id,
        call_id="other",
        phase=phase,
        answered_by=answered_by,
    )
    return (await office.transfers.note(note)).found


async def reason_of(office: Any, live: Any) -> EndReason:
    await live.over()
    await office.house.relay.drained(timeout=30)
    (ended,) = [event for event in office.house.events if isinstance(event, SessionEnded)]
    return ended.reason


# --- cold


async def test_an_agent_hands_its_caller_over_once_he_has_heard_so(office, phone_plan, make_audience, until) -> None:
    live, _, telephone = await office.call(phone_plan())
    audience = make_audience()
    live.attach(audience, resumed=False)
    result = await put_through(office, live, "Sales")
    assert (result.success, result.says) == (True, "I'm putting you through to Sales now. One moment, please.")
    await asyncio.sleep(3)
    assert office.carrier.done == []
    result.after()
    assert await reason_of(office, live) is EndReason.TRANSFER_COMPLETE
    assert office.carrier.done == [("transfer", "caller", SALES, "+14155550100")]
    assert telephone.is_parted
    assert not telephone.hung_up
    assert await office.told() == [("initiated", ""), ("completed", "")]
    (begun,) = [event for name, event in audience.seen if name == "told" and hasattr(event, "transfer_id")]
    assert (begun.target, begun.to, begun.mode, begun.reason) == ("Sales", SALES, TransferMode.COLD, "Bread.")
    await until(lambda: office.kept.kept == {})


@pytest.mark.parametrize("wanted", ["no", "yes", "stereo", "hipaa", "disabled"])
async def test_the_carrier_is_told_whom_to_tell_and_records_only_where_the_agent_asks_for_it(
    office, phone_plan, wanted
) -> None:
    plan = phone_plan()
    config = plan.agent.config
    recording = Recording(enabled=wanted != "disabled", after_transfer=wanted != "no", stereo=wanted == "stereo")
    config = msgspec.structs.replace(config, recording=recording, hipaa_compliant=wanted == "hipaa")
    live, _, _ = await office.call(
        msgspec.structs.replace(plan, agent=msgspec.structs.replace(plan.agent, config=config))
    )
    (await put_through(office, live, "Sales")).after()
    assert await reason_of(office, live) is EndReason.TRANSFER_COMPLETE
    (course,) = office.carrier.courses
    whose = f"session={plan.session_id}&attempt={course.attempt_id}"
    below = "https://voice.example/api/v1/carriers/twilio/platform"
    assert (course.events_url, course.after_url) == (f"{below}/events?{whose}", f"{below}/resume?{whose}")
    (order,) = office.carrier.recordings
    if wanted in ("yes", "stereo"):
        assert (order.events_url, order.is_stereo) == (f"{below}/recording?{whose}", wanted == "stereo")
    else:
        assert order is None


async def test_of_a_hipaa_conversation_nobody_learns_what_it_is_about(office, phone_plan, until) -> None:
    plan = phone_plan()
    config = msgspec.structs.replace(plan.agent.config, hipaa_compliant=True)
    live, _, _ = await office.call(
        msgspec.structs.replace(plan, agent=msgspec.structs.replace(plan.agent, config=config))
    )
    (await put_through(office, live, "Sales")).after()
    await live.over()
    await office.told()
    told = [event for event in office.house.events if isinstance(event, CallTransferChanged)]
    assert [(event.stage.value, event.reason) for event in told] == [("initiated", ""), ("completed", "")]


async def test_a_caller_who_talks_over_the_announcement_is_handed_over_all_the_same(office, phone_plan) -> None:
    live, _, _ = await office.call(phone_plan())
    await put_through(office, live, "Sales")
    assert await reason_of(office, live) is EndReason.TRANSFER_COMPLETE


async def test_a_carrier_that_refuses_brings_the_caller_back(office, phone_plan, refusal, until) -> None:
    live, talk, telephone = await office.call(phone_plan())
    office.carrier.faults = [refusal()]
    (await put_through(office, live, "Sales")).after()
    await until(lambda: talk.said != [])
    assert talk.said == ["I'm sorry, I couldn't put you through to Sales. Is there anything I can help you with?"]
    assert not live.is_ending
    assert not telephone.is_parted
    assert await office.told() == [("initiated", ""), ("returned", "failed")]
    assert office.kept.kept == {}


async def test_a_carrier_that_may_be_asked_again_is(office, phone_plan, refusal) -> None:
    live, _, _ = await office.call(phone_plan())
    office.carrier.faults = [refusal(retryable=True)]
    (await put_through(office, live, "Sales")).after()
    assert await reason_of(office, live) is EndReason.TRANSFER_COMPLETE


async def test_a_caller_who_hangs_up_meanwhile_is_handed_to_nobody(office, phone_plan) -> None:
    live, _, telephone = await office.call(phone_plan())
    await put_through(office, live, "Sales")
    live.end(EndReason.USER_ENDED)
    assert await reason_of(office, live) is EndReason.USER_ENDED
    assert telephone.hung_up
    assert await office.told() == [("initiated", ""), ("failed", "caller_hung_up")]
    assert office.carrier.done == []


async def test_two_transfers_of_a_call_are_one_too_many(office, phone_plan) -> None:
    live, _, _ = await office.call(phone_plan())
    await put_through(office, live, "Sales")
    with pytest.raises(Conflict) as refused:
        await put_through(office, live, "Front desk")
    assert refused.value.code == "transfer-in-progress"


async def test_only_telephone_calls_with_targets_are_offered_the_tool(office, phone_plan, make_plan) -> None:
    begin, call_off = office.transfers.begin_for_agent, office.transfers.call_off
    offered = [tool.spec.name for tool in tools_of(phone_plan(), begin, call_off)]
    assert offered == ["end_call", TRANSFER_CALL, CANCEL_TRANSFER]
    assert [tool.spec.name for tool in tools_of(make_plan(), begin, call_off)] == ["end_call"]
    spec = tools_of(phone_plan(), begin, call_off)[1].spec.parameters["properties"]
    assert spec["target"]["enum"] == ["Sales", "Front desk"]
    assert "Sales: new orders" in spec["target"]["description"]


# --- warm


async def begin_warm(office, phone_plan, until, **settings: Any) -> Any:
    live, talk, telephone = await office.call(phone_plan(**settings))
    (await put_through(office, live, "Front desk")).after()
    await until(lambda: office.kept.kept.get(live.plan.session_id) is not None and office.carrier.dialled != [])
    await asyncio.sleep(0)
    return live, talk, telephone


async def test_somebody_who_takes_the_call_gets_the_caller(office, phone_plan, until) -> None:
    live, talk, telephone = await begin_warm(office, phone_plan, until)
    (order,) = office.carrier.dialled
    session_id = live.plan.session_id
    transfer_id = office.kept.kept[session_id].order.transfer_id
    assert (order.attempt_id, order.callee, order.caller, order.ring_seconds) == (transfer_id, DESK, "+14155550100", 30)
    assert order.target.url == "wss://voice.example/carriers/twilio/media"
    assert order.target.parameters == {"role": "human"}
    assert order.events_url.endswith(f"/carriers/twilio/platform/events?session={session_id}&attempt={transfer_id}")
    (offer,) = office.kept.offers.values()
    assert list(office.kept.offers) == [order.target.token]
    assert offer.opening == (
        "Hello, this is Aria, the automated assistant. I have a caller on the line for you."
        " It is about this: Maria wants to order bread. Press 1 or say yes to take the call. Press 2 to decline."
    )
    assert not live.is_quiet
    assert talk.waits is not None
    assert [talk.waits() for _ in range(4)][::3] == ["Thank you for waiting. I'm still trying to reach Front desk."] * 2
    assert await leg_is(office, live, CallPhase.RINGING)
    assert await leg_says(office, live, LegWord.ANSWERED)
    assert await leg_says(office, live, LegWord.ACCEPTED)
    assert await reason_of(office, live) is EndReason.TRANSFER_COMPLETE
    assert office.carrier.done == [("dial", DESK), ("bridge", "caller", "other")]
    assert telephone.is_parted
    assert not telephone.hung_up
    assert [stage for stage, _ in await office.told()] == ["initiated", "ringing", "answered", "accepted", "completed"]
    assert talk.said == []


@pytest.mark.parametrize(
    ("words", "phase", "answered_by", "cause", "says", "hung_up"),
    [
        ((), CallPhase.BUSY, None, "busy", "on another call", False),
        ((), CallPhase.NO_ANSWER, None, "no_answer", "not available", False),
        ((), CallPhase.FAILED, None, "failed", "couldn't put you through", False),
        ((), None, AnsweredBy.MACHINE, "machine", "not available", True),
        ((LegWord.ANSWERED, LegWord.REFUSED), None, None, "refused", "not available", True),
        ((LegWord.ANSWERED, LegWord.MACHINE), None, None, "machine", "not available", True),
        ((LegWord.ANSWERED, LegWord.UNDECIDED), None, None, "undecided", "not available", True),
        ((LegWord.ANSWERED, LegWord.GONE), None, None, "refused", "not available", False),
        ((LegWord.ANSWERED,), CallPhase.COMPLETED, None, "refused", "not available", False),
    ],
)
async def test_a_caller_whom_nobody_takes_is_back_with_the_agent(
    office, phone_plan, until, words, phase, answered_by, cause, says, hung_up
) -> None:
    live, talk, telephone = await begin_warm(office, phone_plan, until)
    for word in words:
        assert await leg_says(office, live, word)
    if phase is not None or answered_by is not None:
        assert await leg_is(office, live, phase, answered_by)
    await until(lambda: talk.said != [])
    assert len(talk.said) == 1
    assert says in talk.said[0]
    assert talk.waits is None
    assert not live.is_ending
    assert not telephone.is_parted
    await until(lambda: live.is_quiet)
    assert (("hang_up", "other") in office.carrier.done) is hung_up
    assert (await office.told())[-1] == ("returned", cause)
    assert office.kept.kept == {}
    office.carrier.done.clear()
    (await put_through(office, live, "Sales")).after()
    assert await reason_of(office, live) is EndReason.TRANSFER_COMPLETE


async def test_nobody_is_handed_over_to_a_premium_rate_number(office, phone_plan) -> None:
    live, _, _ = await office.call(phone_plan())
    with pytest.raises(Conflict) as refused:
        await office.transfers.transfer(TransferSession(session_id=live.plan.session_id, to="+19005550123"))
    assert (refused.value.code, office.carrier.done) == ("number-not-allowed", [])


@pytest.mark.parametrize("to", ["+12065550143", "+14155550100"])
async def test_nobody_is_handed_over_to_himself_or_to_the_number_that_he_called(office, phone_plan, to) -> None:
    plan = msgspec.structs.replace(phone_plan(), caller=Caller(phone_number="+12065550143"))
    live, _, _ = await office.call(plan)
    with pytest.raises(Conflict) as refused:
        await office.transfers.transfer(TransferSession(session_id=live.plan.session_id, to=to))
    assert (refused.value.code, office.carrier.done) == ("number-not-allowed", [])


async def test_nobody_rings_for_ever(office, phone_plan, until) -> None:
    _, talk, _ = await begin_warm(office, phone_plan, until, ring_seconds=20)
    began = asyncio.get_running_loop().time()
    await until(lambda: talk.said != [])
    assert asyncio.get_running_loop().time() - began == pytest.approx(40, abs=1)
    assert ("hang_up", "other") in office.carrier.done


async def test_a_caller_who_would_rather_stay_stays(office, phone_plan, until) -> None:
    live, talk, _ = await begin_warm(office, phone_plan, until)
    tools = tools_of(live.plan, office.transfers.begin_for_agent, office.transfers.call_off)
    cancel = next(tool for tool in tools if tool.spec.name == CANCEL_TRANSFER)
    await until(lambda: office.kept.kept[live.plan.session_id].call_id == "other")
    assert (await cancel.run({}, CONTEXT)).success
    await until(lambda: office.kept.kept == {})
    assert ("hang_up", "other") in office.carrier.done
    assert (talk.said, talk.waits) == ([], None)
    assert (await office.told())[-1] == ("returned", "canceled")
    assert not (await cancel.run({}, CONTEXT)).success


async def test_a_model_that_wants_it_again_and_again_is_stopped(office, phone_plan, refusal, until) -> None:
    live, talk, _ = await office.call(phone_plan())
    for number in range(10):
        office.carrier.faults = [refusal()]
        (await put_through(office, live, "Sales")).after()
        await until(lambda number=number: len(talk.said) == number + 1 and office.kept.kept == {})
        await asyncio.sleep(0.1)
    with pytest.raises(Conflict) as refused:
        await put_through(office, live, "Sales")
    assert refused.value.code == "too-many-transfers"


async def test_a_caller_who_hangs_up_while_it_rings_leaves_nobody_ringing(office, phone_plan, until) -> None:
    live, _, _ = await begin_warm(office, phone_plan, until)
    live.end(EndReason.USER_ENDED)
    await until(lambda: office.kept.kept == {})
    assert ("hang_up", "other") in office.carrier.done
    assert (await office.told())[-1] == ("failed", "caller_hung_up")
    assert await reason_of(office, live) is EndReason.USER_ENDED


async def test_a_call_that_is_dialled_after_the_caller_is_gone_is_hung_up(office, phone_plan, until) -> None:
    office.carrier.busy.clear()
    live, _, _ = await begin_warm(office, phone_plan, until)
    live.end(EndReason.USER_ENDED)
    await live.over()
    assert ("hang_up", "other") not in office.carrier.done
    office.carrier.busy.set()
    await until(lambda: office.kept.kept == {})
    assert office.carrier.done == [("dial", DESK), ("hang_up", "other")]


async def test_calls_that_are_not_joined_are_as_before(office, phone_plan, until, refusal) -> None:
    live, talk, telephone = await begin_warm(office, phone_plan, until)
    office.carrier.faults = [refusal()]
    await leg_says(office, live, LegWord.ANSWERED)
    await leg_says(office, live, LegWord.ACCEPTED)
    await until(lambda: talk.said != [])
    assert ("hang_up", "other") in office.carrier.done
    assert not telephone.is_parted


async def test_a_store_that_is_away_costs_the_transfer_and_not_the_call(office, phone_plan, until) -> None:
    live, talk, _ = await office.call(phone_plan())
    office.kept.is_away = True
    (await put_through(office, live, "Front desk")).after()
    await until(lambda: talk.said != [])
    assert office.carrier.dialled == []
    assert not live.is_ending


async def test_a_model_that_cannot_sum_up_leaves_it_to_the_callers_words(office, phone_plan, until) -> None:
    live, talk, _ = await office.call(phone_plan(acceptance=TransferAcceptance.STAY))
    talk.writes = None
    (await put_through(office, live, "Front desk")).after()
    await until(lambda: office.kept.offers != {})
    (offer,) = office.kept.offers.values()
    assert "It is about this: Bread. Please stay on the line" in offer.opening


# --- by the API, wherever the call lives


@pytest.mark.parametrize(
    ("to", "called"),
    [
        (DESK, "Front desk"),
        (SALES, "Sales"),
        ("sip:anna.m%C3%BCller@pbx.example;transport=tls", "anna müller"),
        ("sips:+4930123:secret@10.0.0.1:5061", "+4930123"),
        ("+14155550177", "+14155550177"),
    ],
)
async def test_a_caller_hears_who_is_called_and_no_address(office, phone_plan, to: str, called: str) -> None:
    live, talk, _ = await office.call(phone_plan())
    request = TransferSession(session_id=live.plan.session_id, to=to, mode=TransferMode.COLD)
    assert (await office.house.bus.request(TRANSFER_SESSION, request, TransferBegun)).found
    assert talk.said == [f"I'm putting you through to {called} now. One moment, please."]


async def test_the_api_hands_over_by_target_number_or_address(office, phone_plan, until) -> None:
    live, talk, _ = await office.call(phone_plan())
    request = TransferSession(session_id=live.plan.session_id, to="", name="Sales")
    begun = await office.house.bus.request(TRANSFER_SESSION, request, TransferBegun)
    assert begun.found
    assert talk.said == ["I'm putting you through to Sales now. One moment, please."]
    talk.heard()
    assert await reason_of(office, live) is EndReason.TRANSFER_COMPLETE
    assert office.carrier.done == [("transfer", "caller", SALES, "+14155550100")]
    other, _, _ = await office.call(phone_plan(2))
    request = TransferSession(
        session_id=other.plan.session_id,
        to="sip:x@y.example",
        mode=TransferMode.WARM,
        summary="{{x}} {y}",
        ring_seconds=500,
    )
    await office.transfers.transfer(request)
    await until(lambda: office.carrier.dialled != [])
    assert (office.carrier.dialled[0].callee, office.carrier.dialled[0].ring_seconds) == ("sip:x@y.example", 120)
    assert "about this: ((x)) (y)" in next(iter(office.kept.offers.values())).opening


async def test_what_cannot_be_handed_over_is_refused(office, phone_plan, make_plan) -> None:
    live, _, _ = await office.call(phone_plan())

    async def code(**wanted: Any) -> str:
        with pytest.raises((Conflict, NotFound)) as refused:
            await office.transfers.transfer(TransferSession(session_id=live.plan.session_id, **wanted))
        return refused.value.code

    assert await code(to="", name="Nobody") == "transfer-target-not-found"
    await office.transfers.transfer(TransferSession(session_id=live.plan.session_id, to=SALES))
    assert await code(to=SALES) == "transfer-in-progress"
    browser = await office.house.open(make_plan(3))
    assert await refused_of(office, browser.plan.session_id) == "not-transferable"
    assert not (await office.transfers.transfer(TransferSession(session_id="none", to=SALES))).found


async def refused_of(office: Any, session_id: Any) -> str:
    with pytest.raises(Conflict) as refused:
        await office.transfers.transfer(TransferSession(session_id=session_id, to=SALES))
    return refused.value.code


# --- several processes, and those that die


@pytest.fixture
async def beside(build_house: Callable[..., Any], make_office: Any, office: Any) -> Any:
    """Another process beside the first."""
    return await make_office(await build_house("node_2"))


async def test_any_process_takes_a_request_and_a_carriers_word(office, beside, phone_plan, until) -> None:
    live, talk, _ = await office.call(phone_plan())
    begun = await beside.transfers.transfer(
        TransferSession(session_id=live.plan.session_id, to=DESK, mode=TransferMode.WARM)
    )
    assert begun.found
    talk.heard()
    await until(lambda: office.carrier.dialled != [])
    await asyncio.sleep(0.1)
    note = NoteTransferCall(
        session_id=live.plan.session_id, attempt_id=begun.transfer_id, call_id="other", phase=CallPhase.BUSY
    )
    noted = await office.house.bus.request(NOTE_TRANSFER_CALL, note, TransferCallNoted)
    assert noted.found
    await until(lambda: len(talk.said) == 2)
    assert "on another call" in talk.said[1]


async def test_a_process_that_dies_leaves_no_telephone_ringing(office, beside, phone_plan, until) -> None:
    live, _, _ = await begin_warm(office, phone_plan, until)
    await until(lambda: office.kept.kept[live.plan.session_id].call_id == "other")
    for task in tuple(office.transfers._tasks):
        task.cancel()
    await office.house.kill()
    assert (await beside.transfers.clear_up()).transfers == 0
    await asyncio.sleep(16)
    assert (await beside.transfers.clear_up()).transfers == 1
    assert office.carrier.done[-1] == ("hang_up", "other")
    assert office.kept.kept == {}
    assert (await beside.transfers.clear_up()).transfers == 0
    assert (await beside.told())[-1] == ("failed", "lost")


async def test_whoever_goes_on_with_the_call_says_that_it_came_to_nothing(
    office, beside, phone_plan, until, monkeypatch
) -> None:
    live, _, telephone = await begin_warm(office, phone_plan, until)
    await until(lambda: office.kept.kept[live.plan.session_id].call_id == "other")
    said: list[str] = []

    async def ask(call: Any, order: str, *, seconds: float) -> None: ...

    kind = type(live.conversation)
    heard: list[Callable[[], None]] = []
    monkeypatch.setattr(kind, "tell", lambda call, text, over: (said.append(text), heard.append(over)), raising=False)
    for name in ("keep_company", "wait_over"):
        monkeypatch.setattr(kind, name, lambda *_: None, raising=False)
    monkeypatch.setattr(kind, "ask", ask, raising=False)
    taken = await beside.house.sessions.claim(live.plan.session_id, takes_over=True)
    beside.transfers.resumed(taken.plan)
    await until(lambda: ("hang_up", "other") in office.carrier.done)
    assert said == []
    await taken.connect(type(telephone)("caller"), over_hub=False)
    await until(lambda: said != [])
    assert "couldn't put you through to Front desk" in said[0]
    assert [cause for stage, cause in await office.told() if stage == "failed"] == ["lost"]
    owed = office.kept.kept[live.plan.session_id]
    assert (owed.owner, owed.call_id, owed.is_told) == ("node_2", "", True)
    heard[0]()
    await until(lambda: office.kept.kept == {})
