"""Whole conversations in virtual time."""

import pytest
from voisnap_domain.conversations import Speaker

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

AGENT, USER = Speaker.AGENT, Speaker.USER


async def test_a_question_is_answered(lines):
    line = await lines()
    await line.wait(0.5)
    line.says("what are your hours")
    await line.until_turns(2)
    assert line.spoken_turns == [(USER, "what are your hours"), (AGENT, "We are open from nine to five.")]
