"""Written conversations over messaging networks: how long they wait for the next message, what stops them, what we say ourselves.

Keywords are matched as carriers match theirs: the whole message is the word, whatever its case, accents, or marks around it.
"""

import unicodedata
from datetime import datetime, timedelta
from functools import cache

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


MAX_KEYWORD = 60
"""Characters of a message that may be a keyword; a longer one says something else."""

_WITHIN = frozenset("-/")

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
    "pl": NetworkWords(
        stopped="{name}: nie będziesz już otrzymywać wiadomości. Odpowiedz START, aby znów je otrzymywać.",
        started="{name}: znów będziesz otrzymywać wiadomości. Odpowiedz STOP, aby je zakończyć.",
        help="{name}: piszesz z automatycznym asystentem. Odpowiedz STOP, aby nie otrzymywać więcej wiadomości.",
        voice_failed="Przepraszam, nie udało mi się zrozumieć tej wiadomości głosowej. Czy możesz ją napisać?",
    ),
    "sv": NetworkWords(
        stopped="{name}: Du är avregistrerad och får inga fler meddelanden. Svara START för att få dem igen.",
        started="{name}: Du får meddelanden igen. Svara STOP för att avsluta dem.",
        help="{name}: Du skriver med en automatisk assistent. Svara STOP för att inte få fler meddelanden.",
        voice_failed="Förlåt, jag kunde inte förstå röstmeddelandet. Kan du skriva det i stället?",
    ),
    "da": NetworkWords(
        stopped="{name}: Du er afmeldt og får ikke flere beskeder. Svar START for at få dem igen.",
        started="{name}: Du får beskeder igen. Svar STOP for at stoppe dem.",
        help="{name}: Du skriver med en automatisk assistent. Svar STOP for ikke at få flere beskeder.",
        voice_failed="Beklager, jeg kunne ikke forstå talebeskeden. Kan du skrive det i stedet?",
    ),
    "tr": NetworkWords(
        stopped="{name}: Kaydınız silindi, artık mesaj almayacaksınız. Yeniden almak için START yazın.",
        started="{name}: Yeniden mesaj alacaksınız. Durdurmak için STOP yazın.",
        help="{name}: Otomatik bir asistanla yazışıyorsunuz. Mesaj almamak için STOP yazın.",
        voice_failed="Üzgünüm, sesli mesajı anlayamadım. Yazabilir misiniz?",
    ),
    "ru": NetworkWords(
        stopped="{name}: вы отписаны и больше не будете получать сообщения. Ответьте START, чтобы получать их снова.",
        started="{name}: вы снова будете получать сообщения. Ответьте STOP, чтобы прекратить.",
        help="{name}: вам отвечает автоматический помощник. Ответьте STOP, чтобы больше не получать сообщений.",
        voice_failed="Извините, я не смог разобрать голосовое сообщение. Напишите, пожалуйста, текстом.",
    ),
    "uk": NetworkWords(
        stopped="{name}: вас відписано, ви більше не отримуватимете повідомлень. Відповідь START поверне їх.",
        started="{name}: ви знову отримуватимете повідомлення. Відповідь STOP припинить їх.",
        help="{name}: вам відповідає автоматичний помічник. Відповідь STOP припинить повідомлення.",
        voice_failed="Вибачте, голосове повідомлення не вдалося розібрати. Напишіть, будь ласка, текстом.",
    ),
    "ja": NetworkWords(
        stopped="{name}: 配信を停止しました。再開するには START と返信してください。",
        started="{name}: 配信を再開しました。停止するには STOP と返信してください。",
        help="{name}: 自動アシスタントが応答しています。停止するには STOP と返信してください。",
        voice_failed="申し訳ありません、音声メッセージを聞き取れませんでした。文字で送っていただけますか。",
    ),
    "zh": NetworkWords(
        stopped="{name}:您已退订,不会再收到消息。回复 START 可重新接收。",
        started="{name}:您将重新收到消息。回复 STOP 可退订。",
        help="{name}:您正在与自动助手对话。回复 STOP 可不再接收消息。",
        voice_failed="抱歉,没能听清这条语音消息。可以用文字发给我吗?",
    ),
    "ko": NetworkWords(
        stopped="{name}: 수신이 거부되어 더 이상 메시지를 보내지 않습니다. 다시 받으려면 START라고 답장해 주세요.",
        started="{name}: 다시 메시지를 받으시게 됩니다. 중지하려면 STOP이라고 답장해 주세요.",
        help="{name}: 자동 상담원과 대화 중입니다. 메시지를 그만 받으려면 STOP이라고 답장해 주세요.",
        voice_failed="죄송합니다. 음성 메시지를 알아듣지 못했습니다. 글로 보내 주시겠어요?",
    ),
    "ar": NetworkWords(
        stopped="{name}: تم إلغاء اشتراكك ولن تصلك رسائل أخرى. أرسل START لتلقيها من جديد.",
        started="{name}: ستصلك الرسائل من جديد. أرسل STOP لإيقافها.",
        help="{name}: أنت تراسل مساعدًا آليًا. أرسل STOP لإيقاف الرسائل.",
        voice_failed="عذرًا، لم أتمكن من فهم الرسالة الصوتية. هل يمكنك كتابتها؟",
    ),
}

_KEYWORDS = {
    Consent.STOP: (
        *(
            "stop",
            "stopall",
            "stop all",
            "unsubscribe",
            "optout",
            "opt out",
            "opt-out",
            "stop messages",
            "no more messages",
        ),
        *("stopp", "abmelden", "abbestellen", "austragen", "keine nachrichten mehr"),
        *("arret", "arreter", "desabonner", "se desabonner", "desinscription", "desinscrire"),
        *("darse de baja", "dar de baja", "desuscribir", "desuscribirse", "no mas mensajes"),
        *("descadastrar", "cancelar inscricao", "parar mensagens", "disiscrivi", "disiscrivimi", "cancellami"),
        *("afmelden", "uitschrijven", "avregistrera", "avsluta prenumeration", "afmeld", "avmeld", "peruuta tilaus"),
        *("wypisz", "wypisz mnie", "rezygnuje", "odhlasit", "odhlasit se", "leiratkozas", "dezabonare", "odjava"),
        *(
            "стоп",
            "отписаться",
            "отписка",
            "відписатися",
            "спри",
            "διακοπη",
            "στοπ",
            "listeden cik",
            "aboneligi iptal et",
        ),
        *(
            "停止",
            "退订",
            "退訂",
            "取消订阅",
            "配信停止",
            "停止して",
            "ストップ",
            "수신거부",
            "중지",
            "توقف",
            "إلغاء الاشتراك",
            "הסר",
            "स्टॉप",
            "रोकें",
            "หยุด",
        ),
    ),
    Consent.START: (
        *("start", "unstop", "subscribe", "opt in", "optin", "anmelden", "reabonner", "suscribirse", "aanmelden"),
        *("старт", "подписаться", "订阅", "訂閱", "再開", "수신동의", "ابدأ", "स्टार्ट"),
    ),
    Consent.HELP: (
        *(
            "help",
            "hilfe",
            "ayuda",
            "aide",
            "aiuto",
            "ajuda",
            "hulp",
            "hjalp",
            "hjelp",
            "apua",
            "pomoc",
            "segitseg",
            "ajutor",
            "yardim",
        ),
        *(
            "помощь",
            "допомога",
            "помощ",
            "βοηθεια",
            "帮助",
            "幫助",
            "ヘルプ",
            "도움말",
            "مساعدة",
            "עזרה",
            "मदद",
            "ช่วยเหลือ",
        ),
    ),
}
"""Words that say nothing else in any language."""

_CARRIERS_OWN = {
    Consent.STOP: ("cancel", "end", "quit", "revoke", "cancelar", "annulla"),
    Consent.HELP: ("info",),
}
"""What carriers in North America take for the same in a short message (CTIA's principles, 47 CFR 64.1200(a)(10)); where no carrier reads along,
such a word may be an answer to a question."""

_OWN = {
    "de": {Consent.STOP: ("ende",)},
    "es": {Consent.STOP: ("alto", "baja", "fin", "parar", "salir"), Consent.START: ("alta", "empezar")},
    "fr": {Consent.STOP: ("fin",), Consent.START: ("commencer",)},
    "it": {Consent.STOP: ("ferma", "basta"), Consent.START: ("inizia",)},
    "nl": {Consent.STOP: ("einde",)},
    "pt": {Consent.STOP: ("parar", "pare", "sair"), Consent.START: ("iniciar",)},
    "pl": {Consent.STOP: ("koniec",)},
    "sv": {Consent.STOP: ("sluta", "avsluta")},
    "da": {Consent.STOP: ("slut",)},
    "tr": {Consent.STOP: ("dur", "ret"), Consent.START: ("basla",)},
    "ru": {Consent.STOP: ("хватит",)},
    "ja": {Consent.STOP: ("解除",)},
    "ko": {Consent.STOP: ("거부",)},
}
"""Words that an agent's own language makes clear, and that may say something else in another."""

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


def consent_of(text: str, channel: Channel, language: str | None = None) -> Consent | None:
    """What a message says of the wish to get any, if it says nothing else. `language` (BCP 47) is the agent's; without one the words of all
    languages count. Only SMS and WhatsApp know bare words; in Telegram `stop` may be an answer like any other, and people block a bot
    instead."""
    if channel is Channel.TELEGRAM:
        return Consent.START if begins_chat(text) else _SLASH.get(_command(text))
    if len(text) > MAX_KEYWORD:
        return None
    return _meanings(None if language is None else _primary(language), channel).get(_folded(text).strip("/"))


@cache
def _meanings(language: str | None, channel: Channel) -> dict[str, Consent]:
    own = [_OWN.get(language, {})] if language is not None else list(_OWN.values())
    carriers = [_CARRIERS_OWN] if channel is Channel.SMS else []
    return {
        _folded(word): consent
        for each in (*own, *carriers, _KEYWORDS)
        for consent, words in each.items()
        for word in words
    }


def begins_chat(text: str) -> bool:
    """Whether somebody pressed Telegram's Start: that says nothing but that they are there (Bot API, "Deep linking")."""
    return _command(text) == "/start"


def words_of(language: str) -> NetworkWords:
    """The sentences of a language by its BCP 47 tag; English ones where there are none."""
    return _WORDS.get(_primary(language), ENGLISH)


def _primary(language: str) -> str:
    return language.lower().replace("_", "-").partition("-")[0]


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
    """Without case, accents, marks and what can't be seen: `¡ÁLTO!` is `alto`. Letters of other scripts stay."""
    spelled = unicodedata.normalize("NFKD", text).casefold()
    kept = (
        "" if unicodedata.category(one) in ("Mn", "Cf", "Me") else one if one.isalnum() or one in _WITHIN else " "
        for one in spelled
        if unicodedata.category(one)[0] != "S" or one == "+"
    )
    return " ".join("".join(kept).split()).strip("-/")
