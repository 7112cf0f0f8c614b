"""What the emulators of language models share: a strict server on a real port, answers by script or by the local model, faults, and a
memory of what it was asked.

A vendor's emulator says in the vendor's own words how a request is judged, understood and answered. Whatever a real server would not
take is answered as the vendor does and is a `violation`: leaving the emulator with one fails the test, unless `forgive()` took it.

async with OpenAiEmulator() as emulator:
    emulator.script("Hello!", Failure(429, retry_after=2), Cut("Hel"))
    ... emulator.url, emulator.key ...
    emulator.asked[0].temperature, emulator.requests[0].body

As a process (`python -m voisnap_testkit.openai_emulator --port 4010`) it answers by the facts of the system prompt and is led over HTTP:
POST /_emulator/script and /_emulator/always (steps as JSON, `{"kind": "failure", "status": 503}`), GET /_emulator/requests, /_emulator/violations.
"""

import argparse
import asyncio
import json
import signal
import socket
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import msgspec
import uvicorn
from voisnap_domain.agents import Llm, LlmProvider
from voisnap_providers.ports.llm import LlmRequest, Message, Role, TextDelta
from voisnap_providers.registry import ProviderSettings, Registry
from voisnap_stack.models import models_folder

CONTROL = "/_emulator/"
CHARS_PER_TOKEN = 4


# -- what the next request gets


class Call(msgspec.Struct, frozen=True):
    """The model calls a tool; a dict is sent as JSON text."""

    name: str
    arguments: dict[str, Any] | str = msgspec.field(default_factory=dict)
    id: str | None = None

    @property
    def text(self) -> str:
        """The arguments as a model writes them."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="reply"):
    """Words, calls of tools and counts. `thoughts` come before the words where the vendor sends them. `stop`: end, length or filter;
    `interleaved`: the pieces of several calls come in turns."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    refusal: str | None = None
    thoughts: str = ""
    stop: str = "end"
    interleaved: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class Failure(msgspec.Struct, frozen=True, tag_field="kind", tag="failure"):
    """An HTTP error instead of an answer."""

    status: int
    code: str | None = None
    message: str = "Something is wrong."
    param: str | None = None
    retry_after: float | None = None


class Refusal(msgspec.Struct, frozen=True, tag_field="kind", tag="refusal"):
    """The model declines."""

    text: str = "I'm sorry, I can't help with that."


class Filtered(msgspec.Struct, frozen=True, tag_field="kind", tag="filtered"):
    """The vendor's filter stops the reply after this text."""

    text: str = ""


class Cut(msgspec.Struct, frozen=True, tag_field="kind", tag="cut"):
    """The stream ends in the middle, after this text: properly as HTTP goes, or `torn` as when a line breaks."""

    text: str = ""
    torn: bool = False


class Trouble(msgspec.Struct, frozen=True, tag_field="kind", tag="trouble"):
    """The vendor's error inside the stream, after this text."""

    text: str = ""
    message: str = "The server had an error while processing your request."


class Slow(msgspec.Struct, frozen=True, tag_field="kind", tag="slow"):
    """Nothing for so long, then the text with a gap between its pieces."""

    seconds: float
    text: str = ""
    gap: float = 0.0


class Held(msgspec.Struct, frozen=True, tag_field="kind", tag="held"):
    """The text, then nothing until the client goes away."""

    text: str = ""


class Raw(msgspec.Struct, frozen=True, tag_field="kind", tag="raw"):
    """These very bytes as the body."""

    body: str = ""
    status: int = 200
    content_type: str = "text/event-stream"


Fault = Failure | Refusal | Filtered | Cut | Trouble | Slow | Held | Raw
Step = str | dict[str, Any] | Reply | Fault
_STEPS = msgspec.json.Decoder(tuple[str | Reply | Fault, ...])


# -- what it was asked


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A request that came in."""

    method: str = "POST"
    path: str
    query: str = ""
    headers: dict[str, str]
    body: dict[str, Any] = msgspec.field(default_factory=dict)


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the dialogue, whatever the vendor calls its parts. `results` are pairs of a call's id and what the tool said."""

    role: str
    text: str = ""
    calls: tuple[Call, ...] = ()
    results: tuple[tuple[str, str], ...] = ()


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request in no vendor's words. `schema` is what the answer is held to; None everywhere means that it was not sent."""

    model: str
    system: str = ""
    turns: tuple[Turn, ...] = ()
    stream: bool = False
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    tools: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    schema: dict[str, Any] | None = None
    cache_key: str | None = None


class Thinker:
    """Answers from the facts of the prompt, as the local agent does. Its model is loaded with the first question."""

    def __init__(self) -> None:
        self._registry: Registry | None = None
        self._loading = asyncio.Lock()

    async def reply(self, asked: Asked) -> str:
        """What the agent of this prompt would say now."""
        async with self._loading:
            if self._registry is None:
                self._registry = Registry(ProviderSettings(models_dir=models_folder(), threads=1))
                await self._registry.warm(("llm",))
        turns = tuple(Message(role=Role(turn.role), content=turn.text) for turn in asked.turns if turn.text)
        request = LlmRequest(
            messages=(Message(role=Role.SYSTEM, content=asked.system), *turns),
            settings=Llm(provider=LlmProvider.LOCAL, model="local"),
        )
        deltas = [delta async for delta in self._registry.llm("local").answer(request)]
        return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))

    async def aclose(self) -> None:
        """Free the model."""
        if self._registry is not None:
            await self._registry.aclose()


class LlmEmulator(ABC):
    """`url` is the base URL to configure, `key` the only one it takes (None: any). `requests` and `asked` grow by a request each.

    `first_delay` and `gap` (seconds) pace every answer that is no fault: before it, and after each of its pieces.
    `chunk_bytes` sends a stream in pieces of so many bytes, whatever they cut. `hung_up` counts the clients that left in the middle.
    """

    prefix: ClassVar[str] = ""
    """What the vendor's base URL has after its host."""
    wrong_key: ClassVar[Failure] = Failure(401, None, "Incorrect API key provided.")

    def __init__(self, *, key: str | None = "sk-test", thinks: bool = False) -> None:
        self.key = key
        self.url = ""
        self.requests: list[Seen] = []
        self.asked: list[Asked] = []
        self.violations: list[str] = []
        self.chunk_bytes: int | None = None
        self.first_delay = 0.0
        self.gap = 0.0
        self.warmed = 0
        self.hung_up = 0
        self._clients: set[tuple[str, int]] = set()
        self._always: Step | None = None
        self._script: deque[Step] = deque()
        self._thinker = Thinker() if thinks else None
        self._left = asyncio.Event()
        self._server: uvicorn.Server | None = None

    # -- leading it

    def script(self, *steps: Step) -> None:
        """What the next requests get, in order; a dict is sent as JSON text."""
        self._script.extend(steps)

    def always(self, step: Step | None) -> None:
        """What every request gets that the script says nothing about; None: what it answers by itself."""
        self._always = step

    def forgive(self) -> list[str]:
        """The violations so far, which then count no more."""
        taken, self.violations = self.violations, []
        return taken

    @property
    def connections(self) -> int:
        """How many connections there were, warm ones too."""
        return len(self._clients)

    async def until_hung_up(self, clients: int = 1) -> None:
        """Wait until so many clients left in the middle of an answer, at most 5 s."""
        async with asyncio.timeout(5):
            while self.hung_up < clients:
                self._left.clear()
                await self._left.wait()

    # -- what a vendor's emulator says

    @abstractmethod
    def knows(self, seen: Seen) -> bool:
        """Whether the request bears the right key."""

    @abstractmethod
    def judge(self, seen: Seen) -> Failure | None:
        """What the vendor would not take of a request with the right key."""

    def lacks(self, seen: Seen) -> Failure | None:
        """What this server can't do though a client may ask for it."""
        return None

    @abstractmethod
    def understood(self, seen: Seen) -> Asked:
        """The request in plain words."""

    @abstractmethod
    def whole(self, seen: Seen, reply: Reply) -> dict[str, Any]:
        """The answer to a request that does not stream."""

    @abstractmethod
    def opening(self, seen: Seen, reply: Reply) -> Iterator[bytes]:
        """The events of a stream before its content."""

    @abstractmethod
    def content(self, seen: Seen, reply: Reply) -> Iterator[bytes]:
        """The events of the content: words, refusal, calls of tools."""

    @abstractmethod
    def closing(self, seen: Seen, reply: Reply) -> Iterator[bytes]:
        """The events after the content, to the very end."""

    @abstractmethod
    def trouble(self, seen: Seen, message: str) -> bytes:
        """The event of an error inside a stream."""

    @abstractmethod
    def failure(self, failure: Failure) -> Any:
        """The body of an HTTP error."""

    # -- the server

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        await self.stop()
        if kind is None and self.violations:
            raise AssertionError(f"the vendor would not have taken: {'; '.join(self.violations)}")

    async def start(self, port: int = 0) -> None:
        """Listen on the loopback interface."""
        listener = socket.socket(
            socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
        )  # asyncio sets TCP_NODELAY by it
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}{self.prefix}"
        config = uvicorn.Config(self._serve, interface="asgi3", log_level="critical", lifespan="off", access_log=False)
        config.load()
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=[listener])

    async def stop(self) -> None:
        """Close the port and every connection, at once: uvicorn's own shutdown takes a tenth of a second."""
        if self._server is None:
            return
        for server in self._server.servers:
            server.close()
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()  # pyright: ignore[reportAttributeAccessIssue] - both protocols have it
        tasks = list(self._server.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._thinker is not None:
            await self._thinker.aclose()

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        payload = await _body(receive)
        self._clients.add(tuple(scope["client"]))
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["path"].startswith(CONTROL):
            await _json(send, *self._led(scope["method"], scope["path"].removeprefix(CONTROL), payload))
            return
        seen = Seen(
            method=scope["method"], path=scope["path"], query=scope["query_string"].decode("latin-1"), headers=headers
        )
        if scope["method"] == "HEAD":
            self.warmed += 1
            await _raw(send, Raw("", 404, "application/json"))
            return
        if self.key is not None and not self.knows(seen):
            await self._fail(send, self.wrong_key)
            return
        await self._answer(seen, payload, receive, send)

    async def _answer(self, seen: Seen, payload: bytes, receive: Any, send: Any) -> None:
        refused: Failure | None = None
        try:
            body = json.loads(payload)
            if not isinstance(body, dict) or not seen.headers.get("content-type", "").startswith("application/json"):
                refused = Failure(400, None, "The body is no JSON object.")
        except ValueError:
            body, refused = {}, Failure(400, None, "The body is no JSON.")
        if refused is None:
            seen = msgspec.structs.replace(seen, body=body)
            self.requests.append(seen)
            refused = self.judge(seen)
        if refused is not None:
            self.violations.append(f"{seen.method} {seen.path}: {refused.message}")
            await self._fail(send, refused)
            return
        lacking = self.lacks(seen)
        if lacking is not None:
            await self._fail(send, lacking)
            return
        asked = self.understood(seen)
        self.asked.append(asked)
        await self._play(seen, asked, await self._next(asked), receive, send)

    async def _next(self, asked: Asked) -> Step:
        if self._script:
            return self._script.popleft()
        if self._always is not None:
            return self._always
        return await self._thinker.reply(asked) if self._thinker else "ok"

    async def _play(self, seen: Seen, asked: Asked, step: Step, receive: Any, send: Any) -> None:
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await self._pause(gone, step.seconds if isinstance(step, Slow) else self.first_delay)
            match step:
                case Failure():
                    await self._fail(send, step)
                case Raw():
                    await _raw(send, step)
                case _ if asked.stream:
                    await self._stream(seen, step, gone, send)
                case Held():
                    await self._pause(gone, 3600.0)
                case Trouble():
                    await self._fail(send, Failure(500, None, step.message))
                case _:
                    await _json(send, 200, self.whole(seen, _reply(step)), is_torn=isinstance(step, Cut))
        except _GoneError:
            self.hung_up += 1
            self._left.set()
        finally:
            gone.cancel()

    async def _stream(self, seen: Seen, step: Step, gone: asyncio.Task[None], send: Any) -> None:
        reply = _reply(step)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", self.stream_type)]})

        async def out(event: bytes) -> None:
            size = self.chunk_bytes or len(event) or 1
            for at in range(0, len(event), size):
                if gone.done():
                    raise _GoneError
                await send({"type": "http.response.body", "body": event[at : at + size], "more_body": True})

        for event in self.opening(seen, reply):
            await out(event)
        for event in self.content(seen, reply):
            await out(event)
            await self._pause(gone, step.gap if isinstance(step, Slow) else self.gap)
        match step:
            case Held():
                await self._pause(gone, 3600.0)
            case Cut(torn=True):
                raise ConnectionError("torn")  # uvicorn closes the connection without the end of the body
            case Cut():
                pass
            case Trouble():
                await out(self.trouble(seen, step.message))
            case _:
                for event in self.closing(seen, reply):
                    await out(event)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    stream_type: ClassVar[bytes] = b"text/event-stream; charset=utf-8"

    async def _pause(self, gone: asyncio.Task[None], seconds: float) -> None:
        if seconds:
            await asyncio.wait({gone}, timeout=seconds)
        if gone.done():
            raise _GoneError

    async def _fail(self, send: Any, failure: Failure) -> None:
        more = [] if failure.retry_after is None else [(b"retry-after", f"{failure.retry_after:g}".encode())]
        await _json(send, failure.status, self.failure(failure), more)

    def _led(self, method: str, verb: str, payload: bytes) -> tuple[int, Any]:
        match method, verb:
            case "POST", "script" | "always":
                try:
                    steps = _STEPS.decode(payload)
                except msgspec.DecodeError as error:
                    return 400, {"error": str(error)}
                if verb == "script":
                    self.script(*steps)
                else:
                    self.always(steps[0] if steps else None)
                return 200, {"steps": len(self._script)}
            case "GET", "requests":
                return 200, msgspec.to_builtins(self.asked)
            case "GET", "violations":
                return 200, self.violations
            case _:
                return 404, {"error": "script, always, requests or violations"}


class _GoneError(Exception):
    """The client left."""


def serve(emulator: type[LlmEmulator], key: str) -> None:
    """The command line of an emulator: listens until it is told to stop."""
    parser = argparse.ArgumentParser(prog=f"python -m {emulator.__module__}", description=emulator.__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free one, printed)")
    parser.add_argument("--key", default=key, help="the only API key that is taken (default: %(default)s)")
    parser.add_argument("--no-thinking", action="store_true", help='answer "ok" instead of by the facts of the prompt')
    parser.add_argument("--first-ms", type=int, default=0, help="milliseconds before an answer (default: %(default)s)")
    parser.add_argument(
        "--token-ms", type=int, default=0, help="milliseconds between its pieces (default: %(default)s)"
    )
    given = parser.parse_args()

    async def run() -> None:
        running = emulator(key=given.key, thinks=not given.no_thinking)
        running.first_delay, running.gap = given.first_ms / 1000, given.token_ms / 1000
        await running.start(given.port)
        print(running.url, flush=True)  # noqa: T201 - a command line
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        await stopped.wait()
        await running.stop()

    asyncio.run(run())


# -- for vendors' emulators


def pieces(text: str, size: int = CHARS_PER_TOKEN) -> Iterator[str]:
    """A text as a model streams it: pieces that mind no words."""
    return (text[at : at + size] for at in range(0, len(text), size))


def call_id(call: Call, number: int) -> str:
    """The id a call has, its own or one made of its place."""
    return call.id or f"call_{number}_{call.name}"


def counted(asked: Asked, reply: Reply) -> tuple[int, int]:
    """Tokens in and out: what the reply says, else an estimate by length. The output includes what was reasoned."""
    texts = [asked.system, *(turn.text for turn in asked.turns)]
    texts += [result for turn in asked.turns for _, result in turn.results]
    made = reply.text + (reply.refusal or "") + "".join(call.text for call in reply.calls)
    into = reply.input_tokens if reply.input_tokens is not None else sum(map(len, texts)) // CHARS_PER_TOKEN + 3
    out = reply.output_tokens if reply.output_tokens is not None else len(made) // CHARS_PER_TOKEN + 1
    return into, out + (reply.reasoning_tokens if reply.output_tokens is None else 0)


def _reply(step: Step) -> Reply:
    match step:
        case Reply():
            return step
        case str():
            return Reply(text=step)
        case dict():
            return Reply(text=json.dumps(step))
        case Refusal(text=text):
            return Reply(refusal=text)
        case Filtered(text=text):
            return Reply(text=text, stop="filter")
        case Cut(text=text) | Trouble(text=text) | Slow(text=text) | Held(text=text):
            return Reply(text=text)
        case _:
            raise TypeError(f"no reply: {step}")


async def _body(receive: Any) -> bytes:
    payload = b""
    while True:
        message = await receive()
        payload += message.get("body", b"")
        if not message.get("more_body"):
            return payload


async def _until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _json(
    send: Any, status: int, body: Any, headers: list[tuple[bytes, bytes]] | None = None, *, is_torn: bool = False
) -> None:
    await _raw(send, Raw(json.dumps(body), status, "application/json"), headers, is_torn=is_torn)


async def _raw(send: Any, raw: Raw, headers: list[tuple[bytes, bytes]] | None = None, *, is_torn: bool = False) -> None:
    payload = raw.body.encode("utf-8", "surrogateescape")
    fixed = [(b"content-type", raw.content_type.encode()), (b"content-length", str(len(payload)).encode())]
    await send({"type": "http.response.start", "status": raw.status, "headers": [*fixed, *(headers or [])]})
    if is_torn:
        await send({"type": "http.response.body", "body": payload[: len(payload) // 2], "more_body": True})
        raise ConnectionError("torn")
    await send({"type": "http.response.body", "body": payload, "more_body": False})
