"""What an agent says by itself where its owner wrote nothing, in the languages it may speak."""

import msgspec


class Phrases(msgspec.Struct, frozen=True, kw_only=True):
    """One language's sentences. Gaps: `cut_off`, then `go_on` or `say_again`. Failures: `unheard`, `broken`. Ends: `goodbye_idle`,
    `goodbye_long`, `goodbye_unpaid`, and before them `minute_left`, `half_minute_left`, `seconds_left`. Waiting: `fillers`. To whoever wants no more calls: `no_more_calls`, `goodbye`. To a call screening, which asks who
    calls and why: `introduction`, `behalf`, and `purpose` or `no_purpose`."""

    cut_off: str
    go_on: str
    say_again: str
    unheard: str
    broken: str
    goodbye_idle: str
    goodbye_long: str
    goodbye_unpaid: str
    minute_left: str
    half_minute_left: str
    seconds_left: str
    fillers: tuple[str, ...]
    no_more_calls: str
    goodbye: str
    introduction: str
    behalf: str
    purpose: str
    no_purpose: str

    def introduced(self, name: str, *, role: str = "", behalf: str = "", purpose: str = "") -> str:
        """Who calls, for whom, and why; without a `purpose` that somebody would like to be put through."""
        who = ", ".join(part for part in (name, role) if part)
        for_whom = self.behalf.format(behalf=behalf) if behalf else ""
        why = self.purpose.format(purpose=purpose) if purpose else self.no_purpose
        return " ".join(part for part in (self.introduction.format(name=who), for_whom, why) if part)

    def time_left(self, seconds: float) -> str:
        """That the time of the call is running out."""
        if seconds >= 45:
            return self.minute_left
        return self.half_minute_left if seconds >= 22 else self.seconds_left


ENGLISH = Phrases(
    cut_off="Sorry, we were cut off.",
    go_on="Please go on.",
    say_again="Could you say that again?",
    unheard="I'm sorry, I didn't catch that. Could you say it again?",
    broken="I'm sorry, I'm having trouble answering right now. Could you please say that again?",
    goodbye_idle="I haven't heard anything for a while, so I'll end the call here. Goodbye.",
    goodbye_long="I'm sorry, we have reached the time limit of this call. Goodbye.",
    goodbye_unpaid="I'm sorry, I can't go on with this conversation right now. Please try again later. Goodbye.",
    minute_left="We have about a minute left.",
    half_minute_left="We have about half a minute left.",
    seconds_left="We have only a few seconds left.",
    fillers=("One moment, please.", "Let me see.", "Just a second."),
    no_more_calls="I'm sorry for the trouble. You won't get any more calls from us.",
    goodbye="Goodbye.",
    introduction="Hello, this is {name}.",
    behalf="I'm calling for {behalf}.",
    purpose="I'm calling about {purpose}.",
    no_purpose="I'd like to speak with you, please put me through.",
)

_PHRASES = {
    "en": ENGLISH,
    "es": Phrases(
        cut_off="Perdone, se ha cortado la llamada.",
        go_on="Continúe, por favor.",
        say_again="¿Podría repetirlo?",
        unheard="Lo siento, no le he entendido. ¿Podría repetirlo?",
        broken="Lo siento, ahora mismo tengo problemas para responder. ¿Podría repetirlo, por favor?",
        goodbye_idle="Hace un rato que no oigo nada, así que termino la llamada aquí. Adiós.",
        goodbye_long="Lo siento, hemos llegado al límite de tiempo de esta llamada. Adiós.",
        goodbye_unpaid="Lo siento, no puedo continuar esta conversación en este momento. Inténtelo más tarde, por favor. Adiós.",
        minute_left="Nos queda más o menos un minuto.",
        half_minute_left="Nos queda más o menos medio minuto.",
        seconds_left="Nos quedan solo unos segundos.",
        fillers=("Un momento, por favor.", "Déjeme ver.", "Un segundo."),
        no_more_calls="Disculpe la molestia. No volveremos a llamarle.",
        goodbye="Adiós.",
        introduction="Hola, soy {name}.",
        behalf="Llamo de parte de {behalf}.",
        purpose="Llamo por lo siguiente: {purpose}.",
        no_purpose="Me gustaría hablar con usted, páseme la llamada, por favor.",
    ),
    "fr": Phrases(
        cut_off="Excusez-moi, nous avons été coupés.",
        go_on="Je vous en prie, continuez.",
        say_again="Pourriez-vous répéter ?",
        unheard="Excusez-moi, je n'ai pas compris. Pourriez-vous répéter ?",
        broken="Excusez-moi, j'ai du mal à répondre en ce moment. Pourriez-vous répéter, s'il vous plaît ?",
        goodbye_idle="Je n'entends plus rien depuis un moment, je termine donc l'appel ici. Au revoir.",
        goodbye_long="Je suis désolé, nous avons atteint la durée maximale de cet appel. Au revoir.",
        goodbye_unpaid="Je suis désolé, je ne peux pas poursuivre cette conversation pour le moment. Veuillez réessayer plus tard. Au revoir.",
        minute_left="Il nous reste environ une minute.",
        half_minute_left="Il nous reste environ trente secondes.",
        seconds_left="Il ne nous reste que quelques secondes.",
        fillers=("Un instant, s'il vous plaît.", "Voyons voir.", "Juste une seconde."),
        no_more_calls="Excusez-nous pour le dérangement. Nous ne vous appellerons plus.",
        goodbye="Au revoir.",
        introduction="Bonjour, ici {name}.",
        behalf="J'appelle de la part de {behalf}.",
        purpose="Je vous appelle au sujet suivant : {purpose}.",
        no_purpose="Je souhaite vous parler, merci de prendre l'appel.",
    ),
    "de": Phrases(
        cut_off="Entschuldigung, wir wurden unterbrochen.",
        go_on="Bitte sprechen Sie weiter.",
        say_again="Könnten Sie das noch einmal sagen?",
        unheard="Entschuldigung, das habe ich nicht verstanden. Könnten Sie es noch einmal sagen?",
        broken="Entschuldigung, ich kann gerade nicht antworten. Könnten Sie das bitte noch einmal sagen?",
        goodbye_idle="Ich habe länger nichts gehört und beende das Gespräch hier. Auf Wiederhören.",
        goodbye_long="Es tut mir leid, die Zeit für dieses Gespräch ist zu Ende. Auf Wiederhören.",
        goodbye_unpaid="Es tut mir leid, ich kann dieses Gespräch gerade nicht fortsetzen. Bitte versuchen Sie es später noch einmal. Auf Wiederhören.",
        minute_left="Wir haben noch etwa eine Minute.",
        half_minute_left="Wir haben noch etwa eine halbe Minute.",
        seconds_left="Wir haben nur noch wenige Sekunden.",
        fillers=("Einen Moment, bitte.", "Mal sehen.", "Eine Sekunde."),
        no_more_calls="Entschuldigen Sie die Störung. Wir rufen Sie nicht mehr an.",
        goodbye="Auf Wiederhören.",
        introduction="Guten Tag, hier ist {name}.",
        behalf="Ich rufe im Auftrag von {behalf} an.",
        purpose="Es geht um Folgendes: {purpose}.",
        no_purpose="Ich möchte gern mit Ihnen sprechen, bitte nehmen Sie den Anruf an.",
    ),
    "pt": Phrases(
        cut_off="Desculpe, a ligação caiu.",
        go_on="Pode continuar, por favor.",
        say_again="Poderia repetir?",
        unheard="Desculpe, não entendi. Poderia repetir?",
        broken="Desculpe, estou com dificuldade para responder agora. Poderia repetir, por favor?",
        goodbye_idle="Não ouço nada há algum tempo, então vou encerrar a ligação aqui. Até logo.",
        goodbye_long="Desculpe, chegamos ao limite de tempo desta ligação. Até logo.",
        goodbye_unpaid="Desculpe, não posso continuar esta conversa neste momento. Por favor, tente mais tarde. Até logo.",
        minute_left="Temos cerca de um minuto.",
        half_minute_left="Temos cerca de meio minuto.",
        seconds_left="Temos só alguns segundos.",
        fillers=("Um momento, por favor.", "Deixe-me ver.", "Só um segundo."),
        no_more_calls="Desculpe o incômodo. Não voltaremos a ligar para você.",
        goodbye="Até logo.",
        introduction="Olá, aqui é {name}.",
        behalf="Estou ligando em nome de {behalf}.",
        purpose="Estou ligando sobre o seguinte: {purpose}.",
        no_purpose="Gostaria de falar com você, por favor atenda a ligação.",
    ),
    "it": Phrases(
        cut_off="Mi scusi, è caduta la linea.",
        go_on="Prego, continui.",
        say_again="Potrebbe ripetere?",
        unheard="Mi scusi, non ho capito. Potrebbe ripetere?",
        broken="Mi scusi, in questo momento ho difficoltà a rispondere. Potrebbe ripetere, per favore?",
        goodbye_idle="Da un po' non sento più nulla, quindi chiudo qui la chiamata. Arrivederci.",
        goodbye_long="Mi dispiace, abbiamo raggiunto il limite di tempo di questa chiamata. Arrivederci.",
        goodbye_unpaid="Mi dispiace, al momento non posso continuare questa conversazione. La prego di riprovare più tardi. Arrivederci.",
        minute_left="Abbiamo ancora circa un minuto.",
        half_minute_left="Abbiamo ancora circa mezzo minuto.",
        seconds_left="Abbiamo solo pochi secondi.",
        fillers=("Un momento, per favore.", "Vediamo.", "Solo un secondo."),
        no_more_calls="Ci scusi per il disturbo. Non la chiameremo più.",
        goodbye="Arrivederci.",
        introduction="Buongiorno, sono {name}.",
        behalf="Chiamo per conto di {behalf}.",
        purpose="La chiamo per questo motivo: {purpose}.",
        no_purpose="Vorrei parlare con lei, per favore accetti la chiamata.",
    ),
    "nl": Phrases(
        cut_off="Sorry, de verbinding viel weg.",
        go_on="Gaat u verder.",
        say_again="Kunt u dat nog eens zeggen?",
        unheard="Sorry, dat heb ik niet verstaan. Kunt u het nog eens zeggen?",
        broken="Sorry, ik kan nu even niet antwoorden. Kunt u dat alstublieft nog eens zeggen?",
        goodbye_idle="Ik heb al een tijdje niets gehoord, dus ik beëindig het gesprek hier. Tot ziens.",
        goodbye_long="Het spijt me, de tijd voor dit gesprek is om. Tot ziens.",
        goodbye_unpaid="Het spijt me, ik kan dit gesprek nu niet voortzetten. Probeert u het later nog eens. Tot ziens.",
        minute_left="We hebben nog ongeveer een minuut.",
        half_minute_left="We hebben nog ongeveer een halve minuut.",
        seconds_left="We hebben nog maar een paar seconden.",
        fillers=("Een moment, alstublieft.", "Even kijken.", "Een seconde."),
        no_more_calls="Excuses voor de storing. We bellen u niet meer.",
        goodbye="Tot ziens.",
        introduction="Hallo, u spreekt met {name}.",
        behalf="Ik bel namens {behalf}.",
        purpose="Ik bel over het volgende: {purpose}.",
        no_purpose="Ik wil u graag spreken, neemt u alstublieft op.",
    ),
}


def phrases_of(language: str) -> Phrases:
    """The sentences of a language by its BCP 47 tag; English ones where there are none, without fillers, which would help nobody."""
    base = language.lower().replace("_", "-").partition("-")[0]
    return _PHRASES.get(base) or msgspec.structs.replace(ENGLISH, fillers=())
