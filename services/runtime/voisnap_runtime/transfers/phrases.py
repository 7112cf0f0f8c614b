"""What is said around a transfer, to the caller and to whoever shall take over, in the languages an agent may speak."""

import msgspec
from voisnap_domain.transfers import Why


class TransferPhrases(msgspec.Struct, frozen=True, kw_only=True):
    """One language's sentences. To the caller: `announce`, then `comforts` while he waits, and when it came to nothing one of `busy`,
    `nobody`, `failed`. To the other side: `offer`, what it is about (`about`, unless nothing is known), `ask` or `staying`, `again` before the
    offer is repeated, `thanks` for a no. `{name}` is who is called, `{agent}` who calls, `{summary}` what it is about."""

    announce: str
    comforts: tuple[str, ...]
    busy: str
    nobody: str
    failed: str
    offer: str
    about: str
    ask: str
    staying: str
    again: str
    thanks: str
    order: str
    """For the language model: sum up."""

    def comeback(self, why: Why, name: str) -> str:
        """What the caller hears when it came to nothing."""
        match why:
            case Why.BUSY:
                text = self.busy
            case Why.NO_ANSWER | Why.REFUSED | Why.MACHINE | Why.UNDECIDED:
                text = self.nobody
            case Why.FAILED | Why.LOST | Why.CANCELED | Why.CALLER_HUNG_UP:
                text = self.failed
        return text.format(name=name)


ENGLISH = TransferPhrases(
    announce="I'm putting you through to {name} now. One moment, please.",
    comforts=(
        "Thank you for waiting. I'm still trying to reach {name}.",
        "I'm still here. It may take another moment.",
        "Thanks for your patience, I'm still trying.",
    ),
    busy="I'm sorry, {name} is on another call right now. Is there anything I can help you with?",
    nobody="I'm sorry, {name} is not available right now. Is there anything I can help you with?",
    failed="I'm sorry, I couldn't put you through to {name}. Is there anything I can help you with?",
    offer="Hello, this is {agent}, the automated assistant. I have a caller on the line for you.",
    about="It is about this: {summary}",
    ask="Press 1 or say yes to take the call. Press 2 to decline.",
    staying="Please stay on the line to take the call, or press 2 to decline.",
    again="A caller is waiting to speak to you.",
    thanks="All right. Goodbye.",
    order=(
        "Sum up this call in at most two short sentences for the colleague who takes it over: who is calling, if it was said, what they want,"
        " and what has been done. Answer with these sentences alone, as you would say them aloud."
    ),
)

_PHRASES = {
    "en": ENGLISH,
    "es": TransferPhrases(
        announce="Le paso ahora con {name}. Un momento, por favor.",
        comforts=(
            "Gracias por esperar. Sigo intentando localizar a {name}.",
            "Sigo aquí. Puede tardar un momento más.",
            "Gracias por su paciencia, sigo intentándolo.",
        ),
        busy="Lo siento, {name} está atendiendo otra llamada. ¿Puedo ayudarle yo en algo?",
        nobody="Lo siento, {name} no puede atenderle ahora. ¿Puedo ayudarle yo en algo?",
        failed="Lo siento, no he podido pasarle con {name}. ¿Puedo ayudarle yo en algo?",
        offer="Hola, soy {agent}, el asistente automático. Tengo una llamada para usted.",
        about="Se trata de lo siguiente: {summary}",
        ask="Pulse 1 o diga sí para aceptar la llamada. Pulse 2 para rechazarla.",
        staying="Siga en línea para aceptar la llamada, o pulse 2 para rechazarla.",
        again="Hay una persona esperando para hablar con usted.",
        thanks="De acuerdo. Adiós.",
        order=(
            "Resume esta llamada en dos frases cortas como máximo para la persona que la atiende ahora: quién llama, si se ha dicho, qué quiere y"
            " qué se ha hecho. Responde solo con esas frases, tal como las dirías en voz alta."
        ),
    ),
    "fr": TransferPhrases(
        announce="Je vous passe {name}. Un instant, s'il vous plaît.",
        comforts=(
            "Merci de patienter. J'essaie toujours de joindre {name}.",
            "Je suis toujours là. Cela peut prendre encore un instant.",
            "Merci de votre patience, j'essaie encore.",
        ),
        busy="Je suis désolé, {name} est déjà en ligne. Puis-je vous aider ?",
        nobody="Je suis désolé, {name} n'est pas disponible pour le moment. Puis-je vous aider ?",
        failed="Je suis désolé, je n'ai pas pu vous passer {name}. Puis-je vous aider ?",
        offer="Bonjour, ici {agent}, l'assistant automatique. J'ai un appel pour vous.",
        about="Voici de quoi il s'agit : {summary}",
        ask="Appuyez sur 1 ou dites oui pour prendre l'appel. Appuyez sur 2 pour le refuser.",
        staying="Restez en ligne pour prendre l'appel, ou appuyez sur 2 pour le refuser.",
        again="Quelqu'un attend de vous parler.",
        thanks="Très bien. Au revoir.",
        order=(
            "Résume cet appel en deux phrases courtes au maximum pour la personne qui le prend : qui appelle, si cela a été dit, ce qu'elle veut"
            " et ce qui a été fait. Réponds uniquement par ces phrases, comme tu les dirais à voix haute."
        ),
    ),
    "de": TransferPhrases(
        announce="Ich verbinde Sie jetzt mit {name}. Einen Moment, bitte.",
        comforts=(
            "Danke, dass Sie warten. Ich versuche noch, {name} zu erreichen.",
            "Ich bin noch da. Es kann noch einen Moment dauern.",
            "Danke für Ihre Geduld, ich versuche es weiter.",
        ),
        busy="Es tut mir leid, {name} ist gerade im Gespräch. Kann ich Ihnen weiterhelfen?",
        nobody="Es tut mir leid, {name} ist gerade nicht erreichbar. Kann ich Ihnen weiterhelfen?",
        failed="Es tut mir leid, ich konnte Sie nicht mit {name} verbinden. Kann ich Ihnen weiterhelfen?",
        offer="Guten Tag, hier ist {agent}, der automatische Assistent. Ich habe einen Anruf für Sie.",
        about="Es geht um Folgendes: {summary}",
        ask="Drücken Sie die 1 oder sagen Sie ja, um das Gespräch anzunehmen. Drücken Sie die 2, um es abzulehnen.",
        staying="Bleiben Sie dran, um das Gespräch anzunehmen, oder drücken Sie die 2, um es abzulehnen.",
        again="Jemand wartet darauf, mit Ihnen zu sprechen.",
        thanks="In Ordnung. Auf Wiederhören.",
        order=(
            "Fasse dieses Gespräch in höchstens zwei kurzen Sätzen für die Person zusammen, die es übernimmt: wer anruft, falls es gesagt wurde,"
            " worum es geht und was getan wurde. Antworte nur mit diesen Sätzen, so wie man sie spricht."
        ),
    ),
    "pt": TransferPhrases(
        announce="Vou passar a ligação para {name}. Um momento, por favor.",
        comforts=(
            "Obrigado por aguardar. Ainda estou tentando falar com {name}.",
            "Continuo aqui. Pode demorar mais um momento.",
            "Obrigado pela paciência, continuo tentando.",
        ),
        busy="Desculpe, {name} está em outra ligação. Posso ajudar em algo?",
        nobody="Desculpe, {name} não está disponível agora. Posso ajudar em algo?",
        failed="Desculpe, não consegui passar a ligação para {name}. Posso ajudar em algo?",
        offer="Olá, aqui é {agent}, o assistente automático. Tenho uma ligação para você.",
        about="O assunto é este: {summary}",
        ask="Tecle 1 ou diga sim para atender. Tecle 2 para recusar.",
        staying="Fique na linha para atender, ou tecle 2 para recusar.",
        again="Há uma pessoa esperando para falar com você.",
        thanks="Tudo bem. Até logo.",
        order=(
            "Resuma esta ligação em no máximo duas frases curtas para quem vai assumi-la: quem liga, se foi dito, o que quer e o que já foi feito."
            " Responda só com essas frases, como as diria em voz alta."
        ),
    ),
    "it": TransferPhrases(
        announce="Le passo {name}. Un momento, per favore.",
        comforts=(
            "Grazie per l'attesa. Sto ancora cercando di contattare {name}.",
            "Sono ancora qui. Potrebbe volerci ancora un momento.",
            "Grazie per la pazienza, ci sto ancora provando.",
        ),
        busy="Mi dispiace, {name} è impegnato in un'altra chiamata. Posso aiutarla io?",
        nobody="Mi dispiace, {name} non è disponibile in questo momento. Posso aiutarla io?",
        failed="Mi dispiace, non sono riuscito a passarle {name}. Posso aiutarla io?",
        offer="Buongiorno, sono {agent}, l'assistente automatico. Ho una chiamata per lei.",
        about="Si tratta di questo: {summary}",
        ask="Prema 1 o dica sì per accettare la chiamata. Prema 2 per rifiutarla.",
        staying="Resti in linea per accettare la chiamata, o prema 2 per rifiutarla.",
        again="C'è una persona che aspetta di parlare con lei.",
        thanks="Va bene. Arrivederci.",
        order=(
            "Riassumi questa chiamata in al massimo due frasi brevi per chi la prende in carico: chi chiama, se è stato detto, che cosa vuole e che"
            " cosa è stato fatto. Rispondi solo con queste frasi, come le diresti a voce."
        ),
    ),
    "nl": TransferPhrases(
        announce="Ik verbind u nu door met {name}. Een moment, alstublieft.",
        comforts=(
            "Bedankt voor het wachten. Ik probeer {name} nog te bereiken.",
            "Ik ben er nog. Het kan nog even duren.",
            "Bedankt voor uw geduld, ik probeer het nog.",
        ),
        busy="Het spijt me, {name} is in gesprek. Kan ik u ergens mee helpen?",
        nobody="Het spijt me, {name} is nu niet bereikbaar. Kan ik u ergens mee helpen?",
        failed="Het spijt me, ik kon u niet doorverbinden met {name}. Kan ik u ergens mee helpen?",
        offer="Hallo, u spreekt met {agent}, de automatische assistent. Ik heb iemand voor u aan de lijn.",
        about="Het gaat hierover: {summary}",
        ask="Druk op 1 of zeg ja om het gesprek aan te nemen. Druk op 2 om te weigeren.",
        staying="Blijf aan de lijn om het gesprek aan te nemen, of druk op 2 om te weigeren.",
        again="Er wacht iemand om met u te spreken.",
        thanks="Prima. Tot ziens.",
        order=(
            "Vat dit gesprek in hoogstens twee korte zinnen samen voor degene die het overneemt: wie belt, als dat gezegd is, wat diegene wil en wat"
            " er gedaan is. Antwoord alleen met deze zinnen, zoals je ze zou uitspreken."
        ),
    ),
}


def transfer_phrases_of(language: str) -> TransferPhrases:
    """The sentences of a language by its BCP 47 tag; English ones where there are none."""
    return _PHRASES.get(language.lower().replace("_", "-").partition("-")[0], ENGLISH)
