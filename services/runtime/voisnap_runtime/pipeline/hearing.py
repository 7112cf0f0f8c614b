"""Reads the recogniser's results for one call, and opens it anew when it fails."""

import asyncio
from collections.abc import Callable

from voisnap_domain.agents import Transcription
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.stt import SpeechToText, SttStream, Transcript

BACKOFF_SECONDS = (0.0, 0.5, 1.0, 2.0)
"""Waits before a failed recogniser is opened again; after the last one it is given up."""
STEADY_SECONDS = 10.0
"""A stream that worked for so long does not count as one more failure in a row."""
CLOSE_SECONDS = 1.0


class Deaf(Exception):
    """The recogniser failed too often in a row."""


class Hearing:
    """One call's recogniser. `heard` gets its transcripts, `failed` each failure, and whether another stream follows at once; `reopened` the
    stream that replaces the failed one."""

    def __init__(
        self,
        stt: SpeechToText,
        settings: Transcription,
        *,
        heard: Callable[[Transcript], None],
        failed: Callable[[ProviderError, bool], None],
        reopened: Callable[[SttStream], None],
    ) -> None:
        self._stt = stt
        self._settings = settings
        self._heard = heard
        self._failed = failed
        self._reopened = reopened
        self.stream = self._open()

    async def run(self) -> None:
        """Read until cancelled. Raises `Deaf`."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            opened = loop.time()
            try:
                async for transcript in self.stream:
                    if transcript.is_final:
                        failures = 0
                    self._heard(transcript)
                return
            except ProviderError as error:
                if loop.time() - opened >= STEADY_SECONDS:
                    failures = 0
                self._failed(error, error.retryable and failures == 0)
                if not error.retryable or failures == len(BACKOFF_SECONDS):
                    raise Deaf(error.detail) from error
                await self._close(self.stream)
                await asyncio.sleep(BACKOFF_SECONDS[failures])
                failures += 1
                self.stream = self._open()
                self._reopened(self.stream)

    async def aclose(self) -> None:
        """Free the recogniser's stream, within a second."""
        await self._close(self.stream)

    def _open(self) -> SttStream:
        return self._stt.open(self._settings)

    async def _close(self, stream: SttStream) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await stream.aclose()
        except (TimeoutError, ProviderError):
            return
