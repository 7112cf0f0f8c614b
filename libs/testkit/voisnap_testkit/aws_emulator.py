"""Amazon Polly and Amazon Transcribe streaming on one port, strict, with signatures verified.

async with AwsEmulator() as emulator:
    Account(..., secrets=emulator.secrets, options=emulator.options)
    emulator.plan(Refused(429), None, CutAfter(0.5))
    emulator.polly.requests[0].body, emulator.transcribe.streams[0].settings

python -m voisnap_testkit.aws_emulator --port 4020
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

from .aws_signature import AwsAccess
from .emulated_faults import Fault, Faults
from .emulated_segments import WordsOf
from .emulated_voice import EmulatedVoice, ToneVoice
from .emulated_words import HiddenWords
from .emulator_process import control, run_emulator
from .local_server import hung_up, read_request, served
from .polly_emulator import PollyEmulator, PollyFault, refuse
from .transcribe_emulator import PATH, TranscribeEmulator


class AwsEmulator:
    """`url` serves both. Faults are per request for speech (marks meet none) or per stream. Leaving it with violations raises."""

    def __init__(
        self,
        *,
        voice: EmulatedVoice | None = None,
        recogniser: WordsOf | None = None,
        access: AwsAccess | None = None,
        idle_seconds: float = 15.0,
        port: int = 0,
    ) -> None:
        self.access = access or AwsAccess()
        self.faults = Faults()
        self.polly = PollyEmulator(voice or ToneVoice(), self.faults)
        self.transcribe = TranscribeEmulator(recogniser or HiddenWords(), self.faults, idle_seconds=idle_seconds)
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
        token = {"session_token": self.access.session_token} if self.access.session_token else {}
        return {
            "access_key_id": self.access.access_key_id,
            "secret_access_key": self.access.secret_access_key,
            **token,
        }

    @property
    def options(self) -> dict[str, str]:
        """Its options: the region, and this emulator as its address."""
        return {
            "region": self.access.region,
            "polly_url": self.url,
            "transcribe_url": self.url.replace("http://", "ws://"),
        }

    @property
    def violations(self) -> list[str]:
        """What clients did that the vendor does not allow."""
        return self.transcribe.violations

    def plan(self, *steps: Fault | None) -> None:
        """What goes wrong in the next requests and streams, in order."""
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
            denied = self.access.denied(request, "transcribe", max_expires=300)
            if request.path == PATH and denied is None:
                await self.transcribe.serve(scope, receive, send, request)
                return
        else:
            denied = self.access.denied(request, "polly")
            if denied is None:
                self.asked.set()
                if await hung_up(receive, self.polly.serve(scope, send, request)):
                    self.hung_up.set()
                return
        code, message = ("UnknownOperationException", "") if denied is None else (denied.code, denied.message)
        await refuse(scope, send, PollyFault(code, message, 404 if denied is None else 403))

    def seen(self) -> Sequence[Any]:
        """All that was asked, for `GET /_emulator/requests`."""
        return [*self.polly.requests, *self.transcribe.streams]


if __name__ == "__main__":
    run_emulator(AwsEmulator, port=4020)
