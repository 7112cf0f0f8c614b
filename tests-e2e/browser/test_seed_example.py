"""The documentation's browser example, in a real browser, with a human voice, against the whole platform."""

import json
import os
import time
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from voisnap_media import files
from voisnap_providers.vendors.local.stt import Moonshine
from voisnap_testkit.platform import patience

pytestmark = pytest.mark.e2e

FIXTURES = Path(__file__).parents[1] / "fixtures"
RATE = 16_000

# When the caller speaks, in seconds after the microphone opened: the greeting is over by then.
HUMAN_AT = 8.0
QUESTION_AT = 20.0
LONGEST_CALL = 60.0

# Over the greeting. Here the browser's capture and jitter buffers come on top of the platform's 200 ms.
BARGE_IN_AT = 1.5
SILENT_WITHIN = 0.3
SILENT_FOR_GOOD_WITHIN = 0.6

REPLACEMENTS = (
    ("https://cdn.jsdelivr.net/npm/@microsoft/signalr@latest/dist/browser/signalr.min.js", "/vendor/signalr.min.js"),
    ("agt_01HXK8Z3MNPQRS", "{agent_id}"),
    ("eyJhbGci...", "{access_token}"),
    ("https://api.voisnap.ai", "{base_url}"),
    ("wss://api.voisnap.ai/hubs", "{base_url}/hubs"),
)


class Span(msgspec.Struct, frozen=True):
    """Voice between two moments, in seconds."""

    start: float
    end: float


class Call(msgspec.Struct, frozen=True):
    """What the page showed, and what was said on each side."""

    page: dict[str, Any]
    caller: np.ndarray
    agent: np.ndarray


def example_page(base_url: str, agent_id: str, access_token: str) -> str:
    """The example with its constants filled in; see fixtures/README.md."""
    page = (FIXTURES / "seed-webrtc.html").read_text()
    for written, becomes in REPLACEMENTS:
        assert page.count(written) == 1, written
        page = page.replace(written, becomes.format(base_url=base_url, agent_id=agent_id, access_token=access_token))
    return page


@pytest.fixture(scope="module")
def make_call(
    platform: Any, run_script: Any, microphone: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Sequence[tuple[float, str]]], Call]:
    """Make a call that says these recordings at these seconds, and hangs up when the last one is answered."""

    def make(says: Sequence[tuple[float, str]]) -> Call:
        folder = tmp_path_factory.mktemp("seed")
        page = folder / "example.html"
        page.write_text(example_page(platform.base_url, platform.demo["agentId"], platform.login()))
        recording = folder / "both-sides.wav"
        plan = {
            "baseUrl": platform.base_url,
            "html": str(page),
            "microphoneWav": str(folder / "microphone.wav"),
            "recordingWav": str(recording),
            "questionEndS": microphone(folder / "microphone.wav", says),
            "quietS": 1.5,
            "timeoutS": LONGEST_CALL,
        }
        (folder / "plan.json").write_text(json.dumps(plan))
        shown = run_script("seed_call.mjs", str(folder / "plan.json"), timeout=LONGEST_CALL + 60)
        with wave.open(str(recording), "rb") as sound:
            both = np.frombuffer(sound.readframes(sound.getnframes()), dtype="<i2").reshape(-1, 2)
        return Call(page=shown, caller=both[:, 0], agent=both[:, 1])

    return make


@pytest.fixture(scope="module")
def call(make_call: Any) -> Call:
    """One call, from the button to the hang-up."""
    return make_call([(HUMAN_AT, "human-go-forward.wav"), (QUESTION_AT, "question-teeth-cleaning.wav")])


@pytest.fixture(scope="module")
def conversation(platform: Any, call: Call) -> dict[str, Any]:
    """The stored conversation, which must be there within 3 s of the hang-up."""
    path = f"/conversations/{call.page['conversationId']}"
    while True:
        answer = platform.get(path)
        if answer.status_code == 200 and answer.json()["status"] != "in_progress":
            return answer.json() | {"storedAfterS": time.time() - call.page["hungUpAt"]}
        assert time.time() - call.page["hungUpAt"] < 10 * patience(), answer.text
        time.sleep(0.1)  # another process stores it: there is no event to wait for here


@pytest.fixture(scope="module")
def ears() -> Moonshine:
    """The recogniser, to write down what the agent said."""
    models = Path(os.environ.get("MODELS_DIR") or Path.home() / ".cache" / "voisnap" / "models")
    return Moonshine(models / "moonshine-tiny-en")


def test_page_shows_the_examples_states_in_order(call: Call) -> None:
    statuses = call.page["statuses"]
    assert call.page["errors"] == []
    assert call.page["failure"] is None, statuses
    assert call.page["conversationId"].startswith("conv_"), statuses
    milestones = [
        "Creating session...",
        "Requesting microphone...",
        "Creating offer...",
        "Setting remote description...",
        "ICE: connected",
        "Call ended",
    ]
    places = [statuses.index(milestone) for milestone in milestones]
    assert places == sorted(places), statuses
    assert call.page["buttons"] == [True, False], "during the call only hanging up is possible"


def test_first_message_is_heard(call: Call, ears: Moonshine) -> None:
    greeting = [span for span in voices(call.agent) if span.start < HUMAN_AT]
    assert greeting, "nothing was heard before the caller spoke"
    assert greeting[0].start < 4 * patience()
    assert "street dental" in heard(ears, call.agent, greeting).replace(",", "")


def test_question_is_answered_aloud_from_the_agents_facts(call: Call, ears: Moonshine) -> None:
    question_end = [span for span in voices(call.caller) if span.start > QUESTION_AT - 1][-1].end
    answer = [span for span in voices(call.agent) if span.start > question_end]
    assert answer, "no answer was heard"
    text = heard(ears, call.agent, answer)
    assert "110" in text or "one hundred" in text, text
    # Mouth to ear, endpointing silence and the browser's own buffers included.
    assert answer[0].start - question_end < 3.0 * patience()


def test_both_utterances_were_recognised(platform: Any, call: Call, conversation: dict[str, Any]) -> None:
    messages = platform.get(f"/conversations/{conversation['id']}/messages").json()["messages"]
    said = [message["content"].lower() for message in messages if message["role"] == "user"]
    assert any("forward" in text and "meters" in text for text in said), said
    assert any("cleaning" in text and "cost" in text for text in said), said
    answers = [message["content"] for message in messages if message["role"] == "agent"]
    assert "Aria from Harbor Street Dental" in answers[0]
    assert "110" in answers[-1]


def test_conversation_is_complete_within_three_seconds(conversation: dict[str, Any], call: Call, platform: Any) -> None:
    assert conversation["storedAfterS"] < 3 * patience()
    assert conversation["status"] == "completed"
    assert conversation["channel"] == "webrtc"
    assert conversation["agentId"] == platform.demo["agentId"]
    assert conversation["durationSeconds"] == pytest.approx(len(call.agent) / RATE, abs=3)


def test_transcript_times_words(platform: Any, conversation: dict[str, Any]) -> None:
    answer = platform.get(f"/conversations/{conversation['id']}/transcript")
    assert answer.status_code == 200
    assert answer.text.count('"word"') > 20


def test_costs_add_up(platform: Any, conversation: dict[str, Any]) -> None:
    costs = platform.get(f"/conversations/{conversation['id']}/costs").json()
    assert costs["currency"] == "USD"
    assert costs["total"] == pytest.approx(sum(part["cost"] for part in costs["breakdown"].values()), abs=0.001)


def test_recording_holds_both_sides(
    platform: Any, conversation: dict[str, Any], ears: Moonshine, tmp_path: Path
) -> None:
    answer = platform.get(f"/conversations/{conversation['id']}/recording")
    assert answer.status_code == 200, answer.text
    recording = answer.json()
    sound = httpx.get(recording["url"], timeout=10)
    assert sound.status_code == 200
    part = httpx.get(recording["url"], headers={"Range": "bytes=0-99"}, timeout=10)
    assert (part.status_code, len(part.content)) == (206, 100)
    path = tmp_path / f"recording.{recording['format']}"
    path.write_bytes(sound.content)
    caller, agent = files.read_stereo(path, RATE)
    assert agent.seconds == pytest.approx(conversation["durationSeconds"], abs=1.5)
    assert "cleaning" in heard(ears, caller.samples, voices(caller.samples))
    assert "street dental" in heard(ears, agent.samples, voices(agent.samples))


def test_speaking_over_the_agent_silences_it_and_history_holds_what_was_heard(
    platform: Any, make_call: Any, ears: Moonshine
) -> None:
    call = make_call([(BARGE_IN_AT, "question-teeth-cleaning.wav")])
    caller = voices(call.caller)[0]
    greeting, *answer = voices(call.agent)
    assert greeting.start < caller.start < greeting.end, "the agent was speaking"
    assert silence_from(call.agent, caller.start) - caller.start < SILENT_WITHIN
    assert greeting.end - caller.start < SILENT_FOR_GOOD_WITHIN
    assert "110" in heard(ears, call.agent, answer) or "one hundred" in heard(ears, call.agent, answer)
    messages = platform.get(f"/conversations/{call.page['conversationId']}/messages").json()["messages"]
    assert messages[0]["role"] == "agent"
    assert "help you today" not in messages[0]["content"], "this was never heard"


def voices(samples: np.ndarray) -> list[Span]:
    """Where somebody speaks: 20-ms frames above the noise, with pauses up to 0.4 s bridged."""
    frame = RATE // 50
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame).astype(np.float64)
    loud = np.sqrt((frames**2).mean(axis=1)) > 300
    spans: list[Span] = []
    for index in np.flatnonzero(loud):
        start = index / 50
        if spans and start - spans[-1].end < 0.4:
            spans[-1] = Span(spans[-1].start, start + 0.02)
        else:
            spans.append(Span(start, start + 0.02))
    return [span for span in spans if span.end - span.start > 0.1]


def silence_from(samples: np.ndarray, start: float) -> float:
    """The first moment from `start` on after which nothing is heard for 100 ms."""
    frame = RATE // 50
    frames = samples[int(start * RATE) :]
    frames = frames[: len(frames) // frame * frame].reshape(-1, frame).astype(np.float64)
    loud = np.sqrt((frames**2).mean(axis=1)) > 300
    for index in range(len(loud) - 5):
        if not loud[index : index + 5].any():
            return start + index / 50
    return start + len(loud) / 50


def heard(ears: Moonshine, samples: np.ndarray, spans: list[Span]) -> str:
    """What a listener understands there, in lower case."""
    texts = []
    for span in spans:
        start, end = max(0, int((span.start - 0.2) * RATE)), int((span.end + 0.2) * RATE)
        texts.append(ears(samples[start:end].astype(np.float32) / 32768).text)
    return " ".join(texts).lower()
