"""The routes under `/simulator`, by which a developer or a test lets somebody call, pick up or hang up, and reads what came of it."""

import asyncio
import hmac
import io
import random
import wave
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response, get, post, put
from litestar.types import ControllerRouterHandler
from voisnap_providers.carriers import CARRIERS

from .answers import Refused, empty_answer, json_answer
from .faults import Faults
from .persona.behaviour import Behaviour
from .persona.script import Step, steps_of
from .voice import ring
from .voice.calls import Call
from .voice.exchange import Busy, Exchange, exchange_of
from .world import OwnedNumber, World

PREFIX = "/simulator"
MOST_WAITED = 30.0
_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_AREAS = (201, 206, 212, 303, 312, 404, 415, 503, 602, 617, 702, 808)
S = TypeVar("S", bound=msgspec.Struct)


class NewCall(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Somebody calls `to`, one of an account's numbers, from `caller`; a made-up number where none is given. `keep_audio` keeps what both
    sides said (`GET …/audio`)."""

    provider: str
    to: str
    caller: str = ""
    behaviour: Behaviour = Behaviour()
    faults: Faults = Faults()
    keep_audio: bool = False


class Described(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a telephone behaves when it is rung."""

    behaviour: Behaviour = Behaviour()
    faults: Faults = Faults()
    keep_audio: bool = False


class MoreSteps(msgspec.Struct, frozen=True, kw_only=True):
    """More of a script, as text or in steps."""

    script: str = ""
    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        steps_of(self.script)


class NewNumber(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A number that an account has without asking the carrier for it."""

    provider: str
    number: str = ""
    voice_url: str = ""


def check_bearer(world: World, request: Request[Any, Any, Any]) -> None:
    """Raises Refused unless the request holds the secret of the accounts file and comes from this machine itself."""
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    host = request.client.host if request.client else ""
    if not world.bearer or not hmac.compare_digest(given.encode(), world.bearer.encode()) or host not in _LOOPBACK:
        raise refused(401, "this wants the bearer of the simulator's accounts file, from this machine")


def refused(status: int, why: str) -> Refused:
    """An error of the control routes."""
    return Refused(status, {"error": why})


async def body_of(request: Request[Any, Any, Any], kind: type[S]) -> S:
    """The request's body. Raises Refused."""
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.MsgspecError, ValueError) as error:
        raise refused(400, str(error)[:300]) from None


def made_up_number(seed: int | None = None) -> str:
    """A telephone number that belongs to nobody (NANPA keeps 555-0100 to 555-0199 for fiction), with a behaviour of a human."""
    chosen = random.Random(seed)  # noqa: S311 - hides nothing
    return f"+1{chosen.choice(_AREAS)}55501{chosen.randrange(10, 100)}"


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """What is the same for all carriers."""
    exchange = exchange_of(world)

    @get(f"{PREFIX}/numbers")
    async def numbers(request: Request[Any, Any, Any]) -> Response[bytes]:
        check_bearer(world, request)
        return json_answer({"numbers": [_shown_number(one) for one in world.numbers.values()]})

    @post(f"{PREFIX}/numbers")
    async def add_number(request: Request[Any, Any, Any]) -> Response[bytes]:
        check_bearer(world, request)
        given = await body_of(request, NewNumber)
        _check_provider(world, given.provider)
        number = OwnedNumber(
            provider=given.provider,
            number=given.number or made_up_number(),
            id=world.new_hex(),
            voice_url=given.voice_url,
            application=_application(world, given.provider),
        )
        return json_answer(_shown_number(world.own(number)), 201)

    @put(f"{PREFIX}/telephones/{{number:str}}", status_code=204)
    async def describe(request: Request[Any, Any, Any], number: str) -> Response[None]:
        check_bearer(world, request)
        given = await body_of(request, Described)
        exchange.describe(number, given.behaviour, given.faults, keeps_audio=given.keep_audio)
        return empty_answer()

    @post(f"{PREFIX}/calls")
    async def begin(request: Request[Any, Any, Any]) -> Response[bytes]:
        check_bearer(world, request)
        given = await body_of(request, NewCall)
        _check_provider(world, given.provider)
        try:
            call = ring(
                world,
                given.provider,
                caller=given.caller or made_up_number(),
                callee=given.to,
                behaviour=msgspec.structs.replace(given.behaviour, is_caller=True),
                faults=given.faults,
                keeps_audio=given.keep_audio,
            )
        except Busy as busy:
            raise refused(429, str(busy)) from None
        return json_answer(_shown(call), 201)

    @get(f"{PREFIX}/calls")
    async def calls(request: Request[Any, Any, Any]) -> Response[bytes]:
        check_bearer(world, request)
        number = request.query_params.get("number")
        found = [one for one in reversed(exchange.calls.values()) if number in (None, one.caller, one.callee)]
        return json_answer({"calls": [_shown(one) for one in found[:100]]})

    @get(f"{PREFIX}/calls/{{call_id:str}}")
    async def call(request: Request[Any, Any, Any], call_id: str) -> Response[bytes]:
        """The call with its events after number `after`; `wait` seconds for one where there is none."""
        check_bearer(world, request)
        found = _found(exchange, call_id)
        after = _number(request, "after", 0)
        wait = min(_number(request, "wait", 0), MOST_WAITED)
        if wait and len(found.events) <= after and not found.ended.is_set():
            changed = found.changed
            try:
                async with asyncio.timeout(wait):
                    await changed.wait()
            except TimeoutError:
                pass
        events = [msgspec.to_builtins(one) for one in found.events[int(after) :]]
        return json_answer({**_shown(found), "events": events})

    @post(f"{PREFIX}/calls/{{call_id:str}}/steps", status_code=202)
    async def go_on(request: Request[Any, Any, Any], call_id: str) -> Response[bytes]:
        """The person goes on with more of a script (`behaviour.stays` keeps him on the line until then)."""
        check_bearer(world, request)
        given = await body_of(request, MoreSteps)
        call = _found(exchange, call_id)
        add = getattr(call.telephone, "add", None)
        if add is None or call.ended.is_set():
            raise refused(409, "nobody is on the line who follows a script")
        await add(given.steps or steps_of(given.script))
        return json_answer(_shown(call), 202)

    @post(f"{PREFIX}/calls/{{call_id:str}}/hang-up", status_code=204)
    async def hang_up(request: Request[Any, Any, Any], call_id: str) -> Response[None]:
        check_bearer(world, request)
        _found(exchange, call_id).end("hung_up")
        return empty_answer()

    @get(f"{PREFIX}/calls/{{call_id:str}}/audio")
    async def audio(request: Request[Any, Any, Any], call_id: str) -> Response[bytes]:
        """A WAV file: left what the telephone said, right what it heard."""
        check_bearer(world, request)
        found = _found(exchange, call_id)
        if found.audio is None:
            raise refused(404, "this call's audio is not kept: start it with keepAudio")
        return Response(_wav(found), media_type="audio/wav")

    return (numbers, add_number, describe, begin, calls, call, go_on, hang_up, audio)


async def shut(world: World) -> None:
    """Ends everything that the parts of the world still do."""
    for part in tuple(world.parts.values()):
        if (close := getattr(part, "aclose", None)) is not None:
            await close()


def _check_provider(world: World, provider: str) -> None:
    if provider not in CARRIERS or provider not in world.accounts:
        raise refused(400, f"provider is one of {', '.join(CARRIERS)}")


def _application(world: World, provider: str) -> str:
    account = world.account(provider)
    return {"vonage": account.option("application_id"), "telnyx": account.option("connection_id")}.get(provider, "")


def _found(exchange: Exchange, call_id: str) -> Call:
    found = exchange.find(call_id)
    if found is None:
        raise refused(404, "there is no such call")
    return found


def _number(request: Request[Any, Any, Any], name: str, default: float) -> float:
    try:
        return max(0.0, float(request.query_params.get(name, default)))
    except ValueError:
        raise refused(400, f"{name} is a number") from None


def _shown_number(number: OwnedNumber) -> dict[str, Any]:
    return {"provider": number.provider, "number": number.number, "id": number.id, "voiceUrl": number.voice_url}


def _shown(call: Call) -> dict[str, Any]:
    return {
        "callId": call.id,
        "provider": call.provider,
        "direction": call.direction,
        "from": call.caller,
        "to": call.callee,
        "isAnswered": call.answered_at is not None,
        "isOver": call.ended.is_set(),
        "cause": call.cause,
        "seconds": round(call.seconds, 3),
        "beganAt": call.began_at,
    }


def _wav(call: Call) -> bytes:
    import numpy as np  # noqa: PLC0415 - sound, when it is wanted

    from .voice.sound import RATE  # noqa: PLC0415

    pairs = list(call.audio or ())
    sides = [np.concatenate([pair[side] for pair in pairs]) if pairs else np.zeros(0, np.int16) for side in (0, 1)]
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.stack(sides, axis=1).astype("<i2").tobytes())
    return buffer.getvalue()
