"""What a simulated caller says."""

from typing import Any

import msgspec
import pytest
from voisnap_domain.agents import (
    AgentConfig,
    Llm,
    LlmProvider,
    Persona,
    Transcription,
    TranscriptionProvider,
    Voice,
    VoiceProvider,
)
from voisnap_domain.rehearsals import MAX_LINE_CHARS, rehearsal_of

pytestmark = pytest.mark.unit

CONFIG = AgentConfig(
    name="Desk",
    persona=Persona(name="Ada"),
    voice=Voice(provider=VoiceProvider.LOCAL, voice_id="heart"),
    llm=Llm(provider=LlmProvider.LOCAL, model="brain"),
    transcription=Transcription(provider=TranscriptionProvider.LOCAL),
    system_prompt_template="You are Ada.",
)


def lines(
    metadata: dict[str, Any] | None = None, *, prompt: str = "You are Ada.", language: str = "en-US"
) -> list[str]:
    transcription = msgspec.structs.replace(CONFIG.transcription, language=language)
    config = msgspec.structs.replace(CONFIG, system_prompt_template=prompt, transcription=transcription)
    return list(rehearsal_of(config, metadata or {}).lines)


def test_lines_fit_what_the_agent_knows_about() -> None:
    said = lines(
        prompt="We open at nine and close at six. Prices: a cleaning costs 110 dollars. Our address is 4 Mill Lane."
    )
    assert "How much does it cost?" in said
    assert "What are your opening hours?" in said
    assert said[-1] == "That's all. Thank you, goodbye."


def test_the_scenario_is_named_first() -> None:
    said = lines({"testScenario": "billing-inquiry"}, prompt="We open at nine.")
    assert said[:2] == ["Hi, I'm calling about billing inquiry.", "I have a question about my last invoice."]


@pytest.mark.parametrize(
    "prompt", ["You are Ada.", "open prices address insurance order appointment invoice menu " * 50]
)
@pytest.mark.parametrize("language", ["en-US", "de", "es-MX", "fr-CA", "pt-BR", "it", "nl", "ja", "multi"])
@pytest.mark.parametrize("scenario", [None, "refund", "", "x" * 5000, 3, {"a": 1}, "<script>{topic}</script>"])
def test_a_caller_has_three_to_five_lines_in_any_language(prompt, language, scenario) -> None:
    said = lines({} if scenario is None else {"testScenario": scenario}, prompt=prompt, language=language)
    assert 3 <= len(said) <= 5
    assert all(0 < len(line) <= MAX_LINE_CHARS and line.strip() == line for line in said)
    assert len(set(said)) == len(said)


def test_a_callers_own_script_is_said_as_it_is() -> None:
    assert rehearsal_of(CONFIG, {"testScenario": "x"}, script=("One.", "Two.")).lines == ("One.", "Two.")


def test_german_agents_are_called_in_german() -> None:
    assert lines(language="de-DE")[-1] == "Das war alles. Danke, auf Wiederhören."
