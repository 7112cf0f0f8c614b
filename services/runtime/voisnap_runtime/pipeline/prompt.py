"""What the agent is told and what it says by itself: templates of its configuration, filled for one session."""

import msgspec
from voisnap_domain.agents import AgentConfig
from voisnap_domain.conversations import Speaker, ToolUse, Turn
from voisnap_domain.sessions import SessionPlan
from voisnap_domain.templates import render, variables_of
from voisnap_providers.ports.llm import LlmRequest, Message, Role, ToolCall, ToolSpec

from .phrases import ENGLISH, Phrases, phrases_of

MAX_HISTORY_TURNS = 60
MAX_HISTORY_CHARS = 24_000
CALL_PURPOSE = "callPurpose"
"""The session's metadata that say in a few words why the agent calls: `your appointment on Friday`."""
ON_BEHALF_OF = "onBehalfOf"
"""The session's metadata that say for whom: `Bright Smile Dental`."""
MAX_PURPOSE = 200
SCREENED = (
    "You have called this person. The call screening that asked who calls, and why, was told by you: {introduction}"
)
VOICEMAIL = "Hello, this is {name}. Sorry that we missed you. We will try again later. Goodbye."

_ROLES = {Speaker.AGENT: Role.ASSISTANT, Speaker.USER: Role.USER, Speaker.TOOL: Role.TOOL, Speaker.SYSTEM: Role.SYSTEM}


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """The agent's fixed texts for one session. `unknown`: variables that had no value. `voicemail`: what an answering machine is told,
    `introduction`: what somebody's call screening is. `phrases`: what it says where its owner wrote nothing."""

    system: str
    disclosure: str
    first_message: str
    silence_message: str
    unknown: tuple[str, ...]
    fillers: tuple[str, ...] = ()
    voicemail: str = ""
    introduction: str = ""
    phrases: Phrases = ENGLISH

    @property
    def opening(self) -> str:
        """What is said before anything else."""
        return " ".join(text for text in (self.disclosure, self.first_message) if text)


def script_of(plan: SessionPlan, *, greets: bool) -> Script:
    """The texts of a session. `greets`: the agent speaks first; its disclosure comes first in any case."""
    config = plan.agent.config
    variables = variables_of(plan, now=plan.created_at)
    system = render(config.system_prompt_template, variables)
    disclosure = render(config.ai_disclosure_message or "", variables)
    first = render((config.first_message or "") if greets else "", variables)
    silence = render(config.silence_detection.message, variables)
    voicemail = render(_voicemail(config), variables)
    unknown = dict.fromkeys(
        (*system.unknown, *disclosure.unknown, *first.unknown, *silence.unknown, *voicemail.unknown)
    )
    return Script(
        system=_with_persona(plan, system.text),
        disclosure=disclosure.text.strip(),
        first_message=first.text.strip(),
        silence_message=silence.text.strip(),
        unknown=tuple(unknown),
        fillers=_fillers(config),
        phrases=phrases_of(config.transcription.language),
        introduction=_introduction(plan),
        voicemail=" ".join(text for text in (disclosure.text.strip(), voicemail.text.strip()) if text),
    )


def request_of(
    plan: SessionPlan, script: Script, turns: list[Turn], heard: str, tools: tuple[ToolSpec, ...] = ()
) -> LlmRequest:
    """The reply to make after `turns`, to the caller's words `heard`, which may be on record already."""
    if turns and turns[-1].speaker is Speaker.USER and turns[-1].text == heard:
        turns = turns[:-1]
    return LlmRequest(
        messages=(
            Message(role=Role.SYSTEM, content=script.system),
            *_history(turns),
            Message(role=Role.USER, content=heard),
        ),
        settings=plan.agent.config.llm,
        tools=tools,
        context={
            "agentName": plan.agent.config.persona.name,
            "language": plan.agent.config.transcription.language,
            "channel": plan.channel.value,
        },
    )


def _voicemail(config: AgentConfig) -> str:
    """The owner's message for answering machines, ours without one; none for an agent that leaves none."""
    if not config.voicemail_detection.enabled:
        return ""
    return config.voicemail_detection.message or VOICEMAIL.format(name=config.persona.name)


def _introduction(plan: SessionPlan) -> str:
    """Who calls, for whom and why, in the agent's language: its persona, and the session's `onBehalfOf` and `callPurpose`. No model is asked: a
    machine that listens wants it short, and the same every time."""
    config = plan.agent.config
    return phrases_of(config.transcription.language).introduced(
        config.persona.name,
        role=_spoken(config.persona.role),
        behalf=_spoken(plan.metadata.get(ON_BEHALF_OF)),
        purpose=_spoken(plan.metadata.get(CALL_PURPOSE)),
    )


def _spoken(text: object) -> str:
    """A few words for the middle of a sentence."""
    return " ".join(text.split())[:MAX_PURPOSE].rstrip(" .!?") if isinstance(text, str) else ""


def _fillers(config: AgentConfig) -> tuple[str, ...]:
    """The owner's phrases, or ours."""
    phrases = tuple(phrase.strip() for phrase in config.fillers.phrases if phrase.strip())
    return phrases or phrases_of(config.transcription.language).fillers


def _with_persona(plan: SessionPlan, prompt: str) -> str:
    persona = plan.agent.config.persona
    lines: list[str] = []
    if persona.name.lower() not in prompt.lower():
        lines.append(f"You are {persona.name}{f', {persona.role}' if persona.role else ''}.")
    if persona.personality and persona.personality.lower() not in prompt.lower():
        lines.append(f"You are {persona.personality}.")
    return "\n".join((*lines, prompt))


def _history(turns: list[Turn]) -> tuple[Message, ...]:
    kept: list[Message] = []
    chars = 0
    for turn in reversed(turns[-MAX_HISTORY_TURNS:]):
        chars += len(turn.text)
        if chars > MAX_HISTORY_CHARS:
            break
        if turn.tool is not None:
            kept += reversed(_tool_messages(turn.tool, turn.text))
        elif turn.text and turn.speaker is not Speaker.TOOL:  # a result that answers no call is refused by most models
            kept.append(Message(role=_ROLES[turn.speaker], content=turn.text))
    return tuple(reversed(kept))


def _tool_messages(use: ToolUse, result: str) -> tuple[Message, Message]:
    call = ToolCall(call_id=use.call_id, name=use.name, arguments=use.arguments, signature=use.signature)
    return (
        Message(role=Role.ASSISTANT, content="", tool_calls=(call,)),
        Message(role=Role.TOOL, content=result, tool_call_id=use.call_id),
    )
