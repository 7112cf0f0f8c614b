"""What Telnyx keeps for us with a call: its `client_state` comes back in every event of the call and at the start of its stream."""

from base64 import b64decode, b64encode

import msgspec


class CallState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`stream` are the parameters of the stream that the call was begun with, `transfer_of` is the call that was to be handed over to this
    one, and `attempt_id` our name of this one, `is_refused` says that the call only hears why it is refused."""

    stream: dict[str, str] = {}
    transfer_of: str | None = None
    attempt_id: str = ""
    is_refused: bool = False


_STATES = msgspec.json.Decoder(CallState)


def written(state: CallState) -> str:
    """As Telnyx takes it."""
    return b64encode(msgspec.json.encode(state)).decode("ascii")


def read(text: str | None) -> CallState:
    """From what Telnyx gave back; nothing where the state is of somebody else's making."""
    try:
        return _STATES.decode(b64decode(text or "", validate=True))
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return CallState()
