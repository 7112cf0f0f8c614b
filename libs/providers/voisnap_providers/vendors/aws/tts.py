"""Amazon Polly: text as 16 kHz PCM, the highest rate it gives samples at.

A voice is `Joanna`, spoken by the engine that answers best in a talk, or `Joanna:generative`. Engines that time words are asked for the
times at once with the speech, in a second request (Polly bills it like the first).
"""

import asyncio
import contextlib
import functools
import json
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from xml.sax.saxutils import escape

import msgspec
import structlog
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError
from voisnap_domain.agents import Voice

from voisnap_providers.accounts import Account
from voisnap_providers.pcm_stream import Paces, PcmDecoder, SpokenText
from voisnap_providers.ports.tts import SpeechChunk, TtsCapabilities

from .faults import CONNECTION_FAULTS, PROVIDER, code_of, translated

log = structlog.get_logger()

RATE = 16000
DEFAULT_VOICE = "Joanna"
ENGINES = ("neural", "generative", "standard", "long-form")
"""By how soon and how well they answer in a talk."""
WITHOUT_MARKS = frozenset({"generative"})
SLOWEST, FASTEST = 0.2, 2.0
"""What `prosody rate` takes."""
MAX_CHARACTERS = 2500
"""Of a request: Polly takes 3000 that it bills."""
CONNECT_SECONDS = 3.0
READ_SECONDS = 8.0
MARKS_PATIENCE_SECONDS = 0.15
"""How long the first audio waits for the times of its words."""
READ_BYTES = 8192
KEPT_SECONDS = 45.0
"""How long an idle connection is kept: AWS closes it after a minute."""
WARM_AGAIN_SECONDS = 20.0
VOICES_KEPT = 500


def make(account: Account) -> "PollyTts":
    """Polly for one account."""
    return PollyTts(account)


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """What both requests for one text share; `text` is what words are looked up in, `offsets` where its signs begin in the bytes sent."""

    voice_id: str
    text: str
    speed: float

    @property
    def is_ssml(self) -> bool:
        return self.speed != 1.0

    @property
    def parameters(self) -> dict[str, str]:
        if not self.is_ssml:
            return {"Text": self.text, "TextType": "text", "VoiceId": self.voice_id}
        return {
            "Text": self._opening + escape(self.text) + "</prosody></speak>",
            "TextType": "ssml",
            "VoiceId": self.voice_id,
        }

    @property
    def _opening(self) -> str:
        return f'<speak><prosody rate="{round(self.speed * 100)}%">'

    def places(self) -> dict[int, int]:
        """The sign of `text` that begins at each byte of what is sent."""
        at = len(self._opening) if self.is_ssml else 0
        places = {}
        for number, sign in enumerate(self.text):
            places[at] = number
            at += len((escape(sign) if self.is_ssml else sign).encode())
        places[at] = len(self.text)
        return places


class PollyTts:
    """One an account: its client and what it learned about voices."""

    provider = PROVIDER
    capabilities = TtsCapabilities(sample_rate=RATE, word_timings=True)

    def __init__(self, account: Account) -> None:
        self._access = {
            "region_name": account.option("region", "us-east-1"),
            "endpoint_url": account.option("polly_url") or None,
            "aws_access_key_id": account.secret("access_key_id"),
            "aws_secret_access_key": account.secret("secret_access_key"),
            "aws_session_token": account.secrets.get("session_token"),
        }
        self._stack = contextlib.AsyncExitStack()
        self._opening = asyncio.Lock()
        self._client: Any = None
        self._engines: dict[str, tuple[str, ...]] = {}
        self._unknown: set[str] = set()
        self._unmarked = set(WITHOUT_MARKS)
        self._paces = Paces()
        self._warmed = -WARM_AGAIN_SECONDS

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        """Chunks of whole words as the audio comes. An unknown voice is spoken by another one, with one warning."""
        for part in _parts(text):
            async with contextlib.aclosing(self._speak(part, voice)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def warm(self) -> None:
        """Open a connection by asking which voices there are, which also tells their engines."""
        now = time.monotonic()
        if now - self._warmed < WARM_AGAIN_SECONDS:
            return
        self._warmed = now
        try:
            async with asyncio.timeout(READ_SECONDS):
                await self._learn_voices()
        except (ClientError, *CONNECTION_FAULTS) as error:
            log.warning("tts.warming_failed", provider=PROVIDER, detail=translated(error, kind="tts").detail)

    async def aclose(self) -> None:
        """Close all connections."""
        async with self._opening:
            self._client = None
            await self._stack.aclose()

    async def _speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        pace = self._paces.of(voice.voice_id)
        speed = round(min(max(voice.speed, SLOWEST), FASTEST), 2)
        spoken = SpokenText(text, provider=PROVIDER, pace=pace, speed=speed)
        if not spoken.is_speakable:
            return
        voice_id, _, engine = voice.voice_id.partition(":")
        request = _Request(voice_id=self._known(voice_id), text=spoken.sent, speed=speed)
        try:
            async with contextlib.AsyncExitStack() as stack:
                marks, stream = await self._requested(request, engine, stack)
                decoder = PcmDecoder(RATE, provider=PROVIDER)
                data = await stream.read(READ_BYTES)
                if marks is not None and await _is_done(marks, MARKS_PATIENCE_SECONDS):
                    spoken = SpokenText(text, provider=PROVIDER, pace=pace, speed=speed, measured=True)
                    for first, end, at in marks.result():
                        spoken.timed(first, end, at)
                while data:
                    for chunk in spoken.add(decoder.decode(data)):
                        yield chunk
                    data = await stream.read(READ_BYTES)
        except (ClientError, *CONNECTION_FAULTS) as error:
            raise translated(error, kind="tts") from None
        for chunk in spoken.finish():
            yield chunk

    async def _requested(
        self, request: _Request, engine: str, stack: contextlib.AsyncExitStack
    ) -> tuple["asyncio.Task[list[tuple[int, int, float]]] | None", Any]:
        """The task that gets the times of words, where the engine knows them, and the stream of audio, both closed with `stack`."""
        client = await self._opened()
        tried = [engine] if engine in ENGINES else list(self._engines.get(request.voice_id, ENGINES))
        while True:
            marks = None
            if tried[0] not in self._unmarked:
                marks = asyncio.create_task(self._marks(client, request, tried[0]))
                stack.push_async_callback(_cancelled, marks)
            try:
                answer = await client.synthesize_speech(
                    **request.parameters, Engine=tried[0], OutputFormat="pcm", SampleRate=str(RATE)
                )
            except ClientError as error:
                if marks is not None:
                    await _cancelled(marks)
                if _blames_voice(error) and request.voice_id != DEFAULT_VOICE:
                    self._note_unknown(request.voice_id)
                    request = msgspec.structs.replace(request, voice_id=DEFAULT_VOICE)
                    tried = list(self._engines.get(DEFAULT_VOICE, ENGINES))
                elif _blames_engine(error) and len(tried) > 1:
                    tried.pop(0)
                else:
                    raise
                continue
            if len(self._engines) < VOICES_KEPT and engine not in ENGINES:
                self._engines[request.voice_id] = tuple(tried)
            stream = answer["AudioStream"]
            stack.callback(stream.close)
            return marks, stream

    async def _marks(self, client: Any, request: _Request, engine: str) -> list[tuple[int, int, float]]:
        """For each word its signs, from and to before, and when it begins; empty where they cannot be had."""
        try:
            answer = await client.synthesize_speech(
                **request.parameters, Engine=engine, OutputFormat="json", SpeechMarkTypes=["word"]
            )
            async with contextlib.aclosing(answer["AudioStream"]) as stream:
                data = await stream.read()
        except ClientError as error:
            if (
                "speech mark" in str(error).replace(request.voice_id, "").lower()
            ):  # it may quote what one customer wrote
                self._unmarked.add(engine)
            log.info("tts.word_times_missing", provider=PROVIDER, code=code_of(error))
            return []
        except CONNECTION_FAULTS as error:
            log.info("tts.word_times_missing", provider=PROVIDER, code=type(error).__name__)
            return []
        places = request.places()
        marks = [json.loads(line) for line in data.splitlines() if line.strip()]
        return [
            (places[mark["start"]], places[mark["end"]], mark["time"] / 1000)
            for mark in marks
            if mark.get("type") == "word" and mark["start"] in places and mark["end"] in places
        ]

    async def _learn_voices(self) -> None:
        client = await self._opened()
        page: Mapping[str, Any] = await client.describe_voices()
        while True:
            for found in page["Voices"]:
                supported = found.get("SupportedEngines", [])
                self._engines[found["Id"]] = tuple(name for name in ENGINES if name in supported) or ENGINES
            if not page.get("NextToken") or len(self._engines) >= VOICES_KEPT:
                return
            page = await client.describe_voices(NextToken=page["NextToken"])

    async def _opened(self) -> Any:
        async with self._opening:
            if self._client is None:
                config = AioConfig(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                    max_pool_connections=100,
                    retries={"total_max_attempts": 1},
                    connector_args={"keepalive_timeout": KEPT_SECONDS},
                    ignore_configured_endpoint_urls=True,
                    warm_up_loader_caches=True,  # megabytes of JSON, read in a thread
                )
                self._client = await self._stack.enter_async_context(
                    _session().create_client("polly", config=config, **self._access)
                )
            return self._client

    def _known(self, voice_id: str) -> str:
        return DEFAULT_VOICE if voice_id in self._unknown else voice_id

    def _note_unknown(self, voice_id: str) -> None:
        if len(self._unknown) < VOICES_KEPT:
            self._unknown.add(voice_id)
            log.warning("tts.voice_replaced", provider=PROVIDER, voice_id=voice_id, used=DEFAULT_VOICE)


@functools.cache
def _session() -> AioSession:
    """One for all accounts, each client has its own access: the descriptions of AWS's services in it are megabytes."""
    return AioSession()


def _parts(text: str) -> list[str]:
    """The text in pieces that one request takes, cut between words."""
    parts, rest = [], text.strip()
    while len(rest) > MAX_CHARACTERS:
        at = rest.rfind(" ", 1, MAX_CHARACTERS)
        at = at if at > 0 else MAX_CHARACTERS
        parts.append(rest[:at])
        rest = rest[at:].strip()
    return [*parts, rest]


def _blames_voice(error: ClientError) -> bool:
    message = str(error)
    return code_of(error) == "ValidationException" and ("voiceId" in message or "VoiceId" in message)


def _blames_engine(error: ClientError) -> bool:
    is_about_engine = code_of(error) == "ValidationException" and "engine" in str(error)
    return code_of(error) == "EngineNotSupportedException" or is_about_engine


async def _is_done(task: "asyncio.Task[list[tuple[int, int, float]]]", seconds: float) -> bool:
    """Whether it has a result within so long."""
    await asyncio.wait({task}, timeout=seconds)
    return task.done() and not task.cancelled() and task.exception() is None and bool(task.result())


async def _cancelled(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.wait({task})
