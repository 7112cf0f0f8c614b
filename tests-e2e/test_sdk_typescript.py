"""The TypeScript SDK against the running platform: the documentation's lines as printed, its README, and conversations that survive."""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from voisnap_media import files
from voisnap_testkit import node
from voisnap_testkit.platform import Platform
from voisnap_testkit.seed_pages import Example, Kind, seed_page

pytestmark = pytest.mark.e2e

JS = Path(__file__).parents[1] / "libs/js"
EXAMPLES = (*seed_page("agents").of_kind(Kind.TYPESCRIPT), *seed_page("conversations").of_kind(Kind.TYPESCRIPT))
CLIENT = "const client = new VoisnapClient({ apiKey: process.env.KEY, baseUrl: process.env.BASE });\n"
IMPORTS = 'import { VoisnapClient } from "@voisnap/sdk";\n'

Run = Callable[..., str]


@pytest.fixture(scope="module")
def platform(two_runtimes: Platform) -> Platform:
    """The one that these tests need anyway."""
    return two_runtimes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program's folder with the package installed."""
    node.build(JS / "sdk")
    made = tmp_path_factory.mktemp("program")
    (made / "node_modules").symlink_to(JS / "node_modules")
    return made


@pytest.fixture(scope="module")
def run(platform: Platform, folder: Path) -> Run:
    """Run a program under Node.js; gives what it printed. It finds the platform in KEY, BASE and AGENT."""

    def start(text: str, *, on: Platform = platform, timeout: float = 60) -> str:
        done = subprocess.run(
            _command(folder, text), env=_environment(on), capture_output=True, text=True, timeout=timeout, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return start


def _command(folder: Path, text: str) -> list[str]:
    program = folder / f"program-{len(list(folder.glob('*.mjs')))}.mjs"
    program.write_text(text)
    return ["node", str(program)]


def _environment(on: Platform) -> dict[str, str]:
    return os.environ | {"KEY": on.demo["apiKeyLive"], "BASE": on.base_url, "AGENT": on.demo["agentId"]}


@pytest.fixture(scope="module")
def api(platform: Platform) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {platform.demo['apiKeyLive']}"}
    with httpx.Client(base_url=f"{platform.base_url}/api/v1", headers=headers, timeout=20) as client:
        yield client


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.heading}: {example.text.splitlines()[0]}")
def test_line_of_the_documentation_runs_as_printed(platform: Platform, run: Run, api, example: Example) -> None:
    text = example.text.replace("agt_01HXK8Z3MNPQRS", platform.demo["agentId"])
    shown = "\nconsole.log(JSON.stringify(agent));" if "agents.create" in text else ""

    said = run(IMPORTS + CLIENT + text + shown)

    if "agents.create" in text:
        agent = json.loads(said)
        assert (agent["name"], agent["status"]) == ("Aria – Support Agent", "draft")
        assert api.get(f"/agents/{agent['id']}").json()["voice"]["voiceId"] == "EXAVITQu4vr4xnSDxMaL"
    elif "agents.list" in text:
        assert "Harbor Street Dental" in said


def test_a_chat_is_answered_kept_and_listed_as_the_documentation_prints_it(platform: Platform, run: Run, api) -> None:
    listing = next(one.text for one in EXAMPLES if "conversations.list" in one.text)
    for documented, ours in {"2025-06-30": "2099-12-31", "'phone'": "'webchat'", "(`": "(JSON.stringify(`"}.items():
        listing = listing.replace(documented, ours)
    listing = listing.replace("agt_01HXK8Z3MNPQRS", platform.demo["agentId"]).replace("s`);", "s`));")

    said, *listed = map(
        json.loads,
        run(
            IMPORTS
            + CLIENT
            + """
            const chat = await client.realtime.chat({ agentId: process.env.AGENT, metadata: { customerId: "cust_1" } });
            const events = [];
            const reading = (async () => { for await (const event of chat) events.push(event); })();
            const pieces = [];
            for await (const piece of chat.send("How much does a teeth cleaning cost?")) pieces.push(piece);
            const again = await chat.send("And where can I park?");
            await chat.typing();
            await chat.end();
            await reading;
            const id = chat.session.conversationId;
            console.log(JSON.stringify({ pieces, again, id, events }));
            while ((await client.conversations.get(id).catch(() => ({}))).status !== "completed")
              await new Promise((resolve) => setTimeout(resolve, 50));
            """
            + listing
        ).splitlines(),
    )

    assert "110" in "".join(said["pieces"])
    assert "Mill Lane" in said["again"] or "behind" in said["again"]
    kinds = [event["type"] for event in said["events"]]
    assert kinds[0] == "SessionStarted"
    assert kinds[-1] == "SessionEnded"
    assert said["events"][-1]["reason"] == "user_ended"
    assert any(re.fullmatch(rf"{said['id']}: [\d.]+s", line) for line in listed)
    messages = api.get(f"/conversations/{said['id']}/messages").json()["messages"]
    assert [message["role"] for message in messages if message["role"] == "user"] == ["user", "user"]
    assert api.get(f"/conversations/{said['id']}").json()["metadata"] == {"customerId": "cust_1"}


def test_the_readme_runs_as_printed(platform: Platform, run: Run, api) -> None:
    blocks = re.findall(r"```ts\n(.*?)```", (JS / "sdk/README.md").read_text(), re.DOTALL)
    text = "\n".join(blocks).replace("vsnp_live_...", platform.demo["apiKeyLive"])
    text = text.replace("https://api.voisnap.ai", platform.base_url).replace(
        "agentId: string, recording: Int16Array, play: (pcm: Int16Array) => void, drop: () => void",
        "agentId, recording, play, drop",
    )

    said = run(text + "\nconsole.log(agent.id);")

    agent = api.get(f"/agents/{said.split()[-1]}").json()
    assert (agent["status"], agent["maxDurationSeconds"]) == ("active", 900)
    assert "conv_" in said


def test_a_call_is_heard_and_answers_aloud(platform: Platform, folder: Path, run: Run, spoken) -> None:
    speech = files.read(spoken("How much does a teeth cleaning cost?"), 16000).samples.astype("<i2").tobytes()
    (folder / "question.pcm").write_bytes(speech + bytes(10 * 32000))

    said = json.loads(
        run(
            IMPORTS
            + 'import { readFileSync } from "node:fs";\n'
            + CLIENT
            + f"const pcm = readFileSync({json.dumps(str(folder / 'question.pcm'))});\n"
            + """
            const { id } = await client.agents.duplicate(process.env.AGENT, { name: "Listener" });
            await client.agents.update(id, { firstMessageMode: "wait_for_user" });
            await client.agents.activate(id);
            const call = await client.realtime.voice({ agentId: id });
            let loudest = 0;
            call.on("AudioReceived", ({ pcm }) => { for (const one of pcm) loudest = Math.max(loudest, Math.abs(one)); });
            const turns = new Map();
            const speaking = call.speak(pcm);
            let reason;
            for await (const event of call) {
              if (event.type === "Transcription" && event.isFinal) {
                turns.set(event.turnId, [event.speaker, event.text]);
                if (event.speaker === "agent" && event.text.includes("110")) await call.end();
              } else if (event.type === "SessionEnded") reason = event.reason;
            }
            await speaking;
            console.log(JSON.stringify({ loudest, reason, turns: [...turns.values()], audio: call.session.audio }));
            """
        )
    )

    assert "cleaning" in " ".join(text for speaker, text in said["turns"] if speaker == "user").lower()
    assert said["loudest"] > 1000
    assert said["reason"] == "user_ended"
    assert said["audio"] == {"inputSampleRate": 16000, "outputSampleRate": 24000}


def test_a_chat_goes_on_when_its_server_is_killed(two_runtimes: Platform, folder: Path) -> None:
    text = (
        IMPORTS
        + CLIENT
        + """
        const chat = await client.realtime.chat({ agentId: process.env.AGENT });
        const before = chat.session;
        const first = await chat.ask("How much does a teeth cleaning cost?");
        const back = new Promise((resolve) => chat.on("Reconnected", resolve));
        console.log(JSON.stringify({ first, before }));
        await back;
        const second = await chat.ask("Where can I park?");
        console.log(JSON.stringify({ second, after: chat.session }));
        await chat.end();
        """
    )
    with subprocess.Popen(
        _command(folder, text),
        env=_environment(two_runtimes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        stop = threading.Timer(60, program.kill)
        stop.start()
        try:
            said = _line(program)
            owner = two_runtimes.owner_of(said["before"]["sessionId"])
            killed = two_runtimes.signal(owner or "", signal.SIGKILL)
            later = _line(program)
            assert program.wait(10) == 0
        finally:
            stop.cancel()
            program.kill()
    two_runtimes.wait_for_runtimes(2, but=killed)

    assert "110" in said["first"]
    assert "Mill Lane" in later["second"] or "behind" in later["second"]
    before, after = said["before"], later["after"]
    assert (after["sessionId"], after["conversationId"]) == (before["sessionId"], before["conversationId"])
    assert after["resumed"] is True


def _line(program: subprocess.Popen[str]) -> Any:
    assert program.stdout is not None
    line = program.stdout.readline()
    assert line, program.stderr.read() if program.stderr else ""
    return json.loads(line)
