"""A language model that says what a script tells it.

A script is a text whose lines are rules; every other line is ignored, so a script can stand inside an ordinary system prompt:

    when: opening hours|open -> We are open from {nine} to five.
    when: my name is (\\w+)  -> Nice to meet you, \\1.
    when: bye                -> Goodbye! [end]
    otherwise                -> I did not understand that.
    when: person             -> One moment. [tool: transfer_call {"target": "Sales"}]
    pace: first 120ms, token 20ms

The first rule whose pattern is found in the caller's last message (case ignored) gives the reply; `[end]` asks to end the call, `[tool: …]`
calls a tool, if it is offered, and says afterwards what that answered. Without a matching rule and without `otherwise` the reply is empty.
`pace` sets delays in the event loop's time.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping

import msgspec

from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.llm import (
    EndCall,
    LlmCapabilities,
    LlmDelta,
    LlmRequest,
    LlmUsed,
    Role,
    TextDelta,
    ToolCall,
)

MAX_HEARD_CHARS = 300
MAX_PATTERN_CHARS = 200
MAX_OPEN_QUANTIFIERS = 3

_RULE = re.compile(r"^\s*when:\s*(?P<pattern>.+?)\s*->\s*(?P<reply>.*?)\s*$")
_OTHERWISE = re.compile(r"^\s*otherwise\s*->\s*(?P<reply>.*?)\s*$")
_PACE = re.compile(r"^\s*pace:\s*first\s+(?P<first>\d{1,5})\s*ms\s*,\s*token\s+(?P<token>\d{1,5})\s*ms\s*$")
_OPEN_QUANTIFIER = re.compile(r"(?<!\\)(?:[*+]|\{\d*,\d*\})")
_REPEATED_GROUP = re.compile(r"(?<!\\)\)\s*[*+{]")
_TOKEN = re.compile(r"\s*\S+")
_END = "[end]"
_TOOL = re.compile(r"\[tool:\s*(?P<name>[\w-]+)\s*(?P<arguments>\{.*?\})?\s*\]")


class Rule(msgspec.Struct, frozen=True):
    """What to say when a pattern is found in what the caller said; no pattern = whatever they said."""

    pattern: re.Pattern[str] | None
    reply: str


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """Rules in the order they are tried, and delays in seconds."""

    rules: tuple[Rule, ...] = ()
    first_delay: float = 0.0
    token_delay: float = 0.0

    def reply_to(self, heard: str) -> str:
        """The reply of the first rule that fits, groups filled in; "" when none does."""
        heard = heard[:MAX_HEARD_CHARS]
        for rule in self.rules:
            if rule.pattern is None:
                return rule.reply
            match = rule.pattern.search(heard)
            if match:
                return _filled(rule.reply, match)
        return ""


def script(text: str) -> Script:
    """Read a script. Raises `ValueError` for a pattern that is broken or may take exponential time."""
    rules: list[Rule] = []
    fallback: Rule | None = None
    first = token = 0
    for line in text.splitlines():
        if rule := _RULE.match(line):
            rules.append(Rule(_pattern(rule["pattern"]), rule["reply"]))
        elif otherwise := _OTHERWISE.match(line):
            fallback = Rule(None, otherwise["reply"])
        elif pace := _PACE.match(line):
            first, token = int(pace["first"]), int(pace["token"])
    if fallback:
        rules.append(fallback)
    return Script(rules=tuple(rules), first_delay=first / 1000, token_delay=token / 1000)


class ScriptedLlm:
    """Answers by script: the one named by `settings.model`, else the one in the system prompt.

    `requests` keeps what was asked, oldest first, the last 100.
    """

    provider = "scripted"
    capabilities = LlmCapabilities(streaming=True, tools=True, generative=False)

    def __init__(self, scripts: Mapping[str, str] | None = None) -> None:
        self._scripts = {name: script(text) for name, text in (scripts or {}).items()}
        self.requests: list[LlmRequest] = []

    async def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        """The scripted reply, token by token."""
        self.requests = [*self.requests[-99:], request]
        chosen = self._script_of(request)
        last = request.messages[-1] if request.messages else None
        reply = last.content if last is not None and last.role is Role.TOOL else chosen.reply_to(_last_heard(request))
        ends = _END in reply
        offered = {tool.name for tool in request.tools}
        calls = [call for call in _TOOL.finditer(reply) if call["name"] in offered]
        reply = _TOOL.sub("", reply)
        tokens = _TOKEN.findall(reply.replace(_END, "").strip())
        await asyncio.sleep(chosen.first_delay)
        for number, token in enumerate(tokens):
            if number and chosen.token_delay:
                await asyncio.sleep(chosen.token_delay)
            yield TextDelta(text=token)
        for number, call in enumerate(calls):
            call_id = f"call_{len(request.messages)}_{number}"
            yield ToolCall(call_id=call_id, name=call["name"], arguments=call["arguments"] or "{}")
        if ends:
            yield EndCall()
        yield LlmUsed(
            input_tokens=sum(len(_TOKEN.findall(message.content)) for message in request.messages),
            output_tokens=len(tokens),
        )

    async def warm(self) -> None:
        """Nothing to open."""

    async def aclose(self) -> None:
        """Nothing to free."""

    def _script_of(self, request: LlmRequest) -> Script:
        named = self._scripts.get(request.settings.model)
        if named is not None:
            return named
        prompt = "\n".join(message.content for message in request.messages if message.role is Role.SYSTEM)
        try:
            return script(prompt)
        except ValueError as error:
            raise ProviderError(str(error), provider=self.provider, kind="llm", retryable=False) from error


def _last_heard(request: LlmRequest) -> str:
    return next((message.content for message in reversed(request.messages) if message.role is Role.USER), "")


def _pattern(source: str) -> re.Pattern[str]:
    if len(source) > MAX_PATTERN_CHARS:
        raise ValueError(f"a script's pattern has at most {MAX_PATTERN_CHARS} characters")
    if _REPEATED_GROUP.search(source) or len(_OPEN_QUANTIFIER.findall(source)) > MAX_OPEN_QUANTIFIERS:
        raise ValueError(f"a script's pattern repeats too much: {source}")
    try:
        return re.compile(source, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"a script's pattern is broken: {source}: {error}") from error


def _filled(reply: str, match: re.Match[str]) -> str:
    return re.sub(
        r"\\(\d)", lambda group: match[int(group[1])] or "" if int(group[1]) <= match.re.groups else "", reply
    )
