"""What official clients are put through: each scenario is written once, and every client plays it.

The steps are data (their verbs are explained where clients play them: `js/steps.mjs`, `python_players.py`); beside each
step stands what it must come to. `needs` are abilities of the client; a client without one is listed with its reason.
The cases are those of the ASP.NET client's own functional tests, and more of this server.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


class Holds(msgspec.Struct, frozen=True):
    """A text that contains these parts, wherever it stands."""

    parts: tuple[str, ...]


class Data(msgspec.Struct, frozen=True):
    """Bytes: base64 with JSON, binary with MessagePack."""

    base64: str


class Moment(msgspec.Struct, frozen=True):
    """A point in time: ISO 8601 with JSON, a timestamp with MessagePack."""

    iso: str


class Anything(msgspec.Struct, frozen=True):
    """What comes of the step does not matter here."""


class Long(msgspec.Struct, frozen=True):
    """So many times this text."""

    text: str
    count: int


class TheTransport(msgspec.Struct, frozen=True):
    """The name of the transport that the cell is about."""


class Failed(msgspec.Struct, frozen=True):
    """An error whose text contains these parts."""

    parts: tuple[str, ...]


ANYTHING = Anything()
NOTHING = {"result": None}
Step = tuple[tuple[Any, ...], Any]


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    steps: tuple[Step, ...]
    hub: str = "/scenario"
    needs: frozenset[str] = frozenset()
    listens: tuple[str, ...] = ()
    answers: Mapping[str, Any] = {}
    options: Mapping[str, Any] = {}

    def played(self) -> dict[str, Any]:
        """The part that a client gets."""
        return {
            "name": self.name,
            "hub": self.hub,
            "options": self.options,
            "listens": self.listens,
            "answers": self.answers,
            "steps": [step for step, _ in self.steps],
        }


START: Step = (("start",), "Connected")
STOP: Step = (("stop",), "Disconnected")


def result(value: Any) -> dict[str, Any]:
    return {"result": value}


def failed(*parts: str) -> Failed:
    return Failed(parts)


def needs(*abilities: str) -> frozenset[str]:
    return frozenset(abilities)


OBJECT: dict[str, Any] = {
    "name": "Ünïcode “quotes”",
    "number": 7,
    "ratio": 0.25,
    "isSet": False,
    "nothing": None,
    "tags": ["a", "b"],
    "words": {"one": 1},
    "data": {"$bytes": "AQIDBA=="},
    "createdAt": {"$date": "2026-11-21T07:00:00Z"},
    "inner": None,
}
ECHOED = OBJECT | {"data": Data("AQIDBA=="), "createdAt": Moment("2026-11-21T07:00:00Z")}
NESTED = OBJECT | {"inner": OBJECT}
NESTED_ECHOED = ECHOED | {"inner": ECHOED}

SCENARIOS = (
    # Calls
    Scenario(
        name="calls",
        listens=("Message",),
        steps=(
            START,
            (("invoke", "HelloWorld"), result("Hello World!")),
            (("invoke", "Echo", "hé\n<&> 👋"), result("hé\n<&> 👋")),
            (("invoke", "eCHO", "any case"), result("any case")),
            (
                ("invoke", "EchoAny", [1, -2.5, None, True, "x", {"a": []}]),
                result([1, -2.5, None, True, "x", {"a": []}]),
            ),
            (("invoke", "Add", 40, 2), result(42)),
            (("invoke", "Add", 41), result(42)),
            (("invoke", "InvokeWithString", "to the caller"), NOTHING),
            (("events_of", "Message"), [["to the caller"]]),
            STOP,
        ),
    ),
    Scenario(
        name="call-without-answer",
        listens=("Message",),
        steps=(
            START,
            (("send", "ThrowException", "nobody hears"), "sent"),
            (("send", "InvokeWithString", "hello"), "sent"),
            (("events_of", "Message"), [["hello"]]),
            STOP,
        ),
    ),
    Scenario(
        name="complex-types",
        listens=("CustomObject", "Many"),
        steps=(
            START,
            (("invoke", "EchoComplexObject", NESTED), result(NESTED_ECHOED)),
            (("invoke", "SendCustomObject", OBJECT), NOTHING),
            (("events_of", "CustomObject"), [[ECHOED]]),
            (("invoke", "InvokeWithManyArguments"), NOTHING),
            (("events_of", "Many"), [[1, "two", None, [3.5], {"four": 4}]]),
            (("invoke", "EchoBytes", {"$bytes": "AP/+"}), result(Data("AP/+"))),
            STOP,
        ),
    ),
    Scenario(
        name="large-messages",
        steps=(
            START,
            (("invoke", "Echo", {"$repeat": ["x", 32_000]}), result(Long("x", 32_000))),
            (("invoke", "Echo", {"$repeat": ["é", 5_000]}), result(Long("é", 5_000))),
            STOP,
        ),
    ),
    Scenario(
        name="too-large-message",
        needs=needs("hears-close"),
        steps=(
            START,
            (("send", "Echo", {"$repeat": ["x", 33_000]}), ANYTHING),
            (("events_of", "$closed"), [Holds(("maximum message size of 32768B was exceeded",))]),
        ),
    ),
    Scenario(
        name="many-in-flight",
        listens=("Number",),
        steps=(
            START,
            (("invoke_all", "Echo", [[f"call {n}"] for n in range(30)]), [f"call {n}" for n in range(30)]),
            (("invoke", "PushMany", 30), NOTHING),
            (("events_of", "Number", 30), [[n] for n in range(30)]),
            STOP,
        ),
    ),
    Scenario(
        name="parallel-calls",
        hub="/more",
        steps=(START, (("invoke_race", "Gate", [["wait"], ["open"]]), ["open", "wait"]), STOP),
    ),
    Scenario(
        name="serial-calls",
        hub="/serial",
        steps=(
            START,
            (("invoke_race", "Delay", [[0.05, "slow"], [0.0, "fast"]]), ["slow", "fast"]),
            STOP,
        ),
    ),
    Scenario(
        name="connection-id",
        needs=needs("knows-its-id"),
        steps=(START, (("same_id",), True), STOP),
    ),
    # Errors
    Scenario(
        name="errors",
        steps=(
            START,
            (
                ("invoke", "ThrowException", "secret"),
                {"error": "An unexpected error occurred invoking 'ThrowException' on the server."},
            ),
            (
                ("invoke", "ThrowHubException", "for you"),
                {
                    "error": "An unexpected error occurred invoking 'ThrowHubException' on the server. HubException: for you"
                },
            ),
            (("invoke", "NoSuchMethod"), {"error": "Unknown hub method 'NoSuchMethod'"}),
            (("invoke", "Echo"), {"error": "Failed to invoke 'Echo' due to an error on the server."}),
            (("invoke", "Echo", 1), {"error": "Failed to invoke 'Echo' due to an error on the server."}),
            (("invoke", "Echo", "a", "b"), {"error": "Failed to invoke 'Echo' due to an error on the server."}),
            (
                ("invoke", "ReturnUnwritable"),
                {"error": "An unexpected error occurred invoking 'ReturnUnwritable' on the server."},
            ),
            (
                ("invoke", "Stream"),
                {
                    "error": "The client attempted to invoke the streaming 'Stream' method with a non-streaming invocation."
                },
            ),
            (("invoke", "Echo", "still there"), result("still there")),
            STOP,
        ),
    ),
    Scenario(
        name="stream-errors",
        needs=needs("streams"),
        steps=(
            START,
            (
                ("stream", "Echo", "x"),
                {
                    "items": [],
                    "end": "The client attempted to invoke the non-streaming 'Echo' method with a streaming invocation.",
                },
            ),
            (("stream", "NoSuchMethod"), {"items": [], "end": "Unknown hub method 'NoSuchMethod'"}),
            (
                ("stream", "StreamException"),
                {"items": ["before"], "end": "An error occurred on the server while streaming results."},
            ),
            (
                ("stream", "StreamHubException", "for you"),
                {
                    "items": ["before"],
                    "end": "An error occurred on the server while streaming results. HubException: for you",
                },
            ),
            (
                ("stream", "PrepareStream", "not now"),
                {"items": [], "end": Holds(("HubException: not now",))},
            ),
            (("invoke", "Echo", "still there"), result("still there")),
            STOP,
        ),
    ),
    # Streams
    Scenario(
        name="streams",
        needs=needs("streams"),
        steps=(
            START,
            (("stream", "Stream"), {"items": ["a", "b", "c"], "end": None}),
            (("stream", "PrepareStream"), {"items": ["a", "b", "c"], "end": None}),
            (("stream", "EmptyStream"), {"items": [], "end": None}),
            (("stream", "StreamObjects", OBJECT, 2), {"items": [ECHOED, ECHOED], "end": None}),
            (("stream", "StreamNumbers", 100), {"items": list(range(100)), "end": None}),
            STOP,
        ),
    ),
    Scenario(
        name="cancelled-streams",
        needs=needs("streams", "cancels"),
        listens=("StreamEnded",),
        steps=(
            START,
            (("take", 3, "InfiniteStream", "endless"), {"items": [0, 1, 2]}),
            (("events_of", "StreamEnded"), [["endless"]]),
            (("take", 0, "SilentStream", "silent"), {"items": []}),
            (("events_of", "StreamEnded"), [["silent"]]),
            (("invoke", "Echo", "still there"), result("still there")),
            STOP,
        ),
    ),
    # Uploads
    Scenario(
        name="uploads",
        needs=needs("uploads"),
        steps=(
            START,
            (("upload", "StreamingConcat", [], [["he", "ll", "o"]]), result("hello")),
            (("upload", "StreamingConcat", [], [[]]), result("")),
            (("upload", "IgnoreStream", [], [["a", "b"]]), result("ignored")),
            (("upload", "TakeFirst", [], [["first", "second", "third"]]), result("first")),
            (("upload", "StreamingConcat", [], [[str(n % 10) for n in range(30)]]), result("0123456789" * 3)),
            (("invoke", "Echo", "still there"), result("still there")),
            STOP,
        ),
    ),
    Scenario(
        name="uploads-with-arguments",
        needs=needs("uploads", "uploads-with-arguments"),
        steps=(
            START,
            (("upload", "StreamingSum", [100], [[1, 2, 3], [10, 20]]), result(136)),
            (("upload", "StreamingBytes", [], [[{"$bytes": "AQID"}, {"$bytes": "BA=="}]]), result(4)),
            (
                ("upload", "StreamingConcat", [], [["half", {"$error": "the rest is lost"}]]),
                failed("An unexpected error occurred invoking 'StreamingConcat' on the server."),
            ),
            (("upload", "UploadError", [], [[{"$error": "the rest is lost"}]]), result(Holds(("the rest is lost",)))),
            (("upload", "Echo", [], [["x"]]), failed("Client sent 1 stream(s), Hub method expects 0.")),
            (("upload_stream", "StreamEcho", ["a", "b", "c"]), {"items": ["a", "b", "c"], "end": None}),
            STOP,
        ),
    ),
    Scenario(
        name="upload-without-answer",
        hub="/more",
        needs=needs("sends-uploads"),
        listens=("Concatenated",),
        steps=(
            START,
            (("upload_only", "ConcatAndTell", [str(n % 10) for n in range(30)]), "sent"),
            (("events_of", "Concatenated"), [["0123456789" * 3]]),
            (("upload_only", "ConcatAndTell", []), "sent"),
            (("events_of", "Concatenated"), [[""]]),
            STOP,
        ),
    ),
    # The server asks the client
    Scenario(
        name="client-results",
        needs=needs("answers"),
        answers={
            "GetName": {"echoes": True},
            "GetNumber": {"returns": 42},
            "GetText": {"returns": "no number"},
            "GetError": {"throws": "my mistake"},
        },
        steps=(
            START,
            (("invoke", "AskClient", "GetName", "ada"), result("ada")),
            (("invoke", "AskClientForNumber", "GetNumber"), result(42)),
            (("invoke", "AskClientForNumber", "GetText"), result(-1)),
            (("invoke", "AskClientForError", "GetError"), result(Holds(("my mistake",)))),
            (("invoke", "AskClientForError", "NoSuchHandler"), result(Holds(("didn't provide a result",)))),
            STOP,
        ),
    ),
    # Who may connect
    Scenario(
        name="token",
        hub="/authorized",
        needs=needs("token-in-header"),
        options={"token": "good"},
        steps=(START, (("invoke", "GetUser"), result("good")), STOP),
    ),
    Scenario(
        name="token-in-url",
        hub="/authorized",
        options={"token": "good", "tokenInQuery": True},
        steps=(START, (("invoke", "GetUser"), result("good")), STOP),
    ),
    Scenario(
        name="bad-token",
        hub="/authorized",
        options={"token": "evil", "tokenInQuery": True},
        needs=needs("hears-401"),
        steps=((("start",), failed("401")),),
    ),
    Scenario(
        name="bad-token-on-the-socket",
        hub="/authorized",
        options={"token": "evil", "tokenInQuery": True},
        needs=needs("fails-to-start"),
        steps=((("start",), failed("")),),
    ),
    Scenario(
        name="query-and-any-case",
        hub="/SceNario",
        options={"query": {"agentId": "agt_1"}},
        steps=(START, (("invoke", "GetQuery", "AGENTID"), result("agt_1")), STOP),
    ),
    Scenario(
        name="headers",
        options={"headers": {"X-Test": "own header"}},
        needs=needs("own-headers"),
        steps=(START, (("invoke", "GetHeader", "x-test"), result("own header")), STOP),
    ),
    # Where there is nothing
    Scenario(name="no-such-hub", hub="/nowhere", needs=needs("fails-to-start"), steps=((("start",), failed("")),)),
    Scenario(
        name="hub-that-cannot-be-made",
        hub="/uncreatable",
        needs=needs("hears-close"),
        steps=((("start_and_end",), failed("Connection closed with an error.")),),
    ),
    Scenario(
        name="hub-that-refuses",
        hub="/failing",
        needs=needs("hears-close"),
        steps=((("start_and_end",), failed("HubException: nobody may come in")),),
    ),
    # Ends
    Scenario(
        name="restart",
        needs=needs("restarts"),
        listens=("Message",),
        steps=(
            START,
            (("invoke", "Echo", "first"), result("first")),
            STOP,
            START,
            (("invoke", "InvokeWithString", "second"), NOTHING),
            (("events_of", "Message"), [["second"]]),
            STOP,
        ),
    ),
    Scenario(
        name="closed-by-the-server",
        needs=needs("hears-close"),
        steps=(
            START,
            (("invoke", "CloseConnection", "bye", False), result("closing")),
            (("events_of", "$closed"), [Holds(("bye",))]),
        ),
    ),
    Scenario(
        name="aborted-by-the-server",
        needs=needs("hears-end"),
        steps=(
            START,
            (("send", "AbortConnection"), "sent"),
            (("events_of", "$closed"), [ANYTHING]),
        ),
    ),
    Scenario(
        name="closed-to-reconnect",
        needs=needs("reads-to-the-end", "reconnects"),
        listens=("Message",),
        options={"reconnect": [0, 0, 0]},
        steps=(
            START,
            (("invoke", "CloseConnection", None, True), result("closing")),
            (("events_of", "$reconnected"), [True]),
            (("invoke", "InvokeWithString", "back"), NOTHING),
            (("events_of", "Message"), [["back"]]),
            STOP,
        ),
    ),
    Scenario(
        name="new-id-after-reconnect",
        needs=needs("reconnects", "knows-its-id"),
        options={"reconnect": [0, 0, 0]},
        steps=(
            START,
            (("save_id", "old"), "saved"),
            (("invoke", "CloseConnection", None, True), result("closing")),
            (("events_of", "$reconnected"), [True]),
            (("id_is", {"$saved": "old"}), False),
            (("same_id",), True),
            STOP,
        ),
    ),
    Scenario(
        name="cut-and-reconnected",
        hub="/more",
        needs=needs("reconnects", "loses-connections", "is-recognised"),
        options={"reconnect": [0, 0, 0]},
        steps=(
            START,
            (("save", "digest", "GetDigest"), "saved"),
            (("cut",), "cut"),
            (("events_of", "$reconnected"), [True]),
            (("invoke", "HasHeld", {"$saved": "digest"}), result(True)),
            (("save", "digest", "GetDigest"), "saved"),
            (("cut",), "cut"),
            (("events_of", "$reconnected"), [True]),
            (("invoke", "HasHeld", {"$saved": "digest"}), result(True)),
            STOP,
        ),
    ),
    Scenario(
        name="sent-away-and-recognised",
        hub="/more",
        needs=needs("reads-to-the-end", "reconnects", "is-recognised"),
        options={"reconnect": [0, 0, 0]},
        steps=(
            START,
            (("save", "digest", "GetDigest"), "saved"),
            (("invoke", "CloseConnection", None, True), result("closing")),
            (("events_of", "$reconnected"), [True]),
            (("invoke", "HasHeld", {"$saved": "digest"}), result(True)),
            STOP,
        ),
    ),
    Scenario(
        name="stateful-reconnect",
        needs=needs("stateful"),
        options={"reconnect": [0, 0, 0]},
        listens=("Number",),
        steps=(
            START,
            (("save_id", "id"), "saved"),
            (
                ("through_cuts", 4, 100),
                {
                    "results": [text for n in range(4) for text in (f"before {n}", f"after {n}")],
                    "end": None,
                    "stream": True,
                    "pushes": True,
                },
            ),
            (("id_is", {"$saved": "id"}), True),
            (("count_of", "$reconnecting"), 0),
            STOP,
        ),
    ),
    Scenario(
        name="transport-that-is-not-offered",
        hub="/nosockets",
        needs=needs("sockets", "fails-to-start"),
        steps=((("start",), failed("")),),
    ),
    Scenario(
        name="active-transport",
        steps=(START, (("invoke", "GetActiveTransportName"), result(TheTransport())), STOP),
    ),
)


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A client with a transport and a protocol; `lacks` says why it cannot play what needs an ability."""

    client: str
    transport: str
    protocol: str
    variant: str = ""
    lacks: Mapping[str, str] = {}

    @property
    def name(self) -> str:
        return "-".join(filter(None, (self.client, self.transport, self.protocol, self.variant)))

    @property
    def is_foreign(self) -> bool:
        """Whether a page comes from another origin than the hub: once for each transport."""
        return self.protocol == "json" and not self.variant

    def reason_against(self, scenario: Scenario) -> str | None:
        """Why this client cannot play the scenario; None when it can."""
        for ability in sorted(scenario.needs):
            if ability in self.lacks:
                return self.lacks[ability]
        return None

    def played(self) -> dict[str, Any]:
        """The part that a client gets."""
        return {
            "name": self.name,
            "client": self.client,
            "transport": self.transport,
            "protocol": self.protocol,
            "isDirect": self.variant == "direct",
            "isStateful": self.variant == "stateful",
            "scenarios": [scenario.name for scenario in SCENARIOS if self.reason_against(scenario) is None],
        }


NOT_SWITCHED_ON = {"stateful": "stateful reconnect is switched on in cells of its own"}
NO_SOCKET = {"sockets": "the scenario is about WebSockets"}
RESUMES = {"loses-connections": "a connection that breaks is resumed here; 'stateful-reconnect' shows it"}
NEVER_NEGOTIATES = {
    "knows-its-id": "the id comes with the negotiation",
    "hears-401": "a socket's refusal has no status that the client reports",
}
REPEATS_POLLS = {"loses-connections": "Chromium repeats a poll that broke, and the connection goes on"}
PAGES_SET_NO_HEADERS = {"own-headers": "pages cannot set headers of sockets and event streams"}


def _official(client: str) -> tuple[Cell, ...]:
    is_page = client == "chromium"
    repeats = REPEATS_POLLS if is_page else {}
    no_headers = PAGES_SET_NO_HEADERS if is_page else {}
    no_cookies = {} if is_page else {"is-recognised": "under Node the client keeps the cookies of negotiations only"}
    sockets = NOT_SWITCHED_ON | no_headers
    stateful = RESUMES | no_headers
    posts = NOT_SWITCHED_ON | NO_SOCKET
    return (
        Cell(client=client, transport="WebSockets", protocol="json", lacks=sockets),
        Cell(client=client, transport="WebSockets", protocol="messagepack", lacks=sockets),
        Cell(
            client=client,
            transport="WebSockets",
            protocol="json",
            variant="direct",
            lacks=sockets | NEVER_NEGOTIATES | no_cookies,
        ),
        Cell(client=client, transport="WebSockets", protocol="json", variant="stateful", lacks=stateful),
        Cell(client=client, transport="WebSockets", protocol="messagepack", variant="stateful", lacks=stateful),
        Cell(client=client, transport="ServerSentEvents", protocol="json", lacks=posts | no_headers),
        Cell(client=client, transport="LongPolling", protocol="json", lacks=posts | repeats),
        Cell(client=client, transport="LongPolling", protocol="messagepack", lacks=posts | repeats),
    )


NODE_CELLS = _official("node")
CHROMIUM_CELLS = _official("chromium")
NO_API = "the client has no call for it"
SIGNALRCORE = {
    "answers": "handlers return nothing to the server",
    "cancels": NO_API,
    "hears-close": "on_close is told no reason",
    "knows-its-id": NO_API,
    "sockets": "it takes whatever is offered",
    "stateful": "the client does not speak it",
    "uploads": "it asks for no answer to an upload; 'upload-without-answer' shows uploads",
    "uploads-with-arguments": "an upload is one stream and nothing else",
}
SIGNALRCORE_CELLS = (
    Cell(client="signalrcore", transport="WebSockets", protocol="json", lacks=SIGNALRCORE),
    Cell(
        client="signalrcore",
        transport="WebSockets",
        protocol="messagepack",
        lacks=SIGNALRCORE | {"sends-uploads": "its MessagePack uploads lack the stream's id; the server closes"},
    ),
    Cell(
        client="signalrcore",
        transport="ServerSentEvents",
        protocol="json",
        lacks=SIGNALRCORE | {"reads-to-the-end": "it drops what comes together with the end of the stream"},
    ),
    Cell(
        client="signalrcore",
        transport="LongPolling",
        protocol="json",
        lacks=SIGNALRCORE
        | {
            "loses-connections": "it polls again, and the connection goes on",
            "own-headers": "its polls carry no headers",
            "token-in-header": "its polls carry no headers; 'token-in-url' shows the way",
        },
    ),
)
PYSIGNALR = {
    "cancels": NO_API,
    "knows-its-id": NO_API,
    "reconnects": "it comes back with the id of the connection that is over, and gives up",
    "stateful": "the client does not speak it",
    "token-in-header": "it sends the token only after the socket is open",
    "uploads": "it asks for no answer to an upload; 'upload-without-answer' shows uploads",
    "uploads-with-arguments": "an upload is one stream and nothing else",
}
PYSIGNALR_CELLS = (
    Cell(client="pysignalr", transport="WebSockets", protocol="json", lacks=PYSIGNALR),
    Cell(client="pysignalr", transport="WebSockets", protocol="messagepack", lacks=PYSIGNALR),
)


def differences(expected: Any, seen: Any, transport: str, at: str = "") -> list[str]:
    """Where an outcome is not what it must be."""
    match expected:
        case Anything():
            return []
        case TheTransport():
            fits = seen == transport
        case Holds(parts):
            fits = isinstance(seen, str) and all(part in seen for part in parts)
        case Failed(parts):
            fits = (
                isinstance(seen, dict)
                and isinstance(seen.get("error"), str)
                and all(part in seen["error"] for part in parts)
            )
        case Data(base64):
            fits = seen in (base64, {"$bytes": base64})
        case Moment(iso):
            text = seen.get("$date") if isinstance(seen, dict) else seen
            fits = isinstance(text, str) and text.replace(".000", "").replace("+00:00", "Z") == iso
        case Long(text, count):
            fits = seen == text * count
            seen = f"{str(seen)[:40]}…"
        case dict() if isinstance(seen, dict) and expected.keys() == seen.keys():
            return [
                line for key in expected for line in differences(expected[key], seen[key], transport, f"{at}.{key}")
            ]
        case list() | tuple() if isinstance(seen, list) and len(expected) == len(seen):
            return [
                line
                for index, (wanted, got) in enumerate(zip(expected, seen, strict=True))
                for line in differences(wanted, got, transport, f"{at}[{index}]")
            ]
        case None:
            fits = seen is None or seen == {"$undefined": True}
        case _:
            fits = type(expected) is type(seen) and expected == seen
    return [] if fits else [f"{at}: expected {expected!r}, saw {seen!r}"]


def document(cells: Sequence[Cell]) -> str:
    """The table of clients for people: what each plays, and why it does not play the rest."""
    lines = [
        "# Clients",
        "",
        "Real clients play these scenarios against a real server in the tests, each on every transport and protocol that",
        "it has. What a client cannot play by its own limits is listed with the reason; nothing else is left out.",
        "`direct` is without negotiation, `stateful` with stateful reconnect.",
        "",
        "| client | transport | protocol | | plays |",
        "| --- | --- | --- | --- | --- |",
    ]
    for cell in cells:
        count = len(cell.played()["scenarios"])
        lines.append(
            f"| {cell.client} | {cell.transport} | {cell.protocol} | {cell.variant} | {count} of {len(SCENARIOS)} |"
        )
    lines += ["", "## What they cannot play", "", "| scenario | client | why |", "| --- | --- | --- |"]
    for scenario in SCENARIOS:
        reasons: dict[str, list[str]] = {}
        for cell in cells:
            if reason := cell.reason_against(scenario):
                reasons.setdefault(reason, []).append(cell.name)
        lines += [f"| {scenario.name} | {', '.join(names)} | {reason} |" for reason, names in reasons.items()]
    lines += ["", "## The scenarios", ""]
    lines += [f"- `{scenario.name}`: {', '.join(_verbs(scenario))}" for scenario in SCENARIOS]
    return "\n".join(lines) + "\n"


def _verbs(scenario: Scenario) -> list[str]:
    """What the scenario does, shortly."""
    return list(
        dict.fromkeys(" ".join(str(part) for part in step[:2] if isinstance(part, str)) for step, _ in scenario.steps)
    )


if __name__ == "__main__":
    sys.stdout.write(document((*NODE_CELLS, *CHROMIUM_CELLS, *SIGNALRCORE_CELLS, *PYSIGNALR_CELLS)))
