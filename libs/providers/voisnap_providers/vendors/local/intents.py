"""What a caller wants besides facts: greet, thank, leave, agree, hear it again, talk to a person."""

import re
from enum import StrEnum

import numpy as np

from .ranking import Embed

MAX_CHARS = 100


class Intent(StrEnum):
    """A kind of utterance that has its own reply."""

    GREETING = "greeting"
    HOW_ARE_YOU = "how_are_you"
    THANKS = "thanks"
    GOODBYE = "goodbye"
    NOTHING_ELSE = "nothing_else"
    YES = "yes"
    NO = "no"
    REPEAT = "repeat"
    SLOWER = "slower"
    ROBOT = "robot"
    NAME = "name"
    HUMAN = "human"
    CAN_DO = "can_do"
    HEAR_ME = "hear_me"
    HOLD_ON = "hold_on"
    COMPLAINT = "complaint"
    COMPANY = "company"


_FILL = r"(?:(?:oh|um+|uh+|ah|well|okay|ok|alright|all right|so|great|perfect|cool|right|yeah|yes|no|nope|good|awesome|wonderful|lovely|fine|please|then|and|hi|hello)[,.!]?\s+)*"

_EXACT: tuple[tuple[Intent, re.Pattern[str]], ...] = tuple(
    (intent, re.compile(rf"^{_FILL}(?:{pattern})[\s.!?,]*$", re.IGNORECASE))
    for intent, pattern in (
        (Intent.GOODBYE, r"(?:thanks?(?: you)?(?: (?:so|very) much)?|that(?:'s| is|'ll be| will be) (?:all|it|everything)|take care|cheers)?[,.!\s]*(?:(?:good)?[\s-]?bye(?:[ -]bye)?|good night|see (?:you|ya)(?: later| soon)?|talk (?:to you )?later|have a (?:good|nice|great|lovely) (?:day|one|evening|night|weekend)|hang up|end (?:the )?call|i have to go|i(?:'ve| have)? got(?:ta| to) go)(?:[,.!\s]*(?:thanks?(?: you)?|bye(?:[ -]bye)?|now|then|you too))*"),
        (Intent.NOTHING_ELSE, r"(?:no,? )?(?:thanks?(?: you)?[,.]?\s*)?(?:that(?:'s| is|'ll be| will be|'ll) (?:all|it|everything|be all)(?: (?:i need(?:ed)?|for (?:now|today)|thanks?(?: you)?))*|nothing else|i(?:'m| am) (?:good|all set|fine|done)|i think that(?:'s| is) (?:it|all)|no more questions)(?:[,.]?\s*(?:thanks?(?: you)?(?: (?:so|very) much)?|bye|then))*"),
        (Intent.NO, r"(?:no|nope|nah|not (?:really|now|today|yet|at the moment)|no thanks?(?: you)?|no way|that(?:'s| is) (?:wrong|not right|incorrect|not correct)|i don't(?: think so)?|negative|never ?mind|no need)(?:[,.\s]+(?:thanks?(?: you)?|no|not (?:really|now)|it(?:'s| is)(?: not| okay| fine)|that(?:'s| is) (?:wrong|okay|fine)|i(?:'m| am) (?:good|fine)))*"),
        (Intent.THANKS, r"(?:thanks?(?: you)?(?: (?:so|very) much| a lot| a million)?|cheers|appreciate it|i appreciate (?:it|that|your help)|much appreciated|thank you for (?:your|the) (?:help|info\w*))(?:[,.!\s]*(?:that(?:'s| is|'s been| was) (?:great|helpful|very helpful|perfect|all good|good to know)|for your help|that helps))*"),
        (Intent.GREETING, r"(?:hi|hello|hey|good (?:morning|afternoon|evening|day)|greetings|howdy|hello there|hi there|hey there)(?: (?:there|again|everyone|\w+))?(?:[,.!]?\s*is (?:anyone|anybody|someone) there)?"),
        (Intent.HEAR_ME, r"(?:can|do) you hear me(?: (?:now|okay|ok|well))?|are you (?:still )?there|(?:is )?(?:anyone|anybody|somebody) there|hello\?+|testing"),
        (Intent.HOLD_ON, r"(?:just )?(?:hold on|hang on|wait|one (?:moment|second|minute|sec)|just a (?:moment|second|minute|sec)|give me a (?:moment|second|minute|sec)|let me (?:think|check|see))(?: (?:a )?(?:moment|second|minute|sec))?(?: please)?"),
        (Intent.REPEAT, r"(?:sorry|pardon(?: me)?|excuse me|come again|what(?: was that| did you say)?|huh|say (?:that|it) again|(?:can|could|would) you (?:please )?(?:repeat|say) (?:that|it|what you said)(?: again)?(?: for me)?|repeat (?:that|it)(?: again)?|i (?:didn't|did not|couldn't) (?:catch|hear|get|understand) (?:that|it|you|what you said)|one more time|again|sorry,? (?:what|say (?:that|it) again|can you repeat that|i (?:didn't|did not) (?:catch|hear|get) (?:that|it)))(?:[,.]? ?(?:please|sorry|again|for me))*"),
        (Intent.SLOWER, r"(?:can|could|would) you (?:please )?(?:speak|talk|say (?:that|it)) (?:a (?:bit|little) )?(?:more slowly|slower|slowly)(?: please)?|(?:speak |talk )?(?:more slowly|slower|slow down)(?: please)?"),
        (Intent.ROBOT, r"(?:are|is) (?:you|this|it) (?:a |an )?(?:real )?(?:robot|bot|ai|a\.i\.?|machine|computer|human|person|real|real person|human being|recording|automated(?: system)?|artificial intelligence|chat ?bot|virtual assistant)(?: (?:or|and) (?:a |an )?(?:real )?(?:robot|bot|human|person|machine|computer|human being|ai))?|am i (?:talking|speaking) (?:to|with) (?:a |an )?(?:real )?(?:robot|bot|ai|machine|computer|human|person|human being|real person)(?: (?:or|and) (?:a |an )?(?:real )?(?:robot|bot|human|person|machine|computer|ai))?"),
        (Intent.NAME, r"(?:what(?:'s| is) your name|who are you|who am i (?:talking|speaking) (?:to|with)|who(?:'s| is) this|may i (?:ask|know) (?:your name|who(?:'s| is) (?:this|speaking))|do you have a name|tell me your name|your name(?: please)?)"),
        (Intent.COMPANY, r"(?:what|which) (?:company|business|place|store|shop|restaurant|hotel|clinic|office) is this|who did i (?:call|reach)|where am i calling|what(?:'s| is) the name of (?:your|the|this) (?:company|business|place|store|shop|restaurant|hotel|clinic|office|practice)|is this (?:the )?(?:right )?(?:company|office|place)"),
        (Intent.CAN_DO, r"what can you (?:do|help (?:me )?with|tell me)(?: for me)?|how can you help(?: me)?|what do you do|what (?:services|things) can you (?:help|do)(?: with)?|help|i need (?:some )?help|can you help me|what are my options"),
        (Intent.HUMAN, r"(?:(?:can|could|may) i (?:please )?|i(?:'d| would) (?:like|prefer) to |i want to |i need to |let me |please )?(?:speak|talk|get through|connect me|transfer me|put me through)(?: to| with)? (?:a |an |some |the |your )?(?:real |live |actual |human )?(?:human|person|someone|somebody|agent|representative|operator|manager|supervisor|people|human being|receptionist|staff|real person|colleague)(?: (?:please|instead|real|else|now))*|(?:human|agent|operator|representative|real person|manager)(?: please)?|(?:can|could) you (?:transfer|connect) me(?: to (?:a |an |the )?(?:\w+ )?(?:human|person|someone|agent|representative|operator|manager))?"),
        (Intent.HOW_ARE_YOU, r"(?:how are you(?: doing)?(?: today)?|how(?:'s| is) it going|how do you do|what(?:'s| is) up|how(?:'s| is) your day(?: going)?)"),
        (Intent.YES, r"(?:yes|yeah|yep|yup|sure|of course|correct|that(?:'s| is) (?:right|correct|fine|good|great)|right|exactly|absolutely|definitely|please(?: do)?|yes please|sounds good|go ahead|okay|ok|i do|i would|i think so|uh[ -]?huh|mm[ -]?hmm|fine|perfect|it is|why not)(?:[,.\s]+(?:yes|yeah|please|sure|thanks?(?: you)?|that(?:'s| is) (?:right|correct|fine)|that would be (?:great|nice|good)|it is|go ahead|i would))*"),
    )
)  # fmt: skip

_EXAMPLES: dict[Intent, tuple[str, ...]] = {
    Intent.GREETING: ("Hello, good morning", "Hi there, how's it going"),
    Intent.HOW_ARE_YOU: ("How are you doing today?", "I hope you're having a good day"),
    Intent.THANKS: ("Thank you so much, that was really helpful", "Great, thanks for letting me know"),
    Intent.GOODBYE: (
        "Okay thanks, have a nice day, bye",
        "Goodbye, talk to you later",
        "That's everything I needed, bye bye",
    ),
    Intent.NOTHING_ELSE: ("No, that's all I needed, thank you", "I don't have any other questions"),
    Intent.REPEAT: (
        "Can you say that again please?",
        "Sorry, I didn't hear what you said",
        "Could you repeat the last part?",
    ),
    Intent.ROBOT: (
        "Are you a robot or a real person?",
        "Am I talking to a machine?",
        "Are you an artificial intelligence?",
    ),
    Intent.NAME: ("What is your name?", "Who am I speaking with?"),
    Intent.HUMAN: (
        "I want to speak to a real person",
        "Can you transfer me to a human agent?",
        "I'd rather talk to somebody from your team",
        "Let me speak with your manager",
    ),
    Intent.CAN_DO: ("What can you help me with?", "What kind of things can you do for me?"),
    Intent.COMPLAINT: (
        "You are not helping me at all",
        "This is useless, you don't understand anything",
        "I'm really angry about your terrible service",
    ),
}


class IntentFinder:
    """Prototypes of each intent, embedded once."""

    def __init__(self, embed: Embed) -> None:
        self._names = [intent for intent, examples in _EXAMPLES.items() for _ in examples]
        self._vectors = embed(tuple(example for examples in _EXAMPLES.values() for example in examples))

    def nearest(self, vector: np.ndarray) -> tuple[Intent, float]:
        """The intent whose example is closest, and how close."""
        scores = self._vectors @ vector
        best = int(scores.argmax())
        return self._names[best], float(scores[best])


def exact(text: str) -> Intent | None:
    """An intent that the whole utterance is, by its words."""
    bare = re.sub(r"\s+", " ", text.replace("’", "'")).strip()
    if len(bare) > MAX_CHARS:
        return None
    for intent, pattern in _EXACT:
        if pattern.match(bare):
            return intent
    return None
