"""Plays scenarios with the two Python clients that are in use. The verbs are those of `js/steps.mjs`."""

import asyncio
import base64
import contextlib
import json
import os
import sys
import threading
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgpack
from pysignalr.client import SignalRClient
from pysignalr.exceptions import AuthorizationError
from pysignalr.protocol.json import JSONProtocol
from pysignalr.protocol.messagepack import MessagepackProtocol
from signalrcore.hub.errors import UnAuthorizedHubError
from signalrcore.hub_connection_builder import HubConnectionBuilder
from signalrcore.subject import Subject
from signalrcore.types import HttpTransportType, HubProtocolEncoding

STEP_S = 60.0

_TRANSPORTS = {
    "WebSockets": HttpTransportType.web_sockets,
    "ServerSentEvents": HttpTransportType.server_sent_events,
    "LongPolling": HttpTransportType.long_polling,
}


class Player:
    """One scenario with one client: `play` gives an outcome for each step. A client adds how it does things."""

    def __init__(self, cell: dict[str, Any], scenario: dict[str, Any]) -> None:
        self.cell = cell
        self.scenario = scenario
        self.options: dict[str, Any] = scenario["options"]
        self.loop = asyncio.get_running_loop()
        self.saved: dict[str, Any] = {}
        self.events: defaultdict[str, list[Any]] = defaultdict(list)
        self.news = asyncio.Event()

    async def play(self) -> list[Any]:
        outcomes: list[Any] = []
        for verb, *arguments in self.scenario["steps"]:
            step = getattr(self, verb)(*(self.load(argument) for argument in arguments))
            try:
                async with asyncio.timeout(STEP_S):
                    outcomes.append(await step)
            except TimeoutError:
                outcomes.append({"timeout": True})
            except Exception as error:
                outcomes.append({"broken": repr(error)})
        with contextlib.suppress(Exception):
            async with asyncio.timeout(STEP_S):
                await self.stop()
        return outcomes

    @property
    def url(self) -> str:
        query = dict(self.options.get("query", {}))
        if self.options.get("tokenInQuery"):
            query["access_token"] = self.options["token"]
        return f"{self.cell['origin']}{self.scenario['hub']}?{urlencode(query)}"

    @property
    def token(self) -> str | None:
        return None if self.options.get("tokenInQuery") else self.options.get("token")

    # Verbs

    async def start_and_end(self) -> Any:
        started = await self.start()
        return {"error": (await self.events_of("$closed"))[0]} if started == "Connected" else started

    async def start(self) -> Any:
        raise NotImplementedError

    async def stop(self) -> Any:
        raise NotImplementedError

    async def invoke(self, target: str, *arguments: Any) -> Any:
        raise NotImplementedError

    async def send(self, target: str, *arguments: Any) -> Any:
        raise NotImplementedError

    async def stream(self, target: str, *arguments: Any) -> Any:
        raise NotImplementedError

    async def upload_only(self, target: str, items: Sequence[Any]) -> Any:
        raise NotImplementedError

    async def invoke_all(self, target: str, lists: Sequence[Sequence[Any]]) -> Any:
        answers = await asyncio.gather(*(self.invoke(target, *arguments) for arguments in lists))
        return [answer.get("result", answer) for answer in answers]

    async def invoke_race(self, target: str, lists: Sequence[Sequence[Any]]) -> Any:
        order: list[Any] = []

        async def run(arguments: Sequence[Any]) -> None:
            order.append((await self.invoke(target, *arguments)).get("result"))

        await asyncio.gather(*(run(arguments) for arguments in lists))
        return order

    async def save(self, name: str, target: str, *arguments: Any) -> str:
        self.saved[name] = (await self.invoke(target, *arguments)).get("result")
        return "saved"

    async def events_of(self, target: str, count: int = 1) -> list[Any]:
        while len(self.events[target]) < count:
            self.news.clear()
            await self.news.wait()
        found, self.events[target] = self.events[target][:count], self.events[target][count:]
        return found

    async def cut(self) -> str:
        def ask() -> None:
            urllib.request.urlopen(self.cell["cut"], timeout=5).close()  # noqa: S310

        await asyncio.to_thread(ask)
        return "cut"

    # Values and events

    def note(self, target: str, value: Any) -> None:
        self.events[target].append(value)
        self.news.set()

    def load(self, value: Any) -> Any:
        is_binary = self.cell["protocol"] == "messagepack"
        match value:
            case {"$bytes": text}:
                return base64.b64decode(text) if is_binary else text
            case {"$date": text}:
                return text
            case {"$repeat": [text, count]}:
                return text * count
            case {"$saved": name}:
                return self.saved[name]
            case dict():
                return {key: self.load(item) for key, item in value.items()}
            case list() | tuple():
                return [self.load(item) for item in value]
            case _:
                return value


def plain(value: Any) -> Any:
    match value:
        case bytes():
            return {"$bytes": base64.b64encode(value).decode()}
        case msgpack.Timestamp():
            return {"$date": value.to_datetime().isoformat()}
        case datetime():
            return {"$date": value.astimezone(UTC).isoformat()}
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return value


def _reason(error: BaseException | None) -> str:
    """An exception's text; the clients' own one for a 401 has none."""
    return "401" if isinstance(error, (AuthorizationError, UnAuthorizedHubError)) else f"{error!r}"


def answer_of(message: Any) -> dict[str, Any]:
    """The outcome in a client's completion message."""
    return {"error": message.error} if message.error else {"result": plain(message.result)}


class SignalrcorePlayer(Player):
    """signalrcore: a thread a connection, callbacks. What it sends goes out in a thread of its own, one after the other."""

    connection: Any = None

    def __init__(self, cell: dict[str, Any], scenario: dict[str, Any]) -> None:
        super().__init__(cell, scenario)
        self._sender = ThreadPoolExecutor(1)
        self._answers: list[Any] = []

    async def _in_order(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await self.loop.run_in_executor(self._sender, work, *arguments)

    async def start(self) -> Any:
        return await self._in_order(self._start)

    def _start(self) -> Any:
        opened = threading.Event()
        self._pending: dict[str, Callable[[Any], None]] = {}
        options: dict[str, Any] = {
            "transport": _TRANSPORTS[self.cell["transport"]],
            "headers": dict(self.options.get("headers", {})),
        }
        if self.token is not None:
            options["access_token_factory"] = lambda: self.token
        builder = HubConnectionBuilder().with_url(self.url, options=options)
        is_binary = self.cell["protocol"] == "messagepack"
        builder.with_hub_protocol(HubProtocolEncoding.binary if is_binary else HubProtocolEncoding.text)
        if self.options.get("reconnect"):
            builder.with_automatic_reconnect({"type": "raw", "reconnect_interval": 0.1, "max_attempts": 5})
        connection = self.connection = builder.build()
        connection.on_message = self._one_at_a_time(connection.on_message)
        connection.on_open(opened.set)
        connection.on_close(lambda: self._post(self.note, "$closed", None))
        connection.on_reconnect(lambda: self._post(self.note, "$reconnected", True))
        connection.on_error(self._fail)
        for target in self.scenario["listens"]:
            connection.on(target, lambda values, target=target: self._post(self.note, target, plain(values)))
        try:
            connection.start()
        except Exception as error:
            return {"error": _reason(error)}
        return "Connected" if opened.wait(STEP_S) else {"error": "never opened"}

    async def stop(self) -> Any:
        if self.connection is not None:
            await self._in_order(self.connection.stop)
        return "Disconnected"

    async def invoke(self, target: str, *arguments: Any) -> Any:
        return await self._await_completion(lambda key: self._call(target, list(arguments), key))

    async def send(self, target: str, *arguments: Any) -> Any:
        await self._in_order(self.connection.send, target, list(arguments))
        return "sent"

    async def stream(self, target: str, *arguments: Any) -> Any:
        items: list[Any] = []

        def begin(key: str) -> None:
            done = self._pending.pop(key)
            with self._hearing:
                handler = self.connection.stream(target, list(arguments))
                self._pending[handler.invocation_id] = done
                handler.subscribe(
                    {"next": lambda item: items.append(plain(item)), "complete": done, "error": lambda _: None}
                )

        ended = await self._await_completion(begin)
        return {"items": items, "end": ended.get("error")}

    async def upload_only(self, target: str, items: Sequence[Any]) -> Any:
        def run() -> None:
            subject = Subject()
            self.connection.send(target, subject)
            for item in items:
                subject.next(item)
            subject.complete()

        await self._in_order(run)
        return "sent"

    def _one_at_a_time(self, hear: Callable[[Any], None]) -> Callable[[Any], None]:
        # A stream can only be subscribed to once it runs: what comes before that would be lost.
        self._hearing = threading.RLock()

        def hear_next(messages: Any) -> None:
            with self._hearing:
                hear(messages)

        return hear_next

    def _call(self, target: str, arguments: Any, key: str) -> None:
        self.connection.invoke(target, arguments, self._pending[key], key)

    async def _await_completion(self, begin: Callable[[str], None]) -> Any:
        future: asyncio.Future[Any] = self.loop.create_future()
        key = str(uuid.uuid4())

        def done(message: Any) -> None:
            self._post(self._answer, future, answer_of(message))

        self._pending[key] = done
        await self._in_order(begin, key)
        return await future

    def _answer(self, future: asyncio.Future[Any], answer: Any) -> None:
        if not future.done():
            self._answers.append(answer)
            future.set_result(answer)

    async def invoke_race(self, target: str, lists: Sequence[Sequence[Any]]) -> Any:
        # In the order of the answers: a call may learn of its own only after its post has returned.
        self._answers.clear()
        await asyncio.gather(*(self.invoke(target, *arguments) for arguments in lists))
        return [answer.get("result") for answer in self._answers]

    def _fail(self, message: Any) -> None:
        done = self._pending.pop(getattr(message, "invocation_id", ""), None)
        if done is not None:
            done(message)

    def _post(self, callback: Callable[..., Any], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the scenario is over and its loop closed
            self.loop.call_soon_threadsafe(callback, *arguments)


class PysignalrPlayer(Player):
    """pysignalr: asyncio, WebSockets only."""

    client: Any = None
    running: asyncio.Task[None] | None = None

    async def start(self) -> Any:
        opened = asyncio.Event()
        protocol = MessagepackProtocol() if self.cell["protocol"] == "messagepack" else JSONProtocol()
        headers = dict(self.options.get("headers", {}))
        self.client = SignalRClient(
            self.url, protocol, headers=headers, retry_count=1, access_token_factory=self._token_factory()
        )

        async def open_() -> None:
            opened.set()

        async def ignore(_message: Any) -> None: ...

        self.client.on_open(open_)
        self.client.on_error(ignore)
        for target in self.scenario["listens"]:
            self.client.on(target, self._listener(target))
        for target, answer in self.scenario["answers"].items():
            self.client.on(target, self._answerer(answer))
        running = self.running = asyncio.create_task(self.client.run())
        running.add_done_callback(self._note_end)
        waiting = asyncio.create_task(opened.wait())
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if running.done():
            return {"error": _reason(running.exception())}
        return "Connected"

    async def stop(self) -> Any:
        if self.running is not None:
            self.running.cancel()
            await asyncio.wait({self.running})
        return "Disconnected"

    async def invoke(self, target: str, *arguments: Any) -> Any:
        answered: asyncio.Future[Any] = self.loop.create_future()

        async def answer(message: Any) -> None:
            answered.set_result(answer_of(message))

        await self.client.send(target, list(arguments), answer)
        return await answered

    async def send(self, target: str, *arguments: Any) -> Any:
        await self.client.send(target, list(arguments))
        return "sent"

    async def stream(self, target: str, *arguments: Any) -> Any:
        items: list[Any] = []
        ended: asyncio.Future[Any] = self.loop.create_future()

        async def next_(item: Any) -> None:
            items.append(plain(item))

        async def end(message: Any) -> None:
            ended.set_result(message.error)

        await self.client.stream(target, list(arguments), next_, end, end)
        return {"items": items, "end": await ended}

    async def upload_only(self, target: str, items: Sequence[Any]) -> Any:
        async with self.client.client_stream(target) as stream:
            for item in items:
                await stream.send(item)
        return "sent"

    def _token_factory(self) -> Callable[[], str] | None:
        token = self.token
        return None if token is None else lambda: token

    def _listener(self, target: str) -> Any:
        async def note(values: Any) -> None:
            self.note(target, plain(values))

        return note

    def _answerer(self, answer: dict[str, Any]) -> Any:
        async def give(values: Any) -> Any:
            if "throws" in answer:
                raise RuntimeError(answer["throws"])
            return values[0] if "echoes" in answer else self.load(answer["returns"])

        return give

    def _note_end(self, running: asyncio.Task[None]) -> None:
        error = None if running.cancelled() else running.exception()
        self.note("$closed", None if error is None else str(error))


PLAYERS: dict[str, type[Player]] = {"signalrcore": SignalrcorePlayer, "pysignalr": PysignalrPlayer}


async def play_cells(
    cells: Sequence[dict[str, Any]], scenarios: Sequence[dict[str, Any]]
) -> dict[str, dict[str, list[Any]]]:
    """Play the cells side by side, the scenarios of a cell one after the other."""

    async def play(cell: dict[str, Any]) -> dict[str, list[Any]]:
        return {
            scenario["name"]: await PLAYERS[cell["client"]](cell, scenario).play()
            for scenario in scenarios
            if scenario["name"] in cell["scenarios"]
        }

    played = await asyncio.gather(*(play(cell) for cell in cells))
    return {cell["name"]: outcomes for cell, outcomes in zip(cells, played, strict=True)}


def main(plan_path: str) -> None:
    """Play the cells of a plan and print the outcomes as JSON."""
    plan = json.loads(Path(plan_path).read_text())
    outcomes = asyncio.run(play_cells(plan["cells"], plan["scenarios"]))
    sys.stdout.write(json.dumps(outcomes))
    sys.stdout.flush()
    os._exit(0)  # signalrcore's threads may still wait for something


if __name__ == "__main__":
    main(sys.argv[1])
