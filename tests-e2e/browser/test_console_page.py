"""The call page in headless Chromium against a stubbed platform: what a caller sees, and when things go wrong."""

import filecmp
import math
import os
import shutil
import struct
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.hub

ROOT = Path(__file__).parents[2]
PUBLIC = ROOT / "services" / "console" / "public"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, serve: Any) -> Iterator[str]:
    """The console's files, and a recording to play."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(PUBLIC, folder, dirs_exist_ok=True)
    with wave.open(str(folder / "test-recording.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(b"".join(struct.pack("<h", int(3000 * math.sin(n / 5))) for n in range(16_000)))
    with serve(folder) as origin:
        yield origin


@pytest.fixture(scope="module")
def seen(site: str, run_script: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What every scenario of `console_page.mjs` saw. SCREENSHOTS names a folder to keep the pictures in."""
    screenshots = os.environ.get("SCREENSHOTS") or str(tmp_path_factory.mktemp("screenshots"))
    return run_script("console_page.mjs", site, screenshots, timeout=180)


def test_a_whole_call(seen) -> None:
    call = seen["call"]
    assert call == {
        "refused": "That didn’t work",
        "agents": ["Demo agent – Bella’s Bakery", "Front desk"],
        "lines": [
            "Agent\n\nHello, this is Bella’s Bakery. How can I help you?",
            "You\n\nWhen do you open on Saturdays?",
            "Agent\n\nWe are open from seven in the morning until two in the afternoon on Saturdays."
            "\n\nAnswered in 812 ms (end of turn 500 · speech to text 121 · model 93 · voice 74 · platform 24)",
        ],
        "partial": ["You\n\nand do you sell"],
        "state": "Speaking",
        "muted": "true",
        "hears": True,
        "facts": ["You", "0:42", "3", "812 ms", "$0.0123", "conv_01JD0000000000000000000000"],
        "played": True,
        "stored": 0,
        "calls": ["EndSessionAsync", "RequestReconnectionAsync", "SendIceCandidateAsync", "SendOfferAsync"],
        "problems": [],
    }


def test_nothing_breaks_the_content_security_policy_in_the_dark_either(seen) -> None:
    assert seen["dark"] == {"problems": []}


def test_nothing_is_wider_than_a_phone(seen) -> None:
    assert seen["narrow"] == {"overflows": [False, False, False, False]}


def test_keyboard_alone_makes_a_call(seen) -> None:
    assert seen["keyboard"] == {
        "order": ["email", "password", "start", "hangup", "mute"],
        "muted": "true",
        "ring": "solid",
    }


def test_call_goes_on_with_new_audio_when_the_server_was_lost(seen) -> None:
    expected = {
        "connections": 2,
        "tokens": ["wrtc_tok_1", "wrtc_res_1"],
        "offers": 2,
        "isQuick": True,
        "alert": False,
        "problems": [],
    }
    assert seen["serverLost"] == {"killed": expected, "hangs": expected}


def test_call_goes_on_when_only_signalling_was_lost(seen) -> None:
    assert seen["signallingLost"] == {"connections": 2, "offers": 1, "alert": False}


def test_empty_form_says_what_is_missing(seen) -> None:
    expected = {"errors": ["Enter your e-mail address.", "Enter your password."], "focus": "email"}
    assert seen["emptyForm"] == expected


@pytest.mark.parametrize(
    ("scenario", "shown"),
    [
        ("microphoneBlocked", {"text": "The microphone is blocked", "canRetry": True}),
        ("noMicrophone", {"text": "No microphone was found"}),
        ("hubUnreachable", {"text": "The call service can’t be reached", "canRetry": True}),
        ("tooManyCalls", {"text": "All lines are busy"}),
        ("agentInactive", {"text": "This agent isn’t active"}),
        ("recoverableError", {"text": "The agent had trouble answering", "goesOn": True}),
        ("audioBlocked", {"text": "No sound could get through"}),
        ("connectionLost", {"text": "The call was interrupted"}),
        ("platformDown", {"text": "The platform can’t be reached"}),
        ("expiredLogIn", {"text": "Please log in again", "focus": "password"}),
        ("renewedLogIn", {"refreshes": 1, "alert": False}),
        ("withoutRecording", {"player": False}),
    ],
)
def test_trouble_is_said_in_words(seen, scenario, shown) -> None:
    assert seen[scenario] == shown


def test_vendored_client_is_the_one_of_the_package() -> None:
    packaged = ROOT / "tests-e2e" / "node_modules" / "@microsoft" / "signalr" / "dist" / "browser" / "signalr.min.js"
    assert filecmp.cmp(packaged, PUBLIC / "vendor" / "signalr.min.js", shallow=False)


def test_page_needs_nothing_from_elsewhere() -> None:
    for path in (*PUBLIC.rglob("*.html"), *PUBLIC.rglob("*.css"), *(PUBLIC / "js").rglob("*.js")):
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path
        assert " onclick=" not in text, path
        assert "innerHTML" not in text, path
