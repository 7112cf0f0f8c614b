"""What an agent writes by itself in a chat where its owner wrote nothing, in the languages it may write."""

import msgspec


class ChatPhrases(msgspec.Struct, frozen=True, kw_only=True):
    """One language's sentences: the reply could not be made; the ends."""

    broken: str
    goodbye_idle: str
    goodbye_long: str


ENGLISH = ChatPhrases(
    broken="I'm sorry, I'm having trouble answering right now. Could you please write that again?",
    goodbye_idle="I haven't read anything from you for a while, so I'll end the chat here. Goodbye.",
    goodbye_long="I'm sorry, we have reached the time limit of this chat. Goodbye.",
)

_PHRASES = {
    "en": ENGLISH,
    "es": ChatPhrases(
        broken="Lo siento, ahora mismo tengo problemas para responder. ¿Podría escribirlo de nuevo, por favor?",
        goodbye_idle="Hace un rato que no me escribe, así que termino el chat aquí. Adiós.",
        goodbye_long="Lo siento, hemos llegado al límite de tiempo de este chat. Adiós.",
    ),
    "fr": ChatPhrases(
        broken="Excusez-moi, j'ai du mal à répondre en ce moment. Pourriez-vous l'écrire encore une fois, s'il vous plaît ?",
        goodbye_idle="Vous ne m'avez pas écrit depuis un moment, je termine donc la conversation ici. Au revoir.",
        goodbye_long="Je suis désolé, nous avons atteint la durée maximale de cette conversation. Au revoir.",
    ),
    "de": ChatPhrases(
        broken="Entschuldigung, ich kann gerade nicht antworten. Könnten Sie das bitte noch einmal schreiben?",
        goodbye_idle="Ich habe länger nichts von Ihnen gelesen und beende den Chat hier. Auf Wiedersehen.",
        goodbye_long="Es tut mir leid, die Zeit für diesen Chat ist zu Ende. Auf Wiedersehen.",
    ),
    "pt": ChatPhrases(
        broken="Desculpe, estou com dificuldade para responder agora. Pode escrever de novo, por favor?",
        goodbye_idle="Faz algum tempo que não me escreve, por isso encerro a conversa aqui. Até logo.",
        goodbye_long="Desculpe, chegamos ao limite de tempo desta conversa. Até logo.",
    ),
    "it": ChatPhrases(
        broken="Mi scusi, al momento ho difficoltà a rispondere. Potrebbe scriverlo di nuovo, per favore?",
        goodbye_idle="Non mi scrive da un po', quindi chiudo qui la chat. Arrivederci.",
        goodbye_long="Mi dispiace, abbiamo raggiunto il limite di tempo di questa chat. Arrivederci.",
    ),
    "nl": ChatPhrases(
        broken="Sorry, ik kan op dit moment niet goed antwoorden. Kunt u dat nog een keer schrijven?",
        goodbye_idle="Ik heb een tijdje niets van u gelezen, dus ik sluit de chat hier af. Tot ziens.",
        goodbye_long="Het spijt me, de tijd voor deze chat is om. Tot ziens.",
    ),
}


def chat_phrases_of(language: str) -> ChatPhrases:
    """The sentences of a language by its BCP 47 tag; English ones where there are none."""
    return _PHRASES.get(language.lower().replace("_", "-").partition("-")[0], ENGLISH)
