"""What Telnyx is asked for so that a call's sound comes to us, and ours goes to the call: in a command of its own, while a call is answered,
and while one is dialled. The three take different fields; `TelnyxMedia` reads the same of all.

https://developers.telnyx.com/api-reference/call-commands/streaming-start
https://developers.telnyx.com/api-reference/call-commands/answer-call
https://developers.telnyx.com/api-reference/call-commands/dial
"""

from typing import Any

from voisnap_providers.ports.carrier import TOKEN_PARAMETER, AudioFormat, StreamTarget

from . import state
from .formats import PCMU, SPOKEN_PARAMETER, spoken_word


def stream_command(target: StreamTarget, *, command_id: str, spoken: AudioFormat = PCMU) -> dict[str, Any]:
    """The body of `POST /calls/{call_control_id}/actions/streaming_start`; `TelnyxMedia` speaks what it asks for.

    A call is connected once by one `command_id`, however often that is asked. The token comes back in the socket's first frame, and never in
    an address. Raises ValueError for a format that Telnyx does not take.
    """
    parameters = {**target.parameters, SPOKEN_PARAMETER: spoken_word(spoken)}
    return {
        "command_id": command_id,
        **_stream(target, spoken),
        "stream_auth_token": target.token,
        "stream_bidirectional_sampling_rate": spoken.rate,
        "custom_parameters": [{"name": name, "value": value} for name, value in parameters.items()],
    }


def answer_command(target: StreamTarget, *, command_id: str) -> dict[str, Any]:
    """The body of `POST /calls/{call_control_id}/actions/answer`, which connects the call in the same step. It takes no token and no
    parameters of a stream, but a state that the stream repeats."""
    parameters = {**target.parameters, TOKEN_PARAMETER: target.token, SPOKEN_PARAMETER: spoken_word(PCMU)}
    kept = state.written(state.CallState(stream=parameters))
    return {"command_id": command_id, **_stream(target, PCMU), "client_state": kept}


def dial_fields(target: StreamTarget) -> dict[str, Any]:
    """The fields of `POST /calls` that connect whoever answers."""
    kept = state.written(state.CallState(stream={**target.parameters, SPOKEN_PARAMETER: spoken_word(PCMU)}))
    return {**_stream(target, PCMU), "stream_auth_token": target.token, "client_state": kept}


def _stream(target: StreamTarget, spoken: AudioFormat) -> dict[str, Any]:
    return {
        "stream_url": target.url,
        "stream_track": "inbound_track",  # our own voice would only come back
        "stream_codec": "PCMU",  # a wish that not every call can be granted: the stream says what it got
        "stream_bidirectional_mode": "rtp",  # the default takes MP3 files, and nothing else is heard
        "stream_bidirectional_codec": spoken.codec.upper(),
        "stream_bidirectional_target_legs": "both",  # whoever is on the call
    }
