"""What a conversation needs to go on in another process: the state that its finished turns do not hold."""

import msgspec

from .conversations import Turn
from .sessions import EndReason


class CallSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation in the middle of things, as of `elapsed` seconds after the caller was connected.

    `agent`: what was heard so far of the words the agent is saying, as an interrupted turn. `rest`: the words it had still to say;
    `unwritten`: the model had still to write more. `user`: the caller's open turn as far as it was recognised; it waits for an answer, or, if
    it is `interrupted`, the caller was still speaking. `disclosed`: the disclosure was heard. `prompts`: silence prompts in a row. `warned`,
    `goodbye_said`: the warning and the farewell before the maximum duration were begun. `ending`: why the call ends after these words.
    Both turns carry the sequence they would have; `next_sequence` is the first that no finished turn has.
    """

    elapsed: float = 0.0
    next_sequence: int = 1
    agent: Turn | None = None
    rest: str = ""
    unwritten: bool = False
    user: Turn | None = None
    disclosed: bool = False
    prompts: int = 0
    warned: bool = False
    goodbye_said: bool = False
    ending: EndReason | None = None


class Resumption(msgspec.Struct, frozen=True, kw_only=True):
    """How a conversation goes on: its finished `turns`, the last `snapshot`, and the seconds `elapsed` until now, the gap included.

    `seamless`: it was handed over at a silent moment, so nobody noticed anything and nothing is said about it. Otherwise the agent says
    that there was a gap and goes on: with the caller's open turn if there is one, else with the sentence that was cut off.
    """

    turns: tuple[Turn, ...] = ()
    snapshot: CallSnapshot = CallSnapshot()
    elapsed: float = 0.0
    seamless: bool = False
