"""The formats of Telnyx's streams, and the word in which a stream says what we speak. Nothing here handles sound."""

from voisnap_providers.ports.carrier import AudioCodec, AudioFormat

RATES = (8000, 16000, 22050, 24000, 48000)
"""The rates that `stream_bidirectional_sampling_rate` may ask for, and so those of L16."""
PCMU = AudioFormat(codec=AudioCodec.PCMU, rate=8000)
"""What Telnyx takes from us where nothing else was asked for."""
SPOKEN_PARAMETER = "voisnap-spoken"
"""The parameter by which a stream says what was asked for (`spoken_word`): Telnyx's own words tell the other direction's format only."""


def spoken_word(form: AudioFormat) -> str:
    """A format as `SPOKEN_PARAMETER` says it, such as `l16/16000`. Raises ValueError for one that Telnyx does not have."""
    if not is_possible(form):
        raise ValueError(f"Telnyx does not take {form.codec} at {form.rate} Hz")
    return f"{form.codec}/{form.rate}"


def is_possible(form: AudioFormat) -> bool:
    """Whether Telnyx has streams of a format."""
    return form.rate == 8000 or (form.codec is AudioCodec.L16 and form.rate in RATES)
