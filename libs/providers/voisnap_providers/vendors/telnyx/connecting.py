"""What Telnyx is asked for so that a call's sound comes to us, and ours goes to the call.

https://developers.telnyx.com/api-reference/call-commands/streaming-start
"""

from typing import Any

from voisnap_providers.ports.carrier import AudioFormat, StreamTarget
from voisnap_providers.vendors.telnyx.media import PCMU, SPOKEN_PARAMETER, spoken_word


def stream_command(target: StreamTarget, *, command_id: str, spoken: AudioFormat = PCMU) -> dict[str, Any]:
    """The body of `POST /calls/{call_control_id}/actions/streaming_start`; `TelnyxMedia` speaks what it asks for.

    A call is connected once by one `command_id`, however often that is asked. The token comes back in the socket's first frame,
    and never in an address. Raises ValueError for a format that Telnyx does not take.
    """
    parameters = {**target.parameters, SPOKEN_PARAMETER: spoken_word(spoken)}
    return {
        "command_id": command_id,
        "stream_url": target.url,
        "stream_auth_token": target.token,
        "custom_parameters": [{"name": name, "value": value} for name, value in parameters.items()],
        "stream_track": "inbound_track",  # our own voice would only come back
        "stream_codec": "PCMU",  # a wish that not every call can be granted: the stream says what it got
        "stream_bidirectional_mode": "rtp",  # the default takes MP3 files, and nothing else is heard
        "stream_bidirectional_codec": spoken.codec.upper(),
        "stream_bidirectional_sampling_rate": spoken.rate,
        "stream_bidirectional_target_legs": "both",  # whoever is on the call
    }
