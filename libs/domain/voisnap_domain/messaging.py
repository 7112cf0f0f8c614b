"""Written conversations over messaging networks: how long they wait for the next message, what stops them, what we say ourselves.

Keywords are matched as carriers match theirs: the whole message is the word, whatever its case, accents, or marks around it.
"""

import unicodedata
from datetime import datetime, timedelta

import msgspec

from .agents import AgentConfig
from .sessions import Channel
from .texting import Consent, MediaKind

IDLE_MINUTES = {Channel.SMS: 60, Channel.WHATSAPP: 24 * 60, Channel.TELEGRAM: 60}
"""How long a conversation waits for the next message where its agent says nothing; WhatsApp's is the network's own window."""

MAX_IDLE_MINUTES = 7 * 24 * 60

MAX_HOURS = 7 * 24
"""How long a conversation may last in all where the channel says nothing: people answer when they like, and `maxDurationSeconds` is for calls."""

MAX_TEXT = 4000
"""Characters of one message to an agent; of a longer one the beginning."""


MAX_NAME = 80
"""Characters of a file's name that an agent reads."""


class NetworkWords(msgspec.Struct, frozen=True, kw_only=True):
    """One language's sentences, `{name}` for the business."""

    stopped: str
    started: str
    help: str
    voice_failed: str


ENGLISH = NetworkWords(
    stopped="{name}: You are unsubscribed and will get no more messages. Reply START to get them again.",
    started="{name}: You will get messages again. Reply STOP to end them.",
    help="{name}: You are writing with an automated assistant. Reply STOP to get no more messages.",
    voice_failed="I'm sorry, I couldn't understand that voice message. Could you write it instead?",
)

_WORDS = {
    "en": ENGLISH,
    "de": NetworkWords(
        stopped="{name}: Sie sind abgemeldet und erhalten keine Nachrichten mehr. Antworten Sie START, um sie wieder zu erhalten.",
        started="{name}: Sie erhalten wieder Nachrichten. Antworten Sie STOP, um sie zu beenden.",
        help="{name}: Sie schreiben mit einem automatischen Assistenten. Antworten Sie STOP, um keine Nachrichten mehr zu erhalten.",
        voice_failed="Entschuldigung, diese Sprachnachricht habe ich nicht verstanden. Können Sie es bitte schreiben?",
    ),
    "es": NetworkWords(
        stopped="{name}: Se ha dado de baja y no recibirá más mensajes. Responda START para volver a recibirlos.",
        started="{name}: Volverá a recibir mensajes. Responda STOP para no recibirlos.",
        help="{name}: Está escribiendo con un asistente automático. Responda STOP para no recibir más mensajes.",
        voice_failed="Lo siento, no he entendido el mensaje de voz. ¿Me lo puede escribir?",
    ),
    "fr": NetworkWords(
        stopped="{name} : vous êtes désabonné et ne recevrez plus de messages. Répondez START pour en recevoir à nouveau.",
        started="{name} : vous recevrez à nouveau des messages. Répondez STOP pour les arrêter.",
        help="{name} : vous écrivez à un assistant automatique. Répondez STOP pour ne plus recevoir de messages.",
        voice_failed="Désolé, je n'ai pas compris ce message vocal. Pouvez-vous l'écrire ?",
    ),
    "it": NetworkWords(
        stopped="{name}: non riceverà più messaggi. Risponda START per riceverli di nuovo.",
        started="{name}: riceverà di nuovo messaggi. Risponda STOP per non riceverli più.",
        help="{name}: sta scrivendo con un assistente automatico. Risponda STOP per non ricevere più messaggi.",
        voice_failed="Mi dispiace, non ho capito il messaggio vocale. Può scriverlo?",
    ),
    "nl": NetworkWords(
        stopped="{name}: u bent afgemeld en krijgt geen berichten meer. Antwoord START om ze weer te krijgen.",
        started="{name}: u krijgt weer berichten. Antwoord STOP om ze te beëindigen.",
        help="{name}: u schrijft met een automatische assistent. Antwoord STOP om geen berichten meer te krijgen.",
        voice_failed="Sorry, dat spraakbericht heb ik niet verstaan. Kunt u het opschrijven?",
    ),
    "pt": NetworkWords(
        stopped="{name}: deixou de receber mensagens. Responda START para voltar a recebê-las.",
        started="{name}: voltará a receber mensagens. Responda STOP para deixar de as receber.",
        help="{name}: está a escrever com um assistente automático. Responda STOP para não receber mais mensagens.",
        voice_failed="Desculpe, não percebi a mensagem de voz. Pode escrever?",
    ),
}

_KEYWORDS = {
    Consent.STOP: (
        *("stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "optout", "opt out", "revoke"),
        *("stopp", "abmelden", "abbestellen"),
        *("arret", "arreter", "desabonner"),
        *("alto", "parar", "baja", "cancelar"),
        *("ferma", "annulla", "afmelden", "sair"),
    ),
    Consent.START: ("start", "unstop", "anmelden", "alta", "subscribe"),
    Consent.HELP: ("help", "info", "hilfe", "ayuda", "aide", "aiuto", "ajuda"),
}

_MEANING = {word: consent for consent, words in _KEYWORDS.items() for word in words}

_SLASH = {"/stop": Consent.STOP, "/help": Consent.HELP}
"""Telegram's own spelling; its `/start` is how every chat begins, and means nothing else unless somebody had stopped."""

_MEDIA = {
    MediaKind.VOICE: "a voice message",
    MediaKind.AUDIO: "an audio file",
    MediaKind.IMAGE: "an image",
    MediaKind.VIDEO: "a video",
    MediaKind.DOCUMENT: "a document",
    MediaKind.STICKER: "a sticker",
    MediaKind.LOCATION: "a location",
    MediaKind.CONTACT: "a contact card",
    MediaKind.REACTION: "a reaction",
    MediaKind.OTHER: "something",
}


def consent_of(text: str, channel: Channel) -> Consent | None:
    """What a message says of the wish to get any, if it says nothing else. Only SMS and WhatsApp know bare words; in Telegram `stop` may be
    an answer like any other, and people block a bot instead."""
    if channel is Channel.TELEGRAM:
        return Consent.START if begins_chat(text) else _SLASH.get(_command(text))
    return _MEANING.get(_folded(text).strip("/"))


def begins_chat(text: str) -> bool:
    """Whether somebody pressed Telegram's Start: that says nothing but that they are there (Bot API, "Deep linking")."""
    return _command(text) == "/start"


def words_of(language: str) -> NetworkWords:
    """The sentences of a language by its BCP 47 tag; English ones where there are none."""
    return _WORDS.get(language.lower().replace("_", "-").partition("-")[0], ENGLISH)


def idle_of(config: AgentConfig, channel: Channel) -> timedelta:
    """How long a conversation of an agent waits for the next message."""
    wanted = getattr(config.channels, channel.value).idle_minutes
    return timedelta(minutes=wanted or IDLE_MINUTES[channel])


def longest_of(config: AgentConfig, channel: Channel) -> int:
    """Seconds that a conversation of an agent may last in all."""
    wanted: int | None = getattr(config.channels, channel.value).max_duration_seconds
    return wanted or MAX_HOURS * 3600


def goes_on(last_at: datetime | None, idle: timedelta, *, now: datetime) -> bool:
    """Whether a message belongs to the conversation in which something was written last at `last_at`."""
    return last_at is not None and now - last_at < idle


def noted(media: MediaKind, *, name: str = "") -> str:
    """What an agent reads where somebody sent something it can't read."""
    called = "".join(one for one in name if one.isprintable() and one not in '"[]')[:MAX_NAME].strip()
    what = f'{_MEDIA[media]} named "{called}"' if called and media is MediaKind.DOCUMENT else _MEDIA[media]
    return f"[The person sent {what}, which you cannot see.]"


def already_said(text: str) -> str:
    """What an agent reads of a message that was sent in its name on its own, such as a notice of the business."""
    return f"[You wrote to this person before: {text}]"


def transcribed(text: str) -> str:
    """What an agent reads of a voice message."""
    return f"[Voice message] {text}"


def _command(text: str) -> str:
    return text.strip().partition(" ")[0].partition("@")[0].lower()


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.strip()).encode("ascii", "ignore").decode()
    return " ".join(plain.strip(" .!?\"'*").lower().split())
