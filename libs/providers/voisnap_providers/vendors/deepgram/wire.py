"""Deepgram's messages: what is asked in the address, what comes back, and what of it was heard.

Live audio (nova): https://developers.deepgram.com/reference/speech-to-text/listen-streaming
Flux: https://developers.deepgram.com/reference/speech-to-text/listen-flux
"""

from urllib.parse import urlencode

import msgspec
from voisnap_domain.agents import Transcription
from voisnap_domain.conversations import Word

from voisnap_providers.errors import ProviderError
from voisnap_providers.live_stt import RATE, Heard

PROVIDER = "deepgram"
DEFAULT_MODEL = "nova-3"
MAX_KEYTERMS = 100
EAGER_THRESHOLD = 0.5
"""How sure Flux is of the end of a turn before a reply may be drafted."""


def is_flux(model: str | None) -> bool:
    """Whether a model finds the ends of turns itself and speaks the second version of the protocol."""
    return (model or "").startswith("flux")


def path(settings: Transcription, keyterms: tuple[str, ...]) -> str:
    """Path and query of a connection."""
    if is_flux(settings.model):
        return f"/v2/listen?{urlencode(_flux_query(settings, keyterms))}"
    return f"/v1/listen?{urlencode(_query(settings, keyterms))}"


def _query(settings: Transcription, keyterms: tuple[str, ...]) -> list[tuple[str, str]]:
    model = settings.model or DEFAULT_MODEL
    boost = "keyterm" if model.startswith("nova-3") else "keywords"
    return [
        ("model", model),
        ("language", settings.language),
        ("encoding", "linear16"),
        ("sample_rate", str(RATE)),
        ("channels", "1"),
        ("interim_results", "true"),
        ("endpointing", "false"),  # the caller's ear says when
        ("smart_format", _flag(settings.smart_format)),
        ("punctuate", _flag(settings.punctuate)),
        ("profanity_filter", _flag(settings.profanity_filter)),
        *((boost, term) for term in keyterms[:MAX_KEYTERMS]),
    ]


def _flux_query(settings: Transcription, keyterms: tuple[str, ...]) -> list[tuple[str, str]]:
    """Flux formats and punctuates always; only its model of many languages takes one as a hint."""
    query = [
        ("model", settings.model or ""),
        ("encoding", "linear16"),
        ("sample_rate", str(RATE)),
        ("eager_eot_threshold", str(EAGER_THRESHOLD)),
    ]
    if settings.profanity_filter:
        query.append(("profanity_filter", "true"))
    if (settings.model or "").endswith("multi") and settings.language != "multi":
        query.append(("language_hint", settings.language.split("-")[0]))
    return [*query, *(("keyterm", term) for term in keyterms[:MAX_KEYTERMS])]


def _flag(value: bool) -> str:
    return "true" if value else "false"


class _Said(msgspec.Struct, frozen=True):
    word: str
    confidence: float
    start: float | None = None
    end: float | None = None
    punctuated_word: str | None = None


class _Alternative(msgspec.Struct, frozen=True):
    transcript: str = ""
    confidence: float = 0.0
    words: tuple[_Said, ...] = ()


class _Channel(msgspec.Struct, frozen=True):
    alternatives: tuple[_Alternative, ...] = ()


class Results(msgspec.Struct, frozen=True, tag="Results"):
    """Words of a stretch of audio, so far or for good."""

    channel: _Channel
    start: float = 0.0
    duration: float = 0.0
    is_final: bool = False
    speech_final: bool = False
    from_finalize: bool = False


class UtteranceEnd(msgspec.Struct, frozen=True, tag="UtteranceEnd"):
    """A gap after words, where `speech_final` may not come because of noise."""

    last_word_end: float = 0.0


class TurnInfo(msgspec.Struct, frozen=True, tag="TurnInfo"):
    """What Flux knows of the present turn."""

    event: str
    transcript: str = ""
    words: tuple[_Said, ...] = ()
    audio_window_start: float = 0.0
    audio_window_end: float = 0.0
    trigger: str | None = None


class Failed(msgspec.Struct, frozen=True, tag="Error"):
    """An error inside a connection."""

    code: str | None = None
    err_code: str | None = None


class _Other(msgspec.Struct, frozen=True):
    type: str


Message = Results | UtteranceEnd | TurnInfo | Failed
_decoder = msgspec.json.Decoder(Message)
_types = frozenset({"Results", "UtteranceEnd", "TurnInfo", "Error"})


def read(message: str | bytes) -> Message | None:
    """A message that says something; None for others (metadata, marks of speech, whatever is added). Raises `ProviderError` for nonsense."""
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


def heard_in(results: Results) -> Heard:
    """Words of the first version of the protocol."""
    best = results.channel.alternatives[0] if results.channel.alternatives else _Alternative()
    return Heard(
        text=best.transcript,
        is_final=results.is_final,
        confidence=best.confidence,
        words=_words(best.words),
        until=results.start + results.duration,
        ends_utterance=results.speech_final and not results.from_finalize,
        answers_finalise=results.from_finalize,
    )


def heard_of(turn: TurnInfo, *, was_asked: bool) -> Heard:
    """Words of Flux; `was_asked`: an end of the turn was demanded."""
    is_over = turn.event == "EndOfTurn"
    words = _words(turn.words)
    return Heard(
        text=turn.transcript,
        is_final=is_over,
        confidence=sum(word.confidence for word in words) / len(words) if words else 0.0,
        words=words,
        until=turn.audio_window_end if is_over else None,
        ends_utterance=is_over and not was_asked,
        answers_finalise=is_over and was_asked,
        is_prepared=turn.event == "EagerEndOfTurn",
    )


def _words(said: tuple[_Said, ...]) -> tuple[Word, ...]:
    if any(word.start is None or word.end is None for word in said):
        return ()
    return tuple(
        Word(
            word=word.punctuated_word or word.word,
            start_time=word.start or 0.0,
            end_time=word.end or 0.0,
            confidence=word.confidence,
        )
        for word in said
    )
