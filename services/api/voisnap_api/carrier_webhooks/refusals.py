"""Why a call is not taken, and how its caller is told: shortly, politely, and nothing of what is inside."""

from enum import StrEnum

from voisnap_domain.errors import DomainError


class Refusal(StrEnum):
    """Why a call is not taken; what operators see in logs and metrics."""

    UNKNOWN_NUMBER = "unknown_number"
    NO_AGENT = "no_agent"
    AGENT_INACTIVE = "agent_inactive"
    CHANNEL_DISABLED = "channel_disabled"
    TENANT_SUSPENDED = "tenant_suspended"
    SPEND_LIMIT = "spend_limit"
    SESSION_LIMIT = "session_limit"
    NO_ROOM = "no_room"
    MISCONFIGURED = "misconfigured"
    UNAVAILABLE = "unavailable"
    NOT_REACHED = "not_reached"
    """The call was taken, and whoever should take it over did not answer."""


class Refused(Exception):
    """The call is not taken. `language` is the one that its caller is told in."""

    def __init__(self, reason: Refusal, *, language: str = "en-US", detail: str = "") -> None:
        super().__init__(detail or reason.value)
        self.reason = reason
        self.language = language
        self.detail = detail


class _Said(StrEnum):
    """What a caller is told: a number that is none, a line that is closed, one that is busy, one that is broken, and that nobody takes the call over."""

    NOT_IN_SERVICE = "not_in_service"
    CLOSED = "closed"
    BUSY = "busy"
    BROKEN = "broken"
    NOBODY = "nobody"


_SAID = {
    Refusal.UNKNOWN_NUMBER: _Said.NOT_IN_SERVICE,
    Refusal.NO_AGENT: _Said.CLOSED,
    Refusal.AGENT_INACTIVE: _Said.CLOSED,
    Refusal.CHANNEL_DISABLED: _Said.CLOSED,
    Refusal.TENANT_SUSPENDED: _Said.CLOSED,
    Refusal.SPEND_LIMIT: _Said.CLOSED,
    Refusal.SESSION_LIMIT: _Said.BUSY,
    Refusal.NO_ROOM: _Said.BUSY,
    Refusal.MISCONFIGURED: _Said.BROKEN,
    Refusal.UNAVAILABLE: _Said.BROKEN,
    Refusal.NOT_REACHED: _Said.NOBODY,
}

_CODES = {
    "agent-not-found": Refusal.NO_AGENT,
    "agent-inactive": Refusal.AGENT_INACTIVE,
    "channel-disabled": Refusal.CHANNEL_DISABLED,
    "tenant-suspended": Refusal.TENANT_SUSPENDED,
    "spend-limit-reached": Refusal.SPEND_LIMIT,
    "session-limit-reached": Refusal.SESSION_LIMIT,
    "node-full": Refusal.NO_ROOM,
}

TEXTS: dict[str, dict[_Said, str]] = {
    "en": {
        _Said.NOT_IN_SERVICE: "The number you have called is not in service. Goodbye.",
        _Said.CLOSED: "We are sorry, this line is not available at the moment. Please try again later. Goodbye.",
        _Said.BUSY: "We are sorry, all lines are busy at the moment. Please call again in a few minutes. Goodbye.",
        _Said.BROKEN: "We are sorry, we can't take your call at the moment. Please call again later. Goodbye.",
        _Said.NOBODY: "We are sorry, nobody is available to take your call at the moment. Please call again later. Goodbye.",
    },
    "de": {
        _Said.NOT_IN_SERVICE: "Die gewählte Rufnummer ist nicht vergeben. Auf Wiederhören.",
        _Said.CLOSED: "Dieser Anschluss ist zurzeit leider nicht erreichbar. Bitte versuchen Sie es später noch einmal. "
        "Auf Wiederhören.",
        _Said.BUSY: "Leider sind zurzeit alle Leitungen belegt. Bitte rufen Sie in einigen Minuten wieder an. Auf Wiederhören.",
        _Said.BROKEN: "Leider können wir Ihren Anruf zurzeit nicht entgegennehmen. Bitte rufen Sie später wieder an. "
        "Auf Wiederhören.",
        _Said.NOBODY: "Leider ist zurzeit niemand zu erreichen. Bitte rufen Sie später wieder an. Auf Wiederhören.",
    },
    "es": {
        _Said.NOT_IN_SERVICE: "El número que ha marcado no está en servicio. Adiós.",
        _Said.CLOSED: "Lo sentimos, esta línea no está disponible en este momento. Inténtelo más tarde, por favor. Adiós.",
        _Said.BUSY: "Lo sentimos, todas las líneas están ocupadas. Llame de nuevo en unos minutos, por favor. Adiós.",
        _Said.BROKEN: "Lo sentimos, no podemos atender su llamada en este momento. Llame más tarde, por favor. Adiós.",
        _Said.NOBODY: "Lo sentimos, no hay nadie disponible en este momento. Llame más tarde, por favor. Adiós.",
    },
    "fr": {
        _Said.NOT_IN_SERVICE: "Le numéro que vous avez composé n'est pas en service. Au revoir.",
        _Said.CLOSED: "Désolé, cette ligne n'est pas disponible pour le moment. Veuillez réessayer plus tard. Au revoir.",
        _Said.BUSY: "Désolé, toutes nos lignes sont occupées. Veuillez rappeler dans quelques minutes. Au revoir.",
        _Said.BROKEN: "Désolé, nous ne pouvons pas prendre votre appel pour le moment. Veuillez rappeler plus tard. Au revoir.",
        _Said.NOBODY: "Désolé, personne n'est disponible pour le moment. Veuillez rappeler plus tard. Au revoir.",
    },
    "it": {
        _Said.NOT_IN_SERVICE: "Il numero da lei chiamato non è attivo. Arrivederci.",
        _Said.CLOSED: "Siamo spiacenti, questa linea non è disponibile al momento. Riprovi più tardi. Arrivederci.",
        _Said.BUSY: "Siamo spiacenti, tutte le linee sono occupate. Richiami tra qualche minuto. Arrivederci.",
        _Said.BROKEN: "Siamo spiacenti, al momento non possiamo rispondere alla sua chiamata. Richiami più tardi. Arrivederci.",
        _Said.NOBODY: "Siamo spiacenti, al momento non è disponibile nessuno. Richiami più tardi. Arrivederci.",
    },
    "pt": {
        _Said.NOT_IN_SERVICE: "O número que você ligou não está em serviço. Até logo.",
        _Said.CLOSED: "Desculpe, esta linha não está disponível no momento. Tente novamente mais tarde. Até logo.",
        _Said.BUSY: "Desculpe, todas as linhas estão ocupadas. Ligue novamente em alguns minutos. Até logo.",
        _Said.BROKEN: "Desculpe, não podemos atender a sua ligação no momento. Ligue novamente mais tarde. Até logo.",
        _Said.NOBODY: "Desculpe, ninguém está disponível no momento. Ligue novamente mais tarde. Até logo.",
    },
    "nl": {
        _Said.NOT_IN_SERVICE: "Het nummer dat u hebt gebeld is niet in gebruik. Tot ziens.",
        _Said.CLOSED: "Deze lijn is op dit moment helaas niet bereikbaar. Probeer het later nog eens. Tot ziens.",
        _Said.BUSY: "Helaas zijn alle lijnen op dit moment bezet. Bel over een paar minuten terug. Tot ziens.",
        _Said.BROKEN: "Helaas kunnen we uw gesprek op dit moment niet aannemen. Bel later terug. Tot ziens.",
        _Said.NOBODY: "Er is op dit moment helaas niemand bereikbaar. Bel later terug. Tot ziens.",
    },
    "pl": {
        _Said.NOT_IN_SERVICE: "Wybrany numer nie jest obsługiwany. Do widzenia.",
        _Said.CLOSED: "Przepraszamy, ta linia jest obecnie niedostępna. Prosimy spróbować później. Do widzenia.",
        _Said.BUSY: "Przepraszamy, wszystkie linie są zajęte. Prosimy zadzwonić za kilka minut. Do widzenia.",
        _Said.BROKEN: "Przepraszamy, nie możemy teraz odebrać połączenia. Prosimy zadzwonić później. Do widzenia.",
        _Said.NOBODY: "Przepraszamy, w tej chwili nikt nie może odebrać. Prosimy zadzwonić później. Do widzenia.",
    },
    "sv": {
        _Said.NOT_IN_SERVICE: "Numret du har ringt används inte. Hej då.",
        _Said.CLOSED: "Tyvärr är den här linjen inte tillgänglig just nu. Försök igen senare. Hej då.",
        _Said.BUSY: "Tyvärr är alla linjer upptagna just nu. Ring igen om några minuter. Hej då.",
        _Said.BROKEN: "Tyvärr kan vi inte ta emot ditt samtal just nu. Ring igen senare. Hej då.",
        _Said.NOBODY: "Tyvärr är ingen tillgänglig just nu. Ring igen senare. Hej då.",
    },
    "da": {
        _Said.NOT_IN_SERVICE: "Nummeret, du har ringet til, er ikke i brug. Farvel.",
        _Said.CLOSED: "Denne linje er desværre ikke tilgængelig i øjeblikket. Prøv igen senere. Farvel.",
        _Said.BUSY: "Alle linjer er desværre optaget i øjeblikket. Ring igen om et par minutter. Farvel.",
        _Said.BROKEN: "Vi kan desværre ikke tage imod dit opkald i øjeblikket. Ring igen senere. Farvel.",
        _Said.NOBODY: "Der er desværre ingen, der kan tage imod dit opkald lige nu. Ring igen senere. Farvel.",
    },
    "ja": {
        _Said.NOT_IN_SERVICE: "おかけになった電話番号は、現在使われておりません。",
        _Said.CLOSED: "申し訳ございません。この番号はただいまご利用いただけません。後ほどおかけ直しください。",
        _Said.BUSY: "申し訳ございません。ただいま電話が混み合っております。数分後におかけ直しください。",
        _Said.BROKEN: "申し訳ございません。ただいまお電話をお受けできません。後ほどおかけ直しください。",
        _Said.NOBODY: "申し訳ございません。担当者はただいま電話に出ることができません。後ほどおかけ直しください。",
    },
    "zh": {
        _Said.NOT_IN_SERVICE: "您拨打的号码是空号。再见。",
        _Said.CLOSED: "很抱歉，此号码暂时无法接通，请稍后再拨。再见。",
        _Said.BUSY: "很抱歉，现在线路繁忙，请几分钟后再拨。再见。",
        _Said.BROKEN: "很抱歉，我们暂时无法接听您的来电，请稍后再拨。再见。",
        _Said.NOBODY: "很抱歉，现在无人接听，请稍后再拨。再见。",
    },
}
"""By primary language subtag (BCP 47); English where a language has none."""


def spoken(refusal: Refusal, language: str) -> tuple[str, str]:
    """The text, and the language it is in: the caller's own where there is one of it, else English."""
    primary = language.replace("_", "-").partition("-")[0].lower()
    if primary in TEXTS:
        return TEXTS[primary][_SAID[refusal]], language
    return TEXTS["en"][_SAID[refusal]], "en-US"


def refusal_of(error: DomainError) -> Refusal:
    """What a fault of planning or opening a session means to a caller."""
    return _CODES.get(error.code, Refusal.MISCONFIGURED)
