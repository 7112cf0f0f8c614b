"""AssemblyAI's streaming models. They find the ends of turns themselves; `ForceEndpoint` ends one when the caller's ear knows better."""

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

DEFAULT_URL = "https://streaming.assemblyai.com"
VERSION = "2025-05-12"
KEEP_ALIVE = '{"type":"KeepAlive"}'
FORCE_ENDPOINT = '{"type":"ForceEndpoint"}'
TERMINATE = '{"type":"Terminate"}'

REFUSED_KEY = frozenset({1008, 4001})
HOPELESS = frozenset({3006, 4000, 4002, 4003, 4101})
"""Codes of errors that another connection would meet again: messages it does not take, and accounts without money."""

RULES = LiveSttRules(
    batch=0.1,
    least=0.05,
    largest=0.5,
    fastest=1.0,
    burst=1.5,
    keep_alive=20.0,
    max_age=3 * 3600.0,
    prepares=False,
    silence_after_pause=1.6,
    always_answers_after=2.0,
)
"""Messages hold 50 to 1000 ms, no faster than real time. A demand for an end is not answered when there was no speech."""


def make(account: Account) -> "AssemblyAiStt":
    """AssemblyAI for one account. Raises ProviderUnconfigured without a key."""
    return AssemblyAiStt(account)


class AssemblyAiStt:
    """One an account. Connections are the streams' own."""

    provider = PROVIDER
    capabilities = SttCapabilities(
        interim_results=True,
        word_timings=True,
        continuous=False,
        sample_rate=RATE,
        languages=("en", "es", "fr", "de", "it", "pt"),
        endpoints=True,
    )

    def __init__(self, account: Account, *, rules: LiveSttRules = RULES) -> None:
        self._address = sockets.socket_address(account.option("base_url", DEFAULT_URL))
        self._headers = {"Authorization": account.secret(), "AssemblyAI-Version": VERSION}
        self._rules = rules

    def open(self, settings: Transcription, *, keyterms: tuple[str, ...] = ()) -> LiveSttStream:
        """Start listening."""
        url = self._address + wire.path(settings, keyterms)
        formats_apart = wire.formats_apart(settings)

        async def connect() -> "AssemblyAiConnection":
            socket = await sockets.open_socket(url, self._headers, provider=PROVIDER)
            connection = AssemblyAiConnection(socket, formats_apart=formats_apart)
            try:
                await connection.begun()
            except BaseException:
                await sockets.close(socket)
                raise
            return connection

        return LiveSttStream(connect, self._rules, provider=PROVIDER)

    async def aclose(self) -> None:
        """Streams are closed by those who opened them."""


class AssemblyAiConnection:
    """A session; `begun` waits until it stands."""

    def __init__(self, socket: ClientConnection, *, formats_apart: bool) -> None:
        self._socket = socket
        self._formats_apart = formats_apart
        self._was_asked = False

    async def begun(self) -> None:
        """Wait for the first message: a refused key is told only after the socket is open."""
        try:
            while not isinstance(self._read(await self._socket.recv()), wire.Begin):
                pass
        except ConnectionClosed as error:
            raise _closed(error) from None

    async def send(self, audio: bytes) -> None:
        """Audio goes as it is."""
        await self._sent(audio)

    async def finalise(self) -> None:
        """Demand the end of the turn."""
        self._was_asked = True
        await self._sent(FORCE_ENDPOINT)

    async def keep_alive(self) -> None:
        """A message that is no audio."""
        await self._sent(KEEP_ALIVE)

    async def _sent(self, message: str | bytes) -> None:
        try:
            await self._socket.send(message)
        except ConnectionClosed as error:
            raise _closed(error) from None

    def __aiter__(self) -> AsyncIterator[Heard]:
        return self._heard()

    async def _heard(self) -> AsyncGenerator[Heard]:
        try:
            while True:
                read = self._read(await self._socket.recv())
                if isinstance(read, wire.Turn):
                    heard = wire.heard_of(read, formats_apart=self._formats_apart, was_asked=self._was_asked)
                    if heard.answers_finalise:
                        self._was_asked = False
                    yield heard
        except ConnectionClosed as error:
            if not sockets.ended_well(error):
                raise _closed(error) from None

    def _read(self, message: str | bytes) -> wire.Message | None:
        read = wire.read(message)
        if isinstance(read, wire.Failed):
            raise _error(read.error_code or 0)
        return read

    async def aclose(self) -> None:
        """Sessions are paid by their time: end it at once."""
        await sockets.close(self._socket, TERMINATE)


def _closed(error: ConnectionClosed) -> ProviderError:
    return _error(sockets.close_code(error))


def _error(code: int) -> ProviderError:
    if code in REFUSED_KEY:
        return ProviderAuthError(f"It refused the key ({code}).", provider=PROVIDER, kind="stt")
    return ProviderError(
        f"It closed the connection ({code}).", provider=PROVIDER, kind="stt", retryable=code not in HOPELESS
    )
