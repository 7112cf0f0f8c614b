"""Azure's recogniser (WebSocket) and voices (REST and WebSocket) on one port, strict.

async with AzureEmulator() as emulator:
    Account(..., secrets=emulator.secrets, options=emulator.options)
    emulator.plan(Refused(429, retry_after=2), None, CutAfter(0.5))
    emulator.voice.requests[0].speed, emulator.recogniser.streams[0].options

python -m voisnap_testkit.azure_emulator --port 4021
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

from .azure_recogniser_emulator import PATH, AzureRecogniser
from .azure_voice_emulator import SOCKET_PATH, AzureVoice
from .emulated_faults import Fault, Faults
from .emulated_segments import WordsOf
from .emulated_voice import EmulatedVoice, ToneVoice
from .emulated_words import HiddenWords
from .emulator_process import control, run_emulator
from .local_server import answer, hung_up, read_request, served

KEY = "azure-test-key"


class AzureEmulator:
    """`url` serves both. Faults are per request for speech or per connection. Leaving it with violations raises."""

    def __init__(
        self,
        *,
        voice: EmulatedVoice | None = None,
        recogniser: WordsOf | None = None,
        key: str = KEY,
        port: int = 0,
    ) -> None:
        self.key = key
        self.faults = Faults()
        self.voice = AzureVoice(voice or ToneVoice(), self.faults)
        self.recogniser = AzureRecogniser(recogniser or HiddenWords(), self.faults)
        self.asked = asyncio.Event()
        """Speech was asked for."""
        self.hung_up = asyncio.Event()
        """A client left before its speech was there."""
        self.url = ""
        self._port = port
        self._stack = AsyncExitStack()

    @property
    def secrets(self) -> dict[str, str]:
        """The secrets of an account that is let in."""
        return {"key": self.key}

    @property
    def options(self) -> dict[str, str]:
        """Its options: this emulator as its addresses."""
        return {"region": "westeurope", "tts_url": self.url, "stt_url": self.url.replace("http://", "ws://")}

    @property
    def violations(self) -> list[str]:
        """What clients did that the vendor does not allow."""
        return self.recogniser.violations

    def plan(self, *steps: Fault | None) -> None:
        """What goes wrong in the next requests and connections, in order."""
        self.faults.plan(*steps)

    async def __aenter__(self) -> Self:
        port = await self._stack.enter_async_context(served(self._serve, port=self._port))
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self._stack.aclose()
        assert kind is not None or not self.violations, self.violations

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        request = await read_request(scope, receive)
        if await control(self, scope, send, request):
            return
        if scope["type"] == "websocket":
            await receive()  # websocket.connect
        if request.headers.get("ocp-apim-subscription-key") != self.key:
            await answer(scope, send, 401, b"", {})
        elif scope["type"] != "websocket":
            self.asked.set()
            if await hung_up(receive, self.voice.serve(scope, send, request)):
                self.hung_up.set()
        elif request.path == SOCKET_PATH:
            await self.voice.serve_socket(scope, receive, send, request)
        elif PATH.fullmatch(request.path):
            await self.recogniser.serve(scope, receive, send, request)
        else:
            await answer(scope, send, 404, b"", {})

    def seen(self) -> Sequence[Any]:
        """All that was asked, for `GET /_emulator/requests`."""
        return [*self.voice.requests, *self.recogniser.streams]


if __name__ == "__main__":
    run_emulator(AzureEmulator, port=4021)
