"""`voisnap load` against a running platform: it makes what it needs, measures, and leaves nothing behind."""

import json
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.e2e

QUESTION = Path(__file__).parent / "fixtures" / "audio" / "question-teeth-cleaning.wav"


def test_callers_are_placed_answered_and_summed_up_and_nothing_is_left(platform):
    ran = platform.voisnap("load", "--callers", "2", "--for", "3s", "--json", "--wav", str(QUESTION))
    document = json.loads(ran.stdout)
    (step,) = document["steps"]
    assert (step["callers"], step["refused"], step["lost"]) == (2, None, 0)
    assert step["overhead"]["count"] >= 1
    assert step["overhead"]["p50"] < 500
    assert step["core_percent_per_call"] > 0
    key = {"Authorization": f"Bearer {platform.demo['apiKeySandbox']}"}
    agents = httpx.get(f"{platform.base_url}/api/v1/agents", headers=key, timeout=10).json()["data"]
    assert [agent["name"] for agent in agents if "Load" in agent["name"]] == []


def test_faults_are_one_clear_line(platform):
    unknown = platform.voisnap("load", "--agent", "agt_00000000000000000000000000", "--callers", "1", "--for", "1s")
    assert unknown.returncode == 1
    assert unknown.stderr.splitlines()[-1].startswith(
        "voisnap load: agent agt_00000000000000000000000000 was not found"
    )
