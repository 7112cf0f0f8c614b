"""Whole calls through every provider's adapter: real speech in, recognised, answered from the prompt's facts, spoken and heard again.

The vendors are emulators in a process of their own, which speak each vendor's protocol strictly; the platform is told of them by the
environment alone. Then the vendors fail in the middle of a call, and the caller notices nothing but another voice.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

import httpx
import pytest
from voisnap_media import files
from voisnap_providers.vendors.local.stt import Moonshine
from voisnap_stack.models import models_folder
from voisnap_testkit.platform import Platform, start_platform, stop_platform

pytestmark = pytest.mark.e2e

QUESTION = "How much does a teeth cleaning cost?"
PRICE = "110"
AT_ONCE = 3
"""Calls that run at the same time: the machine speaks and hears for both sides of each."""

MATRIX = {
    "openai-deepgram-elevenlabs": (
        {"provider": "openai", "model": "gpt-4o-mini"},
        {"provider": "deepgram", "model": "nova-3", "language": "en-US"},
        {"provider": "elevenlabs", "voiceId": "21m00Tcm4TlvDq8ikWAM"},
    ),
    "anthropic-assemblyai-google": (
        {"provider": "anthropic", "model": "claude-haiku-4-5"},
        {"provider": "assemblyai", "language": "en-US"},
        {"provider": "google", "voiceId": "en-US-Chirp3-HD-Aoede"},
    ),
    "google-google-aws": (
        {"provider": "google", "model": "gemini-2.5-flash"},
        {"provider": "google", "language": "en-US"},
        {"provider": "aws", "voiceId": "Joanna"},
    ),
    "cohere-aws-azure": (
        {"provider": "cohere", "model": "command-a-03-2025"},
        {"provider": "aws", "language": "en-US"},
        {"provider": "azure", "voiceId": "en-US-JennyNeural"},
    ),
    "compatible-azure-elevenlabs": (
        {"provider": "openai_compatible", "model": "llama-3.3-70b"},
        {"provider": "azure", "language": "en-US"},
        {"provider": "elevenlabs", "voiceId": "21m00Tcm4TlvDq8ikWAM"},
    ),
}


class Vendors:
    """The emulators of all vendors."""

    def __init__(self, told: dict[str, Any], said: TextIO) -> None:
        self._said = said
        self.environment: dict[str, str] = told["environment"]
        self._control: dict[str, str] = told["control"]

    def wait(self) -> None:
        """Until their models are loaded."""
        assert self._said.readline() == "ready\n"

    def script(self, vendor: str, *steps: dict[str, Any] | None) -> None:
        """What the next requests of a vendor meet."""
        answer = httpx.post(f"{self._control[vendor]}/_emulator/script", json=list(steps), timeout=5)
        assert answer.status_code == 200, answer.text

    def violations(self) -> dict[str, list[str]]:
        """What the vendors would not have taken."""
        found = {
            vendor: httpx.get(f"{url}/_emulator/violations", timeout=5).json() for vendor, url in self._control.items()
        }
        return {vendor: said for vendor, said in found.items() if said}


@pytest.fixture(scope="module")
def vendors() -> Iterator[Vendors]:
    """Every vendor, in one process."""
    program = Path(__file__).with_name("provider_emulators.py")
    process = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as said:
        yield Vendors(json.loads(said.readline()), said)
    process.terminate()
    assert process.wait(timeout=10) == 0


@pytest.fixture(scope="module")
def emulated_platform(vendors: Vendors, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose own accounts are at the emulators."""
    nobody = {"FALLBACK_LLM": "none", "FALLBACK_VOICE": "none", "FALLBACK_TRANSCRIPTION": "none"}
    environment = vendors.environment | nobody  # who is called answers, or the test fails
    running = start_platform(tmp_path_factory.mktemp("vendors") / "home", environment=environment)
    vendors.wait()
    yield running
    assert stop_platform(running) == 0


class Callers:
    """Makes agents and calls them."""

    def __init__(self, platform: Platform, question: Path, folder: Path) -> None:
        self._platform = platform
        self._question = question
        self._folder = folder
        self._headers = {"Authorization": f"Bearer {platform.demo['apiKeyLive']}"}
        self._demo = platform.get(f"/agents/{platform.demo['agentId']}").json()

    def agent(self, name: str, llm: dict, transcription: dict, voice: dict, **changes: Any) -> str:
        """The demo agent's words with other providers; its id."""
        body = {
            "name": name,
            "persona": self._demo["persona"],
            "systemPromptTemplate": self._demo["systemPromptTemplate"],
            "firstMessage": "Hello.",
            "llm": llm,
            "transcription": transcription,
            "voice": voice,
            "recording": {"enabled": False},
            **changes,
        }
        url = f"{self._platform.base_url}/api/v1/agents"
        answer = httpx.post(url, json=body, headers=self._headers, timeout=20)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        httpx.post(f"{url}/{made['id']}/activate", headers=self._headers, timeout=20)
        return made["id"]

    def call(self, name: str, agent: str) -> dict[str, Any]:
        """Ask the question; the report of the call, with the conversation's costs and what was heard of the agent."""
        heard = self._folder / f"{name}.wav"
        done = self._platform.voisnap(
            "call", "--json", "--agent", agent, "--wav", str(self._question), "--save", str(heard), timeout=90
        )
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        return report | {"heard": heard}

    def costs(self, report: dict[str, Any]) -> dict[str, Any]:
        """What the finished conversation cost."""
        answer = self._platform.get(f"/conversations/{report['conversationId']}/costs")
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def callers(emulated_platform, spoken, tmp_path_factory) -> Callers:
    return Callers(emulated_platform, spoken(QUESTION), tmp_path_factory.mktemp("heard"))


@pytest.fixture(scope="module")
def reports(callers: Callers, vendors: Vendors) -> dict[str, dict[str, Any]]:
    """A call through each row of the matrix."""
    own_server = {"baseUrl": vendors.environment["OPENAI_COMPATIBLE_BASE_URL"]}
    agents = {
        name: callers.agent(name, llm | (own_server if "compatible" in name else {}), *row)
        for name, (llm, *row) in MATRIX.items()
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(agents, pool.map(callers.call, agents, agents.values()), strict=True))


@pytest.fixture(scope="module")
def recogniser() -> Moonshine:
    return Moonshine(models_folder() / "moonshine-tiny-en")


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def errors_in(said: str, heard: str) -> float:
    """Words that are wrong, missing or too many, as a share of those that were said."""
    wanted, got = words_of(said), words_of(heard)
    row = list(range(len(got) + 1))
    for number, word in enumerate(wanted, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(got, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1] / max(1, len(wanted))


def said_by(speaker: str, report: dict[str, Any]) -> str:
    return " ".join(line["text"] for line in report["transcript"] if line["speaker"] == speaker)


@pytest.mark.parametrize("row", MATRIX)
def test_what_the_caller_says_is_recognised_answered_and_spoken(reports, recogniser, row) -> None:
    report = reports[row]
    assert errors_in(QUESTION, said_by("user", report)) <= 0.2, report["transcript"]
    answer = said_by("agent", report)
    assert PRICE in answer, report["transcript"]

    decoded = recogniser(files.read(report["heard"], 16000).as_float32()).text
    wanted = {word for word in words_of(answer) if word.isalpha() and len(word) > 3}
    assert len(wanted & set(words_of(decoded))) >= 0.6 * len(wanted), decoded


@pytest.mark.parametrize("row", MATRIX)
def test_every_leg_is_counted_at_its_provider(reports, callers, row) -> None:
    llm, transcription, voice = MATRIX[row]
    costs = callers.costs(reports[row])
    legs = {leg["kind"]: leg for leg in costs["legs"]}
    assert [legs[kind]["provider"] for kind in ("llm", "stt", "tts")] == [
        llm["provider"],
        transcription["provider"],
        voice["provider"],
    ]
    assert costs["breakdown"]["llm"]["outputTokens"] > 0
    assert costs["breakdown"]["stt"]["audioSeconds"] > 1
    assert costs["breakdown"]["tts"]["characters"] > 20


def test_no_vendor_got_anything_that_it_would_not_take(reports, vendors) -> None:
    assert len(reports) == len(MATRIX)
    assert vendors.violations() == {}


def test_vendors_that_fail_in_the_middle_of_a_call_are_replaced_within_the_turn(callers, vendors) -> None:
    """The model is cut before its first word, the recogniser dies while the caller speaks, the voice succeeds without sound."""
    agent = callers.agent(
        "failing",
        {"provider": "openai", "model": "gpt-4o-mini"},
        {"provider": "deepgram", "model": "nova-3", "language": "en-US"},
        {"provider": "elevenlabs", "voiceId": "21m00Tcm4TlvDq8ikWAM"},
        fallbacks={
            "llm": [{"provider": "anthropic", "model": "claude-haiku-4-5"}],
            "transcription": [{"provider": "azure", "language": "en-US"}],
            "voice": [{"provider": "aws", "voiceId": "Joanna"}],
        },
    )
    vendors.script("openai", {"kind": "cut", "text": ""})
    vendors.script("deepgram", {"kind": "cut", "seconds": 1.2}, *[{"kind": "refused", "status": 503}] * 6)
    vendors.script("elevenlabs", *[{"kind": "no_sound"}] * 4)
    report = callers.call("failing", agent)
    assert errors_in(QUESTION, said_by("user", report)) <= 0.2, report["transcript"]
    assert PRICE in said_by("agent", report), report["transcript"]
    used = {(leg["kind"], leg["provider"]) for leg in callers.costs(report)["legs"]}
    assert {("llm", "anthropic"), ("stt", "azure"), ("tts", "aws")} <= used
