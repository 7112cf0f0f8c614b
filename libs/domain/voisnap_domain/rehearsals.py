"""What a simulated caller says to an agent that is tried out: a few lines that fit the agent's purpose.

A rehearsal is a conversation without a person on the other side: in the sandbox, and wherever an agent is tested without a carrier.
"""

import re
from typing import Any

import msgspec

from .agents import AgentConfig

MAX_LINES = 20
MAX_LINE_CHARS = 500
QUESTIONS = 3
"""Lines between the first and the last that are made up from the agent's purpose."""

SCENARIO = "testScenario"
"""Member of the metadata that says what the caller wants: `billing-inquiry`."""


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True):
    """A simulated caller: what it says, in order, before it hangs up."""

    lines: tuple[str, ...]


class _Lines(msgspec.Struct, frozen=True):
    opening: str
    scenario: str
    questions: tuple[str, ...]
    closing: str


_TOPICS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), line)
    for pattern, line in (
        (
            r"\b(?:bill(?:s|ed|ing)?|invoices?|charges?|refunds?|payments?)\b",
            "I have a question about my last invoice.",
        ),
        (r"\b(?:orders?|shipping|shipment|deliver(?:y|ies)|packages?|parcels?)\b", "Where is my order?"),
        (r"\b(?:appointments?|bookings?|schedul\w+|reservations?)\b", "Can I make an appointment for next week?"),
        (r"\b(?:open(?:ing)?|hours|closed)\b", "What are your opening hours?"),
        (r"\b(?:prices?|costs?|pricing|plans?|dollars?|euros?|fees?)\b", "How much does it cost?"),
        (r"\b(?:address|located|location|parking|directions)\b", "Where are you located?"),
        (r"\b(?:insurances?|coverage|polic(?:y|ies)|claims?)\b", "Which insurance do you accept?"),
        (r"\b(?:passwords?|log ?in|accounts?|reset)\b", "I can't get into my account."),
        (
            r"\b(?:troubleshoot\w*|technical|errors?|outages?|broken|repairs?)\b",
            "Something does not work. Can you help me?",
        ),
        (r"\b(?:demos?|sales|trials?|products?|features?)\b", "What makes your product special?"),
        (r"\b(?:menus?|tables?|restaurants?|pizzas?|dish(?:es)?)\b", "What do you recommend from the menu?"),
        (r"\b(?:cancel\w*|return(?:s|ed)?|exchange)\b", "Can I cancel if I change my mind?"),
    )
)

_LANGUAGES = {
    "en": _Lines(
        "Hi, can you help me?",
        "Hi, I'm calling about {topic}.",
        ("What can you help me with?", "Could you tell me a bit more about that?", "How does that work?"),
        "That's all. Thank you, goodbye.",
    ),
    "es": _Lines(
        "Hola, ¿me puede ayudar?",
        "Hola, llamo por {topic}.",
        ("¿En qué me puede ayudar?", "¿Me puede contar un poco más?", "¿Y cómo funciona?"),
        "Eso es todo. Gracias, adiós.",
    ),
    "fr": _Lines(
        "Bonjour, pouvez-vous m'aider ?",
        "Bonjour, j'appelle au sujet de {topic}.",
        ("Que pouvez-vous faire pour moi ?", "Pouvez-vous m'en dire un peu plus ?", "Comment cela se passe-t-il ?"),
        "C'est tout. Merci, au revoir.",
    ),
    "de": _Lines(
        "Hallo, können Sie mir helfen?",
        "Hallo, ich rufe wegen {topic} an.",
        ("Wobei können Sie mir helfen?", "Können Sie mir etwas mehr dazu sagen?", "Und wie geht das?"),
        "Das war alles. Danke, auf Wiederhören.",
    ),
    "it": _Lines(
        "Buongiorno, mi può aiutare?",
        "Buongiorno, chiamo per {topic}.",
        ("In che cosa mi può aiutare?", "Mi può dire qualcosa di più?", "E come funziona?"),
        "È tutto. Grazie, arrivederci.",
    ),
    "pt": _Lines(
        "Olá, pode ajudar-me?",
        "Olá, estou a ligar por causa de {topic}.",
        ("Em que me pode ajudar?", "Pode dizer-me um pouco mais?", "E como funciona?"),
        "É tudo. Obrigado, adeus.",
    ),
    "nl": _Lines(
        "Hallo, kunt u mij helpen?",
        "Hallo, ik bel over {topic}.",
        ("Waarmee kunt u mij helpen?", "Kunt u daar iets meer over vertellen?", "En hoe werkt dat?"),
        "Dat was alles. Dank u, tot ziens.",
    ),
}


def rehearsal_of(config: AgentConfig, metadata: dict[str, Any], *, script: tuple[str, ...] = ()) -> Rehearsal:
    """The caller who tries out an agent: with the lines of `script`, or three to five that fit the agent and the scenario."""
    if script:
        return Rehearsal(lines=script)
    language = config.transcription.language.partition("-")[0].lower()
    lines = _LANGUAGES.get(language, _LANGUAGES["en"])
    topic = _topic(metadata.get(SCENARIO))
    questions = _questions(config, topic) if lines is _LANGUAGES["en"] else ()
    opening = (lines.scenario.format(topic=topic),) if topic else ()
    if not questions:
        opening, questions = opening or (lines.opening,), lines.questions[:2]
    return Rehearsal(lines=(*opening, *questions, lines.closing))


def _topic(scenario: Any) -> str:
    """`billing-inquiry` in words."""
    if not isinstance(scenario, str):
        return ""
    words = re.sub(r"[^\w' ]+|_", " ", scenario).split()
    return " ".join(words)[:80].strip().lower()


def _questions(config: AgentConfig, topic: str) -> tuple[str, ...]:
    """What the agent seems to know about: what the scenario names first, then what its texts name most."""
    texts = (config.name, config.description or "", config.persona.role or "", config.system_prompt_template)
    purpose = "\n".join(texts)
    counted = [(bool(pattern.search(topic)), len(pattern.findall(purpose)), line) for pattern, line in _TOPICS]
    named = sorted(counted, key=lambda found: (not found[0], -found[1]))
    return tuple(line for in_topic, count, line in named if in_topic or count)[:QUESTIONS]
