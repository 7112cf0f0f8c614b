"""What the agent can do beside talking: tools that the language model calls, each carried out once, within its time, with a result that the
model reads.

`Toolbox` holds those of one call. A model that calls in circles is stopped; arguments that fit no schema, and a tool that fails or takes too
long, are results too, so that the model can say so.
"""

import asyncio
import hashlib
import math
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Protocol

import msgspec
import structlog
from voisnap_domain.conversations import ToolUse
from voisnap_domain.errors import DomainError
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.llm import LlmRequest, Message, Role, ToolCall, ToolSpec

from .events import CallEvent, ToolFinished, ToolStarted

MAX_ROUNDS = 4
"""Times that the model may call tools within one reply before it has to speak."""
MAX_CALLS = 60
"""Calls of tools in one conversation."""
MAX_ARGUMENT_CHARS = 8000
MAX_RESULT_CHARS = 8000

log = structlog.get_logger()


class SideEffect(StrEnum):
    """What calling a tool does to the world."""

    NONE = "none"
    """Nothing: it may be called again."""
    ONCE = "once"
    """Something that must not happen twice: the same call in the same turn is carried out once and has one result."""


class ToolContext(msgspec.Struct, frozen=True, kw_only=True):
    """Of which call of a tool this is. `key` is the same for the same call in the same turn, in whichever process: whoever is asked to do
    something can know it by. `spoke`: the agent has said something in this reply already."""

    call_id: str
    key: str
    spoke: bool


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `content` is for the model. With `says` (which may be nothing) the agent says that, and the model is not asked again.
    `ends_call`: the call is over once the agent's words were heard. `after` is called when they were heard, or cut."""

    content: str
    success: bool = True
    says: str | None = None
    ends_call: bool = False
    after: Callable[[], None] | None = None


class Tool(Protocol):
    """Something the model may call. `seconds` is how long it may take."""

    @property
    def spec(self) -> ToolSpec: ...
    @property
    def effect(self) -> SideEffect: ...
    @property
    def seconds(self) -> float: ...

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Do it. `arguments` fit the schema. Raises DomainError, ProviderError; anything else is a bug."""
        ...


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool, and what came of it: for the history."""

    call: ToolCall
    result: ToolResult

    @property
    def use(self) -> ToolUse:
        return ToolUse(
            call_id=self.call.call_id,
            name=self.call.name,
            arguments=self.call.arguments,
            success=self.result.success,
            signature=self.call.signature,
        )


class Toolbox:
    """The tools of one call. `notify` is told of each that begins and ends."""

    def __init__(self, session_id: str, tools: Iterable[Tool], *, notify: Callable[[CallEvent], None]) -> None:
        self._session_id = session_id
        self._tools = {tool.spec.name: tool for tool in tools}
        self._notify = notify
        self._done: dict[str, asyncio.Task[ToolResult]] = {}
        self._turn = 0
        self._calls = 0

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is offered."""
        return tuple(tool.spec for tool in self._tools.values())

    def start(self, call: ToolCall, *, turn: int, spoke: bool) -> "tuple[asyncio.Task[ToolResult], bool]":
        """Carry a call out, and whether it is a new one. The task never raises but for being cancelled. `turn` counts the replies: the same
        call in another one is another one."""
        if turn != self._turn:
            self._turn, self._done = turn, {}
        tool = self._tools.get(call.name)
        key = self._key(call, turn)
        same = self._done.get(key)
        if same is not None and (tool is None or tool.effect is SideEffect.ONCE):
            return same, False
        context = ToolContext(call_id=call.call_id, key=key, spoke=spoke)
        task = asyncio.create_task(self._carried_out(tool, call, context), name=f"tool {call.name[:40]}")
        self._done[key] = task
        return task, True

    async def _carried_out(self, tool: Tool | None, call: ToolCall, context: ToolContext) -> ToolResult:
        began = asyncio.get_running_loop().time()
        arguments = _arguments(call.arguments)
        self._notify(ToolStarted(call_id=call.call_id, name=call.name, arguments=arguments or {}))
        result = await self._result(tool, call, arguments, context)
        seconds = asyncio.get_running_loop().time() - began
        log.info("tool.called", tool=call.name[:64], success=result.success, ms=round(seconds * 1000))
        self._notify(ToolFinished(call_id=call.call_id, name=call.name, success=result.success, seconds=seconds))
        return result

    async def _result(
        self, tool: Tool | None, call: ToolCall, arguments: dict[str, Any] | None, context: ToolContext
    ) -> ToolResult:
        self._calls += 1
        if tool is None:
            return _failed(f"There is no tool {call.name[:64]}.")
        if self._calls > MAX_CALLS:
            return _failed("No more tools can be called in this conversation. Answer without them.")
        fault = "The arguments are no JSON object." if arguments is None else _unfit(arguments, tool.spec)
        if arguments is None or fault:
            return _failed(fault)
        try:
            async with asyncio.timeout(tool.seconds):
                result = await tool.run(arguments, context)
        except TimeoutError:
            return _failed(f"{call.name} did not answer within {tool.seconds:g} seconds.")
        except DomainError as error:
            return _failed(error.detail)
        except ProviderError as error:
            log.warning("tool.provider_failed", tool=call.name, provider=error.provider, reason=error.detail)
            return _failed(f"{call.name} failed.")
        except Exception:  # a bug in one tool must not silence the agent
            log.exception("tool.crashed", tool=call.name)
            return _failed(f"{call.name} failed.")
        return msgspec.structs.replace(result, content=result.content[:MAX_RESULT_CHARS])

    def _key(self, call: ToolCall, turn: int) -> str:
        arguments = _arguments(call.arguments)
        canonical = msgspec.json.encode(
            [self._session_id, turn, call.name, arguments or call.arguments], order="sorted"
        )
        return hashlib.sha256(canonical).hexdigest()[:32]


class EndCallTool:
    """Ends the call once the agent has taken leave."""

    effect = SideEffect.NONE
    seconds = 1.0
    spec = ToolSpec(
        name="end_call",
        description=(
            "Hang up. Call this only when the conversation is over: the caller has said goodbye, or has what they wanted and confirmed"
            " that there is nothing else. Say goodbye in the same reply."
        ),
        parameters={"type": "object", "properties": {}, "additionalProperties": False},
    )

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """The model takes leave first, unless it has."""
        said = "" if context.spoke else None
        return ToolResult(content="The call ends after your next words: say goodbye.", says=said, ends_call=True)


def words_instead(used: tuple[Used, ...]) -> str | None:
    """What the agent says in place of another answer of the model, if any of the tools wants that."""
    said = [one.result.says for one in used if one.result.says is not None]
    return " ".join(words for words in said if words) if said else None


def continued(request: LlmRequest, used: tuple[Used, ...], *, said: str) -> LlmRequest:
    """The request that lets the model go on with what its calls of tools came to, behind the words it `said` before them."""
    calls = Message(role=Role.ASSISTANT, content=said, tool_calls=tuple(one.call for one in used))
    results = (Message(role=Role.TOOL, content=one.result.content, tool_call_id=one.call.call_id) for one in used)
    return msgspec.structs.replace(request, messages=(*request.messages, calls, *results))


def _failed(content: str) -> ToolResult:
    return ToolResult(content=content, success=False)


def _arguments(text: str) -> dict[str, Any] | None:
    """What the model wrote; None for nonsense. No arguments at all are none."""
    if len(text) > MAX_ARGUMENT_CHARS:
        return None
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def _unfit(arguments: dict[str, Any], spec: ToolSpec) -> str:
    """What is wrong with arguments, for the model to mend; nothing when all is well. Types, enums and what is required are checked."""
    properties: dict[str, Any] = spec.parameters.get("properties", {})
    for name in spec.parameters.get("required", ()):
        if arguments.get(name) is None:
            return f"{name} is missing."
    for name, value in arguments.items():
        known = properties.get(name)
        if known is None:
            if spec.parameters.get("additionalProperties") is False:
                return f"{name[:64]} is no argument of {spec.name}."
            continue
        if value is None:
            continue
        if fault := _misfit(value, known):
            return f"{name} {fault}"
    return ""


def _misfit(value: Any, known: dict[str, Any]) -> str:
    kind = known.get("type")
    fits = _KINDS.get(kind or "")
    if fits is not None and (not isinstance(value, fits) or (isinstance(value, bool) and kind != "boolean")):
        return f"must be of the type {kind}."
    if kind == "integer" and not (math.isfinite(value) and float(value).is_integer()):
        return "must be a whole number."
    if "enum" in known and value not in known["enum"]:
        return f"must be one of: {', '.join(str(one) for one in known['enum'])}."
    return ""
