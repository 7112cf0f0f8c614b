"""Deepgram: nova models, told by the caller's ear when a turn is over, and Flux, which finds the ends of turns itself."""

from collections.abc import AsyncGenerator, AsyncIterator

from voisnap_domain.agents import Transcription
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderAuthError, ProviderError
from voisnap_providers.live_stt import RATE, Heard, LiveSttRules, LiveSttStream
from voisnap_providers.ports.stt import SttCapabilities
from voisnap_providers.vendors import sockets

from . import wire
from .wire import PROVIDER

DEFAULT_URL = "https://api.deepgram.com"
KEEP_ALIVE = '{"type":"KeepAlive"}'
FINALIZE = '{"type":"Finalize"}'
FORCE_END_TURN = '{"type":"ForceEndTurn"}'
CLOSE_STREAM = '{"type":"CloseStream"}'
BAD_DATA = 1008
"""The code of a connection whose audio it cannot read; another one would fare no better."""

NOVA = LiveSttRules(batch=0.06, lead_in=0.1, keep_alive=4.0)
"""A connection without any audio in its first 10 seconds is closed, whatever is said to keep it: hence the silence that opens it."""
FLUX = LiveSttRules(
    batch=0.08, lead_in=0.1, keep_alive=4.0, silence_instead=0.08, prepares=False, silence_after_pause=3.0
)
"""Flux has no message that keeps a connection, and hears a turn's end in the silence after it."""


def make(account: Account) -> "DeepgramStt":
    """Deepgram for one account. Raises ProviderUnconfigured without a key."""
    return DeepgramStt(account)


class DeepgramStt:
    """One an account. Connections are the streams' own."""

    provider = PROVIDER
    capabilities = SttCapabilities(
        interim_results=True,
        word_timings=True,
        continuous=False,
        sample_rate=RATE,
        languages=("*",),
        endpoints=True,
    )

    def __init__(self, account: Account, *, nova: LiveSttRules = NOVA, flux: LiveSttRules = FLUX) -> None:
        self._address = sockets.socket_address(account.option("base_url", DEFAULT_URL))
        self._headers = {"Authorization": f"Token {account.secret()}"}
        self._rules = {False: nova, True: flux}

    def open(self, settings: Transcription, *, keyterms: tuple[str, ...] = ()) -> LiveSttStream:
        """Start listening."""
        url = self._address + wire.path(settings, keyterms)
        flux = wire.is_flux(settings.model)

        async def connect() -> "DeepgramConnection":
            socket = await sockets.open_socket(url, self._headers, provider=PROVIDER)
            return FluxConnection(socket) if flux else DeepgramConnection(socket)

        return LiveSttStream(connect, self._rules[flux], provider=PROVIDER)

    async def aclose(self) -> None:
        """Streams are closed by those who opened them."""


class DeepgramConnection:
    """A connection of the first version: `Finalize` is answered by a result that says so."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def send(self, audio: bytes) -> None:
        """Audio goes as it is."""
        await sockets.sent(self._socket.send(audio), provider=PROVIDER)

    async def finalise(self) -> None:
        """Ask for the rest of the words."""
        await sockets.sent(self._socket.send(FINALIZE), provider=PROVIDER)

    async def keep_alive(self) -> None:
        """A text message: as a binary one it would be taken for audio."""
        await sockets.sent(self._socket.send(KEEP_ALIVE), provider=PROVIDER)

    def __aiter__(self) -> AsyncIterator[Heard]:
        return self._heard()

    async def _heard(self) -> AsyncGenerator[Heard]:
        try:
            while True:
                read = wire.read(await self._socket.recv())
                if read is not None and (heard := self._understood(read)) is not None:
                    yield heard
        except ConnectionClosed as error:
            if sockets.ended_well(error):
                return
            healable = sockets.close_code(error) != BAD_DATA
            raise sockets.closed(error, provider=PROVIDER, retryable=healable) from None

    def _understood(self, message: wire.Message) -> Heard | None:
        match message:
            case wire.Results():
                return wire.heard_in(message)
            case wire.UtteranceEnd():
                return Heard(text="", is_final=False, ends_utterance=True)
            case wire.Failed():
                raise _failed(message)
            case _:
                return None

    async def aclose(self) -> None:
        """Connections are paid by their time: close at once."""
        await sockets.close(self._socket, CLOSE_STREAM)


class FluxConnection(DeepgramConnection):
    """A connection of the second version: `ForceEndTurn` ends the present turn."""

    _was_asked = False

    async def finalise(self) -> None:
        """Demand the end of the turn."""
        self._was_asked = True
        await sockets.sent(self._socket.send(FORCE_END_TURN), provider=PROVIDER)

    def _understood(self, message: wire.Message) -> Heard | None:
        match message:
            case wire.TurnInfo():
                heard = wire.heard_of(message, was_asked=self._was_asked)
                if heard.is_final:
                    self._was_asked = False
                return heard
            case wire.Failed():
                raise _failed(message)
            case _:
                return None


def _failed(message: wire.Failed) -> ProviderError:
    code = message.code or message.err_code or ""
    if "AUTH" in code.upper():
        return ProviderAuthError("It refused the key.", provider=PROVIDER, kind="stt")
    return ProviderError(f"It reported an error ({code[:40]}).", provider=PROVIDER, kind="stt", retryable=True)
