"""A person played by a language model: the agent's own in the sandbox, where the platform has an account with its provider."""

import asyncio
import re
from contextlib import aclosing

import msgspec
from voisnap_domain.agents import Llm, LlmProvider
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.llm import LanguageModel, LlmRequest, Message, Role, TextDelta

from .mind import Mind, Reached, Reply, Verdict

REPLY_SECONDS = 10.0
MOST_CHARS = 400
"""A longer reply is cut: nobody speaks so long on the telephone."""
SILENCE = "(silence on the line)"

_PROMPT = """\
You play a person on the telephone (or in a chat) who talks with an automated agent. You are never the agent.
What you want: {goal}
Say one or two short sentences at a time, as people speak; no lists, no markdown, no stage directions. Begin with what you want once you are
greeted. Give what your goal names when you are asked for it. When asked for a name or another harmless detail that it does not name, make one
up and stay with it{number}. If something is repeated wrongly, correct it. Do not help the agent to do its work.
When your goal is reached, or certainly cannot be, say good-bye and end with one of these on a line of its own:
[hang up: reached] [hang up: not reached] [hang up: unknown]
To press keys of the telephone write [press 1]. To say nothing yet, because the other side will go on by itself, write [listen]."""
_HANG_UP = re.compile(r"\[\s*hang ?up\s*:?\s*(not reached|reached|unknown)?[^\]]*\]", re.IGNORECASE)
_PRESS = re.compile(r"\[\s*press\s+([0-9*#]{1,32})\s*\]", re.IGNORECASE)
_STAGE = re.compile(r"\[[^\]]*\]|\*[^*]*\s[^*]*\*|\([^)]*\)")
"""Marks and stage directions; one word between stars is stressed, and said."""
_ENDS = {"reached": Reached.YES, "not reached": Reached.NO}


class _So(msgspec.Struct, frozen=True, kw_only=True):
    messages: tuple[Message, ...] = ()
    turns: int = 0
    ended: Reached | None = None
    failed: bool = False
    instead: Mind | None = None


class ModelMind(Mind):
    """`instead` goes on when the model fails; it knows nothing of what was said before."""

    def __init__(
        self,
        model: LanguageModel,
        settings: Llm,
        goal: str,
        *,
        instead: Mind,
        own_number: str = "",
        most_turns: int = 24,
        so: _So | None = None,
    ) -> None:
        self._model, self._settings, self._goal = model, settings, goal
        self._instead, self._own_number, self._most_turns = instead, own_number, most_turns
        self._so = so or _So()

    async def answer(self, heard: str) -> tuple[Reply, Mind]:
        """What the model says. A model that fails, or takes too long, is not asked again in this conversation."""
        if self._so.instead is not None:
            return await self._by_rules(heard)
        if self._so.turns >= self._most_turns:
            return Reply(text="I'm sorry, I have to go now. Goodbye.", ends=True), self._with(ended=Reached.NO)
        said = (*self._so.messages, Message(role=Role.USER, content=heard))
        try:
            text = await self._asked(said)
        except (ProviderError, TimeoutError):
            return await self._with(instead=self._instead, failed=True)._by_rules(heard)
        reply, ended = _read(text)
        kept = (*said, Message(role=Role.ASSISTANT, content=text))
        return reply, self._with(messages=kept, turns=self._so.turns + 1, ended=ended)

    async def silence(self) -> tuple[Reply, Mind]:
        """The model is told of the silence."""
        if self._so.instead is not None:
            reply, mind = await self._so.instead.silence()
            return reply, self._with(instead=mind)
        return await self.answer(SILENCE)

    def heard_last(self, text: str) -> Mind:
        """Kept for the verdict's words."""
        return self._with(messages=(*self._so.messages, Message(role=Role.USER, content=text)))

    def verdict(self) -> Verdict:
        """What the model said of it when it hung up; its last words from the other side show it."""
        so = self._so
        if so.instead is not None:
            found = so.instead.verdict()
            return msgspec.structs.replace(
                found, reason=f"{found.reason} (the language model failed)", turns=so.turns + found.turns
            )
        heard = [one.content for one in so.messages if one.role is Role.USER and one.content != SILENCE]
        reason = "the language model says so" if so.ended is not None else "the conversation ended before"
        return Verdict(
            goal_reached=so.ended or Reached.UNKNOWN,
            reason=reason,
            words=tuple(heard[-2:]),
            turns=so.turns,
            brain=f"{self._settings.provider}/{self._settings.model}",
        )

    async def _by_rules(self, heard: str) -> tuple[Reply, Mind]:
        assert self._so.instead is not None  # noqa: S101 - see the callers
        reply, mind = await self._so.instead.answer(heard)
        return reply, self._with(instead=mind)

    async def _asked(self, said: tuple[Message, ...]) -> str:
        number = f"; your telephone number is {self._own_number}" if self._own_number else ""
        prompt = Message(role=Role.SYSTEM, content=_PROMPT.format(goal=self._goal, number=number))
        request = LlmRequest(messages=(prompt, *said), settings=self._settings, cache_key="simulated-person")
        parts: list[str] = []
        async with asyncio.timeout(REPLY_SECONDS), aclosing(self._model.answer(request)) as deltas:
            async for delta in deltas:
                if isinstance(delta, TextDelta):
                    parts.append(delta.text)
                    if sum(map(len, parts)) > 2 * MOST_CHARS:
                        break
        return "".join(parts).strip()

    def _with(self, **changes: object) -> "ModelMind":
        return ModelMind(
            self._model,
            self._settings,
            self._goal,
            instead=self._instead,
            own_number=self._own_number,
            most_turns=self._most_turns,
            so=msgspec.structs.replace(self._so, **changes),
        )


def settings_of(provider: LlmProvider, model: str, base_url: str | None = None) -> Llm:
    """How a person's model is asked."""
    return Llm(provider=provider, model=model, temperature=0.4, max_tokens=160, base_url=base_url)


def _read(text: str) -> tuple[Reply, Reached | None]:
    """A model's reply: its words, and its marks."""
    end = _HANG_UP.search(text)
    keys = "".join(found[1] for found in _PRESS.finditer(text))
    spoken = " ".join(_STAGE.sub(" ", text).replace("*", " ").split())[:MOST_CHARS].strip()
    if end is None:
        return Reply(text=spoken, keys=keys), None
    reached = _ENDS.get((end[1] or "").lower(), Reached.UNKNOWN)
    return Reply(text=spoken or "Goodbye.", keys=keys, ends=True), reached
