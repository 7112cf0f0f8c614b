"""The Python SDK against the running platform: the documentation's lines as printed, its README, and conversations that survive."""

import asyncio
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from voisnap import AsyncVoisnapClient, NotFoundError, VoisnapClient
from voisnap.realtime import AudioReceived, Reconnected, SessionEnded, Transcription
from voisnap_media import files
from voisnap_testkit.platform import Platform, wait_until
from voisnap_testkit.seed_pages import Example, Kind, seed_page

pytestmark = pytest.mark.e2e

EXAMPLES = (*seed_page("agents").of_kind(Kind.PYTHON), *seed_page("conversations").of_kind(Kind.PYTHON))
README = Path(__file__).parents[1] / "libs/sdk-python/README.md"


@pytest.fixture(scope="module")
def platform(two_runtimes: Platform) -> Platform:
    """The one that these tests need anyway."""
    return two_runtimes


@pytest.fixture(scope="module")
def client(platform: Platform):
    with VoisnapClient(api_key=platform.demo["apiKeyLive"], base_url=platform.base_url) as made:
        yield made


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.heading}: {example.text.splitlines()[0]}")
def test_line_of_the_documentation_runs_as_printed(platform: Platform, client, capsys, example: Example) -> None:
    copy = client.agents.duplicate(platform.demo["agentId"], name="Aria")
    known: dict[str, Any] = {"client": client}

    exec(example.text.replace("agt_01HXK8Z3MNPQRS", copy.id), known)  # noqa: S102 - our own documentation

    if "agents.create" in example.text:
        assert (known["agent"].name, known["agent"].status) == ("Aria – Support Agent", "draft")
        assert known["agent"].voice.voice_id == "EXAVITQu4vr4xnSDxMaL"
    elif "agents.list" in example.text:
        assert "Harbor Street Dental" in capsys.readouterr().out
    elif "activate" in example.text:
        assert client.agents.get(copy.id).status == ("inactive" if "deactivate" in example.text else "active")


def test_the_readme_runs_as_printed(platform: Platform, client, capsys) -> None:
    known: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL):
        text = block.replace("vsnp_live_...", platform.demo["apiKeyLive"])
        exec(text.replace("https://api.voisnap.ai", platform.base_url), known)  # noqa: S102 - our own documentation
    known["client"].close()

    assert client.agents.get(known["agent"].id).max_duration_seconds == 900
    assert "conv_" in capsys.readouterr().out


def test_a_chat_streams_its_answers_and_is_kept(platform: Platform, client) -> None:
    with client.realtime.chat(platform.demo["agentId"], metadata={"customerId": "cust_1"}) as chat:
        pieces = list(chat.send("How much does a teeth cleaning cost?"))
        again = chat.ask("And where can I park?")
        conversation_id = chat.session.conversation_id

    assert "110" in "".join(pieces)
    assert "Mill Lane" in again or "behind" in again

    def is_complete() -> bool:
        try:
            return client.conversations.get(conversation_id).status == "completed"
        except NotFoundError:
            return False

    wait_until(is_complete, seconds=5, what="the chat's completion")
    messages = client.conversations.messages(conversation_id).messages
    assert [message.role for message in messages if message.role == "user"] == ["user", "user"]
    assert client.conversations.get(conversation_id).metadata == {"customerId": "cust_1"}


async def test_a_call_is_heard_and_answers_aloud(platform: Platform, spoken) -> None:
    speech = files.read(spoken("How much does a teeth cleaning cost?"), 16000).samples.astype("<i2").tobytes()
    heard, said, ended = bytearray(), {}, None
    async with AsyncVoisnapClient(api_key=platform.demo["apiKeyLive"], base_url=platform.base_url) as client:
        async with asyncio.timeout(60), client.realtime.voice(platform.demo["agentId"]) as call:
            speaking = None
            async for event in call:
                match event:
                    case AudioReceived():
                        heard += event.pcm
                    case Transcription(is_final=True):
                        said[event.turn_id] = (event.speaker, event.text)
                        if speaking is None:
                            speaking = asyncio.create_task(call.speak(speech + bytes(10 * 32000)))
                        if any("110" in text for speaker, text in said.values() if speaker == "agent"):
                            await call.end()
                    case SessionEnded():
                        ended = event
            if speaking is not None:
                speaking.cancel()
                await asyncio.gather(speaking, return_exceptions=True)

    assert "cleaning" in " ".join(text for speaker, text in said.values() if speaker == "user").lower()
    assert np.abs(np.frombuffer(bytes(heard), "<i2")).max() > 1000
    assert ended is not None
    assert ended.reason == "user_ended"


async def test_a_chat_goes_on_when_its_server_is_killed(two_runtimes: Platform) -> None:
    async with AsyncVoisnapClient(api_key=two_runtimes.demo["apiKeyLive"], base_url=two_runtimes.base_url) as client:
        async with asyncio.timeout(60), client.realtime.chat(two_runtimes.demo["agentId"]) as chat:
            first = await chat.ask("How much does a teeth cleaning cost?")
            before = chat.session
            owner = await asyncio.to_thread(two_runtimes.owner_of, before.session_id)
            killed = two_runtimes.signal(owner or "", signal.SIGKILL)
            async for event in chat:
                if isinstance(event, Reconnected):
                    break
            second = await chat.ask("Where can I park?")
            after = chat.session
    await asyncio.to_thread(two_runtimes.wait_for_runtimes, 2, but=killed)

    assert "110" in first
    assert "Mill Lane" in second or "behind" in second
    assert (after.session_id, after.conversation_id, after.resumed) == (before.session_id, before.conversation_id, True)
