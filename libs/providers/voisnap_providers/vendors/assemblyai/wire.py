"""AssemblyAI's messages: what is asked in the address, what comes back, and what of it was heard.

https://www.assemblyai.com/docs/api-reference/streaming-api/streaming-api
"""

import json
from urllib.parse import urlencode

import msgspec
from voisnap_domain.agents import Transcription
from voisnap_domain.conversations import Word

from voisnap_providers.errors import ProviderError
from voisnap_providers.live_stt import RATE, Heard

PROVIDER = "assemblyai"
ENGLISH = "universal-streaming-english"
MULTILINGUAL = "universal-streaming-multilingual"
MAX_KEYTERMS = 100
MAX_KEYTERM_LETTERS = 50


def model_of(settings: Transcription) -> str:
    """The model that is asked for, or the one of the language."""
    return settings.model or (ENGLISH if settings.language.lower().startswith("en") else MULTILINGUAL)


def formats_apart(settings: Transcription) -> bool:
    """Whether the end of a turn comes twice, first as it was heard and then formatted. Other models format always."""
    return model_of(settings).startswith("universal-streaming") and (settings.smart_format or settings.punctuate)


def path(settings: Transcription, keyterms: tuple[str, ...]) -> str:
    """Path and query of a connection."""
    model = model_of(settings)
    query = [
        ("sample_rate", str(RATE)),
        ("encoding", "pcm_s16le"),
        ("speech_model", model),
        ("format_turns", "true" if settings.smart_format or settings.punctuate else "false"),
        ("filter_profanity", "true" if settings.profanity_filter else "false"),
    ]
    if model != ENGLISH and settings.language != "multi":
        query.append(("language_codes", json.dumps([settings.language.split("-")[0].lower()])))
    if keyterms:
        terms = [term for term in keyterms if len(term) <= MAX_KEYTERM_LETTERS][:MAX_KEYTERMS]
        query.append(("keyterms_prompt", json.dumps(terms)))
    return f"/v3/ws?{urlencode(query)}"


class Begin(msgspec.Struct, frozen=True, tag="Begin"):
    """The session stands."""


class _Said(msgspec.Struct, frozen=True):
    text: str
    start: float
    end: float
    confidence: float = 0.0


class Turn(msgspec.Struct, frozen=True, tag="Turn"):
    """The present turn, so far or for good; times in milliseconds."""

    transcript: str = ""
    end_of_turn: bool = False
    turn_is_formatted: bool = False
    words: tuple[_Said, ...] = ()


class Failed(msgspec.Struct, frozen=True, tag="Error"):
    """An error; the socket is closed after it."""

    error_code: int | None = None


class _Other(msgspec.Struct, frozen=True):
    type: str


Message = Begin | Turn | Failed
_decoder = msgspec.json.Decoder(Message)
_types = frozenset({"Begin", "Turn", "Error"})


def read(message: str | bytes) -> Message | None:
    """A message that says something; None for others. Raises `ProviderError` for nonsense."""
    try:
        return _decoder.decode(message)
    except msgspec.ValidationError:
        if _kind(message) not in _types:
            return None
        raise _nonsense() from None
    except msgspec.DecodeError:
        raise _nonsense() from None


def _kind(message: str | bytes) -> str:
    try:
        return msgspec.json.decode(message, type=_Other).type
    except msgspec.DecodeError:
        raise _nonsense() from None


def _nonsense() -> ProviderError:
    return ProviderError("It said something that is no message.", provider=PROVIDER, kind="stt", retryable=True)


def heard_of(turn: Turn, *, formats_apart: bool, was_asked: bool) -> Heard:
    """Words of a turn. Where its end comes twice, the first one ends the utterance and the second one has the final words."""
    words = tuple(
        Word(word=word.text, start_time=word.start / 1000, end_time=word.end / 1000, confidence=word.confidence)
        for word in turn.words
    )
    is_final = turn.end_of_turn and (turn.turn_is_formatted or not formats_apart)
    return Heard(
        text=turn.transcript if turn.end_of_turn else " ".join(word.word for word in words),
        is_final=is_final,
        confidence=sum(word.confidence for word in words) / len(words) if words else 0.0,
        words=words,
        ends_utterance=turn.end_of_turn and not was_asked,
        answers_finalise=is_final and was_asked,
        is_prepared=turn.end_of_turn,
    )
