"""Sessions with a simulated caller: opened like any other, then answered by a caller who lives in this process."""

from collections.abc import Callable, Mapping

import msgspec
from voisnap_domain.agents import LlmProvider, TranscriptionProvider, Voice, VoiceProvider
from voisnap_domain.rehearsals import Rehearsal
from voisnap_domain.sessions import WRITTEN_CHANNELS, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_domain.voicemail import screens
from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderUnconfigured
from voisnap_providers.registry import Registry

from voisnap_runtime.pipeline.chat import Chat
from voisnap_runtime.transports.simulated import OPENING_SECONDS, SimulatedCaller, Spoken

from .live import LiveSession
from .roster import LiveSessions

HELLO = "Hello?"
"""How somebody answers the telephone."""
RINGING_SECONDS = 0.8


class Rehearsals:
    """Makes simulated callers, and stand-ins for the providers that an agent in the sandbox names and this installation does not have."""

    def __init__(
        self,
        registry: Registry,
        sessions: LiveSessions,
        *,
        accounts_of: Callable[[SessionPlan], Mapping[str, Account]] = lambda plan: {},
    ) -> None:
        self._registry = registry
        self._accounts_of = accounts_of
        self._sessions = sessions

    def cast(self, plan: SessionPlan) -> SessionPlan:
        """The plan, in the sandbox with our own speech and language model in place of providers that are not set up here."""
        if plan.environment is not Environment.SANDBOX:
            return plan
        config, registry, own = plan.agent.config, self._registry, self._accounts_of(plan)
        changes: dict[str, msgspec.Struct] = {}
        if not _has(registry.llm, config.llm.provider, own):
            changes["llm"] = msgspec.structs.replace(config.llm, provider=LlmProvider.LOCAL, base_url=None)
        if plan.channel not in WRITTEN_CHANNELS:
            if not _has(registry.tts, config.voice.provider, own):
                changes["voice"] = msgspec.structs.replace(config.voice, provider=VoiceProvider.LOCAL)
            if not _has(registry.stt, config.transcription.provider, own):
                local = msgspec.structs.replace(config.transcription, provider=TranscriptionProvider.LOCAL, model=None)
                changes["transcription"] = local
        if not changes:
            return plan
        snapshot = msgspec.structs.replace(plan.agent, config=msgspec.structs.replace(config, **changes))
        return msgspec.structs.replace(plan, agent=snapshot)

    async def begin(self, asked: SessionPlan, plan: SessionPlan, rehearsal: Rehearsal) -> None:
        """Let a simulated caller come to the session of `plan`, which was `asked` for with other providers perhaps.

        Raises what a claim raises.
        """
        live = await self._sessions.claim(plan.session_id)
        caller = self._caller(live, plan, rehearsal)
        for warning in _replaced(asked, plan):
            live.record.warned(warning)
        live.attach(caller, resumed=False)
        await live.connect(caller)
        caller.begin()

    def _caller(self, live: LiveSession, plan: SessionPlan, rehearsal: Rehearsal) -> SimulatedCaller:
        if plan.channel in WRITTEN_CHANNELS:
            return SimulatedCaller(live, rehearsal.lines, voice=None, write=lambda line: _write(live, line))
        answers = screens(plan)
        return SimulatedCaller(
            live,
            (HELLO, *rehearsal.lines) if answers else rehearsal.lines,
            voice=self._voice(plan),
            opening=RINGING_SECONDS if answers else OPENING_SECONDS,
        )

    def _voice(self, plan: SessionPlan) -> Spoken:
        """Our own voice, or the agent's where ours does not speak the language."""
        config = plan.agent.config
        if config.transcription.provider is TranscriptionProvider.SCRIPTED:
            return self._spoken(Voice(provider=VoiceProvider.SCRIPTED, voice_id="tone"))
        if config.transcription.language.lower().startswith("en"):
            return self._spoken(Voice(provider=VoiceProvider.LOCAL, voice_id="heart"))
        return self._spoken(config.voice, self._accounts_of(plan))

    def _spoken(self, voice: Voice, own: Mapping[str, Account] | None = None) -> Spoken:
        return Spoken(self._registry.tts(voice.provider, own or {}), voice)


def _has(find: Callable[[str, Mapping[str, Account]], object], provider: str, own: Mapping[str, Account]) -> bool:
    try:
        find(provider, own)
    except ProviderUnconfigured:
        return False
    return True


def _replaced(asked: SessionPlan, plan: SessionPlan) -> tuple[str, ...]:
    """What the owner should know about the stand-ins."""
    before, after = asked.agent.config, plan.agent.config
    pairs = (
        ("language model", before.llm.provider, after.llm.provider),
        ("voice", before.voice.provider, after.voice.provider),
        ("transcription", before.transcription.provider, after.transcription.provider),
    )
    return tuple(
        f"The {kind} provider {wanted.value} is not set up on this installation; the local one stood in for it."
        for kind, wanted, used in pairs
        if wanted is not used
    )


def _write(live: LiveSession, line: str) -> None:
    if isinstance(live.conversation, Chat):
        live.conversation.say(line)
