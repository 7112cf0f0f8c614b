"""Nonsense on media sockets, before and after the start: sockets end or go on, and nobody else notices."""

import asyncio
import json
import logging
import random

import pytest
from websockets.exceptions import ConnectionClosed

pytestmark = pytest.mark.slice

ROUNDS = 60
WORDS = (
    "media",
    "start",
    "stop",
    "mark",
    "dtmf",
    "connected",
    "clear",
    "error",
    "websocket:connected",
    "websocket:dtmf",
)
ODD = (
    None,
    True,
    0,
    -1,
    2**70,
    1e308,
    "",
    "\x00",
    "٣",
    "AAA",
    "a" * 3000,
    [],
    {},
    [[]],
    {"payload": 1},
    {"digit": "Z"},
)


def nonsense(dice: random.Random, valid: list[str | bytes]) -> str | bytes:
    """A frame of no protocol, or one of the carrier's with something changed."""
    match dice.randrange(6):
        case 0:
            return dice.randbytes(dice.choice((0, 1, 3, 320, 641, 5000)))
        case 1:
            return "".join(chr(dice.randrange(32, 0x2FFF)) for _ in range(dice.randrange(60)))
        case 2:
            return "[" * dice.choice((10, 5000))
        case 3:
            return json.dumps({"event": dice.choice(WORDS), dice.choice(WORDS): dice.choice(ODD)})
        case 4:
            return json.dumps(
                {"event": dice.choice(WORDS), "streamSid": dice.choice(ODD), "stream_id": dice.choice(ODD)}
            )
        case _:
            frame = dice.choice(valid)
            if isinstance(frame, bytes):
                return frame[: dice.randrange(len(frame))]
            told = json.loads(frame)
            told[dice.choice(list(told))] = dice.choice(ODD)
            return json.dumps(told)


@pytest.mark.parametrize("admitted", [False, True], ids=["strangers", "callers"])
async def test_nonsense_harms_nobody_else(desk, provider, admitted, tone, until, caplog):
    dice = random.Random(f"{provider} {admitted}")  # noqa: S311 - the same nonsense every time
    caplog.set_level(logging.ERROR)
    await desk.rung(provider, 1)
    await desk.rung(provider, 2, token="tel_tok_2")
    async with desk.dial(provider) as good:
        await good.open("tel_tok_1")
        await desk.answered(1)
        for number in range(8 if admitted else ROUNDS):
            async with desk.dial(provider) as bad:
                valid = [*bad.end.opening({"token": "x"}), bad.end.key("1"), bad.end.speech(bytes(_size(bad)))]
                try:
                    if admitted and number == 0:
                        await bad.open("tel_tok_2")
                        await desk.answered(2)
                    for _ in range(dice.randrange(1, 40 if admitted else 6)):
                        await bad.socket.send(nonsense(dice, valid))
                except ConnectionClosed:
                    pass
        await good.say(tone(good.heard.rate, 0.06))
        await until(lambda: sum(audio.seconds for audio in desk.call(1).fed) > 0.04)
        await good.press("3")
        await until(lambda: desk.call(1).digits == ["3"])
        await until(lambda: desk.sockets._door.taken == 0, seconds=7)
    if not admitted:
        assert await desk.house.store.find_by_token("tel_tok_2") is not None
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    await asyncio.sleep(0)


def _size(carrier) -> int:
    """Bytes of 20 ms of the other side."""
    return carrier.heard.rate // 50 * (2 if carrier.heard.codec == "l16" else 1)
