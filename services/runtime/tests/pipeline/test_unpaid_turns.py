"""A tenant whose month is spent: the agent says goodbye instead of asking for another reply, in virtual time."""

import asyncio

import msgspec
import pytest
from voisnap_domain.conversations import Speaker
from voisnap_domain.sessions import Channel, EndReason
from voisnap_runtime.pipeline.chat import Chat
from voisnap_runtime.pipeline.events import OUT_OF_MONEY, Fault, TurnFinished, Warned
from voisnap_runtime.pipeline.phrases import phrases_of
from voisnap_testkit.fakes_speech import ScriptedLlm

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

GOODBYE = phrases_of("en").goodbye_unpaid


class Purse:
    """Money that may run out."""

    def __init__(self) -> None:
        self.is_empty = False

    def __call__(self) -> bool:
        return not self.is_empty


class CountingLlm(ScriptedLlm):
    """Counts what it is asked."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.asked = 0

    def answer(self, request):
        self.asked += 1
        return super().answer(request)


async def test_the_turn_that_is_paid_is_finished_and_the_next_one_is_a_goodbye(lines):
    purse, llm = Purse(), CountingLlm()
    line = await lines(llm=llm, may_spend=purse)
    line.says("what are your hours")
    await line.until_turns(1)
    purse.is_empty = True
    await line.until_turns(2)
    asked = llm.asked
    line.says("and the address please")
    assert await line.ended(within=20) is EndReason.SPEND_LIMIT
    assert line.spoken_turns[1:] == [
        (Speaker.AGENT, "We are open from nine to five."),
        (Speaker.USER, "and the address please"),
        (Speaker.AGENT, GOODBYE),
    ]
    assert not line.turns[-1].interrupted
    assert (line.of(Fault), len(line.of(Warned)), llm.asked) == ([OUT_OF_MONEY], 1, asked)


async def test_who_talks_into_the_goodbye_hears_it_only_once(lines):
    purse = Purse()
    purse.is_empty = True
    line = await lines(may_spend=purse)
    line.says("what are your hours")
    await line.until_state("speaking")
    await line.wait(0.5)
    line.says("no wait please listen to me what about the address")
    assert await line.ended(within=20) is EndReason.SPEND_LIMIT
    assert len(line.of(Fault)) == 1
    assert [turn.interrupted for turn in line.turns if turn.speaker is Speaker.AGENT] == [True]


@pytest.mark.parametrize("language", ["es-MX", "fr", "de-AT", "pt-BR", "it", "nl", "ja"])
def test_every_language_has_a_goodbye(language):
    others = {phrases_of(other).goodbye_unpaid for other in ("es", "fr", "de", "pt", "it", "nl")} - {
        phrases_of(language).goodbye_unpaid
    }
    assert len(others) == (6 if language == "ja" else 5)


async def test_a_written_conversation_ends_with_a_goodbye_too(agent, make_plan):
    purse, llm, events = Purse(), CountingLlm(), []
    plan = make_plan()
    snapshot = msgspec.structs.replace(plan.agent, config=agent())
    plan = msgspec.structs.replace(plan, channel=Channel.WEBCHAT, agent=snapshot)
    chat = Chat(plan, llm=llm, notify=events.append, may_spend=purse)
    running = asyncio.create_task(chat.run())
    chat.say("what are your hours")
    await asyncio.sleep(1)
    purse.is_empty = True
    chat.say("and the address please")
    async with asyncio.timeout(5):
        assert await running is EndReason.SPEND_LIMIT
    said = [event.turn.text for event in events if isinstance(event, TurnFinished)]
    assert said[-3:] == ["We are open from nine to five.", "and the address please", GOODBYE]
    assert ([event for event in events if isinstance(event, Fault)], llm.asked) == ([OUT_OF_MONEY], 1)
