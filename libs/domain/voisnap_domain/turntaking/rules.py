"""What an agent's configuration says about turns, in milliseconds; and the times that are the same for every agent."""

import msgspec

from voisnap_domain.agents import AgentConfig, FirstMessageMode, Sensitivity

from .endings import EndOfTurnPolicy, end_of_turn_policy
from .words import phrase_of

HOLD_AFTER_MS = 32.0
"""Voice over the agent's speech that holds the agent (phase 1): one window of the voice detector, so that he is silent soon enough."""
NOISE_MS = 64.0
"""Less voice than this, alone, is a click: it is forgotten as if it had never been."""
CLICK_WAIT_MS = 192.0
"""Silence after a click that held the agent before he goes on: speech often begins with a window and a gap."""
JUDGE_AFTER_MS = 250.0
"""Silence after such voice before its words are asked for, to decide what it was."""
PREPARE_AFTER_MS = 200.0
"""Silence after which the recogniser is told to prepare the turn's words."""
BACKCHANNEL_LIMIT_MS = 1400.0
"""Voice longer than this is no backchannel, whatever its first words are."""
CONFIDENT = 0.5
"""Words below this confidence do not cut; 0 is a recogniser that does not tell."""
FEW_WORDS = 2
CONFIDENT_OF_FEW = 0.65
"""So few words need more confidence: of hums and coughs recognisers make "Mama" and "her", and are not sure of it."""
VOICE_FOR_WORDS_MS = 150.0
"""Interim words on less voice than this are a recogniser's guess at a noise."""
TRANSCRIPT_WAIT_MS = 5000.0
"""A final transcript that has not come by then will not come."""
REPLY_WAIT_MS = 20_000.0
"""A reply of which nothing was heard by then is given up: the last resort behind the conversation's own timeouts."""
PROMPT_GRACE_MS = 3000.0
"""Time to answer "Are you still there?" before an idle call is ended."""
COMFORT_AFTER_MS = 7000.0
"""Silence after which a caller who waits for somebody hears that it goes on."""
MAX_PROMPTS = 2
"""Silence prompts in a row, until the caller speaks."""
GOODBYE_MS = 5000.0
"""How long before the maximum duration the agent begins to take leave."""
WARNING_MS = 30_000.0
"""How long before the maximum duration of a long call the agent says so."""
LONG_CALL_MS = 120_000.0
"""A call that may last this long is warned in full time; a shorter one a quarter of its duration before, but not …"""
SHORTEST_WARNING_MS = 10_000.0
"""… shorter than this."""
KEYS_WAIT_MS = 2000.0
"""A pause after a pressed key that ends the caller's input."""
MAX_KEYS = 64
"""Keys kept of one input."""
ASIDE_MS = 1500.0
"""A "yes" said over the agent's last words is an answer when the agent finishes within this time."""
MAX_DRAFTS = 3
"""Replies begun early in one turn; the caller who pauses more often gets his reply when he is done."""

CUT_AFTER_MS: dict[Sensitivity, float] = {Sensitivity.LOW: 500.0, Sensitivity.MEDIUM: 300.0, Sensitivity.HIGH: 200.0}
"""Voice that cuts the agent (phase 2) when words were recognised in it, or when the recogniser gives no interim words."""
WORDLESS_MS: dict[Sensitivity, float] = {Sensitivity.LOW: 2000.0, Sensitivity.MEDIUM: 1200.0, Sensitivity.HIGH: 600.0}
"""Voice without any recognised word that cuts him: a cough or a noise is over by then. He goes on when it turns out to be none."""
WORDS_TO_CUT: dict[Sensitivity, int] = {Sensitivity.LOW: 3, Sensitivity.MEDIUM: 2, Sensitivity.HIGH: 1}
"""Interim words that cut him at once, however little voice they took; "stop" and the like always do."""


class TurnRules(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent's configuration says about turns. `trusts_partials`: the recogniser gives interim words. `drafts`: a reply may be begun
    before the turn is over, since it has no effects. `language`: whose backchannels count, as a BCP 47 tag."""

    end_of_turn: EndOfTurnPolicy
    interruptible: bool = True
    cut_after_ms: float = CUT_AFTER_MS[Sensitivity.MEDIUM]
    wordless_ms: float = WORDLESS_MS[Sensitivity.MEDIUM]
    words_to_cut: int = WORDS_TO_CUT[Sensitivity.MEDIUM]
    prompt_after_ms: float | None = 8000.0
    idle_after_ms: float = 15_000.0
    max_duration_ms: float = 600_000.0
    end_phrases: tuple[tuple[str, ...], ...] = ()
    keys_enabled: bool = True
    speaks_first: bool = True
    trusts_partials: bool = True
    drafts: bool = False
    language: str = "en"

    @staticmethod
    def of(config: AgentConfig, *, trusts_partials: bool = True, drafts: bool = False) -> "TurnRules":
        """The rules of an agent."""
        silence = config.silence_detection
        first = config.first_message_mode is FirstMessageMode.ASSISTANT_SPEAKS_FIRST and bool(config.first_message)
        sensitivity = config.interruption.sensitivity
        language = config.transcription.language
        return TurnRules(
            end_of_turn=end_of_turn_policy(config.endpointing, language=language),
            interruptible=config.interruption.enabled,
            cut_after_ms=CUT_AFTER_MS[sensitivity],
            wordless_ms=WORDLESS_MS[sensitivity],
            words_to_cut=WORDS_TO_CUT[sensitivity],
            prompt_after_ms=silence.timeout_seconds * 1000.0 if silence.enabled and silence.message.strip() else None,
            idle_after_ms=config.max_idle_time_seconds * 1000.0,
            max_duration_ms=config.max_duration_seconds * 1000.0,
            end_phrases=tuple(words for phrase in config.end_call_phrases if (words := phrase_of(phrase))),
            keys_enabled=config.dtmf_enabled,
            speaks_first=first or bool(config.ai_disclosure_message),
            trusts_partials=trusts_partials,
            drafts=drafts,
            language=language,
        )

    @property
    def warning_ms(self) -> float:
        """How long before the maximum duration the agent says that time is running out."""
        if self.max_duration_ms >= LONG_CALL_MS:
            return WARNING_MS
        return max(SHORTEST_WARNING_MS, self.max_duration_ms / 4)
